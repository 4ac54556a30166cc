//! Recharge strategies: what they may be, who gets what, and that nobody gets it twice.

use projections::books::Books;
use projections::quota::Account;
use projections::strategies::Strategy;
use schemas::{
    Condition, Credits, Event, ExecuteStrategy, Facts, ModelId, Name, NameId, NameKind, Schedule,
    StrategyDefined, StrategyDefinition, StrategyDeleted, StrategyDraft, StrategyExecuted,
    StrategyFailed, StrategyId, StrategyKind, StrategySwitched, StrategyTickHandled, Timestamp,
    UpdateStrategy, UserId,
};

use super::Rules;
use super::naming::Naming;
use super::quota::check_room;
use super::rejection::{Rejection, check_text};

/// The longest name and title, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A new strategy.
pub(super) fn create(
    books: &Books,
    rules: &Rules,
    draft: &StrategyDraft,
    naming: &mut Naming<'_>,
) -> Result<Event, Rejection> {
    let StrategyDraft {
        name,
        title,
        kind,
        amount,
        model,
        periodic_expr,
        condition,
        enabled,
        max_exec_per_user,
    } = draft.clone();
    let definition = StrategyDefinition {
        name,
        title,
        kind,
        amount,
        model: model.map(|model| naming.id(&model)),
        periodic_expr,
        condition,
        enabled,
        max_exec_per_user,
    };
    let strategy = books.strategies.next_id();
    check(books, rules, strategy, &definition)?;
    Ok(Event::StrategyCreated(Box::new(StrategyDefined { strategy, definition })))
}

/// A strategy with changes; nothing when it is so already.
pub(super) fn update(
    books: &Books,
    rules: &Rules,
    update: &UpdateStrategy,
    naming: &mut Naming<'_>,
) -> Result<Option<Event>, Rejection> {
    let UpdateStrategy {
        strategy,
        name,
        title,
        kind,
        amount,
        model,
        periodic_expr,
        condition,
        enabled,
        max_exec_per_user,
    } = update.clone();
    let before = &live(books, strategy)?.definition;
    let was = before.clone();
    let definition = StrategyDefinition {
        name: name.unwrap_or(was.name),
        title: title.unwrap_or(was.title),
        kind: kind.unwrap_or(was.kind),
        amount: amount.unwrap_or(was.amount),
        model: model.map_or(was.model, |model: Option<Name>| model.map(|model| naming.id(&model))),
        periodic_expr: periodic_expr.unwrap_or(was.periodic_expr),
        condition: condition.unwrap_or(was.condition),
        enabled: enabled.unwrap_or(was.enabled),
        max_exec_per_user: max_exec_per_user.unwrap_or(was.max_exec_per_user),
    };
    if definition == *before {
        return Ok(None);
    }
    check(books, rules, strategy, &definition)?;
    let enabled = definition.enabled;
    if definition == (StrategyDefinition { enabled, ..before.clone() }) {
        return Ok(Some(Event::StrategySwitched(StrategySwitched { strategy, enabled })));
    }
    Ok(Some(Event::StrategyUpdated(Box::new(StrategyDefined { strategy, definition }))))
}

/// A strategy that gives nothing any more.
pub(super) fn delete(books: &Books, strategy: StrategyId) -> Result<Event, Rejection> {
    live(books, strategy)?;
    Ok(Event::StrategyDeleted(StrategyDeleted { strategy }))
}

fn live(books: &Books, strategy: StrategyId) -> Result<&Strategy, Rejection> {
    books.strategies.live(strategy).ok_or(Rejection::NoSuchStrategy)
}

fn check(
    books: &Books,
    rules: &Rules,
    id: StrategyId,
    definition: &StrategyDefinition,
) -> Result<(), Rejection> {
    let invalid = |field, reason: String| Err(Rejection::StrategyInvalid { field, reason });
    let StrategyDefinition { name, title, kind, amount, periodic_expr, condition, .. } = definition;
    if name.trim().is_empty() {
        return invalid("name", "must not be empty".to_owned());
    }
    check_text("periodic_expr", periodic_expr)?;
    for (field, text) in [("name", name), ("title", title)] {
        check_text(field, text)?;
        if text.len() > NAME_BYTES_MAX {
            return Err(Rejection::TextTooLong { field, max: NAME_BYTES_MAX });
        }
    }
    let is_taken = |(other, strategy): (StrategyId, &Strategy)| {
        other != id && strategy.definition.name == *name
    };
    if books.strategies.all().any(is_taken) {
        return Err(Rejection::StrategyNameTaken { name: name.clone() });
    }
    if !amount.is_positive() {
        return Err(Rejection::AmountRule { field: "amount", rule: "above zero" });
    }
    match kind {
        StrategyKind::Periodic if periodic_expr.trim().is_empty() => {
            return invalid("periodic_expr", "is required for a periodic strategy".to_owned());
        }
        StrategyKind::Single if periodic_expr.is_empty() => {}
        StrategyKind::Periodic | StrategyKind::Single => {
            if let Err(error) = Schedule::parse(periodic_expr, rules.zone) {
                return invalid("periodic_expr", error.to_string());
            }
        }
    }
    match Condition::parse(condition) {
        Ok(_) => Ok(()),
        Err(error) => invalid("condition", error.to_string()),
    }
}

