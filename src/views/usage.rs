//! Usage over days: totals and breakdowns, now or as of a moment.

use std::collections::BTreeMap;

use projections::Projection;
use projections::books::Reading;
use projections::collections::{Shard, Sharded};
use projections::names::Names;
use projections::usage::{DayUsage, Totals, UsageByDay};
use replay::ReadError;
use schemas::{Day, Event, NameId, Sequence, TenantId, Timestamp};

use super::history::list_of;
use super::{Point, Views, Whose};

/// What usage is broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// By who paid.
    Tenant,
    /// By who called.
    User,
    /// By model.
    Model,
    /// By kind of assistant.
    Assistant,
    /// By document, or else conversation.
    Project,
}

/// Over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Whole UTC days, both included.
    Days(Day, Day),
    /// Calls from one moment to another, both included.
    Moments(Timestamp, Timestamp),
}

impl Span {
    /// All time.
    pub const ALWAYS: Self = Self::Days(Day::from_days(i32::MIN), Day::from_days(i32::MAX));

    const fn days(self) -> (Day, Day) {
        match self {
            Self::Days(first, last) => (first, last),
            Self::Moments(..) => (Day::from_days(i32::MIN), Day::from_days(i32::MAX)),
        }
    }

    /// Whether a call at this moment counts.
    fn holds(self, moment: Timestamp) -> bool {
        match self {
            Self::Days(first, last) => (first..=last).contains(&moment.day()),
            Self::Moments(from, to) => (from..=to).contains(&moment),
        }
    }
}

/// Totals by day and by name. The name is empty where a call named nothing.
pub type Breakdown = BTreeMap<(Day, String), Totals>;

impl Views {
    /// The usage of each day by `dimension`. What calls did not name is under the empty name, so that
    /// every breakdown adds up to the same totals. Whole days of whole tenants, as they are now, are
    /// at hand; everything else is added up from the log. Tells the event that the usage reflects.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn usage(
        &self,
        whose: Whose,
        span: Span,
        dimension: Dimension,
        point: &Point,
    ) -> Result<(Sequence, Breakdown), ReadError> {
        let at_hand = point.is_now
            && matches!(span, Span::Days(..))
            && matches!(whose, Whose::Everyone | Whose::Tenant(_));
        let added_up = if at_hand { None } else { Some(self.add_up(whose, span, point)?) };
        let (now, breakdown) = self.look_now(|Reading { books, usage, .. }| {
            let usage = added_up.as_ref().unwrap_or(usage);
            let mut breakdown = Breakdown::new();
            let mut add = |tenant| {
                collect(&books.names, usage, tenant, span.days(), dimension, &mut breakdown);
            };
            match whose {
                Whose::Tenant(tenant) | Whose::UserOf(tenant, _) => add(tenant),
                Whose::Everyone | Whose::User(_) => {
                    books.names.all().for_each(|(tenant, _): (TenantId, _)| add(tenant));
                }
            }
            breakdown
        });
        Ok((if at_hand { now } else { point.sequence }, breakdown))
    }

    fn add_up(&self, whose: Whose, span: Span, point: &Point) -> Result<UsageByDay, ReadError> {
        let calls = self.look(|reading| list_of(reading, whose));
        let mut fold = UsageByDay::default();
        self.follow(&[&calls], point.sequence, |recorded| {
            let call = match &recorded.event {
                Event::ConsumptionRecorded(call) => Some((&call.context, call.timestamp)),
                Event::ConsumptionRated(rated) => Some((&rated.context, rated.timestamp)),
                _ => None,
            };
            if call.is_some_and(|(context, moment)| whose.pays(context) && span.holds(moment)) {
                fold.apply(recorded);
            }
        })?;
        Ok(fold)
    }
}

fn collect(
    names: &Names,
    usage: &UsageByDay,
    tenant: TenantId,
    (first, last): (Day, Day),
    dimension: Dimension,
    breakdown: &mut Breakdown,
) {
    for (day, used) in usage.days(tenant, first, last) {
        let mut add = |name: String, totals: &Totals| {
            breakdown.entry((day, name)).or_default().add(totals);
        };
        match dimension {
            Dimension::Tenant => add(names.text(tenant).to_string(), &used.totals),
            Dimension::User => named(names, used, &used.by_user, add),
            Dimension::Model => named(names, used, &used.by_model, add),
            Dimension::Assistant => named(names, used, &used.by_assistant, add),
            Dimension::Project => {
                let mut rest = used.totals;
                for (project, totals) in used.by_project.iter() {
                    rest.subtract(totals);
                    add(project.to_string(), totals);
                }
                add_rest(&rest, add);
            }
        }
    }
}

fn named<Id: NameId + std::hash::Hash + Eq + Shard>(
    names: &Names,
    used: &DayUsage,
    by: &Sharded<Id, Totals, 1>,
    mut add: impl FnMut(String, &Totals),
) {
    let mut rest = used.totals;
    for (id, totals) in by.iter() {
        rest.subtract(totals);
        add(names.text(*id).to_string(), totals);
    }
    add_rest(&rest, add);
}

fn add_rest(rest: &Totals, mut add: impl FnMut(String, &Totals)) {
    if rest.requests > 0 {
        add(String::new(), rest);
    }
}
