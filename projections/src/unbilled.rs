//! What was used, and rated, and is not billed yet: what the next bill takes. It holds every rated
//! call in a sum of its UTC day until a bill takes that day.

use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{
    BillLine, BillLineKind, CallContext, Day, Event, Money, NameId, Recorded, Sequence, TenantId,
};

use crate::collections::{Paged, Shard, Sharded};
use crate::projection::Projection;

/// What a number of rated calls used and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Billable {
    /// How many calls.
    pub requests: u64,
    /// All their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
}

impl Billable {
    /// Takes others in; `None` beyond the range.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            requests: self.requests.checked_add(other.requests)?,
            tokens: self.tokens.saturating_add(other.tokens),
            cost: self.cost.checked_add(other.cost)?,
        })
    }

    /// What a line of a bill adds up.
    #[must_use]
    pub const fn of(line: &BillLine) -> Self {
        Self { requests: line.requests, tokens: line.tokens, cost: line.cost }
    }
}

/// One UTC day of one tenant, as far as it is not billed.
#[derive(Debug, Clone, Encode, Decode)]
pub struct DayPool {
    /// The first event that rated one of its calls.
    pub first: Sequence,
    sums: Sharded<BillLineKind, Billable, 1>,
}

impl DayPool {
    /// All of the day.
    #[must_use]
    pub fn total(&self) -> Billable {
        self.sums.get(&BillLineKind::Day).copied().unwrap_or_default()
    }

    /// The lines of a bill of this day, in their order.
    #[must_use]
    pub fn lines(&self, day: Day) -> Vec<BillLine> {
        let mut lines: Vec<BillLine> = self
            .sums
            .iter()
            .map(|(kind, sum)| BillLine {
                day,
                kind: *kind,
                requests: sum.requests,
                tokens: sum.tokens,
                cost: sum.cost,
            })
            .collect();
        lines.sort_unstable_by_key(|line| line.kind);
        lines
    }

    fn add(&mut self, context: &CallContext, call: Billable) {
        for kind in [
            BillLineKind::Day,
            BillLineKind::Assistant(context.assistant),
            BillLineKind::User(context.user),
            BillLineKind::Model(context.model),
        ] {
            let sum = self.sums.get_or_insert_with(kind, Billable::default);
            *sum = sum.plus(call).unwrap_or(*sum);
        }
    }
}

impl Shard for BillLineKind {
    fn shard(&self) -> u16 {
        0
    }
}

/// One tenant's days, the earliest first.
type Days = Vec<(Day, Arc<DayPool>)>;

/// What was used, and rated, and is not billed yet: what the next bill takes.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Unbilled {
    tenants: Paged<Days>,
    /// The tokens of the calls that have no price yet: a rating does not tell them.
    unrated: Sharded<Sequence, u64, 64>,
}

impl Unbilled {
    /// A tenant's days that hold something, the earliest first.
    pub fn days(&self, tenant: TenantId) -> impl Iterator<Item = (Day, &DayPool)> {
        self.tenants.get(tenant.number()).iter().map(|(day, pool)| (*day, pool.as_ref()))
    }

    fn add(&mut self, recorded: &Recorded, context: &CallContext, day: Day, call: Billable) {
        let days = self.tenants.get_mut(context.tenant.number());
        let place = match days.last() {
            Some((last, _)) if *last == day => days.len().saturating_sub(1),
            _ => match days.binary_search_by_key(&day, |(present, _)| *present) {
                Ok(place) => place,
                Err(place) => {
                    let pool = DayPool { first: recorded.sequence, sums: Sharded::default() };
                    days.insert(place, (day, Arc::new(pool)));
                    place
                }
            },
        };
        let (_, pool) = days.get_mut(place).expect("invariant: found or inserted");
        Arc::make_mut(pool).add(context, call);
    }
}

impl Projection for Unbilled {
    const NAME: &'static str = "unbilled";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) => {
                let tokens = consumption.usage.total;
                match consumption.charge {
                    Some(charge) => {
                        let call = Billable { requests: 1, tokens, cost: charge.cost };
                        let day = consumption.timestamp.day();
                        self.add(recorded, &consumption.context, day, call);
                    }
                    None => self.unrated.insert(recorded.sequence, tokens),
                }
            }
            Event::ConsumptionRated(rated) => {
                let tokens = self.unrated.remove(&rated.consumption).unwrap_or_default();
                let call = Billable { requests: 1, tokens, cost: rated.charge.cost };
                self.add(recorded, &rated.context, rated.timestamp.day(), call);
            }
            Event::BillPosted(bill) => {
                let days = self.tenants.get_mut(bill.tenant.number());
                days.retain(|(day, _)| *day > bill.day);
            }
            _ => (),
        }
    }
}
