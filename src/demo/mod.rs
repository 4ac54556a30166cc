//! A company that does not exist, living on a book that does: what `tallybook demo` shows. Its people,
//! its money and its traffic follow from a seed.

mod company;
mod random;
mod road;
mod traffic;

use std::time::Duration;

use projections::books::Reading;
use schemas::{Command, Day, Envelope, Money, NameKind, PostBill, Sequence, TenantId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Intake;
use crate::views::Views;
use crate::writer::{Outcome, Writer};

use company::Company;
use random::Random;
use road::Road;
use traffic::Traffic;

pub(crate) use road::{answers, clean_up};

const TICK: Duration = Duration::from_millis(100);
/// The most calls that one tick begins: a machine that cannot keep up drops the rest.
const CALLS_A_TICK_MAX: u64 = 5_000;
/// Calls of the month before the demo began.
const PAST_CALLS: u64 = 600;
const PAST_SECONDS: u64 = 30 * 24 * 60 * 60;

/// What the demo does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Everything generated follows from it.
    pub(crate) seed: u64,
    /// How many messages a second come in.
    pub(crate) events_per_second: u64,
}

/// Whom the demo shows around with.
#[derive(Debug, Clone)]
pub(crate) struct Founded {
    /// A tenant.
    pub(crate) tenant: String,
    /// One of its users.
    pub(crate) user: String,
    /// How many tenants there are.
    pub(crate) tenants: usize,
    /// How many users there are.
    pub(crate) users: usize,
    /// How many models have a price.
    pub(crate) models: usize,
}

/// How far the demo has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Events in the log.
    pub(crate) events: Sequence,
    /// Calls that are complete.
    pub(crate) calls: u64,
    /// What they cost, in USD.
    pub(crate) cost: Money,
    /// Of them, those without a price.
    pub(crate) unrated: usize,
}

/// The company over an open book.
pub(crate) struct Demo {
    writer: Writer,
    views: Views,
    clock: Clock,
    traffic: Traffic,
    plan: Plan,
}

impl Demo {
    /// Founds the company in an empty book, or goes on with the one that is there.
    ///
    /// # Errors
    /// When the book is of somebody else, or does not take the company.
    pub(crate) async fn found(
        writer: Writer,
        views: Views,
        clock: Clock,
        plan: Plan,
    ) -> anyhow::Result<(Self, Founded)> {
        let company = Company::new(plan.seed);
        let head = views.head();
        let is_known = |tenant: &company::Tenant| {
            views.look(|reading| reading.books.names.find::<TenantId>(tenant.id).is_some())
        };
        let is_new = views.look(|reading| {
            let count = |kind| reading.books.names.next_number(kind);
            // The first developer may be there already.
            let people = count(NameKind::User);
            count(NameKind::Tenant) == 0 && count(NameKind::Model) == 0 && people <= 1
        });
        anyhow::ensure!(
            is_new || company.tenants.iter().all(is_known),
            "the data directory holds a book that is not a demo's; give another one"
        );
        // The calls of a second run are others than those of the first.
        let seed = plan.seed.wrapping_add(head.get());
        let founding = company.founding(plan.seed, clock.now())?;
        let traffic = Traffic::new(company, seed);
        let mut demo = Self { writer, views, clock, traffic, plan };
        if is_new {
            demo.submit_founding(founding).await?;
            demo.send_past_calls(seed).await?;
            demo.bill_the_past().await?;
        }
        let founded = demo.founded();
        Ok((demo, founded))
    }

    async fn submit_founding(&self, founding: Vec<schemas::Command>) -> anyhow::Result<()> {
        let actor = company::name("demo");
        let envelopes =
            founding.into_iter().map(|command| Envelope::new(actor.clone(), command)).collect();
        for answer in self.writer.submit_all(envelopes).await {
            answer?;
        }
        Ok(())
    }

