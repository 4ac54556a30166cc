//! What the passing of time brings about: lots that expire are written off, halves that wait too long
//! are given up, and usage without a price is rated once there is one. Each is an ordinary command
//! whose effect follows from the state, so that running a job twice, late, or never in between
//! leaves the same log.

use std::sync::Arc;
use std::time::Duration;

use replay::ReadError;
use schemas::{Command, Envelope, Event, Name, PriceVersion, Recorded, Sequence, UnratedUsage};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::views::Views;
use crate::writer::{Outcome, SubmitError, Writer};

/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many lots, halves or calls one command settles: few enough not to hold others up.
const AT_ONCE: u32 = 500;

/// Why a job could not be done now. The next run takes it up again.
#[derive(Debug, Error)]
pub enum JobError {
    /// The writer did not take a command.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Runs the jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    writer: Writer,
    views: Views,
    clock: Clock,
    actor: Name,
    /// The price book that the backlog was last rated with. Held while the jobs run.
    rated_with: Arc<Mutex<Option<PriceVersion>>>,
}

impl Jobs {
    /// The jobs of a book.
    ///
    /// # Panics
    /// Never: the name of the jobs is a name.
    #[must_use]
    pub fn new(writer: Writer, views: Views, clock: Clock) -> Self {
        let actor = Name::try_from("job").expect("invariant: a name");
        Self { writer, views, clock, actor, rated_with: Arc::default() }
    }

    /// Looks at the time again and again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut moved = self.clock.changed();
        loop {
            if let Err(error) = self.run_due().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a job was put off");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
                _ = moved.changed() => {}
            }
        }
    }

    /// Does everything that is due now.
    ///
    /// # Errors
    /// When the writer does not take a command, or the log cannot be read.
    pub async fn run_due(&self) -> Result<(), JobError> {
        let mut rated_with = self.rated_with.lock().await;
        self.repeat(|| Command::BookExpiredQuota { lots_max: AT_ONCE }).await?;
        self.repeat(|| Command::TimeOutPairings { halves_max: AT_ONCE }).await?;
        let newest = self.views.look(|reading| reading.books.prices.next_version());
        if *rated_with != Some(newest) {
            self.rate_backlog().await?;
            *rated_with = Some(newest);
        }
        Ok(())
    }

    /// Issues the command until there is nothing left for it to do.
    async fn repeat(&self, command: impl Fn() -> Command) -> Result<(), JobError> {
        while self.issue(command()).await? == Outcome::Recorded {}
        Ok(())
    }

    async fn issue(&self, command: Command) -> Result<Outcome, SubmitError> {
        let envelope = Envelope::new(self.actor.clone(), command);
        self.writer.submit(envelope).await.map(|receipt| receipt.outcome)
    }

    /// Rates what has no price and can have one now. A command rates at least its first call, so this
    /// ends.
    async fn rate_backlog(&self) -> Result<(), JobError> {
        for page in self.ratable().chunks(usize::try_from(AT_ONCE).unwrap_or(1)) {
            let mut backlog: Vec<UnratedUsage> =
                self.views.log().read_many(page)?.iter().filter_map(unrated).collect();
            while !backlog.is_empty() {
                let outcome = self.issue(Command::RateUsage(backlog.clone())).await?;
                backlog.retain(|usage| self.is_unrated(usage.consumption));
                if outcome == Outcome::Nothing {
                    break;
                }
            }
        }
        Ok(())
    }

    fn is_unrated(&self, consumption: Sequence) -> bool {
        self.views.look(|reading| reading.books.unrated.rule_version(consumption).is_some())
    }

    /// The calls without a price whose model has one now, the oldest first.
    fn ratable(&self) -> Vec<Sequence> {
        let mut ratable: Vec<Sequence> = self.views.look(|reading| {
            let prices = &reading.books.prices;
            let has_price = |model| !prices.history(model).is_empty();
            reading
                .books
                .unrated
                .all()
                .filter(|(_, model)| model.is_some_and(has_price))
                .map(|(sequence, _)| sequence)
                .collect()
        });
        ratable.sort_unstable();
        ratable
    }
}

fn unrated(recorded: &Recorded) -> Option<UnratedUsage> {
    match &recorded.event {
        Event::ConsumptionRecorded(consumption) => Some(UnratedUsage {
            consumption: recorded.sequence,
            context: consumption.context.clone(),
            timestamp: consumption.timestamp,
            usage: consumption.usage,
            tier: consumption.tier,
        }),
        _ => None,
    }
}
