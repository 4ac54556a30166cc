//! Usage by tenant and day, and within it by user, model, assistant, project and hour. A month is the
//! sum of its days. Which day a call counts for is told by the zone that its tenant had when the call
//! was recorded, also when it is rated later.

use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{
    AssistantId, CallContext, Change, Day, Event, ExternalId, ModelId, Money, NameId, Recorded,
    Sequence, TenantId, Timestamp, Usage, UserId, Zone,
};

use crate::collections::{Paged, Shard, Sharded};
use crate::projection::Projection;
use crate::tenants::Since;

/// What a number of calls used and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// Calls.
    pub requests: u64,
    /// Of them, those that have no price yet; their cost is missing.
    pub unrated: u64,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Output tokens.
    pub completion_tokens: u64,
    /// Tokens, as reported in total.
    pub total_tokens: u64,
    /// USD.
    pub cost: Money,
}

impl Totals {
    /// One call.
    #[must_use]
    pub fn of(usage: &Usage, cost: Option<Money>) -> Self {
        Self {
            requests: 1,
            unrated: u64::from(cost.is_none()),
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.total,
            cost: cost.unwrap_or_default(),
        }
    }

    /// Takes others in.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.unrated = self.unrated.saturating_add(other.unrated);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
        self.cost = self.cost.checked_add(other.cost).unwrap_or(self.cost);
    }

    /// Takes a part out again.
    pub fn subtract(&mut self, part: &Self) {
        self.requests = self.requests.saturating_sub(part.requests);
        self.unrated = self.unrated.saturating_sub(part.unrated);
        self.prompt_tokens = self.prompt_tokens.saturating_sub(part.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_sub(part.completion_tokens);
        self.total_tokens = self.total_tokens.saturating_sub(part.total_tokens);
        self.cost = self.cost.checked_sub(part.cost).unwrap_or(self.cost);
    }

    /// Takes in what one of the calls costs, which was not known before.
    pub fn rate(&mut self, cost: Money) {
        self.unrated = self.unrated.saturating_sub(1);
        self.cost = self.cost.checked_add(cost).unwrap_or(self.cost);
    }
}

/// What a number of calls used and cost, and between which moments they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Active {
    /// The calls.
    pub totals: Totals,
    /// The earliest of them.
    pub first: Timestamp,
    /// The latest of them.
    pub last: Timestamp,
}

impl Active {
    /// None yet; the first is at this moment.
    #[must_use]
    pub fn since(moment: Timestamp) -> Self {
        Self { totals: Totals::default(), first: moment, last: moment }
    }

    /// Takes others in.
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// Totals by one dimension.
type By<K> = Sharded<K, Totals, 1>;
/// The same, with the moments of the calls.
type Activity<K> = Sharded<K, Active, 1>;

/// One tenant's day.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct DayUsage {
    /// All calls.
    pub totals: Totals,
    /// By who called; calls without a user are only in the totals.
    pub by_user: Activity<UserId>,
    /// By model.
    pub by_model: By<ModelId>,
    /// By kind of assistant; calls that named none are only in the totals.
    pub by_assistant: By<AssistantId>,
    /// By project: document, or else conversation.
    pub by_project: Activity<ExternalId>,
    /// By the hour, 0 to 23, on the tenant's clock; only hours with calls, in order.
    pub by_hour: Vec<(u8, Totals)>,
}

impl DayUsage {
    fn each(
        &mut self,
        context: &CallContext,
        (moment, hour): (Timestamp, u8),
        mut change: impl FnMut(&mut Totals),
    ) {
        let Self { totals, by_user, by_model, by_assistant, by_project, by_hour } = self;
        change(totals);
        change(of_hour(by_hour, hour));
        let mut happened = |active: &mut Active| {
            active.first = active.first.min(moment);
            active.last = active.last.max(moment);
            change(&mut active.totals);
        };
        if let Some(user) = context.user {
            happened(by_user.get_or_insert_with(user, || Active::since(moment)));
        }
        if let Some(project) = context.project() {
            if let Some(active) = by_project.get_mut(project) {
                happened(active);
            } else {
                let new = || Active::since(moment);
                happened(by_project.get_or_insert_with(project.clone(), new));
            }
        }
        if let Some(model) = context.model {
            change(by_model.get_or_insert_with(model, Totals::default));
        }
        if let Some(assistant) = context.assistant {
            change(by_assistant.get_or_insert_with(assistant, Totals::default));
        }
    }
}