    async fn send_past_calls(&mut self, seed: u64) -> anyhow::Result<()> {
        let now = self.clock.now();
        let mut random = Random::new(seed);
        for _ in 0..PAST_CALLS {
            let ago = i64::try_from(random.between(60, PAST_SECONDS)).unwrap_or(60);
            self.traffic.past_call(now.plus_seconds(ago.saturating_neg()));
        }
        let road = Road::open(&Intake::default(), self.writer.clone()).await?;
        road.send(self.traffic.due(now), now).await?;
        Ok(())
    }

    /// Bills the days before the demo, which nobody was there to bill when they were over.
    async fn bill_the_past(&self) -> anyhow::Result<()> {
        let through = self.clock.now().day().before();
        let tenants: Vec<TenantId> =
            self.views.look(|reading| reading.books.bills.to_be_billed().collect());
        for tenant in tenants {
            loop {
                let command = Command::PostBill(PostBill { tenant, through });
                let envelope = Envelope::new(company::name("demo"), command);
                if self.writer.submit(envelope).await?.outcome != Outcome::Recorded {
                    break;
                }
            }
        }
        Ok(())
    }

    fn founded(&self) -> Founded {
        let company = Company::new(self.plan.seed);
        let first = company.tenants.first();
        let user = first.and_then(|tenant| tenant.users.first());
        Founded {
            tenant: first.map(|tenant| tenant.id.to_owned()).unwrap_or_default(),
            user: user.cloned().unwrap_or_default(),
            tenants: company.tenants.len(),
            users: company.tenants.iter().map(|tenant| tenant.users.len()).sum(),
            models: self.views.look(|reading| reading.books.prices.models()),
        }
    }

    /// Sends traffic until `stop`. When the broker goes away, what follows goes to the book directly.
    pub(crate) async fn run(mut self, intake: Intake, stop: CancellationToken) {
        let mut road = match Road::open(&intake, self.writer.clone()).await {
            Ok(road) => road,
            Err(error) => self.without_broker(&error),
        };
        let started = self.clock.now();
        let mut begun = 0_u64;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let now = self.clock.now();
            let wanted = calls_by(started, now, self.plan.events_per_second);
            for _ in 0..wanted.saturating_sub(begun).min(CALLS_A_TICK_MAX) {
                self.traffic.begin(now);
            }
            begun = begun.max(wanted);
            let sent = tokio::select! {
                sent = road.send(self.traffic.due(now), now) => sent,
                () = stop.cancelled() => break,
            };
            match sent {
                Ok(()) => {}
                Err(road::RoadError::Broker(error)) => road = self.without_broker(&error),
                Err(road::RoadError::Writer(error)) => {
                    tracing::error!(%error, "the demo's traffic ends");
                    break;
                }
            }
        }
        road.close().await;
    }

    fn without_broker(&self, error: &crate::broker::BrokerError) -> Road {
        tracing::error!(%error, "the broker has gone; the demo goes on without it");
        Road::Direct { writer: self.writer.clone(), actor: company::name("demo") }
    }
}

/// How many calls have begun by `now`: a call is two messages.
fn calls_by(started: Timestamp, now: Timestamp, events_per_second: u64) -> u64 {
    let micros = now.micros().saturating_sub(started.micros()).max(0).unsigned_abs();
    let calls = u128::from(micros).saturating_mul(u128::from(events_per_second)) / 2_000_000;
    u64::try_from(calls).unwrap_or(u64::MAX)
}

impl Status {
    /// How far the book is.
    pub(crate) fn of(views: &Views) -> Self {
        views.look(|Reading { books, usage, .. }| {
            let mut totals = projections::usage::Totals::default();
            let (first, last) = (Day::from_days(i32::MIN), Day::from_days(i32::MAX));
            for (tenant, _) in books.names.all::<TenantId>() {
                usage.days(tenant, first, last).for_each(|(_, day)| totals.add(&day.totals));
            }
            Self {
                events: books.head,
                calls: totals.requests,
                cost: totals.cost,
                unrated: books.unrated.len(),
            }
        })
    }
}
