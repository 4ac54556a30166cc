//! Recharge strategies: what they are, how far their ticks are handled, and how often each user got
//! what they give.

use bincode::{Decode, Encode};
use schemas::{
    Event, NameId, Recorded, StrategyDefined, StrategyDefinition, StrategyId, Timestamp, UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// A strategy as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Strategy {
    /// What it is.
    pub definition: StrategyDefinition,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// It gives nothing any more, and is only kept for what it gave.
    pub deleted: bool,
    /// Ticks up to this moment are handled, or are not owed: those from before the strategy was made,
    /// was switched on or got its schedule.
    pub handled_until: Timestamp,
    /// How often it gave something to someone.
    pub executed: u64,
    /// How often it failed to.
    pub failed: u64,
    /// How many ticks were passed over, because more were missed than may be caught up.
    pub skipped: u64,
}

/// How often a user got what a strategy gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// The strategy.
    pub strategy: StrategyId,
    /// How often.
    pub executed: u32,
    /// The last tick that gave, or failed to.
    pub tick: Option<Timestamp>,
    /// The last attempt failed.
    pub failed: bool,
}

/// All strategies.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Strategies {
    /// By number; there is no number 0.
    by_number: Paged<Option<Strategy>>,
    count: u32,
    runs: Paged<Vec<Run>>,
}

impl Strategies {
    /// The strategy, deleted or not.
    #[must_use]
    pub fn find(&self, strategy: StrategyId) -> Option<&Strategy> {
        self.by_number.get(strategy.0).as_ref()
    }

    /// The strategy, unless it is deleted.
    #[must_use]
    pub fn live(&self, strategy: StrategyId) -> Option<&Strategy> {
        self.find(strategy).filter(|strategy| !strategy.deleted)
    }

    /// The strategies that are not deleted, in the order of their numbers.
    pub fn all(&self) -> impl Iterator<Item = (StrategyId, &Strategy)> {
        self.by_number.iter().filter_map(|(number, strategy)| {
            let strategy = strategy.as_ref().filter(|strategy| !strategy.deleted)?;
            Some((StrategyId(number), strategy))
        })
    }

    /// The number that the next strategy gets.
    #[must_use]
    pub const fn next_id(&self) -> StrategyId {
        StrategyId(self.count.saturating_add(1))
    }

    /// How often a user got what a strategy gives; `None`: never, nor was it tried.
    #[must_use]
    pub fn run(&self, strategy: StrategyId, user: UserId) -> Option<&Run> {
        self.runs.get(user.number()).iter().find(|run| run.strategy == strategy)
    }

    fn define(&mut self, defined: &StrategyDefined, at: Timestamp) {
        let StrategyDefined { strategy, definition } = defined;
        self.count = self.count.max(strategy.0);
        let slot = self.by_number.get_mut(strategy.0);
        match slot {
            None => {
                *slot = Some(Strategy {
                    definition: definition.clone(),
                    created_at: at,
                    updated_at: at,
                    deleted: false,
                    handled_until: at,
                    executed: 0,
                    failed: 0,
                    skipped: 0,
                });
            }
            Some(strategy) => {
                let before = std::mem::replace(&mut strategy.definition, definition.clone());
                strategy.updated_at = at;
                let is_new_schedule = before.periodic_expr != definition.periodic_expr
                    || before.kind != definition.kind
                    || (!before.enabled && definition.enabled);
                if is_new_schedule {
                    strategy.handled_until = at;
                }
            }
        }
    }

    fn change(&mut self, strategy: StrategyId, change: impl FnOnce(&mut Strategy)) {
        if let Some(strategy) = self.by_number.get_mut(strategy.0) {
            change(strategy);
        }
    }

    fn ran(&mut self, id: StrategyId, user: UserId, tick: Option<Timestamp>, failed: bool) {
        let runs = self.runs.get_mut(user.number());
        let executed = u32::from(!failed);
        match runs.iter_mut().find(|run| run.strategy == id) {
            None => runs.push(Run { strategy: id, executed, tick, failed }),
            Some(run) => {
                run.tick = tick;
                run.failed = failed;
                run.executed = run.executed.saturating_add(executed);
            }
        }
        self.change(id, |strategy| {
            let counter = if failed { &mut strategy.failed } else { &mut strategy.executed };
            *counter = counter.saturating_add(1);
        });
    }
}

impl Projection for Strategies {
    const NAME: &'static str = "strategies";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        let at = recorded.recorded_at;
        match &recorded.event {
            Event::StrategyCreated(defined) | Event::StrategyUpdated(defined) => {
                self.define(defined, at);
            }
            Event::StrategySwitched(switched) => self.change(switched.strategy, |strategy| {
                if switched.enabled && !strategy.definition.enabled {
                    strategy.handled_until = at;
                }
                strategy.definition.enabled = switched.enabled;
                strategy.updated_at = at;
            }),
            Event::StrategyDeleted(deleted) => self.change(deleted.strategy, |strategy| {
                strategy.deleted = true;
                strategy.updated_at = at;
            }),
            Event::StrategyExecuted(run) => self.ran(run.strategy, run.user, run.tick, false),
            Event::StrategyFailed(run) => self.ran(run.strategy, run.user, run.tick, true),
            Event::StrategyTickHandled(handled) => self.change(handled.strategy, |strategy| {
                strategy.handled_until = handled.tick;
                strategy.skipped = strategy.skipped.saturating_add(u64::from(handled.skipped));
            }),
            _ => (),
        }
    }
}
