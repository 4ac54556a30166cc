//! The scan of the recharge strategies: every single strategy once, every periodic one at each of
//! its ticks that is owed. Works through the users a page at a time, so that other commands get
//! their turn in between; a scan that was cut off is taken up by the next.

use std::collections::VecDeque;
use std::time::Duration;

use projections::strategies::Strategy;
use schemas::{Command, ExecuteStrategy, NameKind, Schedule, StrategyId, StrategyKind, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{JobError, Jobs};
use crate::domain::Rejection;
use crate::writer::SubmitError;

/// About as long as the writer works on a batch.
const BATCH: Duration = Duration::from_millis(2);
/// How many users one command looks at: few enough not to hold others up.
const USERS_AT_ONCE: u32 = 250;

/// What a scan did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ScanReport {
    /// `strategy-scan`.
    pub job: &'static str,
    /// The moment that it judged by.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// Every strategy that is switched on.
    pub strategies: Vec<StrategyReport>,
    /// How many recharges it made.
    pub executed: u64,
    /// How many it failed to make.
    pub failed: u64,
    /// How many ticks it passed over, because more were missed than may be caught up.
    pub skipped_ticks: u64,
}

/// What a scan did for one strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StrategyReport {
    /// The strategy.
    #[schema(value_type = u32)]
    pub strategy_id: StrategyId,
    /// Its name.
    pub name: String,
    /// The ticks that were owed and are handled now.
    #[schema(value_type = Vec<String>)]
    pub ticks: Vec<Timestamp>,
    /// How many ticks before them were passed over.
    pub skipped_ticks: u32,
    /// How many recharges it made.
    pub executed: u64,
    /// How many it failed to make.
    pub failed: u64,
}

impl Jobs {
    /// Lets every strategy give what it owes by now. A second scan waits for the first, and finds
    /// nothing left.
    ///
    /// # Errors
    /// When the writer does not take a command. What was given until then stays given, once.
    pub async fn scan_strategies(&self) -> Result<ScanReport, JobError> {
        let _alone = self.scanning.lock().await;
        let now = self.clock.now();
        let enabled: Vec<StrategyId> = self.views.look(|reading| {
            let all = reading.books.strategies.all();
            all.filter(|(_, strategy)| strategy.definition.enabled).map(|(id, _)| id).collect()
        });
        let mut strategies = Vec::with_capacity(enabled.len());
        for id in enabled {
            strategies.extend(self.scan_strategy(id, now).await?);
        }
        let sum = |figure: fn(&StrategyReport) -> u64| strategies.iter().map(figure).sum();
        let report = ScanReport {
            job: "strategy-scan",
            started_at: now,
            executed: sum(|strategy| strategy.executed),
            failed: sum(|strategy| strategy.failed),
            skipped_ticks: sum(|strategy| u64::from(strategy.skipped_ticks)),
            strategies,
        };
        let ScanReport { executed, failed, skipped_ticks, .. } = report;
        if executed > 0 || failed > 0 {
            tracing::info!(executed, failed, "strategies were executed");
        }
        if skipped_ticks > 0 {
            tracing::warn!(skipped_ticks, "more ticks were missed than may be caught up");
        }
        metrics::counter!("strategy_executions_total").increment(executed);
        metrics::counter!("strategy_executions_failed_total").increment(failed);
        metrics::counter!("strategy_ticks_skipped_total").increment(skipped_ticks);
        Ok(report)
    }

    async fn scan_strategy(
        &self,
        id: StrategyId,
        now: Timestamp,
    ) -> Result<Option<StrategyReport>, JobError> {
        let Some(before) = self.strategy(id) else { return Ok(None) };
        let (ticks, skipped_ticks) = self.owed_ticks(&before, now);
        match before.definition.kind {
            StrategyKind::Single => self.execute(id, None, 0).await?,
            StrategyKind::Periodic => {
                let mut skipped = skipped_ticks;
                for tick in &ticks {
                    self.execute(id, Some(*tick), skipped).await?;
                    skipped = 0;
                }
            }
        }
        let after = self.strategy(id).unwrap_or_else(|| before.clone());
        Ok(Some(StrategyReport {
            strategy_id: id,
            name: before.definition.name,
            ticks,
            skipped_ticks,
            executed: after.executed.saturating_sub(before.executed),
            failed: after.failed.saturating_sub(before.failed),
        }))
    }

    fn strategy(&self, id: StrategyId) -> Option<Strategy> {
        self.views.look(|reading| reading.books.strategies.live(id).cloned())
    }

    /// The ticks that a strategy owes at `now`, and how many before them are passed over.
    #[must_use]
    pub fn owed_ticks(&self, strategy: &Strategy, now: Timestamp) -> (Vec<Timestamp>, u32) {
        let definition = &strategy.definition;
        if definition.kind == StrategyKind::Single {
            return (Vec::new(), 0);
        }
        let Ok(schedule) = Schedule::parse(&definition.periodic_expr, self.rules.zone) else {
            return (Vec::new(), 0);
        };
        let mut kept = VecDeque::new();
        let mut skipped: u32 = 0;
        for tick in schedule.ticks(strategy.handled_until, now) {
            kept.push_back(tick);
            if kept.len() > self.rules.catch_up_ticks_max {
                kept.pop_front();
                skipped = skipped.saturating_add(1);
            }
        }
        (kept.into(), skipped)
    }

    /// The first tick of a strategy after `moment`; `None` when there is none, as for single ones.
    #[must_use]
    pub fn next_tick(&self, strategy: &Strategy, moment: Timestamp) -> Option<Timestamp> {
        let definition = &strategy.definition;
        let schedule = Schedule::parse(&definition.periodic_expr, self.rules.zone).ok();
        schedule
            .filter(|_| definition.kind == StrategyKind::Periodic)
            .and_then(|schedule| schedule.next_after(moment))
    }

    async fn execute(
        &self,
        strategy: StrategyId,
        tick: Option<Timestamp>,
        skipped: u32,
    ) -> Result<(), JobError> {
        let mut users_from = 0;
        loop {
            let page =
                ExecuteStrategy { strategy, tick, skipped, users_from, users_max: USERS_AT_ONCE };
            match self.issue(Command::ExecuteStrategy(page)).await {
                Ok(_) => {}
                // The writer still works on a batch that it began before the tick.
                Err(SubmitError::Rejected(Rejection::TickAhead))
                    if tick.is_some_and(|tick| tick <= self.clock.now()) =>
                {
                    tokio::time::sleep(BATCH).await;
                    continue;
                }
                // The clock was set back, or somebody has deleted the strategy.
                Err(SubmitError::Rejected(Rejection::TickAhead | Rejection::NoSuchStrategy)) => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            users_from = users_from.saturating_add(USERS_AT_ONCE);
            // Read anew: who has become known meanwhile is looked at as well.
            if users_from >= self.users() {
                return Ok(());
            }
        }
    }

    fn users(&self) -> u32 {
        self.views.look(|reading| reading.books.names.next_number(NameKind::User))
    }
}