fn of_hour(by_hour: &mut Vec<(u8, Totals)>, hour: u8) -> &mut Totals {
    let place = match by_hour.last() {
        Some((last, _)) if *last == hour => by_hour.len().saturating_sub(1),
        _ => match by_hour.binary_search_by_key(&hour, |(present, _)| *present) {
            Ok(place) => place,
            Err(place) => {
                by_hour.insert(place, (hour, Totals::default()));
                place
            }
        },
    };
    &mut by_hour.get_mut(place).expect("invariant: found or inserted").1
}

macro_rules! one_shard {
    ($($name:ty),+) => {$(
        impl Shard for $name {
            fn shard(&self) -> u16 {
                0
            }
        }
    )+};
}
one_shard!(UserId, ModelId, AssistantId, ExternalId);

/// One tenant's days, the earliest first.
type Days = Vec<(Day, Arc<DayUsage>)>;

/// Everyone's usage.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct UsageByDay {
    tenants: Paged<Arc<Days>>,
    zones: Paged<Since<Zone>>,
}

impl UsageByDay {
    /// Nobody's usage, with the same zones.
    #[must_use]
    pub fn with_zones_alone(&self) -> Self {
        Self { tenants: Paged::default(), zones: self.zones.clone() }
    }

    /// One tenant's usage from `first` to `last` alone, with everyone's zones.
    #[must_use]
    pub fn part(&self, tenant: TenantId, first: Day, last: Day) -> Self {
        let mut part = self.with_zones_alone();
        let days = self.tenants.get(tenant.number()).iter();
        let days = days.filter(|(day, _)| (first..=last).contains(day)).cloned();
        *part.tenants.get_mut(tenant.number()) = Arc::new(days.collect());
        part
    }

    /// Whose days a tenant's calls counted by that were recorded at this position.
    #[must_use]
    pub fn zone_at(&self, tenant: TenantId, sequence: Sequence) -> Zone {
        self.zones.get(tenant.number()).at(sequence)
    }

    /// The day and the hour that a call counts for: recorded at `sequence`, complete at `moment`.
    #[must_use]
    pub fn hour_of(&self, tenant: TenantId, sequence: Sequence, moment: Timestamp) -> (Day, u8) {
        moment.day_and_hour_in(self.zone_at(tenant, sequence).0)
    }

    /// A tenant's days from `first` to `last`, both included.
    pub fn days(
        &self,
        tenant: TenantId,
        first: Day,
        last: Day,
    ) -> impl Iterator<Item = (Day, &DayUsage)> {
        let days = self.tenants.get(tenant.number());
        let skipped = days.partition_point(|(day, _)| *day < first);
        days.iter()
            .skip(skipped)
            .take_while(move |(day, _)| *day <= last)
            .map(|(day, usage)| (*day, usage.as_ref()))
    }

    fn day_mut(&mut self, tenant: TenantId, day: Day) -> &mut DayUsage {
        let days = Arc::make_mut(self.tenants.get_mut(tenant.number()));
        let place = match days.last() {
            Some((last, _)) if *last == day => days.len().saturating_sub(1),
            _ => match days.binary_search_by_key(&day, |(present, _)| *present) {
                Ok(place) => place,
                Err(place) => {
                    days.insert(place, (day, Arc::default()));
                    place
                }
            },
        };
        let (_, usage) = days.get_mut(place).expect("invariant: found or inserted");
        Arc::make_mut(usage)
    }
}

