//! Every bill, what is still to be billed, and which periods are closed. A bill is held to its lines:
//! those of each kind add up to it.

use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{
    BillLine, BillLineKind, BillPosted, CreditKind, Day, Event, Money, NameId, Period,
    PeriodClosed, Recorded, Sequence, TenantId, Timestamp, WalletCredited,
};

use crate::collections::Paged;
use crate::projection::Projection;
use crate::unbilled::Billable;

/// A bill as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct BillSummary {
    /// The bill.
    pub id: Sequence,
    /// Its first event: the first of its lines.
    pub cause: Sequence,
    /// The UTC day that it closes.
    pub day: Day,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// The first event that it takes.
    pub first: Sequence,
    /// How many calls it takes.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
    /// Of it, what was given back.
    pub refunded: Money,
}

/// The closed periods of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ClosedPeriods {
    /// The closed days, the earliest first.
    days: Vec<Day>,
    /// The first days of the closed months, the earliest first.
    months: Vec<Day>,
    /// The latest closed day.
    pub latest_day: Option<PeriodClosed>,
    /// The latest closed month.
    pub latest_month: Option<PeriodClosed>,
}

impl ClosedPeriods {
    /// Whether the period that begins with `first` is closed.
    #[must_use]
    pub fn is_closed(&self, period: Period, first: Day) -> bool {
        let closed = match period {
            Period::Day => &self.days,
            Period::Month => &self.months,
        };
        closed.binary_search(&first).is_ok()
    }

    /// The latest closed period of this length.
    #[must_use]
    pub const fn latest(&self, period: Period) -> Option<&PeriodClosed> {
        match period {
            Period::Day => self.latest_day.as_ref(),
            Period::Month => self.latest_month.as_ref(),
        }
    }

    fn close(&mut self, closed: PeriodClosed) {
        let (firsts, latest) = match closed.period {
            Period::Day => (&mut self.days, &mut self.latest_day),
            Period::Month => (&mut self.months, &mut self.latest_month),
        };
        if let Err(place) = firsts.binary_search(&closed.first) {
            firsts.insert(place, closed.first);
        }
        if latest.is_none_or(|latest| latest.first <= closed.first) {
            *latest = Some(closed);
        }
    }
}

/// The lines of a bill that is being posted, added up: once by each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct Lines {
    by_day: Billable,
    by_assistant: Billable,
    by_user: Billable,
    by_model: Billable,
    /// Of earlier days than the bill's.
    late_requests: u64,
}

impl Lines {
    fn add(&mut self, line: &BillLine, bill_day: Day) -> Option<()> {
        let sum = match line.kind {
            BillLineKind::Day => &mut self.by_day,
            BillLineKind::Assistant(_) => &mut self.by_assistant,
            BillLineKind::User(_) => &mut self.by_user,
            BillLineKind::Model(_) => &mut self.by_model,
        };
        *sum = sum.plus(Billable::of(line))?;
        if line.kind == BillLineKind::Day && line.day < bill_day {
            self.late_requests = self.late_requests.checked_add(line.requests)?;
        }
        Some(())
    }

    fn add_up_to(&self, bill: &BillPosted) -> bool {
        let whole = Billable { requests: bill.requests, tokens: bill.tokens, cost: bill.cost };
        let sums = [self.by_day, self.by_assistant, self.by_user, self.by_model];
        sums.iter().all(|sum| *sum == whole) && self.late_requests == bill.late_requests
    }
}

/// Every bill.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Bills {
    tenants: Paged<Arc<Vec<BillSummary>>>,
    /// What was given back without a bill, and on which UTC day, the earliest first.
    refunds: Paged<Arc<Vec<(Day, Money)>>>,
    /// How many rated calls no bill has taken yet.
    unbilled: Paged<u64>,
    closed: Paged<Arc<ClosedPeriods>>,
    /// Those of the command whose events are being applied.
    lines: Lines,
}

