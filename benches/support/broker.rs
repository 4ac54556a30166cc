//! A private RabbitMQ node on loopback, and the two queues of the gateways on it.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    PublisherConfirm,
};
use tempfile::TempDir;

use super::disk;
use super::process::{self, Program};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const EXCHANGE: &str = "llm-events";
/// Each queue with its routing key: the request halves, and the response halves.
pub(crate) const QUEUES: [(&str, &str); 2] =
    [("llm-consumption-requests", "llm.request"), ("llm-consumption-responses", "llm.response")];
/// How many messages may wait for their confirmation.
const WINDOW: usize = 1000;

/// Why there is no broker here.
pub(crate) const MISSING: &str = "RabbitMQ is not installed: apt-get install rabbitmq-server";

/// Whether there is a broker to start.
pub(crate) fn is_installed() -> bool {
    Path::new(SERVER).exists()
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Broker {
    url: String,
    _node: Program,
    /// Ends after the node.
    _epmd: Program,
    _directory: TempDir,
}

impl Broker {
    /// Starts a node whose whole state is in a directory of its own, and waits until it takes
    /// connections.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = disk::temporary("rabbitmq")?;
        let home = directory.path();
        let cookie = home.join(".erlang.cookie");
        fs::write(&cookie, "tallybookbenchmark")?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        let (port, dist, epmd) =
            (process::free_port()?, process::free_port()?, process::free_port()?);
        let config = home.join("rabbitmq.conf");
        fs::write(
            &config,
            format!(
                "listeners.tcp.1 = 127.0.0.1:{port}\nvm_memory_high_watermark.absolute = 1GB\n\
                 disk_free_limit.absolute = 50MB\nlog.console.level = warning\n"
            ),
        )?;
        // Our own, so that none is left behind.
        let epmd_program = Program::start(
            "epmd",
            Command::new("epmd").args(["-address", "127.0.0.1", "-port", &epmd.to_string()]),
            &home.join("epmd.out"),
        )?;
        let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
        let file = |name: &str| -> PathBuf { home.join(name) };
        let mut command = Command::new(SERVER);
        command
            .env("HOME", home)
            .env("RABBITMQ_NODENAME", format!("bench{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", dist.to_string())
            .env("ERL_EPMD_PORT", epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", file("mnesia"))
            .env("RABBITMQ_LOG_BASE", file("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_CONFIG_FILE", &config)
            .env("RABBITMQ_CONF_ENV_FILE", file("none.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins"))
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", loopback);
        fs::write(file("plugins"), "[].")?;
        let mut node = Program::start("RabbitMQ", &mut command, &file("rabbitmq.out"))?;
        let address = format!("127.0.0.1:{port}").parse()?;
        node.wait_until(Duration::from_mins(2), || {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
        })?;
        let url = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
        let broker = Self { url, _node: node, _epmd: epmd_program, _directory: directory };
        broker.declare().await?;
        Ok(broker)
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        // It listens a moment before it is ready.
        let mut attempts = 0;
        loop {
            match Connection::connect(&self.url, ConnectionProperties::default()).await {
                Ok(connection) => return Ok(connection),
                Err(error) if attempts == 50 => {
                    return Err(error).context("could not connect to RabbitMQ");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
            attempts += 1;
        }
    }

    async fn declare(&self) -> anyhow::Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let topic = ExchangeKind::Topic;
        channel.exchange_declare(EXCHANGE.into(), topic, durable, FieldTable::default()).await?;
        for (queue, key) in QUEUES {
            let (durable, none) = (QueueDeclareOptions::durable(), FieldTable::default);
            channel.queue_declare(queue.into(), durable, none()).await?;
            let options = QueueBindOptions::default();
            channel.queue_bind(queue.into(), EXCHANGE.into(), key.into(), options, none()).await?;
        }
        connection.close(200, "declared".into()).await?;
        Ok(())
    }

    /// Empties both queues.
    pub(crate) async fn purge(&self) -> anyhow::Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        for (queue, _) in QUEUES {
            channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        }
        connection.close(200, "purged".into()).await?;
        Ok(())
    }

    /// Publishes both halves of every call, persistent and confirmed, a window at a time.
    pub(crate) async fn publish(&self, calls: &[[String; 2]]) -> anyhow::Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut waiting = VecDeque::with_capacity(WINDOW);
        for halves in calls {
            for ((_, key), message) in QUEUES.into_iter().zip(halves) {
                if waiting.len() >= WINDOW {
                    confirmed(waiting.pop_front()).await?;
                }
                waiting.push_back(publish(&channel, key, message).await?);
            }
        }
        while !waiting.is_empty() {
            confirmed(waiting.pop_front()).await?;
        }
        connection.close(200, "published".into()).await?;
        Ok(())
    }
}

async fn publish(channel: &Channel, key: &str, message: &str) -> anyhow::Result<PublisherConfirm> {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into());
    let options = BasicPublishOptions::default();
    let bytes = message.as_bytes();
    Ok(channel.basic_publish(EXCHANGE.into(), key.into(), options, bytes, properties).await?)
}

async fn confirmed(confirm: Option<PublisherConfirm>) -> anyhow::Result<()> {
    let Some(confirm) = confirm else { return Ok(()) };
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        other => bail!("the broker did not take a message: {other:?}"),
    }
}