impl Projection for UsageByDay {
    const NAME: &'static str = "usage";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) => {
                let cost = consumption.charge.map(|charge| charge.cost);
                let call = Totals::of(&consumption.usage, cost);
                let (context, moment) = (&consumption.context, consumption.timestamp);
                let (day, hour) = self.hour_of(context.tenant, recorded.sequence, moment);
                self.day_mut(context.tenant, day)
                    .each(context, (moment, hour), |totals| totals.add(&call));
            }
            Event::ConsumptionRated(rated) => {
                let (context, moment) = (&rated.context, rated.timestamp);
                let (day, hour) = self.hour_of(context.tenant, rated.consumption, moment);
                let cost = rated.charge.cost;
                self.day_mut(context.tenant, day)
                    .each(context, (moment, hour), |totals| totals.rate(cost));
            }
            Event::TenantUpdated(updated) => {
                let zone = updated.terms.zone;
                if zone != Change::Keep {
                    let zones = self.zones.get_mut(updated.tenant.number());
                    zones.change(recorded.sequence, zone);
                }
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{
        Charge, Consumption, ConsumptionRated, Draw, PriceVersion, ResponseDetails, ServiceTier,
        TenantUpdated, TermChanges, UsageOrigin,
    };

    use super::*;

    const TENANT: TenantId = TenantId(0);

    fn context() -> CallContext {
        CallContext {
            tenant: TENANT,
            request_id: ExternalId::Text("a".to_owned()),
            user: Some(UserId(0)),
            model: None,
            assistant: None,
            document: None,
            conversation: None,
        }
    }

    fn zone(zone: Change<Zone>) -> Event {
        let terms = TermChanges { zone, ..TermChanges::default() };
        Event::TenantUpdated(Box::new(TenantUpdated { tenant: TENANT, terms }))
    }

    fn kolkata() -> Zone {
        let standard = bincode::config::standard();
        let name = bincode::encode_to_vec("Asia/Kolkata", standard).expect("encodes");
        bincode::decode_from_slice(&name, standard).expect("a zone").0
    }

    fn moment() -> Timestamp {
        Timestamp::parse("2025-03-05T20:00:00Z").expect("RFC 3339")
    }

    fn call() -> Event {
        Event::ConsumptionRecorded(Box::new(Consumption {
            context: context(),
            timestamp: moment(),
            usage: Usage { prompt: 1, total: 1, ..Usage::default() },
            origin: UsageOrigin::Reported,
            tier: ServiceTier::Standard,
            request: None,
            response: ResponseDetails::default(),
            waited: None,
            charge: None,
            draw: Draw::default(),
        }))
    }

    fn rating(consumption: u64) -> Event {
        Event::ConsumptionRated(Box::new(ConsumptionRated {
            consumption: Sequence::new(consumption),
            context: context(),
            timestamp: moment(),
            charge: Charge { cost: Money::from_units(5), version: PriceVersion(1) },
            draw: Draw::default(),
        }))
    }

    /// `day hour calls unrated cost` of each hour.
    fn told(events: Vec<Event>) -> Vec<String> {
        let mut usage = UsageByDay::default();
        for (event, sequence) in events.into_iter().zip(1..) {
            usage.apply(&Recorded {
                sequence: Sequence::new(sequence),
                recorded_at: moment(),
                cause: Sequence::new(sequence),
                command: None,
                event,
            });
        }
        let always = (Day::from_days(i32::MIN), Day::from_days(i32::MAX));
        usage
            .days(TENANT, always.0, always.1)
            .flat_map(|(day, used)| used.by_hour.iter().map(move |hour| (day, *hour)))
            .map(|(day, (hour, of))| {
                format!("{day} {hour} {} {} {}", of.requests, of.unrated, of.cost.units())
            })
            .collect()
    }

    #[test]
    fn a_late_rating_lands_on_the_day_of_its_call() {
        let events = vec![
            call(),
            zone(Change::Set(kolkata())),
            call(),
            zone(Change::Keep),
            call(),
            zone(Change::Clear),
            call(),
            rating(3),
            rating(1),
        ];
        assert_eq!(told(events), ["2025-03-05 20 2 1 5", "2025-03-06 1 2 1 5"]);
    }
}