/// What a strategy gives to the users of one page, and, with the last page, that its tick is handled.
/// Nothing when the tick is handled already or is not one. One that lies ahead is refused, and has to
/// come again: the moment of a batch may be earlier than the clock's.
pub(super) fn execute(
    books: &Books,
    rules: &Rules,
    command: &ExecuteStrategy,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let ExecuteStrategy { strategy: id, tick, skipped, users_from, users_max } = *command;
    let strategy = live(books, id)?;
    let definition = &strategy.definition;
    if tick.is_some_and(|tick| tick > now) {
        return Err(Rejection::TickAhead);
    }
    if !definition.enabled || !is_owed(strategy, rules, tick) {
        return Ok(Vec::new());
    }
    let Ok(condition) = Condition::parse(&definition.condition) else { return Ok(Vec::new()) };
    let users = books.names.next_number(NameKind::User);
    let until = users_from.saturating_add(users_max).min(users);
    let expires_at = rules.expiry(now);
    let mut events = Vec::new();
    for user in (users_from..until).map(UserId::from_number) {
        match judge(books, id, strategy, &condition, user, tick, now) {
            Verdict::Gives => events.push(give(books, id, definition, user, tick, expires_at, now)),
            Verdict::Unknown
            | Verdict::AlreadyGiven
            | Verdict::CapReached
            | Verdict::ConditionFalse => {}
        }
    }
    if let Some(tick) = tick
        && until >= users
    {
        let handled = StrategyTickHandled { strategy: id, tick, skipped };
        events.push(Event::StrategyTickHandled(handled));
    }
    Ok(events)
}

fn is_owed(strategy: &Strategy, rules: &Rules, tick: Option<Timestamp>) -> bool {
    let definition = &strategy.definition;
    match (definition.kind, tick) {
        (StrategyKind::Single, None) => true,
        (StrategyKind::Periodic, Some(tick)) => {
            tick > strategy.handled_until
                && Schedule::parse(&definition.periodic_expr, rules.zone)
                    .is_ok_and(|schedule| schedule.is_tick(tick))
        }
        (StrategyKind::Single, Some(_)) | (StrategyKind::Periodic, None) => false,
    }
}

/// Whether a strategy gives to a user, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It does.
    Gives,
    /// Nobody has made the user known: not registered, not described, never given quota by hand.
    Unknown,
    /// The user got it already, ever or at this tick.
    AlreadyGiven,
    /// The user got it as often as the strategy allows.
    CapReached,
    /// The condition does not hold.
    ConditionFalse,
}

impl Verdict {
    /// A stable name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gives => "gives",
            Self::Unknown => "unknown_user",
            Self::AlreadyGiven => "already_executed",
            Self::CapReached => "cap_reached",
            Self::ConditionFalse => "condition_false",
        }
    }
}

/// Whether `strategy` gives to `user` at `tick` (`None`: a single strategy), judged at `now`.
#[must_use]
pub fn judge(
    books: &Books,
    id: StrategyId,
    strategy: &Strategy,
    condition: &Condition,
    user: UserId,
    tick: Option<Timestamp>,
    now: Timestamp,
) -> Verdict {
    Judge { books, id, strategy, condition, now }.verdict(user, tick, 0)
}

/// What a strategy would give to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rehearsal {
    /// Whether it gives at all; when it does not, why not at the last tick that was judged.
    pub verdict: Verdict,
    /// How often it gives.
    pub times: u32,
}

