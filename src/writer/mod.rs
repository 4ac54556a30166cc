//! The one writer: it owns the truth. Commands queue up, a first thread decides them against the
//! state, a second one stores them, a batch and one sync at a time, shows them to the readers, and
//! only then answers. While one batch is on its way to disk, the next is being decided.

mod checkpointing;
mod deciding;
mod handoff;
mod storing;

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::RwLock;
use projections::Projections;
use projections::books::Reading;
use replay::{Checkpoints, Log};
use schemas::{Envelope, Recorded, Sequence};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::domain::{Rejection, Rules, State};

/// Whether a command was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk now.
    Recorded,
    /// The same had been recorded before; nothing was added.
    AlreadyRecorded,
    /// There was nothing to do.
    Nothing,
}

/// What the writer answers. Whatever it speaks of is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether the command was new.
    pub outcome: Outcome,
    /// The event that the command led to; of several, the last. Zero when there was nothing to do.
    pub sequence: Sequence,
    /// The whole batch that made it durable, when the command was new.
    batch: Option<Arc<Vec<Recorded>>>,
}

impl Receipt {
    /// All events of this command, when it recorded them.
    #[must_use]
    pub fn events(&self) -> &[Recorded] {
        let events = || {
            let last = self.recorded()?;
            let batch = self.batch.as_ref()?;
            let first = batch.first()?.sequence.get();
            let place =
                |sequence: Sequence| usize::try_from(sequence.get().checked_sub(first)?).ok();
            batch.get(place(last.cause)?..=place(last.sequence)?)
        };
        events().unwrap_or_default()
    }

    /// The event at [`Self::sequence`], when this command recorded it.
    #[must_use]
    pub fn recorded(&self) -> Option<&Recorded> {
        let batch = self.batch.as_ref()?;
        let first = batch.first()?.sequence;
        let place = self.sequence.get().checked_sub(first.get())?;
        batch.get(usize::try_from(place).ok()?)
    }
}

/// Why a command was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// It breaks a rule.
    #[error(transparent)]
    Rejected(Rejection),
    /// The queue is full.
    #[error("too many commands are waiting")]
    Busy,
    /// The writer has stopped; whether the command was recorded is known after the next start.
    #[error("the writer has stopped")]
    Stopped,
}

/// How the writer works.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// How many submissions may wait.
    pub queue_max: usize,
    /// A checkpoint is taken after this many events.
    pub checkpoint_events: u64,
    /// The operator's rules.
    pub rules: Rules,
}

/// Where commands are handed in. Cheap to clone; the writer ends when it is told to, or when all
/// clones are gone.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Job>,
}

type Answer = Result<Receipt, SubmitError>;

/// One submission.
#[derive(Debug)]
enum Job {
    One(Box<Envelope>, oneshot::Sender<Answer>),
    Many(Vec<Envelope>, oneshot::Sender<Vec<Answer>>),
    /// The storing thread waits for a batch, or is gone: look again at the open one.
    Wake,
    /// Nothing comes after what is queued.
    End,
}

/// Wakes the deciding thread, which may have an open batch and nothing else to do.
#[derive(Debug)]
struct Waker(mpsc::WeakSender<Job>);

impl Waker {
    fn wake(&self) {
        if let Some(queue) = self.0.upgrade() {
            // When the queue is full, it is awake.
            drop(queue.try_send(Job::Wake));
        }
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.wake();
    }
}

/// What a started writer consists of.
#[derive(Debug)]
pub struct Started {
    /// Where commands go in.
    pub writer: Writer,
    /// What readers read.
    pub reading: Arc<RwLock<Reading>>,
    /// The last event that readers see.
    pub head: watch::Receiver<Sequence>,
    /// Turns false when an append has failed or a thread of the writer has panicked: the process
    /// must end then.
    pub healthy: watch::Receiver<bool>,
    /// Ends when the writer has ended, after a last checkpoint.
    pub ended: JoinHandle<()>,
}

