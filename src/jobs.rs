//! What the passing of time brings about: strategies give what they owe, lots that have expired are
//! written off, vouchers lapse, holds run out, halves that wait too long are given up, usage without a
//! price is rated once there is one, days are billed and periods closed. Each is an ordinary command
//! whose effect follows from the state, so that running a job twice, late, or never in between leaves
//! the same log.

mod auto_top_up;
mod billing;
mod scan;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use replay::ReadError;
use schemas::{
    Command, Credits, Day, Envelope, Event, Name, PriceVersion, Recorded, Schedule, Sequence,
    Timestamp, Tz, UnratedUsage,
};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

pub use auto_top_up::{AskedTopUp, AutoTopUpReport, AutoTopUps};
pub use billing::{BillingReport, ClosedReport, ClosingReport, PostedBill};
pub use scan::{ScanReport, StrategyReport};

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

/// When the scheduled jobs run, and how far they reach back.
#[derive(Debug, Clone)]
pub struct JobRules {
    /// When the strategies are scanned.
    pub strategy_scan: Schedule,
    /// When expired quota is written off.
    pub quota_expiry: Schedule,
    /// The zone of strategies' schedules that name none.
    pub zone: Tz,
    /// How many missed ticks of a strategy are caught up at most: the latest.
    pub catch_up_ticks_max: usize,
}

/// What a write-off of expired quota did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExpiryReport {
    /// `quota-expiry`.
    pub job: &'static str,
    /// Lots that had expired by then were looked at.
    #[schema(value_type = String, format = DateTime)]
    pub expired_by: Timestamp,
    /// How many lots held something and were written off.
    pub lots: u64,
    /// Whose they were.
    pub users: u64,
    /// What they held, in all.
    #[schema(value_type = f64)]
    pub amount: Credits,
}

/// Runs the jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    writer: Writer,
    views: Views,
    clock: Clock,
    actor: Name,
    rules: Arc<JobRules>,
    /// Held while the jobs run.
    progress: Arc<Mutex<Progress>>,
    /// Held while the strategies are scanned.
    scanning: Arc<Mutex<()>>,
}

/// How far the jobs have come since the start.
#[derive(Debug, Default)]
struct Progress {
    /// The price book that the backlog was last rated with.
    rated_with: Option<PriceVersion>,
    /// When the strategies were last looked at.
    scanned: Option<Timestamp>,
    /// Up to when expired quota was last written off by schedule.
    expired: Option<Timestamp>,
    /// Of bills and closed periods.
    billing: billing::Done,
}

impl Jobs {
    /// The jobs of a book.
    ///
    /// # Panics
    /// Never: the name of the jobs is a name.
    #[must_use]
    pub fn new(writer: Writer, views: Views, clock: Clock, rules: JobRules) -> Self {
        let actor = Name::try_from("job").expect("invariant: a name");
        let (rules, progress, scanning) = (Arc::new(rules), Arc::default(), Arc::default());
        Self { writer, views, clock, actor, rules, progress, scanning }
    }

    /// The last UTC day that is over.
    #[must_use]
    pub fn yesterday(&self) -> Day {
        self.clock.now().day().before()
    }

    /// Whose hours are meant where a schedule names no zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.rules.zone
    }

    /// Looks at the time again and again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut moved = self.clock.changed();
        loop {
            // Whatever is cut off here is taken up at the next start.
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.run_due() => outcome,
            };
            if let Err(error) = outcome {
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
        let mut progress = self.progress.lock().await;
        self.repeat(|| Command::TimeOutPairings { halves_max: AT_ONCE }).await?;
        self.repeat(|| Command::LapseVouchers { vouchers_max: AT_ONCE }).await?;
        self.repeat(|| Command::ExpireHolds { holds_max: AT_ONCE }).await?;
        let newest = self.views.look(|reading| reading.books.prices.next_version());
        if progress.rated_with != Some(newest) {
            self.rate_backlog().await?;
            progress.rated_with = Some(newest);
        }
        self.run_billing(&mut progress.billing).await?;
        self.run_scheduled(&mut progress).await
    }

    /// The jobs that have their times: at the start what was missed, then at each time once.
    async fn run_scheduled(&self, progress: &mut Progress) -> Result<(), JobError> {
        let now = self.clock.now();
        if let Some(by) = self.rules.quota_expiry.last_until(now)
            && progress.expired.is_none_or(|expired| expired < by)
        {
            self.book_expired(by).await?;
            progress.expired = Some(by);
        }
        if let Some(due) = self.rules.strategy_scan.last_until(now)
            && progress.scanned.is_none_or(|scanned| scanned < due)
        {
            self.scan_strategies().await?;
            progress.scanned = Some(now);
        }
        Ok(())
    }

    /// Writes off what remains of every lot that had expired by `by`, or by now if that is earlier.
    /// Stopped half-way, the next run goes on where it was.
    ///
    /// # Errors
    /// When the writer does not take a command, or the log cannot be read.
    pub async fn book_expired(&self, by: Timestamp) -> Result<ExpiryReport, JobError> {
        let (mut lots, mut units, mut users) = (0_u64, 0_i64, HashSet::new());
        loop {
            let command = Command::BookExpiredQuota { by, lots_max: AT_ONCE };
            let envelope = Envelope::new(self.actor.clone(), command);
            let receipt = self.writer.submit(envelope).await?;
            for recorded in receipt.events() {
                if let Event::QuotaExpired(expired) = &recorded.event {
                    lots = lots.saturating_add(1);
                    units = units.saturating_add(expired.amount.units());
                    users.insert(expired.user);
                }
            }
            if receipt.outcome != Outcome::Recorded {
                break;
            }
        }
        let users = u64::try_from(users.len()).unwrap_or(u64::MAX);
        let amount = Credits::from_units(units);
        let expired_by = by.min(self.clock.now());
        Ok(ExpiryReport { job: "quota-expiry", expired_by, lots, users, amount })
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
