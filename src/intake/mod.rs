//! From `RabbitMQ` to the writer: two queues, each consumed in batches that are acknowledged only
//! once the writer has them on disk. What cannot be understood goes to the dead-letter exchange
//! with the reason; nothing is dropped. Knows no rule of the book: pairing and recognising are the
//! writer's.

mod dead_letter;
mod delivery;
mod feed;

use schemas::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::writer::Writer;

use delivery::Half;
use feed::Feed;

/// Where messages come from and where they go.
#[derive(Clone)]
pub struct IntakeConfig {
    /// `amqp://…` or `amqps://…`; may hold a password and is never printed.
    pub url: String,
    /// The topic exchange that producers publish to.
    pub exchange: String,
    /// The queue of request halves, bound by `llm.request`.
    pub request_queue: String,
    /// The queue of response halves, bound by `llm.response`.
    pub response_queue: String,
    /// The topic exchange for what cannot be understood; its queue has the same name.
    pub dead_exchange: String,
    /// Unacknowledged messages per queue.
    pub prefetch: u16,
}

/// Whether messages are coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntakeStatus {
    /// The queue of request halves is being consumed.
    pub requests: bool,
    /// The queue of response halves is being consumed.
    pub responses: bool,
    /// An attempt to consume has failed since the start: whether messages come in is up to the
    /// broker now.
    pub failed_before: bool,
}

impl IntakeStatus {
    /// Both queues are being consumed.
    #[must_use]
    pub const fn is_consuming(self) -> bool {
        self.requests && self.responses
    }
}

/// Consumes both queues until `shutdown`, and then finishes what it has begun: what the writer has
/// taken is acknowledged, the rest goes back to the broker. Reconnects for ever. `now` tells what
/// the messages' times are judged by; `status` is kept up to date.
pub async fn run<N>(
    config: IntakeConfig,
    writer: Writer,
    now: N,
    status: watch::Sender<IntakeStatus>,
    shutdown: CancellationToken,
) where
    N: Fn() -> Timestamp + Clone + Send + Sync + 'static,
{
    let feed = |half| Feed {
        half,
        config: config.clone(),
        writer: writer.clone(),
        now: now.clone(),
        status: status.clone(),
        shutdown: shutdown.clone(),
    };
    tokio::join!(feed(Half::Request).run(), feed(Half::Response).run());
}
