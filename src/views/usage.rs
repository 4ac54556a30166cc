//! Usage over days: totals and breakdowns, now or as of a moment.

use std::collections::BTreeMap;

use projections::books::Reading;
use projections::collections::{Shard, Sharded};
use projections::names::Names;
use projections::usage::{DayUsage, Totals, UsageByDay};
use replay::ReadError;
use schemas::{Day, NameId, TenantId};

use super::{Point, Views};

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

/// Which usage.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Whose.
    pub tenants: Vec<TenantId>,
    /// The first UTC day.
    pub first: Day,
    /// The last UTC day, included.
    pub last: Day,
}

/// Totals by day and by name. The name is empty where a call named nothing.
pub type Breakdown = BTreeMap<(Day, String), Totals>;

impl Views {
    /// The usage of each day by `dimension`. What calls did not name is under the empty name, so that
    /// every breakdown adds up to the same totals.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn usage(
        &self,
        query: &UsageQuery,
        dimension: Dimension,
        point: &Point,
    ) -> Result<Breakdown, ReadError> {
        let mut breakdown = Breakdown::new();
        for tenant in &query.tenants {
            if point.is_now {
                self.look(|Reading { books, usage, .. }| {
                    collect(&books.names, usage, *tenant, query, dimension, &mut breakdown);
                });
            } else {
                let usage = self.usage_at(*tenant, point.sequence)?;
                self.look(|Reading { books, .. }| {
                    collect(&books.names, &usage, *tenant, query, dimension, &mut breakdown);
                });
            }
        }
        Ok(breakdown)
    }
}

fn collect(
    names: &Names,
    usage: &UsageByDay,
    tenant: TenantId,
    query: &UsageQuery,
    dimension: Dimension,
    breakdown: &mut Breakdown,
) {
    for (day, used) in usage.days(tenant, query.first, query.last) {
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
