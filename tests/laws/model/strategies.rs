//! Recharge strategies, told naively.

use projections::books::Books;
use schemas::{
    ExecuteStrategy, Sequence, StrategyDraft, StrategyId, StrategyKind, Timestamp, UpdateStrategy,
    UserId,
};

use super::{Account, Model, Verdict, lasts_until};

/// A strategy as the model keeps it.
#[derive(Debug, Clone)]
pub(super) struct Strategy {
    draft: StrategyDraft,
    deleted: bool,
    handled_until: Timestamp,
}

/// What a user got of a strategy.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    executed: u32,
    tick: Option<Timestamp>,
    failed: bool,
}

impl Model {
    pub(super) fn create(&mut self, draft: &StrategyDraft, now: Timestamp) -> Verdict {
        let mut live = self.strategies.iter().filter(|strategy| !strategy.deleted);
        let is_taken = live.any(|strategy| strategy.draft.name == draft.name);
        if is_taken || draft.amount.units() <= 0 || draft.condition == "is-vip((" {
            return Verdict::Rejected;
        }
        let (draft, deleted, handled_until) = (draft.clone(), false, now);
        self.strategies.push(Strategy { draft, deleted, handled_until });
        Verdict::Recorded
    }

    fn live(&mut self, id: StrategyId) -> Option<&mut Strategy> {
        let place = (id.0 as usize).checked_sub(1)?;
        self.strategies.get_mut(place).filter(|strategy| !strategy.deleted)
    }

    pub(super) fn update(&mut self, update: &UpdateStrategy, now: Timestamp) -> Verdict {
        let Some(strategy) = self.live(update.strategy) else { return Verdict::Rejected };
        let draft = &mut strategy.draft;
        let amount = update.amount.unwrap_or(draft.amount);
        let enabled = update.enabled.unwrap_or(draft.enabled);
        if amount == draft.amount && enabled == draft.enabled {
            return Verdict::Nothing;
        }
        if amount.units() <= 0 {
            return Verdict::Rejected;
        }
        if enabled && !draft.enabled {
            strategy.handled_until = now;
        }
        draft.amount = amount;
        draft.enabled = enabled;
        Verdict::Recorded
    }

    pub(super) fn delete(&mut self, id: StrategyId) -> Verdict {
        let Some(strategy) = self.live(id) else { return Verdict::Rejected };
        strategy.deleted = true;
        Verdict::Recorded
    }

    pub(super) fn execute(
        &mut self,
        command: &ExecuteStrategy,
        now: Timestamp,
        at: Sequence,
    ) -> Verdict {
        let Some(strategy) = self.live(command.strategy).cloned() else {
            return Verdict::Rejected;
        };
        let users_until = command.users_from.saturating_add(command.users_max) as usize;
        let is_last = command.tick.is_some() && users_until >= self.users.len();
        if command.tick.is_some_and(|tick| tick > now) {
            return Verdict::Rejected;
        }
        if !strategy.owes(command.tick) {
            return Verdict::Nothing;
        }
        let from = command.users_from as usize;
        let page = self.users.iter().take(users_until).skip(from).cloned();
        let getting: Vec<(String, bool)> = page
            .filter(|user| self.is_for(command, &strategy, user, now))
            .map(|user| (user.clone(), self.attempt(&strategy, &user, now)))
            .collect();
        // One event for each, and one for the tick; the last of all at `at`.
        let events = getting.len() as u64 + u64::from(is_last);
        let first = (at.get() + 1).saturating_sub(events);
        for (sequence, (user, gives)) in (first..).zip(&getting) {
            let run = self.runs.entry((command.strategy.0, user.clone())).or_default();
            run.tick = command.tick;
            run.failed = !gives;
            if *gives {
                run.executed += 1;
                let amount = i128::from(strategy.draft.amount.units());
                let account = self.accounts.entry(user.clone()).or_default();
                let at = Sequence::new(sequence);
                account.give_by_strategy(amount, lasts_until(now), at, now);
            }
        }
        if let (Some(tick), true) = (command.tick, is_last) {
            self.live(command.strategy).expect("live").handled_until = tick;
        }
        if events == 0 { Verdict::Nothing } else { Verdict::Recorded }
    }

    fn is_for(
        &self,
        command: &ExecuteStrategy,
        strategy: &Strategy,
        user: &str,
        now: Timestamp,
    ) -> bool {
        let none = Account::default();
        let account = self.accounts.get(user).unwrap_or(&none);
        let run = self.runs.get(&(command.strategy.0, user.to_owned())).copied();
        let run = run.unwrap_or_default();
        let had_it = match command.tick {
            None => run.executed > 0,
            Some(tick) => run.tick.is_some_and(|last| last >= tick),
        };
        let cap = strategy.draft.max_exec_per_user;
        let condition = match strategy.draft.condition.as_str() {
            "" => true,
            "match-user(ann)" => user == "ann",
            "quota-le(\"gpt-4\", 150)" => account.available(now) <= 150_000_000,
            other => unreachable!("no strategy has the condition {other}"),
        };
        let is_known = account.given || self.registered.contains(user);
        is_known && !had_it && (cap == 0 || run.executed < cap) && condition
    }

    /// Whether there is room; nothing when that is known already.
    fn attempt(&self, strategy: &Strategy, user: &str, now: Timestamp) -> bool {
        let none = Account::default();
        let account = self.accounts.get(user).unwrap_or(&none);
        account.has_room(i128::from(strategy.draft.amount.units()), now)
    }

    /// Panics where the book's strategies are others.
    pub(super) fn assert_strategies_agree(&self, books: &Books) {
        for (place, expected) in (1..).zip(&self.strategies) {
            let strategy = books.strategies.find(StrategyId(place)).expect("a strategy");
            assert_eq!(strategy.deleted, expected.deleted, "{expected:?}");
            assert_eq!(strategy.handled_until, expected.handled_until, "{expected:?}");
            assert_eq!(strategy.definition.enabled, expected.draft.enabled, "{expected:?}");
        }
        for ((strategy, user), expected) in &self.runs {
            let user: UserId = books.names.find(user).expect("an introduced user");
            let run = books.strategies.run(StrategyId(*strategy), user).expect("a run");
            let (executed, tick) = (run.executed, run.tick);
            assert_eq!((executed, tick), (expected.executed, expected.tick), "{user:?}");
        }
    }
}

impl Strategy {
    fn owes(&self, tick: Option<Timestamp>) -> bool {
        let micros = match self.draft.periodic_expr.as_str() {
            "0 * * * *" => 3_600_000_000,
            _ => 1_200_000_000,
        };
        let is_owed = match (self.draft.kind, tick) {
            (StrategyKind::Single, None) => true,
            (StrategyKind::Periodic, Some(tick)) => {
                tick > self.handled_until && tick.micros() % micros == 0
            }
            _ => false,
        };
        self.draft.enabled && is_owed
    }
}
