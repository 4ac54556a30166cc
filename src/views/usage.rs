//! Usage over days: totals and breakdowns, now or as of a moment.

use std::collections::BTreeMap;

use projections::Projection;
use projections::books::Reading;
use projections::directory::Directory;
use projections::names::Names;
use projections::tenants::{Tenants, Terms};
use projections::usage::{DayUsage, Totals, UsageByDay};
use replay::ReadError;
use schemas::{
    CallContext, Day, Event, NameId, Recorded, Sequence, TenantId, Timestamp, UserId, Zone,
};

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

/// One end of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// A day of the tenant that pays, included.
    Day(Day),
    /// A moment, included.
    Moment(Timestamp),
}

/// Over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// From one end to the other.
    Between(Edge, Edge),
    /// Each tenant's day that this moment lies in.
    Today(Timestamp),
    /// Each tenant's month up to the day that this moment lies in.
    ThisMonth(Timestamp),
}

impl Span {
    /// All time.
    pub const ALWAYS: Self = Self::days(Day::from_days(i32::MIN), Day::from_days(i32::MAX));

    /// Whole days of the tenant that pays, both included.
    #[must_use]
    pub const fn days(first: Day, last: Day) -> Self {
        Self::Between(Edge::Day(first), Edge::Day(last))
    }

    /// Whether no call can lie in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        // A day begins at most 14 hours before it does in UTC, and ends at most 12 hours after.
        match self {
            Self::Between(Edge::Day(first), Edge::Day(last)) => first > last,
            Self::Between(Edge::Moment(from), Edge::Moment(to)) => from > to,
            Self::Between(Edge::Moment(from), Edge::Day(last)) => {
                from >= last.next().start().plus_seconds(12 * 3600)
            }
            Self::Between(Edge::Day(first), Edge::Moment(to)) => {
                to < first.start().plus_seconds(-14 * 3600)
            }
            Self::Today(_) | Self::ThisMonth(_) => false,
        }
    }

    const fn is_of_whole_days(self) -> bool {
        match self {
            Self::Between(from, to) => matches!((from, to), (Edge::Day(_), Edge::Day(_))),
            Self::Today(_) | Self::ThisMonth(_) => true,
        }
    }

    /// The days within which it lies on the clocks of `zone`.
    pub(super) fn days_in(self, zone: Zone) -> (Day, Day) {
        match self {
            Self::Between(from, to) => (
                match from {
                    Edge::Day(day) => day,
                    Edge::Moment(_) => Day::from_days(i32::MIN),
                },
                match to {
                    Edge::Day(day) => day,
                    Edge::Moment(_) => Day::from_days(i32::MAX),
                },
            ),
            Self::Today(now) => (now.day_in(zone.0), now.day_in(zone.0)),
            Self::ThisMonth(now) => {
                let today = now.day_in(zone.0);
                (today.first_of_month(), today)
            }
        }
    }

    /// Whether a call at this moment counts, as far as moments are asked for.
    fn holds(self, moment: Timestamp) -> bool {
        let Self::Between(from, to) = self else { return true };
        let early = matches!(from, Edge::Moment(from) if moment < from);
        let late = matches!(to, Edge::Moment(to) if moment > to);
        !early && !late
    }

    /// A moment before which nothing was recorded that counts: a sender's clock is at most a day
    /// ahead, and so is a tenant's.
    fn recorded_after(self) -> Timestamp {
        let earliest = match self {
            Self::Between(Edge::Day(day), _) => day.start(),
            Self::Between(Edge::Moment(moment), _) | Self::Today(moment) => moment,
            Self::ThisMonth(now) => now.day().before().first_of_month().start(),
        };
        earliest.plus_seconds(-3 * 86_400)
    }
}

/// Totals by day and by name. The name is empty where a call named nothing.
pub type Breakdown = BTreeMap<(Day, String), Totals>;

/// Whether usage is told at once: one tenant's days as they are now, by nothing but who paid.
#[must_use]
pub const fn is_quick(whose: Whose, span: Span, dimension: Dimension, point: &Point) -> bool {
    matches!((whose, dimension), (Whose::Tenant(_), Dimension::Tenant))
        && is_at_hand(whose, span, point)
}