/// What `strategy` would give to `user` at `ticks`, one after the other, judged at `now`: as
/// [`judge`] says, where what a tick gives counts at the next. `[None]` for a single strategy.
#[must_use]
pub fn rehearse(
    books: &Books,
    id: StrategyId,
    strategy: &Strategy,
    condition: &Condition,
    user: UserId,
    ticks: &[Option<Timestamp>],
    now: Timestamp,
) -> Rehearsal {
    let judge = Judge { books, id, strategy, condition, now };
    let mut times: u32 = 0;
    let mut refusal = Verdict::AlreadyGiven;
    for tick in ticks {
        match judge.verdict(user, *tick, times) {
            Verdict::Gives => times = times.saturating_add(1),
            Verdict::AlreadyGiven => refusal = Verdict::AlreadyGiven,
            // Nothing of this changes from one tick to the next when nothing is given.
            verdict @ (Verdict::Unknown | Verdict::CapReached | Verdict::ConditionFalse) => {
                refusal = verdict;
                break;
            }
        }
    }
    Rehearsal { verdict: if times > 0 { Verdict::Gives } else { refusal }, times }
}

/// What users are judged by.
struct Judge<'a> {
    books: &'a Books,
    id: StrategyId,
    strategy: &'a Strategy,
    condition: &'a Condition,
    now: Timestamp,
}

impl Judge<'_> {
    /// Whether the strategy gives to `user` at `tick`, had it just given to the user `given` times
    /// more than is on record.
    fn verdict(&self, user: UserId, tick: Option<Timestamp>, given: u32) -> Verdict {
        let Self { books, id, strategy, condition, now } = *self;
        let account = books.quota.account(user);
        let profile = books.profiles.profile(user);
        let is_known = profile.created_at.is_some()
            || account.was_given()
            || books.directory.user(user).registered;
        if !is_known {
            return Verdict::Unknown;
        }
        let run = books.strategies.run(id, user);
        let had_it = run.is_some_and(|run| match tick {
            None => run.executed > 0,
            Some(tick) => run.tick.is_some_and(|last| last >= tick),
        });
        if had_it {
            return Verdict::AlreadyGiven;
        }
        let executed = run.map_or(0, |run| run.executed).saturating_add(given);
        let cap = strategy.definition.max_exec_per_user;
        if cap > 0 && executed >= cap {
            return Verdict::CapReached;
        }
        let given = strategy.definition.amount.checked_times(u64::from(given)).unwrap_or_default();
        let label = strategy.definition.model;
        if condition.holds(&UserFacts { books, user, account, given, label, now }) {
            Verdict::Gives
        } else {
            Verdict::ConditionFalse
        }
    }
}

/// What conditions ask of a user.
struct UserFacts<'a> {
    books: &'a Books,
    user: UserId,
    account: &'a Account,
    /// What the user has besides what is on record.
    given: Credits,
    /// What that is labelled with.
    label: Option<ModelId>,
    now: Timestamp,
}

impl Facts for UserFacts<'_> {
    fn user_id(&self) -> &str {
        self.books.names.text(self.user)
    }

    fn register_time(&self) -> Option<Timestamp> {
        self.books.profiles.profile(self.user).register_time
    }

    fn access_time(&self) -> Option<Timestamp> {
        self.books.profiles.profile(self.user).access_time
    }

    fn has_starred(&self, project: &str) -> bool {
        self.books.profiles.profile(self.user).github_star.iter().any(|starred| starred == project)
    }

    fn remaining(&self, model: &str) -> Credits {
        let model: Option<ModelId> = self.books.names.find(model);
        let available = self.account.available_for(model, self.now);
        if self.label.is_none() || self.label == model {
            available.checked_add(self.given).unwrap_or(available)
        } else {
            available
        }
    }

    fn vip(&self) -> i64 {
        self.books.profiles.profile(self.user).vip
    }

    fn org(&self) -> &str {
        &self.books.profiles.profile(self.user).org
    }
}

/// The recharge, or, when it cannot be kept, that it failed.
fn give(
    books: &Books,
    strategy: StrategyId,
    definition: &StrategyDefinition,
    user: UserId,
    tick: Option<Timestamp>,
    expires_at: Timestamp,
    now: Timestamp,
) -> Event {
    let account = books.quota.account(user);
    let amount = definition.amount;
    if let Err(error) = check_room(account, amount, now, "amount") {
        let reason = error.to_string();
        return Event::StrategyFailed(StrategyFailed { strategy, user, tick, reason });
    }
    Event::StrategyExecuted(StrategyExecuted {
        strategy,
        user,
        tick,
        amount,
        overdraft_paid: account.overdraft().min(amount),
        expires_at,
        model: definition.model,
        before: account.held_until(expires_at),
    })
}