/// Says so when its thread panics.
struct UnhealthyOnPanic(watch::Sender<bool>);

impl Drop for UnhealthyOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_replace(false);
        }
    }
}

impl Writer {
    /// Starts the writer over `log`, whose events are folded into `projections`.
    ///
    /// # Errors
    /// When the system has no threads to spare.
    pub fn start(
        log: Log,
        projections: Projections,
        checkpoints: Option<Checkpoints>,
        clock: Clock,
        options: WriterOptions,
    ) -> std::io::Result<Started> {
        let (deciding, reading) = projections.split();
        let reading = Arc::new(RwLock::new(reading));
        let (queue, jobs) = mpsc::channel(options.queue_max);
        let (batches, to_store) = handoff::handoff();
        let (head_sender, head) = watch::channel(log.head().sequence);
        let (health_sender, healthy) = watch::channel(true);
        let decider = deciding::Decider::new(
            State::new(deciding, options.rules),
            clock,
            log.head(),
            options.checkpoint_events,
        );
        let storer = storing::Storer::new(
            log,
            Arc::clone(&reading),
            checkpointing::Checkpointer::start(checkpoints)?,
            head_sender,
            health_sender.clone(),
        );
        let deciding_health = UnhealthyOnPanic(health_sender.clone());
        let storing_health = UnhealthyOnPanic(health_sender);
        let waker = Waker(queue.downgrade());
        let decide = std::thread::Builder::new().name("decide".to_owned()).spawn(move || {
            let _health = deciding_health;
            decider.run(jobs, &batches);
        })?;
        let ended = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            let _health = storing_health;
            // Dropped in the reverse order, also in a panic: the deciding thread, which may be handing
            // over a batch or keeping one open, is woken once it can see that nobody takes any.
            let waker = waker;
            let to_store = to_store;
            storer.run(&to_store, &waker);
            drop(to_store);
            drop(waker);
            if decide.join().is_err() {
                tracing::error!("the deciding thread has panicked");
            }
        })?;
        Ok(Started { writer: Self { queue }, reading, head, healthy, ended })
    }

    /// Hands a command in and waits until it is on disk, or refused.
    ///
    /// # Errors
    /// When it is refused, when the queue is full, or when the writer has stopped.
    pub async fn submit(&self, envelope: Envelope) -> Answer {
        let (sender, answer) = oneshot::channel();
        self.offer(Job::One(Box::new(envelope), sender))?;
        answer.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// Hands several commands in as one submission, decided in their order, each with an answer of
    /// its own. Waits for room in the queue.
    pub async fn submit_all(&self, envelopes: Vec<Envelope>) -> Vec<Answer> {
        let count = envelopes.len();
        let (sender, answers) = oneshot::channel();
        let stopped = || vec![Err(SubmitError::Stopped); count];
        if self.queue.send(Job::Many(envelopes, sender)).await.is_err() {
            return stopped();
        }
        answers.await.unwrap_or_else(|_| stopped())
    }

    /// As [`Self::submit_all`], but refuses at once when the queue is full.
    ///
    /// # Errors
    /// When the queue is full: nothing was handed in then. When the writer has stopped: whether
    /// anything was recorded is known after the next start.
    pub async fn try_submit_all(
        &self,
        envelopes: Vec<Envelope>,
    ) -> Result<Vec<Answer>, SubmitError> {
        let (sender, answers) = oneshot::channel();
        self.offer(Job::Many(envelopes, sender))?;
        answers.await.map_err(|_| SubmitError::Stopped)
    }

    /// Takes nothing more in. What was handed in before is still recorded and answered.
    pub async fn end(&self) {
        if self.queue.send(Job::End).await.is_err() {
            tracing::debug!("the writer has ended already");
        }
    }

    fn offer(&self, job: Job) -> Result<(), SubmitError> {
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
        })
    }
}
