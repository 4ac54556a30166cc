//! Payments through the provider. However often, in whatever order and by whomever it is told what
//! became of a payment: it is credited at most once, and never taken back for an older failure.

use projections::books::Books;
use projections::top_ups::{TopUp, TopUpState};
use schemas::{
    AutoTopUp, Event, LinkTopUp, Money, Name, Payment, SettleTopUp, StartTopUp, StatusReason,
    TenantId, TenantStatus, Timestamp, TopUpFailed, TopUpId, TopUpKind, TopUpLinked, TopUpStarted,
    TopUpSucceeded, TopUpTerms,
};

use super::Rules;
use super::money;
use super::naming::Naming;
use super::rejection::{Rejection, TopUpRejection, check_text};
use super::tenants::check_amount;

/// A cent, in the smallest unit.
const CENT: i128 = Money::ONE_CENT.units();
/// The least that is paid at once, in cents.
const CENTS_MIN: i128 = 1_000;
/// The most that is paid at once, in cents.
const CENTS_MAX: i128 = 1_000_000;

/// How the provider's cards begin that stand for none, for trying things out: they are nobody's.
const TEST_CARDS: &str = "pm_card_";

/// Whether an amount may be asked for in one payment: 10 to 10 000 USD.
#[must_use]
pub const fn may_be_paid(amount: Money) -> bool {
    amount.units() >= CENTS_MIN * CENT && amount.units() <= CENTS_MAX * CENT
}

/// A payment that begins; nothing when it has begun, or when a wallet need not fill itself.
pub(super) fn start(
    books: &Books,
    rules: &Rules,
    command: &StartTopUp,
    now: Timestamp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let StartTopUp { top_up, tenant, amount, kind, terms } = command;
    let tenant: TenantId = naming.known(tenant).ok_or(TopUpRejection::NoSuchOrganization)?;
    check_cents("amount", *amount)?;
    check_terms(terms)?;
    let is_due = || auto_top_up_due(books, tenant, rules.auto_top_up_cooldown_seconds, now);
    if books.top_ups.find(*top_up).is_some() || (*kind == TopUpKind::Auto && is_due().is_none()) {
        return Ok(Vec::new());
    }
    let TopUpTerms { payment_method, customer, .. } = terms;
    let payer = Payer { payment_method: payment_method.as_deref(), customer: customer.as_deref() };
    check_payer(books, tenant, payer, AutoTopUpFields::ALONE)?;
    let (amount, kind, terms) = (*amount, *kind, terms.clone());
    let started = TopUpStarted { top_up: *top_up, tenant, amount, kind, terms };
    Ok(vec![Event::TopUpStarted(Box::new(started))])
}

/// What the provider calls a payment; nothing when that is known.
pub(super) fn link(books: &Books, command: &LinkTopUp) -> Result<Vec<Event>, Rejection> {
    let LinkTopUp { top_up: id, payment_intent, checkout_session } = command;
    let (_, top_up) = books.top_ups.find(*id).ok_or(TopUpRejection::NoSuchTopUp)?;
    check_ids([payment_intent, checkout_session])?;
    // What has a name keeps it, and so does what another payment is named.
    let payment_intent = payment_intent.clone().filter(|name| {
        top_up.payment_intent.is_none() && books.top_ups.of_payment_intent(name).is_none()
    });
    let checkout_session = checkout_session.clone().filter(|name| {
        top_up.checkout_session.is_none() && books.top_ups.of_checkout_session(name).is_none()
    });
    if payment_intent.is_none() && checkout_session.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![Event::TopUpLinked(TopUpLinked { top_up: *id, payment_intent, checkout_session })])
}

/// What became of a payment; nothing when it has come in, or has failed before as well.
pub(super) fn settle(
    books: &Books,
    command: &SettleTopUp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    check_ids([&command.payment_intent])?;
    match &command.outcome {
        Payment::Received(amount) => receive(books, command, *amount, naming),
        Payment::Failed(reason) => fail(books, command, reason),
    }
}

