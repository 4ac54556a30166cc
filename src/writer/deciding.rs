//! The first thread: takes what has queued, decides it, and hands it on as one batch.

use projections::books::Deciding;
use replay::{BatchEncoder, EncodedBatch, Head};
use schemas::{CommandHeader, Envelope, Event, Recorded, Sequence, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::handoff::Giver;
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

/// What is handed in, to be let go of to the last job, however the deciding thread ends: a job that is
/// just being sent when a bare receiver is dropped stays in the channel, and its sender, who has the
/// channel open, would wait for ever.
struct Queue(mpsc::Receiver<Job>);

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.close();
        while self.0.blocking_recv().is_some() {}
    }
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

    /// Until it is told to end, or all senders or the storing thread are gone. A batch stays open for
    /// as long as the one before it is on its way to disk.
    pub(super) fn run(mut self, jobs: mpsc::Receiver<Job>, batches: &Giver<Batch>) {
        let mut jobs = Queue(jobs);
        let mut taken = Vec::with_capacity(COMMANDS_MAX);
        let mut open = None;
        while jobs.0.blocking_recv_many(&mut taken, COMMANDS_MAX) > 0 {
            for job in taken.drain(..) {
                self.decide_job(&mut open, job);
                let is_full = open.as_ref().is_some_and(|open| open.commands >= COMMANDS_MAX);
                if is_full && !self.hand_over(&mut open, batches) {
                    return;
                }
            }
            if self.is_ending {
                jobs.0.close();
            }
            if open.is_some() && batches.is_awaited() && !self.hand_over(&mut open, batches) {
                return;
            }
        }
        self.checkpoint_events = 1;
        if open.is_none() && self.head > self.checkpointed {
            open = Some(self.open_batch());
        }
        if !self.hand_over(&mut open, batches) {
            tracing::warn!("the storing thread ended first; there is no last checkpoint");
        }
    }

    /// Hands the open batch over, if there is one. Whether there was still someone to take it.
    fn hand_over(&mut self, open: &mut Option<OpenBatch>, batches: &Giver<Batch>) -> bool {
        let Some(OpenBatch { encoder, recorded, waiters, commands: _ }) = open.take() else {
            return true;
        };
        let new = self.head.get().saturating_sub(self.checkpointed.get());
        let snapshot = (new >= self.checkpoint_events).then(|| {
            self.checkpointed = self.head;
            Box::new(self.state.deciding.clone())
        });
        batches.give(Batch { encoded: encoder.finish(), recorded, waiters, snapshot })
    }

    fn open_batch(&mut self) -> OpenBatch {
        self.recorded_at = self.clock.now().max(self.recorded_at);
        OpenBatch {
            encoder: BatchEncoder::new(self.head.next(), self.recorded_at),
            recorded: Vec::new(),
            waiters: Vec::new(),
            commands: 0,
        }
    }

    fn decide_job(&mut self, open: &mut Option<OpenBatch>, job: Job) {
        match job {
            Job::One(envelope, sender) => {
                let open = open.get_or_insert_with(|| self.open_batch());
                let answer = self.take(open, &envelope);
                open.waiters.push(Waiter::One(sender, answer));
            }
            Job::Many(envelopes, sender) => {
                let open = open.get_or_insert_with(|| self.open_batch());
                let answers = envelopes.iter().map(|envelope| self.take(open, envelope)).collect();
                open.waiters.push(Waiter::Many(sender, answers));
            }
            Job::Wake => {}
            Job::End => self.is_ending = true,
        }
    }

    /// Decides one command, and takes its events into the state and the batch.
    fn take(&mut self, open: &mut OpenBatch, envelope: &Envelope) -> Answer {
        open.commands = open.commands.saturating_add(1);
        let receipt = |outcome, sequence| Ok(Receipt { outcome, sequence, batch: None });
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
    waiters: Vec<Waiter>,
    commands: usize,
}
