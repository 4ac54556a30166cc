//! Usage over days: totals and breakdowns, now or as of a moment.

use std::collections::BTreeMap;

use projections::Projection;
use projections::books::Reading;
use projections::names::Names;
use projections::usage::{DayUsage, Totals, UsageByDay};
use replay::ReadError;
use schemas::{CallContext, Day, Event, NameId, Recorded, Sequence, TenantId, Timestamp, Zone};

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

/// Whether usage is in the folds as they are, so that it takes no reading of the log.
#[must_use]
pub const fn is_at_hand(whose: Whose, span: Span, point: &Point) -> bool {
    point.is_now && span.is_of_whole_days() && matches!(whose, Whose::Everyone | Whose::Tenant(_))
}

/// Whose usage was asked for, and over which time.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// The folds as they are now.
    pub reading: &'a Reading,
    usage: &'a UsageByDay,
    whose: Whose,
    span: Span,
    sequence: Sequence,
}

impl<'a> Used<'a> {
    /// The names.
    #[must_use]
    pub const fn names(&self) -> &'a Names {
        &self.reading.books.names
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
    pub fn each(&self, each: impl FnMut(TenantId, Day, &'a DayUsage)) {
        self.each_in(self.span, each);
    }

    /// Each tenant's days in another span, which lies in the one that was asked for.
    pub fn each_in(&self, span: Span, mut each: impl FnMut(TenantId, Day, &'a DayUsage)) {
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
    /// added up from the log. Tells the event that the usage reflects. Keep the look short: the next
    /// batch waits for it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn used<T>(
        &self,
        whose: Whose,
        span: Span,
        point: &Point,
        look: impl FnOnce(Used<'_>) -> T,
    ) -> Result<(Sequence, T), ReadError> {
        if is_at_hand(whose, span, point) {
            return Ok(self.look(|reading| {
                let Reading { books, usage, .. } = reading;
                let sequence = books.head;
                (sequence, look(Used { reading, usage, whose, span, sequence }))
            }));
        }
        let mut usage = self.look(|reading| reading.usage.with_zones_alone());
        self.each_call(whose, span, point, |recorded, _, _| usage.apply(recorded))?;
        let sequence = point.sequence;
        let usage = &usage;
        let seen = self.look(|reading| look(Used { reading, usage, whose, span, sequence }));
        Ok((sequence, seen))
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