fn receive(
    books: &Books,
    command: &SettleTopUp,
    amount: Money,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let payment_intent = command.payment_intent.clone().ok_or(TopUpRejection::PaymentUnnamed)?;
    if !amount.is_positive() {
        return Err(Rejection::AmountRule { field: "amount", rule: "above zero" });
    }
    let mut events = Vec::new();
    let (tenant, top_up) = match target(books, command) {
        Some((_, top_up)) if top_up.state == TopUpState::Succeeded => return Ok(Vec::new()),
        Some((tenant, top_up)) => {
            let is_known = top_up.payment_intent.is_some();
            if !is_known && named(command.tenant.as_ref(), naming)?.is_some_and(|it| it != tenant) {
                return Err(TopUpRejection::PaymentOfAnother.into());
            }
            (tenant, top_up.id)
        }
        None => {
            let tenant = named(command.tenant.as_ref(), naming)?;
            let tenant = tenant.ok_or(TopUpRejection::PaymentOfNobody)?;
            let unused = command.top_up.filter(|id| books.top_ups.find(*id).is_none());
            let top_up = unused.unwrap_or_else(|| TopUpId::of_payment(&payment_intent));
            let (kind, terms) = (TopUpKind::Unannounced, TopUpTerms::default());
            let started = TopUpStarted { top_up, tenant, amount, kind, terms };
            events.push(Event::TopUpStarted(Box::new(started)));
            (tenant, top_up)
        }
    };
    money::check_range(books, tenant, amount)?;
    events.extend(money::reinstated(books, tenant, amount));
    let succeeded = TopUpSucceeded { top_up, tenant, amount, payment_intent };
    events.push(Event::TopUpSucceeded(succeeded));
    Ok(events)
}

fn fail(books: &Books, command: &SettleTopUp, reason: &str) -> Result<Vec<Event>, Rejection> {
    check_text("reason", reason)?;
    let Some((tenant, top_up)) = target(books, command) else { return Ok(Vec::new()) };
    if top_up.state != TopUpState::Pending {
        return Ok(Vec::new());
    }
    let id = top_up.id;
    let payment_intent = command.payment_intent.clone();
    let mut events = Vec::new();
    if payment_intent.is_some() && top_up.payment_intent.is_none() {
        let linked = TopUpLinked { top_up: id, payment_intent, checkout_session: None };
        events.push(Event::TopUpLinked(linked));
    }
    events.push(Event::TopUpFailed(TopUpFailed { top_up: id, tenant, reason: reason.to_owned() }));
    Ok(events)
}

/// The top-up that a payment is for: the one that has its name, or the one that the payment says, as
/// long as that has no other payment.
fn target<'a>(books: &'a Books, command: &SettleTopUp) -> Option<(TenantId, &'a TopUp)> {
    let name = command.payment_intent.as_deref();
    let known = name.and_then(|name| books.top_ups.of_payment_intent(name));
    known.or_else(|| {
        let (tenant, top_up) = books.top_ups.find(command.top_up?)?;
        let is_free = name.is_none() || top_up.payment_intent.is_none();
        is_free.then_some((tenant, top_up))
    })
}

/// The tenant that a payment says it is for.
fn named(tenant: Option<&Name>, naming: &Naming<'_>) -> Result<Option<TenantId>, Rejection> {
    let known = |name| naming.known(name).ok_or(TopUpRejection::PaymentOfNobody);
    Ok(tenant.map(known).transpose()?)
}

/// How a tenant's wallet is to be filled right now, if it is: the setting that asks for it.
#[must_use]
pub fn auto_top_up_due(
    books: &Books,
    tenant: TenantId,
    cooldown_seconds: u32,
    now: Timestamp,
) -> Option<&AutoTopUp> {
    let terms = books.tenants.terms(tenant);
    let auto = &terms.auto_top_up;
    let may_pay = match terms.status {
        TenantStatus::Active => true,
        TenantStatus::Suspended => terms.status_reason == StatusReason::CreditLimitPassed,
        TenantStatus::Inactive => false,
    };
    let is_own = || check_payer(books, tenant, Payer::of(auto), AutoTopUpFields::ALONE).is_ok();
    if !auto.enabled || !may_pay || !is_own() || books.top_ups.is_auto_pending(tenant) {
        return None;
    }
    let cooldown = i64::from(cooldown_seconds);
    let last = books.top_ups.last_auto(tenant);
    if last.is_some_and(|last| now < last.plus_seconds(cooldown)) {
        return None;
    }
    let held = books.holds.held_money(tenant, now);
    let available = books.wallets.wallet(tenant).available()?.checked_sub(held)?;
    (available < auto.threshold).then_some(auto)
}

/// What the fields of a setting are called where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct AutoTopUpFields {
    threshold: &'static str,
    amount: &'static str,
    payment_method: &'static str,
    customer: &'static str,
}

