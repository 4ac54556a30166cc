//! Wallets: money that comes in, and corrections by hand. What brings a wallet back above its credit
//! limit lets a tenant go on that a bill has suspended.

use projections::books::Books;
use projections::tenants::Terms;
use schemas::{
    AdjustWallet, CreditKind, CreditWallet, Event, Money, StatusReason, TenantId, TenantStatus,
    TenantStatusChanged, TopUpWallet, WalletAdjusted, WalletCredited, WalletToppedUp,
};

use super::naming::Naming;
use super::rejection::{BillRejection, Rejection, check_text};

/// Money from outside.
pub(super) fn top_up(
    books: &Books,
    top_up: &TopUpWallet,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    if !top_up.amount.is_positive() {
        return Err(Rejection::AmountRule { field: "amount", rule: "above zero" });
    }
    check_text("reference", &top_up.reference)?;
    let tenant = naming.id(&top_up.tenant);
    check_range(books, tenant, top_up.amount)?;
    let reference = top_up.reference.clone();
    let event = Event::WalletToppedUp(WalletToppedUp { tenant, amount: top_up.amount, reference });
    Ok(with_reinstatement(books, tenant, top_up.amount, event))
}

/// A correction by hand.
pub(super) fn adjust(
    books: &Books,
    adjustment: &AdjustWallet,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    if adjustment.amount.is_zero() {
        return Err(Rejection::AmountRule { field: "amount", rule: "other than zero" });
    }
    check_text("reason", &adjustment.reason)?;
    let tenant = naming.id(&adjustment.tenant);
    check_range(books, tenant, adjustment.amount)?;
    let reason = adjustment.reason.clone();
    let amount = adjustment.amount;
    let event = Event::WalletAdjusted(WalletAdjusted { tenant, amount, reason });
    Ok(with_reinstatement(books, tenant, amount, event))
}

/// Money for a tenant: a present, or something given back. Of a bill, no more is given back than it
/// was.
pub(super) fn credit(
    books: &Books,
    command: &CreditWallet,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let CreditWallet { tenant, amount, kind, bill, reason } = command;
    let (amount, kind, bill) = (*amount, *kind, *bill);
    if !amount.is_positive() {
        return Err(Rejection::AmountRule { field: "amount", rule: "above zero" });
    }
    check_text("reason", reason)?;
    let tenant = naming.known(tenant).ok_or(BillRejection::NoSuchTenant)?;
    if let Some(id) = bill {
        let bill = books.bills.bill(tenant, id).ok_or(BillRejection::NoSuchBill)?;
        let left = bill.cost.checked_sub(bill.refunded).unwrap_or_default();
        if kind != CreditKind::Refund || amount > left {
            return Err(BillRejection::RefundTooLarge { left }.into());
        }
    }
    check_range(books, tenant, amount)?;
    let reason = reason.clone();
    let event = Event::WalletCredited(WalletCredited { tenant, amount, kind, bill, reason });
    Ok(with_reinstatement(books, tenant, amount, event))
}

/// Whether a wallet with this balance is not below the tenant's credit limit.
pub(super) fn is_within_credit(terms: &Terms, balance: Money) -> bool {
    let limit = terms.credit_limit.unwrap_or_default();
    limit.checked_neg().is_some_and(|lowest| balance >= lowest)
}

/// What lets a tenant go on once `amount` is in its wallet: it was suspended by a bill, and the
/// wallet is no longer below its credit limit then. It comes before the money in the same command.
pub(super) fn reinstated(books: &Books, tenant: TenantId, amount: Money) -> Option<Event> {
    let terms = books.tenants.terms(tenant);
    let by_a_bill = terms.status == TenantStatus::Suspended
        && terms.status_reason == StatusReason::CreditLimitPassed;
    let balance = books.wallets.wallet(tenant).balance.checked_add(amount)?;
    let goes_on = by_a_bill && amount.is_positive() && is_within_credit(terms, balance);
    goes_on.then_some(Event::TenantStatusChanged(TenantStatusChanged {
        tenant,
        status: TenantStatus::Active,
        reason: StatusReason::CreditRestored,
    }))
}

fn with_reinstatement(books: &Books, tenant: TenantId, amount: Money, event: Event) -> Vec<Event> {
    reinstated(books, tenant, amount).into_iter().chain([event]).collect()
}

/// The largest balance and accrual, either way: a million million dollars.
pub(super) const BALANCE_MAX: Money = Money::from_units(1_000_000_000_000_000_000_000_000_000_000);

/// What a tenant has accrued once `cost` is added; `None` beyond what can be kept. All tenants
/// together stay within the range of [`Money`] as well.
pub(super) fn accrued(before: Money, cost: Money) -> Option<Money> {
    before.checked_add(cost).filter(|accrued| accrued.units().abs() <= BALANCE_MAX.units())
}

fn check_range(books: &Books, tenant: TenantId, amount: Money) -> Result<(), Rejection> {
    let balance = books.wallets.wallet(tenant).balance.checked_add(amount);
    match balance {
        Some(balance) if balance.units().abs() <= BALANCE_MAX.units() => Ok(()),
        _ => Err(Rejection::AmountOutOfRange { field: "amount" }),
    }
}
