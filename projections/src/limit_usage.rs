//! What counts towards the limits of tenants and their users: tokens in the present day and month of
//! the tenant, and in the ones beside it. A call may be dated a day ahead, and may come late; what
//! belongs to none of the periods that are kept counts towards no limit any more.

use bincode::{Decode, Encode};
use schemas::{
    CallContext, Change, Day, Event, NameId, Recorded, TenantId, Timestamp, UserId, Zone,
};

use crate::collections::{Paged, Shard, Sharded};
use crate::projection::Projection;

/// The tokens of the latest periods, each by its first day, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Latest<const PERIODS: usize>([(Day, u64); PERIODS]);

impl<const PERIODS: usize> Default for Latest<PERIODS> {
    fn default() -> Self {
        Self([(Day::from_days(i32::MIN), 0); PERIODS])
    }
}

impl<const PERIODS: usize> Latest<PERIODS> {
    fn get(&self, first: Day) -> u64 {
        let found = self.0.iter().find(|(period, _)| *period == first);
        found.map_or(0, |(_, tokens)| *tokens)
    }

    fn add(&mut self, first: Day, tokens: u64) {
        if let Some((_, present)) = self.0.iter_mut().find(|(period, _)| *period == first) {
            *present = present.saturating_add(tokens);
            return;
        }
        let place = self.0.iter().position(|(period, _)| *period < first);
        let Some(earlier) = place.and_then(|place| self.0.get_mut(place..)) else { return };
        earlier.rotate_right(1);
        if let Some(new) = earlier.first_mut() {
            *new = (first, tokens);
        }
    }

    fn latest(&self) -> Option<Day> {
        self.0.first().map(|(period, _)| *period)
    }
}

/// One tenant's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct OfTenant {
    zone: Zone,
    months: Latest<2>,
    /// One more than two: a day of a zone may be shorter than what a call may be dated ahead.
    days: Latest<3>,
}

impl OfTenant {
    /// The day that a moment lies in, and the first of its month.
    fn periods(&self, moment: Timestamp) -> (Day, Day) {
        let day = moment.day_in(self.zone.0);
        match (self.days.latest(), self.months.latest()) {
            (Some(latest), Some(month)) if latest == day => (day, month),
            _ => (day, day.first_of_month()),
        }
    }
}

/// A user where this tenant pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
struct Member(TenantId, UserId);

impl Shard for Member {
    fn shard(&self) -> u16 {
        let [low, high, ..] = self.1.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

/// Tokens that count towards limits.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct LimitUsage {
    tenants: Paged<OfTenant>,
    members: Sharded<Member, Latest<2>, 256>,
}

impl LimitUsage {
    /// A tenant's tokens of the month that begins with `first`; of the latest two months only.
    #[must_use]
    pub fn month(&self, tenant: TenantId, first: Day) -> u64 {
        self.tenants.get(tenant.number()).months.get(first)
    }

    /// A tenant's tokens of a day; of the latest three days only.
    #[must_use]
    pub fn day(&self, tenant: TenantId, day: Day) -> u64 {
        self.tenants.get(tenant.number()).days.get(day)
    }

    /// A user's tokens, where this tenant pays, of the month that begins with `first`; of the latest
    /// two months only.
    #[must_use]
    pub fn user_month(&self, tenant: TenantId, user: UserId, first: Day) -> u64 {
        self.members.get(&Member(tenant, user)).map_or(0, |months| months.get(first))
    }

    fn count(&mut self, tenant: TenantId, user: Option<UserId>, moment: Timestamp, tokens: u64) {
        let of_tenant = self.tenants.get_mut(tenant.number());
        let (day, month) = of_tenant.periods(moment);
        of_tenant.days.add(day, tokens);
        of_tenant.months.add(month, tokens);
        if let Some(user) = user {
            let member = Member(tenant, user);
            self.members.get_or_insert_with(member, Latest::default).add(month, tokens);
        }
    }
}

impl Projection for LimitUsage {
    const NAME: &'static str = "limit_usage";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::ConsumptionRecorded(call) => {
                let CallContext { tenant, user, .. } = call.context;
                self.count(tenant, user, call.timestamp, call.usage.total);
            }
            Event::TenantUpdated(updated) => match updated.terms.zone {
                Change::Keep => {}
                Change::Clear => {
                    self.tenants.get_mut(updated.tenant.number()).zone = Zone::default();
                }
                Change::Set(zone) => self.tenants.get_mut(updated.tenant.number()).zone = zone,
            },
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_counts_in_its_period_while_that_is_kept() {
        let mut latest = Latest::<2>::default();
        for (day, tokens) in [(10, 1), (11, 2), (10, 4), (9, 8), (12, 16), (10, 32), (11, 64)] {
            latest.add(Day::from_days(day), tokens);
        }
        let kept = [9, 10, 11, 12].map(|day| latest.get(Day::from_days(day)));
        assert_eq!(kept, [0, 0, 66, 16]);
    }

    #[test]
    fn days_and_months_are_those_of_the_tenants_zone() {
        let mut of_tenant =
            OfTenant { zone: Zone(schemas::Tz::Asia__Tokyo), ..OfTenant::default() };
        let at = |text| Timestamp::parse(text).expect("RFC 3339");
        for (moment, day, month) in [
            ("2025-03-31T14:59:59.999999Z", "2025-03-31", "2025-03-01"),
            ("2025-03-31T15:00:00Z", "2025-04-01", "2025-04-01"),
            ("2025-03-31T14:59:59Z", "2025-03-31", "2025-03-01"),
        ] {
            let (found_day, found_month) = of_tenant.periods(at(moment));
            assert_eq!(
                (found_day.to_string(), found_month.to_string()),
                (day.into(), month.into())
            );
            of_tenant.days.add(found_day, 1);
            of_tenant.months.add(found_month, 1);
        }
    }
}
