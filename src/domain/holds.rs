//! Holds: whether a call may go ahead, and what is kept free for it. Each guard counts what the other
//! holds keep, so that however many calls are under way, none spends what another was promised.

use projections::books::Books;
use projections::calls::{Calls, Key, WaitingHalf};
use schemas::{
    Charge, Credits, Day, Event, Fingerprint, HoldExpired, HoldPlaced, HoldReleased, ModelId,
    Money, PlaceHold, PriceVersion, ReleaseHold, ServiceTier, TenantId, TenantStatus, Timestamp,
    Usage, UserId,
};

use super::calls::charge;
use super::money::BALANCE_MAX;
use super::naming::Naming;
use super::rejection::{HoldRejection, LimitKind, Rejection};
use super::{Refusal, State};

/// The longest that something is kept free, in seconds: a day.
const TTL_SECONDS_MAX: u32 = 86_400;

/// A hold, if there is room for it. What is asked for again is the hold that there is.
pub(super) fn place(
    state: &State,
    command: &PlaceHold,
    fingerprint: Fingerprint,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Refusal> {
    let books = &state.deciding.books;
    let usage = usage(command)?;
    let mut events = Vec::new();
    if let Some(tenant) = naming.known(&command.tenant) {
        let key = Key::of_call(tenant, &command.request_id);
        let request_id = || command.request_id.to_string();
        if has_been_made(&state.deciding.calls, key) {
            return Err(HoldRejection::CallRecorded { request_id: request_id() }.into());
        }
        match books.holds.of_call(key) {
            Some((hold, open)) if open.is_over(now) => {
                events.push(Event::HoldExpired(HoldExpired { tenant, hold }));
            }
            Some((hold, open)) if open.fingerprint == fingerprint => {
                return Err(Refusal::Already(hold));
            }
            Some(_) => return Err(HoldRejection::HoldConflict { request_id: request_id() }.into()),
            None => {}
        }
    }
    let tenant: TenantId = naming.id(&command.tenant);
    let user = user(books, command, naming)?;
    let model: Option<ModelId> = command.model.as_ref().map(|name| naming.id(name));
    check_status(books, tenant)?;
    let amount = amount(books, tenant, model, command, &usage, now)?;
    check_wallet(books, tenant, amount, now)?;
    let amount = amount.unwrap_or_default();
    let credits = match user {
        Some(user) => credits(books, (tenant, user, model), &usage, amount, now)?,
        None => Credits::ZERO,
    };
    check_limits(books, tenant, (user, command.user.is_some()), usage.total, now)?;
    // To the end of the second, so that it is kept at least as long as was asked for.
    let end = now.plus_seconds(command.ttl_seconds.into());
    let whole = end.whole_second();
    let expires_at = if whole == end { end } else { whole.plus_seconds(1) };
    events.push(Event::HoldPlaced(Box::new(HoldPlaced {
        tenant,
        user,
        model,
        request_id: command.request_id.clone(),
        amount,
        credits,
        tokens: usage.total,
        expires_at,
    })));
    Ok(events)
}

/// The end of a hold; nothing when it has ended.
pub(super) fn release(
    books: &Books,
    command: &ReleaseHold,
    now: Timestamp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let Some(hold) = books.holds.find(command.hold) else { return Ok(Vec::new()) };
    if let Some(tenant) = &command.tenant
        && naming.known(tenant) != Some(hold.placed.tenant)
    {
        return Err(HoldRejection::NoSuchHold.into());
    }
    if hold.is_over(now) {
        return Ok(Vec::new());
    }
    let (tenant, hold) = (hold.placed.tenant, command.hold);
    Ok(vec![Event::HoldReleased(HoldReleased { tenant, hold })])
}

/// Who is held for. Within one tenant that is nobody of another; and nobody who has called for no
/// tenant yet, so that nothing is kept of theirs, and no name is made known.
fn user(
    books: &Books,
    command: &PlaceHold,
    naming: &mut Naming<'_>,
) -> Result<Option<UserId>, HoldRejection> {
    let Some(name) = &command.user else { return Ok(None) };
    let Some(within) = &command.within else { return Ok(Some(naming.id(name))) };
    let Some(user) = naming.known(name) else { return Ok(None) };
    match books.directory.user(user).tenant {
        None => Ok(None),
        Some(home) if naming.known(within) == Some(home) => Ok(Some(user)),
        Some(_) => Err(HoldRejection::UserOfAnotherTenant),
    }
}

/// What the call uses at most, if the command is one that can be kept.
fn usage(command: &PlaceHold) -> Result<Usage, Rejection> {
    if !(1..=TTL_SECONDS_MAX).contains(&command.ttl_seconds) {
        return Err(HoldRejection::TtlOutOfRange { max: TTL_SECONDS_MAX }.into());
    }
    for (field, tokens) in
        [("promptTokens", command.prompt_tokens), ("maxTokens", command.completion_tokens)]
    {
        if tokens > Usage::TOKENS_MAX {
            return Err(Rejection::AmountOutOfRange { field });
        }
    }
    match command.amount {
        Some(amount) if amount.is_negative() => {
            Err(Rejection::AmountRule { field: "amount", rule: "zero or above" })
        }
        Some(amount) if amount > BALANCE_MAX => {
            Err(Rejection::AmountOutOfRange { field: "amount" })
        }
        _ => Ok(Usage {
            prompt: command.prompt_tokens,
            completion: command.completion_tokens,
            total: command.prompt_tokens.saturating_add(command.completion_tokens),
            ..Usage::default()
        }),
    }
}

/// Whether the call has been made: it is on record, or waits only for its request half to be.
fn has_been_made(calls: &Calls, key: Key) -> bool {
    let only_asked_for = |half: &WaitingHalf| matches!(half, WaitingHalf::Request(_));
    let waits = calls.waiting(key).is_some_and(|waiting| only_asked_for(&waiting.half));
    calls.seen(key).is_some() && !waits
}

fn check_status(books: &Books, tenant: TenantId) -> Result<(), HoldRejection> {
    match books.tenants.terms(tenant).status {
        TenantStatus::Active => Ok(()),
        TenantStatus::Suspended => Err(HoldRejection::TenantSuspended),
        TenantStatus::Inactive => Err(HoldRejection::TenantInactive),
    }
}

/// What the call costs at most: as the command says, or by the price in force and the tenant's
/// markup; `None` while the model has no price.
fn amount(
    books: &Books,
    tenant: TenantId,
    model: Option<ModelId>,
    command: &PlaceHold,
    usage: &Usage,
    now: Timestamp,
) -> Result<Option<Money>, Rejection> {
    if command.amount.is_some() {
        return Ok(command.amount);
    }
    let (Some(model), Some(name)) = (model, &command.model) else { return Ok(None) };
    let markup = books.tenants.terms(tenant).markup_basis_points.now();
    let used = (usage, ServiceTier::Standard);
    match charge(books, (model, Some(name)), now, used, markup) {
        Some(charge) if charge.cost > BALANCE_MAX => {
            Err(Rejection::AmountOutOfRange { field: "maxTokens" })
        }
        charge => Ok(charge.map(|charge| charge.cost)),
    }
}

/// A wallet guards once anything was ever paid in, or somebody has said how far it may go.
fn check_wallet(
    books: &Books,
    tenant: TenantId,
    amount: Option<Money>,
    now: Timestamp,
) -> Result<(), HoldRejection> {
    let wallet = books.wallets.wallet(tenant);
    let limit = books.tenants.terms(tenant).credit_limit;
    if !wallet.funded && limit.is_none() {
        return Ok(());
    }
    let needed = amount.ok_or(HoldRejection::ModelUnpriced)?;
    let available = wallet
        .available()
        .and_then(|available| available.checked_sub(books.holds.held_money(tenant, now)))
        .and_then(|available| available.checked_add(limit.unwrap_or_default()))
        .unwrap_or_default();
    if needed > available {
        return Err(HoldRejection::InsufficientFunds { available, needed });
    }
    Ok(())
}

/// What the call draws at most by the tenant's rule: nothing of a user who was never given quota.
fn credits(
    books: &Books,
    (tenant, user, model): (TenantId, UserId, Option<ModelId>),
    usage: &Usage,
    amount: Money,
    now: Timestamp,
) -> Result<Credits, Rejection> {
    let account = books.quota.account(user);
    if !account.was_given() {
        return Ok(Credits::ZERO);
    }
    let charge = Charge { version: PriceVersion(0), cost: amount };
    let needed = books.draw_rules.rule(tenant).credits(model, usage, Some(charge));
    let needed = needed.ok_or(Rejection::AmountOutOfRange { field: "maxTokens" })?;
    let held = books.holds.held_credits(user, now);
    let available = account.available_at(now).checked_sub(held).unwrap_or_default();
    if needed.is_positive() && needed > available {
        return Err(HoldRejection::InsufficientQuota { available, needed }.into());
    }
    Ok(needed)
}

/// The limit of each user holds also for one who is not held for, `names_user`, as for one who has
/// used nothing.
fn check_limits(
    books: &Books,
    tenant: TenantId,
    (user, names_user): (Option<UserId>, bool),
    needed: u64,
    now: Timestamp,
) -> Result<(), HoldRejection> {
    let terms = books.tenants.terms(tenant);
    let limits = terms.limits;
    let zone = terms.zone.now().0;
    let day = now.day_in(zone);
    let month = day.first_of_month();
    let (usage, holds) = (&books.limit_usage, &books.holds);
    let check = |which, limit, used: u64, held: u64| {
        let total = used.saturating_add(held).saturating_add(needed);
        if limit == 0 || total <= limit {
            return Ok(());
        }
        let next = match which {
            LimitKind::Daily => day.next(),
            LimitKind::Monthly | LimitKind::PerUser => next_month(month),
        };
        let over_in_seconds = seconds_until(next.start_in(zone), now);
        Err(HoldRejection::LimitExceeded { which, limit, used, held, needed, over_in_seconds })
    };
    let held =
        if limits.monthly == 0 && limits.daily == 0 { 0 } else { holds.held_tokens(tenant, now) };
    check(LimitKind::Monthly, limits.monthly, usage.month(tenant, month), held)?;
    check(LimitKind::Daily, limits.daily, usage.day(tenant, day), held)?;
    if limits.per_user == 0 || !names_user {
        return Ok(());
    }
    let (so_far, held) = user.map_or((0, 0), |user| {
        (usage.user_month(tenant, user, month), holds.held_user_tokens(tenant, user, now))
    });
    check(LimitKind::PerUser, limits.per_user, so_far, held)
}

/// No month is longer than 31 days.
fn next_month(first: Day) -> Day {
    Day::from_days(first.days().saturating_add(31)).first_of_month()
}

/// Whole seconds until then, at least one.
fn seconds_until(then: Timestamp, now: Timestamp) -> u32 {
    let micros = then.micros().saturating_sub(now.micros());
    let seconds = micros.saturating_add(999_999).div_euclid(1_000_000).max(1);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
