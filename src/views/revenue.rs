//! Money that came in and money that was billed, by UTC days: those of the bills.

use std::collections::BTreeMap;

use projections::bills::BillSummary;
use projections::collections::PostingList;
use replay::ReadError;
use schemas::{Day, Event, Money, Sequence, TenantId};

use super::{Edge, Span, Views};

/// Amounts of money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Payments {
    /// How many.
    pub count: u64,
    /// Their sum, in USD.
    pub total: Money,
}

impl Payments {
    /// The average, rounded half to even at the last decimal.
    #[must_use]
    pub fn average(&self) -> Money {
        self.total.checked_ratio(1, self.count).unwrap_or_default()
    }

    fn add(&mut self, amount: Money) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.checked_add(amount).unwrap_or(self.total);
    }
}

/// What a number of bills say, and what was given back without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Billed {
    /// How many bills.
    pub count: u64,
    /// The tokens of their calls.
    pub tokens: u64,
    /// What they took, in USD.
    pub cost: Money,
    /// Of it, what was given back; and what was given back of no bill in particular.
    pub refunded: Money,
}

impl Billed {
    /// What was taken and not given back.
    #[must_use]
    pub fn revenue(&self) -> Money {
        self.cost.checked_sub(self.refunded).unwrap_or(self.cost)
    }

    fn add(&mut self, bill: &BillSummary) {
        self.count = self.count.saturating_add(1);
        self.tokens = self.tokens.saturating_add(bill.tokens);
        self.cost = self.cost.checked_add(bill.cost).unwrap_or(self.cost);
        self.give_back(bill.refunded);
    }

    fn give_back(&mut self, amount: Money) {
        self.refunded = self.refunded.checked_add(amount).unwrap_or(self.refunded);
    }
}

impl Views {
    /// Every top-up, by hand or through the provider, by the UTC day on which it came in.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn top_ups_by_day(
        &self,
        tenant: Option<TenantId>,
        span: Span,
        through: Sequence,
    ) -> Result<BTreeMap<Day, Payments>, ReadError> {
        let lists: Vec<PostingList> = self.look(|reading| {
            let tenants = tenants(tenant, reading.books.names.all().map(|(tenant, _)| tenant));
            tenants.iter().map(|tenant| reading.histories.tenant_money(*tenant).clone()).collect()
        });
        let mut days = BTreeMap::<Day, Payments>::new();
        let Span::Between(from, to) = span else { return Ok(days) };
        let [after, end] = self.recorded_between(from, to)?;
        let lists = lists.iter().collect::<Vec<_>>();
        self.follow_from(&lists, after, through.min(end), |recorded| {
            let amount = match &recorded.event {
                Event::WalletToppedUp(top_up) => top_up.amount,
                Event::TopUpSucceeded(top_up) => top_up.amount,
                _ => return,
            };
            let moment = recorded.recorded_at;
            let early = match from {
                Edge::Day(day) => moment.day() < day,
                Edge::Moment(from) => moment < from,
            };
            let late = match to {
                Edge::Day(day) => moment.day() > day,
                Edge::Moment(to) => moment > to,
            };
            if !early && !late {
                days.entry(moment.day()).or_default().add(amount);
            }
        })?;
        Ok(days)
    }

    /// An event before the first one that was recorded from `from` on, and the last one up to `to`.
    fn recorded_between(&self, from: Edge, to: Edge) -> Result<[Sequence; 2], ReadError> {
        let from = match from {
            Edge::Day(day) => day.start(),
            Edge::Moment(moment) => moment,
        };
        let to = match to {
            Edge::Day(day) => day.next().start(),
            Edge::Moment(moment) => moment,
        };
        Ok([self.log.sequence_at(from.plus_seconds(-1))?, self.log.sequence_at(to)?])
    }

    /// Bills, and what was given back without one, by what `key` makes of a tenant and a UTC day; and
    /// the event that they reflect. It may take its time, but nothing waits for it.
    pub fn bills_by<K: Ord>(
        &self,
        tenant: Option<TenantId>,
        span: Span,
        key: impl Fn(TenantId, Day) -> K,
    ) -> (Sequence, BTreeMap<K, Billed>) {
        let Span::Between(from, to) = span else { return (self.head(), BTreeMap::new()) };
        let [first, last] = [from, to].map(|edge| match edge {
            Edge::Day(day) => day,
            Edge::Moment(moment) => moment.day(),
        });
        let (sequence, (tenants, bills)) = self.look_now(|reading| {
            let all = reading.books.names.all().map(|(tenant, _)| tenant);
            (tenants(tenant, all), reading.books.bills.clone())
        });
        let mut billed = BTreeMap::<K, Billed>::new();
        for tenant in tenants {
            for bill in bills.of(tenant).iter().filter(|bill| (first..=last).contains(&bill.day)) {
                billed.entry(key(tenant, bill.day)).or_default().add(bill);
            }
            for (day, amount) in bills.refunds_of(tenant) {
                if (first..=last).contains(day) {
                    billed.entry(key(tenant, *day)).or_default().give_back(*amount);
                }
            }
        }
        (sequence, billed)
    }
}

fn tenants(one: Option<TenantId>, all: impl Iterator<Item = TenantId>) -> Vec<TenantId> {
    one.map_or_else(|| all.collect(), |tenant| vec![tenant])
}
