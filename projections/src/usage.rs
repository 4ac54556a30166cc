//! Usage by tenant and UTC day, and within it by user, model, assistant and project. A month is the
//! sum of its days.

use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{
    AssistantId, CallContext, Day, Event, ExternalId, ModelId, Money, NameId, Recorded, TenantId,
    Usage, UserId,
};

use crate::collections::{Paged, Shard, Sharded};
use crate::projection::Projection;

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
    fn of(usage: &Usage, cost: Option<Money>) -> Self {
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

    fn rate(&mut self, cost: Money) {
        self.unrated = self.unrated.saturating_sub(1);
        self.cost = self.cost.checked_add(cost).unwrap_or(self.cost);
    }
}

/// Totals by one dimension.
type By<K> = Sharded<K, Totals, 1>;

/// One tenant's day.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct DayUsage {
    /// All calls.
    pub totals: Totals,
    /// By who called; calls without a user are only in the totals.
    pub by_user: By<UserId>,
    /// By model.
    pub by_model: By<ModelId>,
    /// By kind of assistant; calls that named none are only in the totals.
    pub by_assistant: By<AssistantId>,
    /// By project: document, or else conversation.
    pub by_project: By<ExternalId>,
}

impl DayUsage {
    fn each(&mut self, context: &CallContext, mut change: impl FnMut(&mut Totals)) {
        let Self { totals, by_user, by_model, by_assistant, by_project } = self;
        change(totals);
        if let Some(user) = context.user {
            change(by_user.get_or_insert_with(user, Totals::default));
        }
        if let Some(model) = context.model {
            change(by_model.get_or_insert_with(model, Totals::default));
        }
        if let Some(assistant) = context.assistant {
            change(by_assistant.get_or_insert_with(assistant, Totals::default));
        }
        if let Some(project) = context.project() {
            match by_project.get_mut(project) {
                Some(totals) => change(totals),
                None => {
                    change(by_project.get_or_insert_with(project.clone(), Totals::default));
                }
            }
        }
    }
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
    tenants: Paged<Days>,
}

impl UsageByDay {
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
        let days = self.tenants.get_mut(tenant.number());
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
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) => {
                let cost = consumption.charge.map(|charge| charge.cost);
                let call = Totals::of(&consumption.usage, cost);
                let context = &consumption.context;
                self.day_mut(context.tenant, consumption.timestamp.day())
                    .each(context, |totals| totals.add(&call));
            }
            Event::ConsumptionRated(rated) => {
                self.day_mut(rated.context.tenant, rated.timestamp.day())
                    .each(&rated.context, |totals| totals.rate(rated.charge.cost));
            }
            _ => (),
        }
    }
}
