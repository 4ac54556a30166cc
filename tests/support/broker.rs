//! The broker under test, as the users' producers and operators see it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use tempfile::TempDir;

use super::{eventually, free_ports, signal, unique, variable};

/// Exchanges and queues of one test.
#[derive(Debug, Clone)]
pub struct Names {
    pub exchange: String,
    pub request_queue: String,
    pub response_queue: String,
    /// Exchange and queue of the dead letters.
    pub dead: String,
    pub events_exchange: String,
}

impl Names {
    /// Names that no other test uses.
    pub fn unique() -> Self {
        let test = unique("t");
        Self {
            exchange: format!("{test}.llm-events"),
            request_queue: format!("{test}.llm-consumption-requests"),
            response_queue: format!("{test}.llm-consumption-responses"),
            dead: format!("{test}.llm-events.dead"),
            events_exchange: format!("{test}.ledger-events"),
        }
    }
}

/// The broker that `tests/run` has started.
pub fn shared_url() -> String {
    variable("TALLYBOOK_TEST_AMQP_URL")
}

/// A producer's and operator's connection.
pub struct Amqp {
    pub names: Names,
    /// Keeps the channel open.
    _connection: Connection,
    pub channel: Channel,
}

impl Amqp {
    /// Connects to the broker at `url` and declares what the contract says, as producers do.
    pub async fn connect(url: &str, names: &Names) -> Self {
        let connection = eventually("the broker answers", async || {
            Connection::connect(url, ConnectionProperties::default())
                .await
                .map_err(|error| error.to_string())
        })
        .await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let amqp = Self { names: names.clone(), channel, _connection: connection };
        for exchange in [&names.exchange, &names.dead, &names.events_exchange] {
            amqp.declare_exchange(exchange).await;
        }
        amqp.declare_queue(&names.request_queue, &names.exchange, "llm.request").await;
        amqp.declare_queue(&names.response_queue, &names.exchange, "llm.response").await;
        amqp.declare_queue(&names.dead, &names.dead, "#").await;
        amqp
    }

    async fn declare_exchange(&self, name: &str) {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let kind = ExchangeKind::Topic;
        let declared =
            self.channel.exchange_declare(name.into(), kind, options, FieldTable::default());
        declared.await.expect("an exchange");
    }

    /// Declares a durable queue and binds it.
    pub async fn declare_queue(&self, queue: &str, exchange: &str, routing_key: &str) {
        let options = QueueDeclareOptions::durable();
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        declared.await.expect("a queue");
        let bound = self.channel.queue_bind(
            queue.into(),
            exchange.into(),
            routing_key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("a binding");
    }

    /// Publishes bytes with properties; the broker has them when this returns.
    pub async fn publish(&self, routing_key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let published = self.channel.basic_publish(
            self.names.exchange.as_str().into(),
            routing_key.into(),
            options,
            body,
            properties.with_delivery_mode(2),
        );
        let confirmation = published.await.expect("published").await.expect("confirmed");
        assert!(confirmation.is_ack() && confirmation.take_message().is_none(), "not routed");
    }

    /// Publishes a request message.
    pub async fn request(&self, message: &Value) {
        let body = message.to_string();
        self.publish("llm.request", body.as_bytes(), BasicProperties::default()).await;
    }

    /// Publishes a response message.
    pub async fn response(&self, message: &Value) {
        let body = message.to_string();
        self.publish("llm.response", body.as_bytes(), BasicProperties::default()).await;
    }

    /// Takes one message, when there is one.
    pub async fn take(&self, queue: &str) -> Option<Delivery> {
        let options = BasicGetOptions::default();
        let message = self.channel.basic_get(queue.into(), options).await.expect("an answer")?;
        message.delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
        Some(message.delivery)
    }

    /// Waits for `count` messages and takes them.
    pub async fn take_all(&self, queue: &str, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        eventually("messages arrive", async || {
            while let Some(delivery) = self.take(queue).await {
                taken.push(delivery);
            }
            if taken.len() >= count {
                Ok(())
            } else {
                Err(format!("{} of {count} in `{queue}`", taken.len()))
            }
        })
        .await;
        taken
    }

    /// Takes `count` dead letters.
    pub async fn dead_letters(&self, count: usize) -> Vec<Delivery> {
        self.take_all(&self.names.dead, count).await
    }
}

/// The text of a header; empty when it is not there.
pub fn header(delivery: &Delivery, name: &str) -> String {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get(name)) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        _ => String::new(),
    }
}

/// A broker that the test may kill.
pub struct OwnBroker {
    ports: [u16; 3],
    directory: TempDir,
    process: Child,
}

impl OwnBroker {
    /// Starts a node; connect to wait for it.
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let ports = free_ports();
        let process = Self::spawn(directory.path(), ports);
        Self { ports, directory, process }
    }

    fn spawn(directory: &Path, ports: [u16; 3]) -> Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/rabbitmq-node");
        Command::new(script)
            .arg(directory)
            .args(ports.map(|port| port.to_string()))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the node starts")
    }

    /// Its address.
    pub fn url(&self) -> String {
        let [port, ..] = self.ports;
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
    }

    /// Kills the node with all its processes.
    pub fn kill(&mut self) {
        signal("KILL", &format!("-{}", self.process.id()));
        drop(self.process.wait());
    }

    /// Starts it again, after [`Self::kill`], with what it had on disk.
    pub fn start_again(&mut self) {
        self.process = Self::spawn(self.directory.path(), self.ports);
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.kill();
    }
}
