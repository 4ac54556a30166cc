//! One queue's way to the writer. A session connects, declares, consumes and acknowledges until
//! something fails; then a new one begins. Several batches are under way at once; they are
//! acknowledged in the order in which they came.

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesOrdered;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use schemas::{Envelope, Name, Timestamp};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::{
    self, BrokerError, answer, confirmed, confirming_channel, declare_exchange, declare_queue,
};
use crate::writer::{Outcome, Writer};

use super::dead_letter::{DeadLetter, Reason};
use super::delivery::Half;
use super::{IntakeConfig, IntakeStatus};

/// The most messages that go to the writer at once.
const BATCH_MESSAGES_MAX: usize = 1024;
/// The most batches that wait for the writer.
const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Who issues what comes from the broker.
const ACTOR: &str = "rabbitmq";

/// One queue and all that its messages need.
pub(super) struct Feed<N> {
    pub(super) half: Half,
    pub(super) config: IntakeConfig,
    pub(super) writer: Writer,
    pub(super) now: N,
    pub(super) status: watch::Sender<IntakeStatus>,
    pub(super) shutdown: CancellationToken,
}

/// Why a session ended before its time.
#[derive(Debug, Error)]
enum SessionError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// What it did not take goes back to the broker.
    #[error("the writer did not take a batch")]
    WriterUnavailable,
}

/// A batch that the writer has answered.
struct Answered {
    last_tag: u64,
    dead: Vec<DeadLetter>,
    recorded: u64,
    already_recorded: u64,
    /// The writer was full or had stopped: nothing of this may be acknowledged.
    unavailable: bool,
}

