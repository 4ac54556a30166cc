//! Bills and closed periods. A bill closes a UTC day, a period a day or a month of the tenant's;
//! which are owed follows from the book, so that what was missed is caught up, and nothing is done
//! twice.

use futures_util::{StreamExt, TryStreamExt, stream};
use projections::books::Reading;
use projections::usage::Totals;
use schemas::{
    ClosePeriod, Command, Day, Envelope, Event, Money, Period, PostBill, TenantId, Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{JobError, Jobs};
use crate::writer::{Outcome, Receipt, SubmitError};

/// How many tenants' commands are under way at a time, so that they share what makes them durable.
const TENANTS_AT_ONCE: usize = 64;
/// How long after its end a day is closed when time brings it about.
const DAY_CLOSES_AFTER_SECONDS: i64 = 3600;
/// How long after its end a month is.
const MONTH_CLOSES_AFTER_SECONDS: i64 = 2 * 3600;
/// How often it is looked whether a tenant's day is over somewhere: zones differ by quarters of an
/// hour.
const ZONES_DIFFER_BY_MICROS: i64 = 15 * 60 * 1_000_000;

/// What a billing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillingReport {
    /// `daily-billing`.
    pub job: &'static str,
    /// The last day that was to be billed.
    #[schema(value_type = String, format = Date)]
    pub through: Day,
    /// The bills that it posted.
    pub bills: Vec<PostedBill>,
    /// How many tenants it could not bill; why is in the service's own messages.
    pub failed: usize,
}

/// A bill that was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostedBill {
    /// Whose.
    pub organization_id: String,
    /// The UTC day that it closes.
    #[schema(value_type = String, format = Date)]
    pub day: Day,
    /// The bill, as its history names it.
    pub bill_id: String,
    /// In USD.
    #[schema(value_type = f64)]
    pub cost: Money,
}

/// What a closing of periods did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClosingReport {
    /// `daily-aggregation` or `monthly-aggregation`.
    pub job: &'static str,
    /// The periods that it closed.
    pub closed: Vec<ClosedReport>,
}

/// A period that was closed, with its usage as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClosedReport {
    /// Whose.
    pub organization_id: String,
    /// `YYYY-MM-DD`, or `YYYY-MM`.
    pub period: String,
    /// How many calls it had.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    #[schema(value_type = f64)]
    pub cost: Money,
}

/// What became of one tenant.
enum Billed {
    Posted(Vec<PostedBill>),
    Failed,
}

impl Jobs {
    /// Posts every bill that is owed of the days up to `through`, which must be over. What was posted
    /// before is not posted again.
    ///
    /// # Errors
    /// When the writer does not take a command.
    pub async fn bill(&self, through: Day) -> Result<BillingReport, JobError> {
        let tenants: Vec<TenantId> =
            self.views.look(|reading| reading.books.bills.to_be_billed().collect());
        let outcomes: Vec<Billed> = stream::iter(tenants)
            .map(|tenant| {
                let jobs = self.clone();
                async move { jobs.bill_tenant(tenant, through).await }
            })
            .buffered(TENANTS_AT_ONCE)
            .try_collect()
            .await?;
        let (mut bills, mut failed) = (Vec::new(), 0_usize);
        for outcome in outcomes {
            match outcome {
                Billed::Posted(posted) => bills.extend(posted),
                Billed::Failed => failed = failed.saturating_add(1),
            }
        }
        Ok(BillingReport { job: "daily-billing", through, bills, failed })
    }

    /// One tenant's bills, the earliest first. A refusal holds up no other tenant.
    async fn bill_tenant(&self, tenant: TenantId, through: Day) -> Result<Billed, SubmitError> {
        let mut posted = Vec::new();
        loop {
            let command = Command::PostBill(PostBill { tenant, through });
            let envelope = Envelope::new(self.actor.clone(), command);
            let receipt = match self.writer.submit(envelope).await {
                Ok(receipt) => receipt,
                Err(SubmitError::Rejected(rejection)) => {
                    let tenant = self.name_of(tenant);
                    tracing::error!(tenant, error = %rejection, "a tenant cannot be billed");
                    return Ok(Billed::Failed);
                }
                Err(error) => return Err(error),
            };
            if receipt.outcome != Outcome::Recorded {
                return Ok(Billed::Posted(posted));
            }
            posted.extend(self.posted_bill(&receipt));
        }
    }

    fn posted_bill(&self, receipt: &Receipt) -> Option<PostedBill> {
        let Event::BillPosted(bill) = &receipt.recorded()?.event else { return None };
        Some(PostedBill {
            organization_id: self.name_of(bill.tenant),
            day: bill.day,
            bill_id: receipt.sequence.to_string(),
            cost: bill.cost,
        })
    }

