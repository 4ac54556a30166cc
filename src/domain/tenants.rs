//! Tenants and users: those that somebody has made known.

use schemas::{Event, RegisterTenant, RegisterUser, TenantRegistered, UserRegistered};

use super::naming::Naming;

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
