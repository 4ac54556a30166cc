//! The first thread: takes what has queued, decides it, and hands it on as one batch.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use projections::books::Deciding;
use replay::{BatchEncoder, EncodedBatch, Head};
use schemas::{CommandHeader, Envelope, Event, Recorded, Sequence, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Job, Outcome, Receipt, SubmitError};
use crate::clock::Clock;
use crate::domain::{Decision, Rejection, State, decide};

/// The most commands that one sync makes durable, but for what one submission brings beyond.
const COMMANDS_MAX: usize = 4096;

/// Who waits for what a batch decided.
#[derive(Debug)]
pub(super) enum Waiter {
    One(oneshot::Sender<Answer>, Answer),
    Many(oneshot::Sender<Vec<Answer>>, Vec<Answer>),
}

/// Decided commands on their way to disk.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) encoded: EncodedBatch,
    pub(super) recorded: Vec<Recorded>,
    pub(super) waiters: Vec<Waiter>,
    /// The state after this batch, when a checkpoint is due.
    pub(super) snapshot: Option<Box<Deciding>>,
}

/// The deciding thread's own.
#[derive(Debug)]
pub(super) struct Decider {
    state: State,
    clock: Clock,
    head: Sequence,
    recorded_at: Timestamp,
    checkpoint_events: u64,
    checkpointed: Sequence,
    is_ending: bool,
}

impl Decider {
    pub(super) fn new(state: State, clock: Clock, head: Head, checkpoint_events: u64) -> Self {
        let Head { sequence, recorded_at, hash: _ } = head;
        Self {
            state,
            clock,
            head: sequence,
            recorded_at,
            checkpoint_events,
            checkpointed: sequence,
            is_ending: false,
        }
    }

    /// Until it is told to end, or all senders or the storing thread are gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>, batches: &SyncSender<Batch>) {
        let mut taken = Vec::with_capacity(COMMANDS_MAX);
        while jobs.blocking_recv_many(&mut taken, COMMANDS_MAX) > 0 {
            let mut taken = taken.drain(..).peekable();
            while taken.peek().is_some() {
                let mut batch = self.decide_batch(&mut taken);
                if self.head.get().saturating_sub(self.checkpointed.get()) >= self.checkpoint_events
                {
                    self.checkpointed = self.head;
                    batch.snapshot = Some(Box::new(self.state.deciding.clone()));
                }
                if batches.send(batch).is_err() {
                    return;
                }
            }
            if self.is_ending {
                jobs.close();
            }
        }
        let last =
            Batch { snapshot: self.last_snapshot(), ..self.decide_batch(&mut std::iter::empty()) };
        if batches.send(last).is_err() {
            tracing::warn!("the storing thread ended first; there is no last checkpoint");
        }
    }

    fn last_snapshot(&self) -> Option<Box<Deciding>> {
        (self.head > self.checkpointed).then(|| Box::new(self.state.deciding.clone()))
    }

    fn decide_batch(&mut self, jobs: &mut dyn Iterator<Item = Job>) -> Batch {
        self.recorded_at = self.clock.now().max(self.recorded_at);
        let mut open = OpenBatch {
            encoder: BatchEncoder::new(self.head.next(), self.recorded_at),
            recorded: Vec::new(),
            commands: 0,
        };
        let mut waiters = Vec::new();
        while open.commands < COMMANDS_MAX
            && let Some(job) = jobs.next()
        {
            match job {
                Job::One(envelope, sender) => {
                    waiters.push(Waiter::One(sender, self.take(&mut open, &envelope)));
                }
                Job::Many(envelopes, sender) => {
                    let answers =
                        envelopes.iter().map(|envelope| self.take(&mut open, envelope)).collect();
                    waiters.push(Waiter::Many(sender, answers));
                }
                Job::End => self.is_ending = true,
            }
        }
        let OpenBatch { encoder, recorded, commands: _ } = open;
        Batch { encoded: encoder.finish(), recorded, waiters, snapshot: None }
    }

    /// Decides one command, and takes its events into the state and the batch.
    fn take(&mut self, open: &mut OpenBatch, envelope: &Envelope) -> Answer {
        open.commands = open.commands.saturating_add(1);
        let receipt = |outcome, sequence| Ok(Receipt { outcome, sequence, batch: Arc::default() });
        let decision = decide(&self.state, envelope, self.recorded_at);
        let (header, events) = match decision.map_err(SubmitError::Rejected)? {
            Decision::Record(header, events) => (header, events),
            Decision::Already(sequence) => return receipt(Outcome::AlreadyRecorded, sequence),
            Decision::Nothing => return receipt(Outcome::Nothing, Sequence::ZERO),
        };
        let cause = open.encoder.push(header, &events).map_err(|error| {
            tracing::warn!(%error, "a command cannot be recorded");
            SubmitError::Rejected(Rejection::TooLong)
        })?;
        self.apply(open, header, cause, events);
        receipt(Outcome::Recorded, self.head)
    }

    fn apply(
        &mut self,
        open: &mut OpenBatch,
        header: CommandHeader,
        cause: Sequence,
        events: Vec<Event>,
    ) {
        for event in events {
            self.head = self.head.next();
            let recorded = Recorded {
                sequence: self.head,
                recorded_at: self.recorded_at,
                cause,
                command: (self.head == cause).then_some(header),
                event,
            };
            self.state.apply(&recorded);
            open.recorded.push(recorded);
        }
        let broken = self.state.deciding.books.ledger.violations();
        assert!(broken.is_empty(), "invariant: every event is balanced, got {broken:?}");
    }
}

/// A batch that still takes commands in.
struct OpenBatch {
    encoder: BatchEncoder,
    recorded: Vec<Recorded>,
    commands: usize,
}
