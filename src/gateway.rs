//! A gateway that enforces quota counts on its own; this keeps its counters equal to the ledger's. The
//! log is the outbox: a cursor on disk says up to which event the gateway is in step. Every attempt
//! compares before it corrects, so that none is done twice, whatever became of the one before. Writes
//! nothing to the log and holds nothing up that does.

mod backlog;
mod client;
pub mod mock;
mod sync;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use schemas::{Sequence, Timestamp, UserId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config;
use crate::cursor::Cursor;
use crate::views::Views;

/// Holds the cursor, in the data directory.
const CURSOR: &str = "gateway.cursor";

/// Whether the gateway answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Contact {
    /// There was nothing to ask it yet.
    #[default]
    None,
    /// It did last time.
    Made,
    /// It did not last time.
    Lost,
}

/// How the gateway's counters stand to the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the gateway answers.
    pub contact: Contact,
    /// The gateway reflects the log up to here.
    pub cursor: Sequence,
    /// Users of whom it is not known that their counters are right; the first hundred of them.
    pub out_of_step: Vec<UserId>,
    /// How many there are.
    pub out_of_step_total: usize,
    /// What went wrong last, also when it is well again.
    pub last_error: Option<String>,
    /// When everyone had last been compared, by the book's clock.
    pub last_reconciled_at: Option<Timestamp>,
}

/// Keeps the counters of the gateway at `base_url` equal to the book's until `stop`, and says in
/// `status` how that goes. The cursor lies in `data_dir`.
///
/// # Errors
/// When the cursor cannot be read or written.
pub async fn run(
    base_url: &str,
    config: &config::Gateway,
    data_dir: &Path,
    (views, clock): (Views, Clock),
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let client = Arc::new(client::Client::new(base_url, config)?);
    let mut cursor = Cursor::open(data_dir, CURSOR).await.context("the gateway's cursor")?;
    let head = views.head();
    if cursor.position() > head {
        // Everyone is compared at the start, so that nothing is missed.
        tracing::warn!(
            cursor = %cursor.position(), %head,
            "the gateway's cursor is ahead of the log, which is another one, or an older copy"
        );
        cursor.advance(head).await.context("the gateway's cursor")?;
    }
    tracing::info!(url = base_url, after = %cursor.position(), "the gateway is kept in step");
    let worker = worker::Worker {
        client,
        views,
        clock,
        status,
        reconcile: match config.reconcile_seconds {
            0 => None,
            seconds => Some(Duration::from_secs(u64::from(seconds))),
        },
        late_for: Duration::from_millis(u64::from(config.timeout_ms)) * 2,
    };
    worker.run(cursor, stop).await.context("the gateway's cursor")
}