impl<N: Fn() -> Timestamp> Feed<N> {
    pub(super) async fn run(self) {
        let queue = self.half.queue(&self.config).to_owned();
        let mut pauses = broker::pauses();
        while !self.shutdown.is_cancelled() {
            let outcome = self.session(&queue).await;
            if self.set_consuming(&queue, false) {
                pauses = broker::pauses();
            }
            let Err(error) = outcome else { continue };
            self.status.send_modify(|status| status.failed_before = true);
            let pause = broker::next_pause(&mut pauses);
            tracing::warn!(queue, %error, ?pause, "the intake lost its session and begins anew");
            metrics::counter!("intake_sessions_lost_total", "queue" => queue.clone()).increment(1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    /// Tells everyone whether the queue is being consumed, and whether it was until now.
    fn set_consuming(&self, queue: &str, consuming: bool) -> bool {
        let mut before = false;
        self.status.send_modify(|status| {
            before = std::mem::replace(self.half.state(status), consuming);
        });
        metrics::gauge!("intake_consuming", "queue" => queue.to_owned()).set(if consuming {
            1.0
        } else {
            0.0
        });
        before
    }

    async fn session(&self, queue: &str) -> Result<(), SessionError> {
        let opened = tokio::select! {
            opened = self.open(queue) => opened?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        self.set_consuming(queue, true);
        tracing::info!(queue, "the intake consumes");
        opened.session.pump(self, opened.consumer).await?;
        broker::close(opened.session.connection).await;
        Ok(())
    }

    async fn open(&self, queue: &str) -> Result<Opened, BrokerError> {
        let Self { half, config, .. } = self;
        let connection = broker::connect(&config.url, &format!("tallybook intake {queue}")).await?;
        declare_exchange(&connection, &config.exchange).await?;
        declare_exchange(&connection, &config.dead_exchange).await?;
        declare_queue(&connection, &config.dead_exchange, &config.dead_exchange, "#").await?;
        declare_queue(&connection, queue, &config.exchange, half.routing_key()).await?;
        let dead_channel = confirming_channel(&connection).await?;
        let channel = answer("open a channel", connection.create_channel()).await?;
        answer(
            "limit the prefetch",
            channel.basic_qos(config.prefetch, BasicQosOptions::default()),
        )
        .await?;
        let consume = channel.basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = answer("consume", consume).await?;
        let session = Session { connection, channel, dead_channel, queue: queue.to_owned() };
        Ok(Opened { session, consumer })
    }

    /// Reads a batch at once and gives what awaits the writer's answer.
    fn submit(&self, deliveries: Vec<Delivery>) -> impl Future<Output = Answered> + use<N> {
        let now = (self.now)();
        let last_tag = deliveries.last().map_or(0, |delivery| delivery.delivery_tag);
        let actor = Name::try_from(ACTOR).expect("invariant: the literal is a name");
        let mut dead = Vec::new();
        let mut understood = Vec::with_capacity(deliveries.len());
        let mut envelopes = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match self.half.read(&delivery, now) {
                Ok(command) => {
                    envelopes.push(Envelope::new(actor.clone(), command));
                    understood.push(delivery);
                }
                Err(error) => dead.push(DeadLetter { delivery, reason: error.into() }),
            }
        }
        let writer = self.writer.clone();
        async move {
            let mut answered =
                Answered { last_tag, dead, recorded: 0, already_recorded: 0, unavailable: false };
            if envelopes.is_empty() {
                return answered;
            }
            for (delivery, outcome) in
                understood.into_iter().zip(writer.submit_all(envelopes).await)
            {
                match outcome {
                    Ok(receipt) => match receipt.outcome {
                        Outcome::Recorded => answered.recorded += 1,
                        Outcome::AlreadyRecorded | Outcome::Nothing => {
                            answered.already_recorded += 1;
                        }
                    },
                    Err(error) => match Reason::of_refusal(&error) {
                        Some(reason) => answered.dead.push(DeadLetter { delivery, reason }),
                        None => answered.unavailable = true,
                    },
                }
            }
            answered
        }
    }
}

struct Opened {
    session: Session,
    consumer: Consumer,
}

/// A connection that consumes one queue.
struct Session {
    connection: Connection,
    channel: Channel,
    dead_channel: Channel,
    queue: String,
}

impl Session {
    /// Moves messages to the writer and acknowledges them, until shutdown or a fault.
    async fn pump<N: Fn() -> Timestamp>(
        &self,
        feed: &Feed<N>,
        consumer: Consumer,
    ) -> Result<(), SessionError> {
        let tag = consumer.tag();
        let mut batches = consumer.ready_chunks(BATCH_MESSAGES_MAX);
        let mut in_flight = FuturesOrdered::new();
        let mut consuming = true;
        while consuming || !in_flight.is_empty() {
            tokio::select! {
                Some(answered) = in_flight.next(), if !in_flight.is_empty() => {
                    self.settle(&feed.config, answered).await?;
                }
                batch = batches.next(), if consuming && in_flight.len() < BATCHES_IN_FLIGHT_MAX => {
                    let batch = batch.ok_or(BrokerError::Cancelled)?;
                    let deliveries = batch
                        .into_iter()
                        .collect::<lapin::Result<Vec<_>>>()
                        .map_err(|error| broker::failed("consume", &error))?;
                    in_flight.push_back(feed.submit(deliveries));
                }
                () = feed.shutdown.cancelled(), if consuming => {
                    consuming = false;
                    let cancelled =
                        self.channel.basic_cancel(tag.clone(), BasicCancelOptions::default());
                    answer("stop consuming", cancelled).await?;
                }
            }
        }
        Ok(())
    }

    /// Puts away what is dead, and acknowledges everything up to the batch's last message.
    async fn settle(&self, config: &IntakeConfig, answered: Answered) -> Result<(), SessionError> {
        let Answered { last_tag, dead, recorded, already_recorded, unavailable } = answered;
        if unavailable {
            return Err(SessionError::WriterUnavailable);
        }
        let dead_count = u64::try_from(dead.len()).unwrap_or(u64::MAX);
        let mut confirms = Vec::with_capacity(dead.len());
        for letter in dead {
            let publish = letter.publish(&self.dead_channel, &config.dead_exchange, &self.queue);
            confirms.push(publish.await?);
        }
        let confirms =
            confirms.into_iter().map(|confirm| confirmed(confirm, &config.dead_exchange));
        join_all(confirms).await.into_iter().collect::<Result<(), BrokerError>>()?;
        let options = BasicAckOptions { multiple: true };
        answer("acknowledge", self.channel.basic_ack(last_tag, options)).await?;
        self.count("recorded", recorded);
        self.count("already_recorded", already_recorded);
        self.count("dead", dead_count);
        metrics::counter!("intake_dead_letters_total").increment(dead_count);
        Ok(())
    }

    fn count(&self, outcome: &'static str, messages: u64) {
        let queue = self.queue.clone();
        metrics::counter!("intake_messages_total", "queue" => queue, "outcome" => outcome)
            .increment(messages);
    }
}