/// Whether usage is in the folds as they are, so that it takes no reading of the log.
const fn is_at_hand(whose: Whose, span: Span, point: &Point) -> bool {
    point.is_now && span.is_of_whole_days() && matches!(whose, Whose::Everyone | Whose::Tenant(_))
}

/// Usage that was asked for, with what else was known then. It shares with the folds what has not
/// changed since, so that neither waits for the other.
#[derive(Debug, Clone)]
pub struct Used {
    names: Names,
    directory: Directory,
    terms: Tenants,
    usage: UsageByDay,
    whose: Whose,
    span: Span,
    sequence: Sequence,
}

impl Used {
    /// What is in the folds, or else the zones alone.
    fn new(reading: &Reading, whose: Whose, span: Span, point: &Point) -> Self {
        let Reading { books, usage, .. } = reading;
        let is_at_hand = is_at_hand(whose, span, point);
        let sequence = if is_at_hand { books.head } else { point.sequence };
        let usage = match whose {
            _ if !is_at_hand => usage.with_zones_alone(),
            Whose::Tenant(tenant) => {
                let (first, last) = span.days_in(usage.zone_at(tenant, sequence));
                usage.part(tenant, first, last)
            }
            Whose::Everyone | Whose::User(_) | Whose::UserOf(..) => usage.clone(),
        };
        Self {
            names: books.names.clone(),
            directory: books.directory.clone(),
            terms: books.tenants.clone(),
            usage,
            whose,
            span,
            sequence,
        }
    }

    /// The names.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The users that are known with a tenant.
    #[must_use]
    pub fn users(&self, tenant: TenantId) -> &[UserId] {
        &self.directory.tenant(tenant).users
    }

    /// A tenant's terms.
    #[must_use]
    pub fn terms(&self, tenant: TenantId) -> &Terms {
        self.terms.terms(tenant)
    }

    /// Who may have paid.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantId> {
        match self.whose {
            Whose::Tenant(tenant) | Whose::UserOf(tenant, _) => vec![tenant],
            Whose::Everyone | Whose::User(_) => {
                self.names().all().map(|(tenant, _): (TenantId, _)| tenant).collect()
            }
        }
    }

    /// By whose days a tenant's calls count now.
    #[must_use]
    pub fn zone(&self, tenant: TenantId) -> Zone {
        self.usage.zone_at(tenant, self.sequence)
    }

    /// Each tenant's days.
    pub fn each<'a>(&'a self, each: impl FnMut(TenantId, Day, &'a DayUsage)) {
        self.each_in(self.span, each);
    }

    /// Each tenant's days in another span, which lies in the one that was asked for.
    pub fn each_in<'a>(&'a self, span: Span, mut each: impl FnMut(TenantId, Day, &'a DayUsage)) {
        for tenant in self.tenants() {
            let (first, last) = span.days_in(self.zone(tenant));
            for (day, used) in self.usage.days(tenant, first, last) {
                each(tenant, day, used);
            }
        }
    }

    /// All of another span, which lies in the one that was asked for.
    #[must_use]
    pub fn sum_in(&self, span: Span) -> Totals {
        let mut sum = Totals::default();
        self.each_in(span, |_, _, used| sum.add(&used.totals));
        sum
    }
}

