//! Wallets: money that comes in, and corrections by hand.

use projections::books::Books;
use schemas::{
    AdjustWallet, CreditWallet, Event, Money, StatusReason, TenantId, TenantStatus,
    TenantStatusChanged, TopUpWallet, WalletAdjusted, WalletToppedUp,
};

use super::naming::Naming;
use super::rejection::{Rejection, check_text};

/// Money from outside.
pub(super) fn top_up(
    books: &Books,
    top_up: &TopUpWallet,
    naming: &mut Naming<'_>,
) -> Result<Event, Rejection> {
    if !top_up.amount.is_positive() {
        return Err(Rejection::AmountRule { field: "amount", rule: "above zero" });
    }
    check_text("reference", &top_up.reference)?;
    let tenant = naming.id(&top_up.tenant);
    check_range(books, tenant, top_up.amount)?;
    let reference = top_up.reference.clone();
    Ok(Event::WalletToppedUp(WalletToppedUp { tenant, amount: top_up.amount, reference }))
}

/// A correction by hand.
pub(super) fn adjust(
    books: &Books,
    adjustment: &AdjustWallet,
    naming: &mut Naming<'_>,
) -> Result<Event, Rejection> {
    if adjustment.amount.is_zero() {
        return Err(Rejection::AmountRule { field: "amount", rule: "other than zero" });
    }
    check_text("reason", &adjustment.reason)?;
    let tenant = naming.id(&adjustment.tenant);
    check_range(books, tenant, adjustment.amount)?;
    let reason = adjustment.reason.clone();
    Ok(Event::WalletAdjusted(WalletAdjusted { tenant, amount: adjustment.amount, reason }))
}

/// Money for a tenant.
pub(super) fn credit(
    _books: &Books,
    _command: &CreditWallet,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// A tenant that a bill has suspended is active again once `amount` brings its wallet back to its
/// credit limit.
pub(super) fn reinstated(books: &Books, tenant: TenantId, amount: Money) -> Option<Event> {
    let terms = books.tenants.terms(tenant);
    let was_suspended = terms.status == TenantStatus::Suspended
        && terms.status_reason == StatusReason::CreditLimitPassed;
    let limit = terms.credit_limit.unwrap_or_default().checked_neg()?;
    let balance = books.wallets.wallet(tenant).balance.checked_add(amount)?;
    (was_suspended && balance >= limit).then_some(Event::TenantStatusChanged(TenantStatusChanged {
        tenant,
        status: TenantStatus::Active,
        reason: StatusReason::CreditRestored,
    }))
}

/// The largest balance and accrual, either way: a million million dollars.
const BALANCE_MAX: Money = Money::from_units(1_000_000_000_000_000_000_000_000_000_000);

/// What a tenant has accrued once `cost` is added; `None` beyond what can be kept. All tenants
/// together stay within the range of [`Money`] as well.
pub(super) fn accrued(before: Money, cost: Money) -> Option<Money> {
    before.checked_add(cost).filter(|accrued| accrued.units().abs() <= BALANCE_MAX.units())
}

/// Refuses an amount that takes a wallet out of the range that can be kept.
pub(super) fn check_range(books: &Books, tenant: TenantId, amount: Money) -> Result<(), Rejection> {
    let balance = books.wallets.wallet(tenant).balance.checked_add(amount);
    match balance {
        Some(balance) if balance.units().abs() <= BALANCE_MAX.units() => Ok(()),
        _ => Err(Rejection::AmountOutOfRange { field: "amount" }),
    }
}
