//! How the demo's messages reach the book: over a broker, as in production, or, where there is none,
//! through the same parsing and the same writer inside the process.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Channel, Connection};
use schemas::{Command, Envelope, Name, Timestamp};

use super::traffic::{Half, Message};
use crate::broker::{
    BrokerError, answer, close, confirmed, confirming_channel, connect, declare_exchange,
    declare_queue,
};
use crate::config::Intake;
use crate::reports::{ReportError, parse_request, parse_response};
use crate::writer::{SubmitError, Writer};

/// How long a broker may take to show that it is there.
const PROBE: Duration = Duration::from_secs(2);
/// The most messages that are handed in at once.
const AT_ONCE: usize = 512;

/// The way to the book.
pub(super) enum Road {
    Broker { connection: Connection, channel: Channel, exchange: String },
    Direct { writer: Writer, actor: Name },
}

/// Why nothing can be sent any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoadError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Writer(#[from] SubmitError),
}

/// Whether a broker answers at `url`.
pub(crate) async fn answers(url: &str) -> bool {
    match tokio::time::timeout(PROBE, connect(url, "tallybook demo")).await {
        Ok(Ok(connection)) => {
            close(connection).await;
            true
        }
        Ok(Err(_)) | Err(_) => false,
    }
}

impl Road {
    /// Over the broker that `intake` names, or directly when it names none.
    pub(super) async fn open(intake: &Intake, writer: Writer) -> Result<Self, BrokerError> {
        let Some(url) = &intake.url else {
            return Ok(Self::Direct { writer, actor: super::company::name("demo") });
        };
        let connection = connect(url.expose(), "tallybook demo").await?;
        declare_exchange(&connection, &intake.exchange).await?;
        declare_queue(&connection, &intake.request_queue, &intake.exchange, "llm.request").await?;
        declare_queue(&connection, &intake.response_queue, &intake.exchange, "llm.response")
            .await?;
        let channel = confirming_channel(&connection).await?;
        Ok(Self::Broker { connection, channel, exchange: intake.exchange.clone() })
    }

    /// Sends messages; the book or the broker has them when this returns.
    pub(super) async fn send(
        &self,
        messages: Vec<Message>,
        now: Timestamp,
    ) -> Result<(), RoadError> {
        match self {
            Self::Broker { channel, exchange, .. } => {
                for some in messages.chunks(AT_ONCE) {
                    publish(channel, exchange, some).await?;
                }
            }
            Self::Direct { writer, actor } => {
                for some in messages.chunks(AT_ONCE) {
                    submit(writer, actor, some, now).await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        match self {
            Self::Broker { connection, .. } => close(connection).await,
            Self::Direct { .. } => {}
        }
    }
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    messages: &[Message],
) -> Result<(), BrokerError> {
    let mut confirms = Vec::with_capacity(messages.len());
    for message in messages {
        let routing_key = match message.half {
            Half::Request => "llm.request",
            Half::Response => "llm.response",
        };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2);
        let published = channel.basic_publish(
            exchange.into(),
            routing_key.into(),
            BasicPublishOptions::default(),
            &message.body,
            properties,
        );
        confirms.push(answer("publish", published).await?);
    }
    let confirms = confirms.into_iter().map(|confirm| confirmed(confirm, exchange));
    join_all(confirms).await.into_iter().collect()
}

async fn submit(
    writer: &Writer,
    actor: &Name,
    messages: &[Message],
    now: Timestamp,
) -> Result<(), SubmitError> {
    let mut envelopes = Vec::with_capacity(messages.len());
    for message in messages {
        match read(message, now) {
            Ok(command) => envelopes.push(Envelope::new(actor.clone(), command)),
            Err(error) => tracing::warn!(%error, "a message is refused"),
        }
    }
    for outcome in writer.submit_all(envelopes).await {
        match outcome {
            Ok(_) => {}
            Err(SubmitError::Rejected(error)) => tracing::warn!(%error, "a message is refused"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read(message: &Message, now: Timestamp) -> Result<Command, ReportError> {
    match message.half {
        Half::Request => parse_request(&message.body, now)
            .map(|report| Command::ReceiveRequest(Box::new(report))),
        Half::Response => parse_response(&message.body, now)
            .map(|report| Command::ReceiveResponse(Box::new(report))),
    }
}

/// Takes away what the demo has declared at the broker.
pub(crate) async fn clean_up(intake: &Intake) -> Result<(), BrokerError> {
    let Some(url) = &intake.url else { return Ok(()) };
    let connection = connect(url.expose(), "tallybook demo").await?;
    let channel = answer("open a channel", connection.create_channel()).await?;
    for queue in [&intake.request_queue, &intake.response_queue, &intake.dead_exchange] {
        let deleted = channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
        answer("delete a queue", deleted).await?;
    }
    for exchange in [&intake.exchange, &intake.dead_exchange, &intake.events_exchange] {
        let options = ExchangeDeleteOptions::default();
        let deleted = channel.exchange_delete(exchange.as_str().into(), options);
        answer("delete an exchange", deleted).await?;
    }
    close(connection).await;
    Ok(())
}
