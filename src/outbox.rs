//! The log as outbox: every event is published to a topic exchange, in order, at least once. The
//! cursor on disk says up to where the broker has confirmed; a restart goes on from there. Reads
//! the log through a function and writes nothing but its cursor.

use std::collections::VecDeque;
use std::path::PathBuf;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, PublisherConfirm};
use schemas::Sequence;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, BrokerError, answer, confirmed, confirming_channel, declare_exchange};
use crate::cursor::{Cursor, gauge};

pub use crate::cursor::CursorError;

/// Holds the cursor, in the data directory.
const CURSOR: &str = "outbox.cursor";

/// The most events read and published at once.
const BATCH_EVENTS_MAX: usize = 256;
/// The most batches that wait for their confirmations.
const BATCHES_IN_FLIGHT_MAX: usize = 8;

/// Where events go.
#[derive(Clone)]
pub struct OutboxConfig {
    /// `amqp://…` or `amqps://…`; may hold a password and is never printed.
    pub url: String,
    /// The topic exchange.
    pub exchange: String,
    /// The directory that holds the file `outbox.cursor`.
    pub data_dir: PathBuf,
}

/// An event as it leaves.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    /// Its position, which is the message id.
    pub sequence: Sequence,
    /// Its type, which is the routing key.
    pub type_name: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// Why the outbox stopped for good.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// The cursor cannot be read or written.
    #[error("the outbox cursor")]
    Cursor(#[from] CursorError),
    /// Another log, or an older copy of it, lies beside the cursor.
    #[error(
        "the outbox has published up to event {cursor}, but the log ends at {head}: it is another \
         log, or an older copy; remove `outbox.cursor` to publish all of it again"
    )]
    AheadOfLog {
        /// Where the cursor stands.
        cursor: Sequence,
        /// Where the log ends.
        head: Sequence,
    },
}

/// Why a session ended before its time.
#[derive(Debug, Error)]
enum SessionError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the cursor cannot be written")]
    Cursor(#[from] CursorError),
}

/// Publishes the log until `shutdown`. `next(after, max)` gives at most `max` events from the one
/// after `after` on, in order; `head` tells where the log ends. Reconnects for ever.
///
/// # Errors
/// When the cursor cannot be read or written, or does not belong to this log.
pub async fn run<N, F>(
    config: OutboxConfig,
    next: N,
    mut head: watch::Receiver<Sequence>,
    shutdown: CancellationToken,
) -> Result<(), OutboxError>
where
    N: Fn(Sequence, usize) -> F,
    F: Future<Output = Vec<OutgoingEvent>>,
{
    let mut cursor = Cursor::open(&config.data_dir, CURSOR).await?;
    let end = *head.borrow();
    if cursor.position() > end {
        return Err(OutboxError::AheadOfLog { cursor: cursor.position(), head: end });
    }
    let mut pauses = broker::pauses();
    while !shutdown.is_cancelled() {
        let before = cursor.position();
        let outcome = tokio::select! {
            outcome = publish(&config, &next, &mut head, &mut cursor) => outcome,
            () = shutdown.cancelled() => break,
        };
        if cursor.position() > before {
            pauses = broker::pauses();
        }
        let error = match outcome {
            Ok(()) => break,
            Err(SessionError::Cursor(error)) => return Err(error.into()),
            Err(SessionError::Broker(error)) => error,
        };
        let pause = broker::next_pause(&mut pauses);
        tracing::warn!(%error, ?pause, "the outbox lost its session and begins anew");
        metrics::counter!("outbox_sessions_lost_total").increment(1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
    Ok(())
}

/// Events on their way to the broker.
struct InFlight {
    last: Sequence,
    confirms: Vec<PublisherConfirm>,
}

/// One session: publishes from the cursor on. Ends without an error when the log has closed.
async fn publish<N, F>(
    config: &OutboxConfig,
    next: &N,
    head: &mut watch::Receiver<Sequence>,
    cursor: &mut Cursor,
) -> Result<(), SessionError>
where
    N: Fn(Sequence, usize) -> F,
    F: Future<Output = Vec<OutgoingEvent>>,
{
    let connection = broker::connect(&config.url, "tallybook outbox").await?;
    declare_exchange(&connection, &config.exchange).await?;
    let channel = confirming_channel(&connection).await?;
    tracing::info!(after = %cursor.position(), "the outbox publishes");
    let mut published = cursor.position();
    let mut in_flight = VecDeque::new();
    loop {
        let end = *head.borrow_and_update();
        metrics::gauge!("outbox_lag_events").set(gauge(cursor.behind(end)));
        if published < end && in_flight.len() < BATCHES_IN_FLIGHT_MAX {
            let events = next(published, BATCH_EVENTS_MAX).await;
            if let Some(last) = events.last().map(|event| event.sequence) {
                let confirms = send(&channel, &config.exchange, &events).await?;
                in_flight.push_back(InFlight { last, confirms });
                published = last;
                continue;
            }
        }
        if let Some(InFlight { last, confirms }) = in_flight.pop_front() {
            let count = u64::try_from(confirms.len()).unwrap_or(u64::MAX);
            for confirm in confirms {
                confirmed(confirm, &config.exchange).await?;
            }
            cursor.advance(last).await?;
            metrics::counter!("outbox_published_total").increment(count);
        } else if head.changed().await.is_err() {
            broker::close(connection).await;
            return Ok(());
        }
    }
}

async fn send(
    channel: &Channel,
    exchange: &str,
    events: &[OutgoingEvent],
) -> Result<Vec<PublisherConfirm>, BrokerError> {
    let mut confirms = Vec::with_capacity(events.len());
    for OutgoingEvent { sequence, type_name, body } in events {
        let properties = BasicProperties::default()
            .with_message_id(sequence.to_string().into())
            .with_type((*type_name).into())
            .with_content_type("application/json".into())
            .with_app_id("tallybook".into())
            .with_delivery_mode(2);
        let published = channel.basic_publish(
            exchange.into(),
            (*type_name).into(),
            BasicPublishOptions::default(),
            body,
            properties,
        );
        confirms.push(answer("publish", published).await?);
    }
    Ok(confirms)
}
