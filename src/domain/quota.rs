//! Quota: recharges, and the rule for what consumption draws.

use projections::books::Books;
use projections::quota::Account;
use schemas::{
    Credits, DrawRuleSet, Event, QuotaRecharged, RechargeQuota, SetDrawRule, TenantId, Timestamp,
    UserId, is_expired,
};

use super::naming::Naming;
use super::rejection::{Rejection, check_text};

/// A new lot. What the user drew beyond earlier lots is paid from it first, unless it is worth
/// nothing from the start.
pub(super) fn recharge(
    books: &Books,
    recharge: &RechargeQuota,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Result<Event, Rejection> {
    if !recharge.amount.is_positive() {
        return Err(Rejection::AmountRule { field: "amount", rule: "above zero" });
    }
    check_text("reason", &recharge.reason)?;
    let user: UserId = naming.id(&recharge.user);
    let account = books.quota.account(user);
    check_room(account, recharge.amount, now, "amount")?;
    let expires_at = recharge.expires_at;
    Ok(Event::QuotaRecharged(QuotaRecharged {
        user,
        amount: recharge.amount,
        overdraft_paid: if is_expired(expires_at, now) {
            Credits::ZERO
        } else {
            account.overdraft().min(recharge.amount)
        },
        expires_at,
        source: recharge.source,
        reason: recharge.reason.clone(),
    }))
}

/// Refuses an amount that, with what the account holds and was given, leaves the range that can be
/// kept.
pub(super) fn check_room(
    account: &Account,
    amount: Credits,
    now: Timestamp,
    field: &'static str,
) -> Result<(), Rejection> {
    let total = account.total_at(now).checked_add(amount);
    let held = account.remaining().checked_add(amount);
    if total.is_some() && held.is_some() {
        Ok(())
    } else {
        Err(Rejection::AmountOutOfRange { field })
    }
}

/// The most that one unit of usage may draw.
const WEIGHT_MAX: Credits = Credits::from_units(1_000_000_000);
/// The most models that a rule may weigh.
const WEIGHTS_MAX: usize = 500;

/// A tenant's rule from now on.
pub(super) fn set_rule(
    books: &Books,
    rule: &SetDrawRule,
    naming: &mut Naming<'_>,
) -> Result<Event, Rejection> {
    if rule.weights.len() > WEIGHTS_MAX {
        return Err(Rejection::AmountOutOfRange { field: "weights" });
    }
    if rule.weights.iter().any(|(_, weight)| weight.is_negative() || *weight > WEIGHT_MAX) {
        return Err(Rejection::AmountRule { field: "weights", rule: "between 0 and 1000" });
    }
    let tenant: TenantId = naming.id(&rule.tenant);
    Ok(Event::DrawRuleSet(DrawRuleSet {
        tenant,
        version: books.draw_rules.rule(tenant).version.saturating_add(1),
        rule: rule.rule,
        weights: rule.weights.iter().map(|(model, weight)| (naming.id(model), *weight)).collect(),
    }))
}