impl Bills {
    /// A tenant's bills, the earliest first.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> &[BillSummary] {
        self.tenants.get(tenant.number())
    }

    /// What a tenant was given back without a bill, by the UTC day on which it was, the earliest first.
    #[must_use]
    pub fn refunds_of(&self, tenant: TenantId) -> &[(Day, Money)] {
        self.refunds.get(tenant.number())
    }

    /// One of a tenant's bills.
    #[must_use]
    pub fn bill(&self, tenant: TenantId, id: Sequence) -> Option<&BillSummary> {
        let bills = self.of(tenant);
        let place = bills.binary_search_by_key(&id, |bill| bill.id).ok()?;
        bills.get(place)
    }

    /// The bill of a tenant's before this one.
    #[must_use]
    pub fn before(&self, tenant: TenantId, id: Sequence) -> Option<&BillSummary> {
        let bills = self.of(tenant);
        let place = bills.partition_point(|bill| bill.id < id);
        place.checked_sub(1).and_then(|place| bills.get(place))
    }

    /// The last day that is billed.
    #[must_use]
    pub fn last_day(&self, tenant: TenantId) -> Option<Day> {
        self.of(tenant).last().map(|bill| bill.day)
    }

    /// How many rated calls of a tenant's no bill has taken yet.
    #[must_use]
    pub fn unbilled(&self, tenant: TenantId) -> u64 {
        *self.unbilled.get(tenant.number())
    }

    /// The tenants of whose rated calls some are in no bill yet.
    pub fn to_be_billed(&self) -> impl Iterator<Item = TenantId> {
        let waiting = self.unbilled.iter().filter(|(_, calls)| **calls > 0);
        waiting.map(|(number, _)| TenantId(number))
    }

    /// A tenant's closed periods.
    #[must_use]
    pub fn closed(&self, tenant: TenantId) -> &ClosedPeriods {
        self.closed.get(tenant.number())
    }

    /// Takes one event in; `None` when a bill is not what its lines say, or more is billed than was
    /// used.
    pub fn follow(&mut self, recorded: &Recorded) -> Option<()> {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) if consumption.charge.is_some() => {
                self.count(consumption.context.tenant)
            }
            Event::ConsumptionRated(rated) => self.count(rated.context.tenant),
            Event::BillItemized(items) => {
                items.lines.iter().try_for_each(|line| self.lines.add(line, items.day))
            }
            Event::BillPosted(bill) => self.post(recorded, bill),
            Event::WalletCredited(credit) => self.refund(recorded, credit),
            Event::PeriodClosed(closed) => {
                let periods = self.closed.get_mut(closed.tenant.number());
                Arc::make_mut(periods).close(*closed);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn count(&mut self, tenant: TenantId) -> Option<()> {
        let unbilled = self.unbilled.get_mut(tenant.number());
        *unbilled = unbilled.checked_add(1)?;
        Some(())
    }

    fn post(&mut self, recorded: &Recorded, bill: &BillPosted) -> Option<()> {
        let lines = std::mem::take(&mut self.lines);
        let bills = Arc::make_mut(self.tenants.get_mut(bill.tenant.number()));
        let follows = bills.last().is_none_or(|last| last.day < bill.day);
        bills.push(BillSummary {
            id: recorded.sequence,
            cause: recorded.cause,
            day: bill.day,
            posted_at: recorded.recorded_at,
            first: bill.first,
            requests: bill.requests,
            tokens: bill.tokens,
            cost: bill.cost,
            refunded: Money::ZERO,
        });
        let unbilled = self.unbilled.get_mut(bill.tenant.number());
        *unbilled = unbilled.checked_sub(bill.requests)?;
        (follows && lines.add_up_to(bill)).then_some(())
    }

    fn refund(&mut self, recorded: &Recorded, credit: &WalletCredited) -> Option<()> {
        if credit.kind != CreditKind::Refund {
            return Some(());
        }
        let Some(id) = credit.bill else {
            let refunds = Arc::make_mut(self.refunds.get_mut(credit.tenant.number()));
            let day = recorded.recorded_at.day();
            match refunds.last_mut() {
                Some((last, amount)) if *last == day => {
                    *amount = amount.checked_add(credit.amount)?;
                }
                _ => refunds.push((day, credit.amount)),
            }
            return Some(());
        };
        let bills = Arc::make_mut(self.tenants.get_mut(credit.tenant.number()));
        let place = bills.binary_search_by_key(&id, |bill| bill.id).ok()?;
        let bill = bills.get_mut(place)?;
        bill.refunded = bill.refunded.checked_add(credit.amount)?;
        (bill.refunded <= bill.cost).then_some(())
    }
}

impl Projection for Bills {
    const NAME: &'static str = "bills";
    const VERSION: u32 = 3;

    fn apply(&mut self, recorded: &Recorded) {
        let _lawful = self.follow(recorded);
    }
}