    /// Closes the tenants' last complete days or months, and those before them that were missed since
    /// the last one that was closed; only those with usage.
    ///
    /// # Errors
    /// When the writer does not take a command.
    pub async fn close_periods(&self, period: Period) -> Result<ClosingReport, JobError> {
        self.close_periods_at(period, self.clock.now()).await
    }

    /// The same, as of a moment.
    async fn close_periods_at(
        &self,
        period: Period,
        moment: Timestamp,
    ) -> Result<ClosingReport, JobError> {
        let owed = self.views.look(|reading| owed_periods(reading, period, moment));
        let closed: Vec<Option<ClosedReport>> = stream::iter(owed)
            .map(|command| {
                let jobs = self.clone();
                async move {
                    let outcome = jobs.issue(Command::ClosePeriod(command)).await?;
                    let is_new = outcome == Outcome::Recorded;
                    Ok::<_, SubmitError>(is_new.then(|| jobs.closed_report(&command)))
                }
            })
            .buffered(TENANTS_AT_ONCE)
            .try_collect()
            .await?;
        let job = match period {
            Period::Day => "daily-aggregation",
            Period::Month => "monthly-aggregation",
        };
        Ok(ClosingReport { job, closed: closed.into_iter().flatten().collect() })
    }

    fn closed_report(&self, closed: &ClosePeriod) -> ClosedReport {
        ClosedReport {
            organization_id: self.name_of(closed.tenant),
            period: match closed.period {
                Period::Day => closed.first.to_string(),
                Period::Month => closed.first.month(),
            },
            requests: closed.requests,
            tokens: closed.tokens,
            cost: closed.cost,
        }
    }

    /// What time brings about here: bills once a UTC day is over, closed periods somewhat after their
    /// end.
    pub(super) async fn run_billing(&self, done: &mut Done) -> Result<(), JobError> {
        let now = self.clock.now();
        let yesterday = now.day().before();
        if done.billed.is_none_or(|billed| billed < yesterday) {
            self.bill(yesterday).await?;
            done.billed = Some(yesterday);
        }
        let quarter = now.micros().div_euclid(ZONES_DIFFER_BY_MICROS);
        if done.closed.is_none_or(|closed| closed < quarter) {
            let before = |seconds: i64| now.plus_seconds(seconds.saturating_neg());
            self.close_periods_at(Period::Day, before(DAY_CLOSES_AFTER_SECONDS)).await?;
            self.close_periods_at(Period::Month, before(MONTH_CLOSES_AFTER_SECONDS)).await?;
            done.closed = Some(quarter);
        }
        Ok(())
    }

    fn name_of(&self, tenant: TenantId) -> String {
        self.views.look(|reading| reading.books.names.text(tenant).to_string())
    }
}

/// How far billing has come since the start.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The last day that every tenant was billed for.
    billed: Option<Day>,
    /// The quarter of an hour in which periods were last closed.
    closed: Option<i64>,
}

/// The periods that are over at `moment`, and not closed: each tenant's last one, and those since the
/// last that was closed. Each with its usage; those without any are left out.
fn owed_periods(reading: &Reading, period: Period, moment: Timestamp) -> Vec<ClosePeriod> {
    let mut owed = Vec::new();
    for (tenant, _) in reading.books.names.all::<TenantId>() {
        let zone = reading.books.tenants.terms(tenant).zone.now().0;
        let begun = first_of(period, moment.day_in(zone));
        let (last, closed) = (begun.before(), reading.books.bills.closed(tenant));
        let since = closed.latest(period).map(|latest| match period {
            Period::Day => latest.first.next(),
            Period::Month => Day::from_days(latest.first.days().saturating_add(31)),
        });
        let from = since.map_or(first_of(period, last), |since| first_of(period, since));
        let mut periods: Vec<(Day, Totals)> = Vec::new();
        for (day, usage) in reading.usage.days(tenant, from, last) {
            let first = first_of(period, day);
            match periods.last_mut() {
                Some((present, totals)) if *present == first => totals.add(&usage.totals),
                _ => periods.push((first, usage.totals)),
            }
        }
        periods.retain(|(first, totals)| totals.requests > 0 && !closed.is_closed(period, *first));
        owed.extend(periods.into_iter().map(|(first, totals)| ClosePeriod {
            tenant,
            period,
            first,
            requests: totals.requests,
            tokens: totals.total_tokens,
            cost: totals.cost,
        }));
    }
    owed
}

/// The first day of the period that a day lies in.
fn first_of(period: Period, day: Day) -> Day {
    match period {
        Period::Day => day,
        Period::Month => day.first_of_month(),
    }
}
