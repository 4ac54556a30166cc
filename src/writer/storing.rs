//! The second thread: makes a batch durable, shows it to the readers, and answers.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use projections::Projections;
use projections::books::{Deciding, Reading};
use replay::{Head, Log};
use schemas::{Recorded, Sequence};
use tokio::sync::watch;

use super::checkpointing::Checkpointer;
use super::deciding::{Batch, Waiter};
use super::handoff::Taker;
use super::{Outcome, SubmitError, Waker};

/// After this many events a reader that waits gets its turn.
const EVENTS_AT_ONCE: usize = 256;

/// The storing thread's own.
pub(super) struct Storer {
    log: Log,
    reading: Arc<RwLock<Reading>>,
    checkpointer: Checkpointer,
    head: watch::Sender<Sequence>,
    healthy: watch::Sender<bool>,
}

impl Storer {
    pub(super) const fn new(
        log: Log,
        reading: Arc<RwLock<Reading>>,
        checkpointer: Checkpointer,
        head: watch::Sender<Sequence>,
        healthy: watch::Sender<bool>,
    ) -> Self {
        Self { log, reading, checkpointer, head, healthy }
    }

    /// Until the deciding thread ends, or an append fails.
    pub(super) fn run(mut self, batches: &Taker<Batch>, deciding: &Waker) {
        while let Some(batch) = batches.take(|| deciding.wake()) {
            let Batch { encoded, recorded, waiters, snapshot } = batch;
            let started = Instant::now();
            let head = match self.log.append(encoded) {
                Ok(head) => head,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a batch could not be stored; nothing more is acknowledged"
                    );
                    self.healthy.send_replace(false);
                    waiters.into_iter().for_each(Waiter::stop);
                    return;
                }
            };
            if !recorded.is_empty() {
                metrics::histogram!("ledger_append_seconds").record(started.elapsed());
                metrics::counter!("ledger_events_total").increment(recorded.len() as u64);
                self.show(&recorded);
                self.head.send_replace(head.sequence);
            }
            let recorded = Arc::new(recorded);
            for waiter in waiters {
                waiter.attach(&recorded).answer();
            }
            if let Some(deciding) = snapshot {
                self.checkpoint(head, *deciding);
            }
        }
        drop(self.checkpointer);
        if let Err(error) = self.log.close() {
            tracing::error!(error = &error as &dyn std::error::Error, "could not close the log");
        }
    }

    fn show(&self, recorded: &[Recorded]) {
        for events in recorded.chunks(EVENTS_AT_ONCE) {
            let mut reading = self.reading.write();
            for event in events {
                reading.apply(event);
            }
        }
    }

    fn checkpoint(&self, head: Head, deciding: Deciding) {
        let (usage, histories) = {
            let reading = self.reading.read();
            (reading.usage.clone(), reading.histories.clone())
        };
        self.checkpointer.take(head, Projections::join(deciding, usage, histories));
    }
}

impl Waiter {
    /// Lets the receipts of new commands show their events.
    fn attach(mut self, recorded: &Arc<Vec<Recorded>>) -> Self {
        let answers = match &mut self {
            Self::One(_, answer) => std::slice::from_mut(answer),
            Self::Many(_, answers) => answers.as_mut_slice(),
        };
        for receipt in answers.iter_mut().flatten() {
            if receipt.outcome == Outcome::Recorded {
                receipt.batch = Some(Arc::clone(recorded));
            }
        }
        self
    }

    /// Gives the answer. Who no longer waits for it does not get it.
    fn answer(self) {
        match self {
            Self::One(sender, answer) => drop(sender.send(answer)),
            Self::Many(sender, answers) => drop(sender.send(answers)),
        }
    }

    /// Says that nothing is certain.
    fn stop(self) {
        let stopped = Err(SubmitError::Stopped);
        match self {
            Self::One(sender, _) => Self::One(sender, stopped).answer(),
            Self::Many(sender, answers) => {
                Self::Many(sender, vec![stopped; answers.len()]).answer();
            }
        }
    }
}
