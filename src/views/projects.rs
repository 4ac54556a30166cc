//! Projects, which are documents or else conversations, as their calls tell of them.

use std::collections::BTreeMap;

use projections::usage::{Active, Totals};
use replay::ReadError;
use schemas::{AssistantId, CallContext, Event, ExternalId, Money, TenantId, UserId};

use super::{Point, Span, Used, Views, Whose};

/// A project's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectMonth {
    /// All of it.
    pub active: Active,
    /// By kind of assistant; `None` where none was named.
    pub by_assistant: BTreeMap<Option<AssistantId>, Totals>,
    /// By who called; `None` where nobody was named.
    pub by_user: BTreeMap<Option<UserId>, Totals>,
}

/// Months of projects, by who paid, the project and the month.
pub type ProjectMonths = BTreeMap<(TenantId, ExternalId, String), ProjectMonth>;

impl Used {
    /// Every project, by who paid and its id.
    #[must_use]
    pub fn projects(&self) -> BTreeMap<(TenantId, ExternalId), Active> {
        let mut projects = BTreeMap::<(TenantId, ExternalId), Active>::new();
        self.each(|tenant, _, used| {
            for (project, active) in used.by_project.iter() {
                projects
                    .entry((tenant, project.clone()))
                    .and_modify(|sum| sum.add(active))
                    .or_insert(*active);
            }
        });
        projects
    }
}

impl Views {
    /// What projects used by month, broken down; only the one, when one is asked for.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn project_months(
        &self,
        whose: Whose,
        span: Span,
        only: Option<&ExternalId>,
        point: &Point,
    ) -> Result<ProjectMonths, ReadError> {
        let mut months = ProjectMonths::new();
        self.each_call(whose, span, point, |recorded, context, day| {
            let wanted = |project: &&ExternalId| only.is_none_or(|only| only == *project);
            let Some(project) = context.project().filter(wanted) else { return };
            let (moment, change) = match &recorded.event {
                Event::ConsumptionRecorded(call) => {
                    let cost = call.charge.map(|charge| charge.cost);
                    (call.timestamp, Change::Call(Totals::of(&call.usage, cost)))
                }
                Event::ConsumptionRated(rated) => {
                    (rated.timestamp, Change::Cost(rated.charge.cost))
                }
                _ => return,
            };
            let key = (context.tenant, project.clone(), day.month());
            let month = months.entry(key).or_insert_with(|| ProjectMonth {
                active: Active::since(moment),
                by_assistant: BTreeMap::new(),
                by_user: BTreeMap::new(),
            });
            month.change(context, change);
            month.active.first = month.active.first.min(moment);
            month.active.last = month.active.last.max(moment);
        })?;
        Ok(months)
    }
}

/// What one event changes.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// There is one call more.
    Call(Totals),
    /// One of the calls has a cost now.
    Cost(Money),
}

impl ProjectMonth {
    fn change(&mut self, context: &CallContext, change: Change) {
        let totals = [
            &mut self.active.totals,
            self.by_assistant.entry(context.assistant).or_default(),
            self.by_user.entry(context.user).or_default(),
        ];
        for totals in totals {
            match change {
                Change::Call(call) => totals.add(&call),
                Change::Cost(cost) => totals.rate(cost),
            }
        }
    }
}