impl Views {
    /// The usage of each day by `dimension`. What calls did not name is under the empty name, so that
    /// every breakdown adds up to the same totals. Tells the event that the usage reflects.
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
        self.used(whose, span, point, |used| {
            let mut breakdown = Breakdown::new();
            used.each(|tenant, day, usage| {
                break_down(used.names(), (tenant, usage), dimension, |name, totals| {
                    breakdown.entry((day, name)).or_default().add(totals);
                });
            });
            breakdown
        })
    }

    /// A look at usage. Whole days of whole tenants, as they are now, are at hand; everything else is
    /// added up from the log. Tells the event that the usage reflects. Nothing waits for the look.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn used<T>(
        &self,
        whose: Whose,
        span: Span,
        point: &Point,
        look: impl FnOnce(&Used) -> T,
    ) -> Result<(Sequence, T), ReadError> {
        let mut used = self.look(|reading| Used::new(reading, whose, span, point));
        if !is_at_hand(whose, span, point) {
            self.each_call(whose, span, point, |recorded, _, _| used.usage.apply(recorded))?;
        }
        Ok((used.sequence, look(&used)))
    }

    /// Each event of the log that counts towards usage, with its call's context and day.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn each_call(
        &self,
        whose: Whose,
        span: Span,
        point: &Point,
        mut each: impl FnMut(&Recorded, &CallContext, Day),
    ) -> Result<(), ReadError> {
        let (calls, zones) =
            self.look(|reading| (list_of(reading, whose), reading.usage.with_zones_alone()));
        let after = self.log.sequence_at(span.recorded_after())?;
        self.follow_from(&[&calls], after, point.sequence, |recorded| {
            let (context, sequence, moment) = match &recorded.event {
                Event::ConsumptionRecorded(call) => {
                    (&call.context, recorded.sequence, call.timestamp)
                }
                Event::ConsumptionRated(rated) => {
                    (&rated.context, rated.consumption, rated.timestamp)
                }
                _ => return,
            };
            let (first, last) = span.days_in(zones.zone_at(context.tenant, point.sequence));
            let day = moment.day_in(zones.zone_at(context.tenant, sequence).0);
            if whose.pays(context) && span.holds(moment) && (first..=last).contains(&day) {
                each(recorded, context, day);
            }
        })
    }
}

/// One tenant's day by `dimension`, as [`Views::usage`] has it.
pub fn break_down(
    names: &Names,
    (tenant, used): (TenantId, &DayUsage),
    dimension: Dimension,
    mut add: impl FnMut(String, &Totals),
) {
    match dimension {
        Dimension::Tenant => add(names.text(tenant).to_string(), &used.totals),
        Dimension::User => {
            let by = used.by_user.iter().map(|(id, active)| (*id, &active.totals));
            named(names, used, by, add);
        }
        Dimension::Model => named(names, used, used.by_model.iter().map(by_id), add),
        Dimension::Assistant => named(names, used, used.by_assistant.iter().map(by_id), add),
        Dimension::Project => {
            let mut rest = used.totals;
            for (project, active) in used.by_project.iter() {
                rest.subtract(&active.totals);
                add(project.to_string(), &active.totals);
            }
            add_rest(&rest, add);
        }
    }
}

const fn by_id<'a, Id: Copy>((id, totals): (&Id, &'a Totals)) -> (Id, &'a Totals) {
    (*id, totals)
}

fn named<'a, Id: NameId>(
    names: &Names,
    used: &DayUsage,
    by: impl Iterator<Item = (Id, &'a Totals)>,
    mut add: impl FnMut(String, &Totals),
) {
    let mut rest = used.totals;
    for (id, totals) in by {
        rest.subtract(totals);
        add(names.text(id).to_string(), totals);
    }
    add_rest(&rest, add);
}

fn add_rest(rest: &Totals, mut add: impl FnMut(String, &Totals)) {
    if rest.requests > 0 {
        add(String::new(), rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, config::Config, service::Book};

    #[tokio::test]
    async fn nothing_waits_for_a_look_at_usage() {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Clock::system();
        let book = Book::open(directory.path(), &Config::default(), clock.clone()).expect("a book");
        let views = &book.views;
        let now = views.point(None, clock.now()).expect("the present");
        let moment = Edge::Moment(clock.now());
        for whose in [Whose::Everyone, Whose::Tenant(TenantId(0)), Whose::User(UserId(0))] {
            for span in [Span::ALWAYS, Span::Between(moment, moment)] {
                let is_free = |_: &Used| views.reading.try_write().is_some();
                let (_, is_free) = views.used(whose, span, &now, is_free).expect("a log");
                assert!(is_free, "{whose:?} {span:?}");
            }
        }
        book.close().await.expect("closed");
    }
}
