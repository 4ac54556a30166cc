//! What intake and outbox share of `RabbitMQ`: connecting, a deadline for every answer, and the
//! pauses between attempts. Nothing here recovers by itself: a session that fails is thrown away
//! and begun anew.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties, ErrorKind, ExchangeKind,
    PublisherConfirm,
};
use thiserror::Error;

/// How long the broker may take to answer anything.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Why a session with the broker ended.
#[derive(Debug, Error)]
pub(crate) enum BrokerError {
    /// The broker said no, or the connection is gone.
    #[error("{action}: {reason}")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// What the client library says.
        reason: String,
    },
    /// The broker did not answer in time.
    #[error("{0}: no answer within {seconds} s", seconds = ANSWER_TIMEOUT.as_secs())]
    TimedOut(&'static str),
    /// The broker ended the consumer: its queue was deleted or moved.
    #[error("the broker cancelled the consumer")]
    Cancelled,
    /// The broker did not take a message.
    #[error("the broker did not take a message that was published to `{0}`")]
    NotConfirmed(String),
}

/// Awaits an answer of the broker, but not for ever.
pub(crate) async fn answer<T>(
    action: &'static str,
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, request).await {
        Err(_) => Err(BrokerError::TimedOut(action)),
        Ok(Err(error)) => Err(failed(action, &error)),
        Ok(Ok(value)) => Ok(value),
    }
}

pub(crate) fn failed(action: &'static str, error: &lapin::Error) -> BrokerError {
    BrokerError::Failed { action, reason: error.to_string() }
}

/// A connection under a name that operators see at the broker. The address, which may hold a
/// password, appears in no error.
pub(crate) async fn connect(url: &str, name: &str) -> Result<Connection, BrokerError> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    answer("connect", Connection::connect(url, properties)).await
}

/// Declares a durable topic exchange without arguments. One that stands there otherwise is taken
/// as it is.
pub(crate) async fn declare_exchange(
    connection: &Connection,
    exchange: &str,
) -> Result<(), BrokerError> {
    let channel = answer("open a channel", connection.create_channel()).await?;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(
        exchange.into(),
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    accept_existing(exchange, tokio::time::timeout(ANSWER_TIMEOUT, declared).await)
}

/// Declares a durable queue without arguments and binds it. One that stands there otherwise, a
/// quorum queue for example, is taken as it is.
pub(crate) async fn declare_queue(
    connection: &Connection,
    queue: &str,
    exchange: &str,
    routing_key: &str,
) -> Result<(), BrokerError> {
    let channel = answer("open a channel", connection.create_channel()).await?;
    let declared =
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), FieldTable::default());
    accept_existing(queue, tokio::time::timeout(ANSWER_TIMEOUT, declared).await)?;
    let channel = answer("open a channel", connection.create_channel()).await?;
    let bound = channel.queue_bind(
        queue.into(),
        exchange.into(),
        routing_key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    answer("bind a queue", bound).await
}

fn accept_existing<T>(
    name: &str,
    declared: Result<lapin::Result<T>, tokio::time::error::Elapsed>,
) -> Result<(), BrokerError> {
    let error = match declared {
        Err(_) => return Err(BrokerError::TimedOut("declare")),
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error,
    };
    if let ErrorKind::ProtocolError(protocol) = error.kind()
        && *protocol.kind() == AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
    {
        tracing::warn!(name, %error, "declared otherwise by somebody else; taken as it is");
        return Ok(());
    }
    Err(failed("declare", &error))
}

/// Opens a channel on which every published message is confirmed.
pub(crate) async fn confirming_channel(connection: &Connection) -> Result<Channel, BrokerError> {
    let channel = answer("open a channel", connection.create_channel()).await?;
    answer(
        "select confirms",
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()),
    )
    .await?;
    Ok(channel)
}

/// Awaits the broker's word that it has taken a message, and, when it was published as mandatory,
/// that a queue has it.
pub(crate) async fn confirmed(
    confirm: PublisherConfirm,
    exchange: &str,
) -> Result<(), BrokerError> {
    match answer("publish", confirm).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(_) | Confirmation::NotRequested => {
            Err(BrokerError::NotConfirmed(exchange.to_owned()))
        }
    }
}

/// Closes a connection whose work is done. That it could not be closed changes nothing.
pub(crate) async fn close(connection: Connection) {
    if let Err(error) = answer("close", connection.close(200, "OK".into())).await {
        tracing::debug!(%error, "the connection to the broker was gone before it was closed");
    }
}

/// Text as AMQP's short string: at most 255 bytes.
pub(crate) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(text.get(..end).unwrap_or_default())
}

/// The pauses between attempts: longer and longer, never the same for two of us, without end.
pub(crate) fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The longest pause, where the list of pauses has an end after all.
pub(crate) fn next_pause(pauses: &mut ExponentialBackoff) -> Duration {
    pauses.next().unwrap_or(PAUSE_MAX)
}
