//! Money that came in and money that was billed, by UTC days: those of the bills.

use std::collections::BTreeMap;

use projections::bills::BillSummary;
use projections::collections::PostingList;
use replay::ReadError;
use schemas::{Day, Event, Money, NameId, Sequence, TenantId};

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

/// What a number of bills say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Billed {
    /// How many bills.
    pub count: u64,
    /// The tokens of their calls.
    pub tokens: u64,
    /// What they took, in USD.
    pub cost: Money,
    /// Of it, what was given back.
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
        self.refunded = self.refunded.checked_add(bill.refunded).unwrap_or(self.refunded);
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
        self.follow(&lists.iter().collect::<Vec<_>>(), through, |recorded| {
            let amount = match &recorded.event {
                Event::WalletToppedUp(top_up) => top_up.amount,
                Event::TopUpSucceeded(top_up) => top_up.amount,
                _ => return,
            };
            let moment = recorded.recorded_at;
            let Span::Between(from, to) = span else { return };
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

    /// Bills by what `key` makes of a tenant and a UTC day, and the event that they reflect.
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
        self.look_now(|reading| {
            let mut billed = BTreeMap::<K, Billed>::new();
            for tenant in tenants(tenant, reading.books.names.all().map(|(tenant, _)| tenant)) {
                for bill in reading.books.bills.of(tenant) {
                    if (first..=last).contains(&bill.day) {
                        billed.entry(key(tenant, bill.day)).or_default().add(bill);
                    }
                }
            }
            billed
        })
    }

    /// Names by number.
    pub fn name_of<Id: NameId>(&self, id: Id) -> String {
        self.look(|reading| reading.books.names.text(id).to_string())
    }
}

fn tenants(one: Option<TenantId>, all: impl Iterator<Item = TenantId>) -> Vec<TenantId> {
    one.map_or_else(|| all.collect(), |tenant| vec![tenant])
}
