//! Tenants and users: those that somebody has made known.

use projections::books::Books;
use schemas::{
    AutoTopUpSet, Event, RegisterTenant, RegisterUser, SetAutoTopUp, SetConsumptionLimits,
    TenantRegistered, UpdateTenant, UserRegistered,
};

use super::naming::Naming;
use super::rejection::{Rejection, TopUpRejection};
use super::top_ups;

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

/// A tenant's terms from now on.
pub(super) fn update(
    _books: &Books,
    _command: &UpdateTenant,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// How much a tenant may use from now on.
pub(super) fn set_limits(
    _books: &Books,
    _command: &SetConsumptionLimits,
    _naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// How a tenant's wallet fills itself from now on.
pub(super) fn set_auto_top_up(
    books: &Books,
    command: &SetAutoTopUp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let SetAutoTopUp { tenant, auto_top_up } = command;
    let tenant = naming.known(tenant).ok_or(TopUpRejection::NoSuchOrganization)?;
    top_ups::check_auto_top_up(auto_top_up)?;
    if books.tenants.terms(tenant).auto_top_up == *auto_top_up {
        return Ok(Vec::new());
    }
    let set = AutoTopUpSet { tenant, auto_top_up: auto_top_up.clone() };
    Ok(vec![Event::AutoTopUpSet(Box::new(set))])
}
