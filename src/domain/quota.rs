//! Quota: recharges, and the rule for what consumption draws.

use projections::books::Books;
use schemas::{
    Credits, DrawRuleSet, Event, QuotaRecharged, RechargeQuota, SetDrawRule, TenantId, Timestamp,
    UserId,
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
    if account.remaining().checked_add(recharge.amount).is_none() {
        return Err(Rejection::AmountOutOfRange { field: "amount" });
    }
    Ok(Event::QuotaRecharged(QuotaRecharged {
        user,
        amount: recharge.amount,
        overdraft_paid: if recharge.expires_at > now {
            account.overdraft().min(recharge.amount)
        } else {
            Credits::ZERO
        },
        expires_at: recharge.expires_at,
        source: recharge.source,
        reason: recharge.reason.clone(),
    }))
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
