//! Tenants and users: those that somebody has made known.

use std::ops::RangeInclusive;

use projections::books::Books;
use projections::tenants::Terms;
use schemas::{
    AutoTopUpSet, Change, ConsumptionLimitsSet, Event, LimitChanges, Money, RegisterTenant,
    RegisterUser, SetAutoTopUp, SetConsumptionLimits, StatusReason, TenantId, TenantRegistered,
    TenantStatus, TenantStatusChanged, TenantUpdated, TermChanges, UpdateTenant, UserRegistered,
};

use super::money::BALANCE_MAX;
use super::naming::Naming;
use super::rejection::{Rejection, TenantRejection, TopUpRejection};
use super::top_ups::{self, AutoTopUpFields};

/// A tenant is known from now on.
pub(super) fn register(registration: &RegisterTenant, naming: &mut Naming<'_>) -> Vec<Event> {
    let tenant = naming.id(&registration.tenant);
    let display_name = registration.display_name.as_str().to_owned();
    vec![Event::TenantRegistered(TenantRegistered { tenant, display_name })]
}

/// A user is known as a tenant's from now on.
pub(super) fn register_user(registration: &RegisterUser, naming: &mut Naming<'_>) -> Vec<Event> {
    let (user, tenant) = (naming.id(&registration.user), naming.id(&registration.tenant));
    vec![Event::UserRegistered(UserRegistered { user, tenant })]
}

/// A tenant's terms from now on: what is named, as far as it is not so already.
pub(super) fn update(
    books: &Books,
    command: &UpdateTenant,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    check_terms(&command.terms)?;
    let known = naming.known(&command.tenant);
    let tenant: TenantId = match known {
        Some(tenant) => tenant,
        None if command.creates => naming.id(&command.tenant),
        None => return Err(TenantRejection::NoSuchTenant.into()),
    };
    let terms = books.tenants.terms(tenant);
    let mut changes = changed(terms, command.terms.clone());
    let mut events = Vec::new();
    let known_as = &books.directory.tenant(tenant).display_name;
    match std::mem::take(&mut changes.display_name) {
        // Also under the name that it has: it is registered once more.
        Change::Set(display_name) if command.creates => {
            events.push(Event::TenantRegistered(TenantRegistered { tenant, display_name }));
        }
        name => changes.display_name = news(name, known_as.as_ref()),
    }
    if changes != TermChanges::default() {
        events.push(Event::TenantUpdated(Box::new(TenantUpdated { tenant, terms: changes })));
    }
    if let Some(status) = command.status {
        events.extend(status_changed(terms, tenant, status));
    }
    events.extend(limits_set(terms, tenant, command.limits));
    let auto_top_up = command.auto_top_up.clone().applied_to(terms.auto_top_up.clone());
    if auto_top_up != terms.auto_top_up {
        top_ups::check_auto_top_up(&auto_top_up, AutoTopUpFields::IN_TENANT)?;
        top_ups::check_new_payer(books, tenant, &auto_top_up, AutoTopUpFields::IN_TENANT)?;
        events.push(Event::AutoTopUpSet(Box::new(AutoTopUpSet { tenant, auto_top_up })));
    }
    Ok(events)
}

/// How much a tenant may use from now on.
pub(super) fn set_limits(
    books: &Books,
    command: &SetConsumptionLimits,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let tenant = naming.known(&command.tenant).ok_or(TenantRejection::NoSuchOrganization)?;
    let terms = books.tenants.terms(tenant);
    Ok(limits_set(terms, tenant, command.limits).into_iter().collect())
}

fn limits_set(terms: &Terms, tenant: TenantId, changes: LimitChanges) -> Option<Event> {
    let limits = changes.applied_to(terms.limits);
    let set = Event::ConsumptionLimitsSet(ConsumptionLimitsSet { tenant, limits });
    (limits != terms.limits).then_some(set)
}

/// What somebody wants so stays so: a payment does not end a suspension by hand.
fn status_changed(terms: &Terms, tenant: TenantId, status: TenantStatus) -> Option<Event> {
    let reason = StatusReason::ByHand;
    let is_so =
        terms.status == status && (terms.status_reason == reason || status == TenantStatus::Active);
    let changed = Event::TenantStatusChanged(TenantStatusChanged { tenant, status, reason });
    (!is_so).then_some(changed)
}

/// The changes that change something.
fn changed(terms: &Terms, changes: TermChanges) -> TermChanges {
    TermChanges {
        display_name: changes.display_name,
        contact_email: news(changes.contact_email, terms.contact_email.as_ref()),
        billing_email: news(changes.billing_email, terms.billing_email.as_ref()),
        zone: of_default(changes.zone, &terms.zone.now()),
        markup_basis_points: of_default(
            changes.markup_basis_points,
            &terms.markup_basis_points.now(),
        ),
        credit_limit: news(changes.credit_limit, terms.credit_limit.as_ref()),
        suspends_past_credit_limit: of_default(
            changes.suspends_past_credit_limit,
            &terms.suspends_past_credit_limit,
        ),
        low_balance: news(changes.low_balance, terms.low_balance.as_ref()),
    }
}

fn news<T: PartialEq>(change: Change<T>, present: Option<&T>) -> Change<T> {
    let is_so = match &change {
        Change::Keep => true,
        Change::Clear => present.is_none(),
        Change::Set(value) => present == Some(value),
    };
    if is_so { Change::Keep } else { change }
}

/// Of what is its default where nothing is set.
fn of_default<T: PartialEq + Default>(change: Change<T>, present: &T) -> Change<T> {
    let is_so = match &change {
        Change::Keep => true,
        Change::Clear => *present == T::default(),
        Change::Set(value) => present == value,
    };
    if is_so { Change::Keep } else { change }
}

/// A discount of the whole, and eleven times the price, in hundredths of a percent.
const MARKUP_RANGE: RangeInclusive<i32> = -10_000..=100_000;

fn check_terms(terms: &TermChanges) -> Result<(), Rejection> {
    for (field, change) in
        [("creditLimit", terms.credit_limit), ("lowBalanceThreshold", terms.low_balance)]
    {
        if let Change::Set(amount) = change {
            check_amount(field, amount)?;
        }
    }
    match terms.markup_basis_points {
        Change::Set(markup) if !MARKUP_RANGE.contains(&markup) => {
            Err(Rejection::AmountRule { field: "markupPercent", rule: "between -100 and 1000" })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_amount(field: &'static str, amount: Money) -> Result<(), Rejection> {
    if amount.is_negative() {
        return Err(Rejection::AmountRule { field, rule: "zero or above" });
    }
    if amount > BALANCE_MAX {
        return Err(Rejection::AmountOutOfRange { field });
    }
    Ok(())
}

/// How a tenant's wallet fills itself from now on.
pub(super) fn set_auto_top_up(
    books: &Books,
    command: &SetAutoTopUp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let SetAutoTopUp { tenant, auto_top_up } = command;
    let tenant = naming.known(tenant).ok_or(TopUpRejection::NoSuchOrganization)?;
    top_ups::check_auto_top_up(auto_top_up, AutoTopUpFields::ALONE)?;
    if books.tenants.terms(tenant).auto_top_up == *auto_top_up {
        return Ok(Vec::new());
    }
    top_ups::check_new_payer(books, tenant, auto_top_up, AutoTopUpFields::ALONE)?;
    let set = AutoTopUpSet { tenant, auto_top_up: auto_top_up.clone() };
    Ok(vec![Event::AutoTopUpSet(Box::new(set))])
}