impl AutoTopUpFields {
    /// By itself.
    pub(super) const ALONE: Self = Self {
        threshold: "threshold",
        amount: "amount",
        payment_method: "paymentMethodId",
        customer: "customerId",
    };
    /// Within a tenant.
    pub(super) const IN_TENANT: Self = Self {
        threshold: "autoTopUp.threshold",
        amount: "autoTopUp.amount",
        payment_method: "autoTopUp.paymentMethodId",
        customer: "autoTopUp.customerId",
    };
}

/// What the provider calls whoever pays, and what they pay with.
#[derive(Debug, Clone, Copy)]
struct Payer<'a> {
    payment_method: Option<&'a str>,
    customer: Option<&'a str>,
}

impl<'a> Payer<'a> {
    fn of(auto: &'a AutoTopUp) -> Self {
        let AutoTopUp { payment_method, customer, .. } = auto;
        Self { payment_method: payment_method.as_deref(), customer: customer.as_deref() }
    }
}

/// Refuses what another tenant has named before: that tenant would pay.
fn check_payer(
    books: &Books,
    tenant: TenantId,
    payer: Payer<'_>,
    fields: AutoTopUpFields,
) -> Result<(), TopUpRejection> {
    let method = payer.payment_method.filter(|name| !name.starts_with(TEST_CARDS));
    let method = method.and_then(|name| books.top_ups.owner_of_payment_method(name));
    let customer = payer.customer.and_then(|name| books.top_ups.owner_of_customer(name));
    for (field, owner) in [(fields.payment_method, method), (fields.customer, customer)] {
        if owner.is_some_and(|owner| owner != tenant) {
            return Err(TopUpRejection::PaymentMethodTaken { field });
        }
    }
    Ok(())
}

/// Refuses settings that newly name what another tenant pays with.
pub(super) fn check_new_payer(
    books: &Books,
    tenant: TenantId,
    auto: &AutoTopUp,
    fields: AutoTopUpFields,
) -> Result<(), TopUpRejection> {
    let (before, new) = (Payer::of(&books.tenants.terms(tenant).auto_top_up), Payer::of(auto));
    let payer = Payer {
        payment_method: new.payment_method.filter(|_| new.payment_method != before.payment_method),
        customer: new.customer.filter(|_| new.customer != before.customer),
    };
    check_payer(books, tenant, payer, fields)
}

/// Refuses a setting by which no wallet could fill itself.
pub(super) fn check_auto_top_up(
    auto: &AutoTopUp,
    fields: AutoTopUpFields,
) -> Result<(), Rejection> {
    let AutoTopUp { enabled, threshold, amount, payment_method, customer } = auto;
    check_amount(fields.threshold, *threshold)?;
    check_amount(fields.amount, *amount)?;
    let terms = TopUpTerms {
        payment_method: payment_method.clone(),
        customer: customer.clone(),
        ..TopUpTerms::default()
    };
    check_terms(&terms)?;
    if !enabled {
        return Ok(());
    }
    check_cents(fields.amount, *amount)?;
    if !may_be_paid(*amount) {
        return Err(TopUpRejection::AmountOutOfBounds { field: fields.amount }.into());
    }
    if payment_method.is_none() {
        let field = fields.payment_method;
        return Err(TopUpRejection::NoPaymentMethod { field }.into());
    }
    Ok(())
}

fn check_cents(field: &'static str, amount: Money) -> Result<(), Rejection> {
    if !amount.is_positive() {
        return Err(Rejection::AmountRule { field, rule: "above zero" });
    }
    match amount.units().checked_rem(CENT) {
        Some(0) => Ok(()),
        _ => Err(Rejection::AmountRule { field, rule: "in whole cents" }),
    }
}

fn check_terms(terms: &TopUpTerms) -> Result<(), Rejection> {
    let TopUpTerms { payment_method, customer, success_url, cancel_url } = terms;
    for (field, text) in [
        ("paymentMethodId", payment_method),
        ("customerId", customer),
        ("success_url", success_url),
        ("cancel_url", cancel_url),
    ] {
        if let Some(text) = text {
            check_text(field, text)?;
        }
    }
    Ok(())
}

fn check_ids<const N: usize>(ids: [&Option<String>; N]) -> Result<(), Rejection> {
    ids.into_iter().flatten().try_for_each(|id| check_text("id", id))
}
