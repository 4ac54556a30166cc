//! Who is known: tenants and users, registered or only seen in messages.

use bincode::{Decode, Encode};
use schemas::{
    CallContext, Change, Event, NameId, NameKind, Recorded, TenantId, Timestamp, UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// A tenant as the log knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tenant {
    /// What people call it; `None` while nobody has registered it.
    pub display_name: Option<String>,
    /// When its name first appeared.
    pub first_seen: Timestamp,
    /// Its users, in the order in which they became known.
    pub users: Vec<UserId>,
}

/// A user as the log knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// The tenant that the user was registered with or first called for.
    pub tenant: Option<TenantId>,
    /// Registered, not only seen.
    pub registered: bool,
    /// When the name first appeared.
    pub first_seen: Timestamp,
}

/// All tenants and users.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Directory {
    tenants: Paged<Tenant>,
    users: Paged<User>,
}

impl Directory {
    /// The tenant.
    #[must_use]
    pub fn tenant(&self, tenant: TenantId) -> &Tenant {
        self.tenants.get(tenant.number())
    }

    /// The user.
    #[must_use]
    pub fn user(&self, user: UserId) -> &User {
        self.users.get(user.number())
    }

    fn saw(&mut self, context: &CallContext) {
        let Some(user) = context.user else { return };
        if self.user(user).tenant.is_none() {
            self.join(user, context.tenant);
        }
    }

    /// Who is with the tenant already keeps the place among its users.
    fn join(&mut self, user: UserId, tenant: TenantId) {
        if self.user(user).tenant == Some(tenant) {
            return;
        }
        if let Some(left) = self.users.get_mut(user.number()).tenant.replace(tenant) {
            self.tenants.get_mut(left.number()).users.retain(|member| *member != user);
        }
        self.tenants.get_mut(tenant.number()).users.push(user);
    }
}

impl Projection for Directory {
    const NAME: &'static str = "directory";
    const VERSION: u32 = 3;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::NameIntroduced(name) if name.kind == NameKind::Tenant => {
                self.tenants.get_mut(name.number).first_seen = recorded.recorded_at;
            }
            Event::NameIntroduced(name) if name.kind == NameKind::User => {
                self.users.get_mut(name.number).first_seen = recorded.recorded_at;
            }
            Event::TenantRegistered(registered) => {
                self.tenants.get_mut(registered.tenant.number()).display_name =
                    Some(registered.display_name.clone());
            }
            Event::TenantUpdated(updated) => {
                if let Change::Set(name) = &updated.terms.display_name {
                    self.tenants.get_mut(updated.tenant.number()).display_name = Some(name.clone());
                }
            }
            Event::UserRegistered(registered) => {
                self.join(registered.user, registered.tenant);
                self.users.get_mut(registered.user.number()).registered = true;
            }
            Event::RequestReceived(half) => self.saw(&half.context),
            Event::ResponseReceived(half) => self.saw(&half.context),
            Event::ConsumptionRecorded(consumption) => self.saw(&consumption.context),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Sequence, UserRegistered};

    use super::*;

    #[test]
    fn a_tenants_users_stand_in_the_order_in_which_they_became_known() {
        let mut directory = Directory::default();
        for (user, tenant) in [(0, 0), (1, 0), (0, 0), (2, 0), (1, 1)] {
            let (user, tenant) = (UserId(user), TenantId(tenant));
            directory.apply(&Recorded {
                sequence: Sequence::new(1),
                recorded_at: Timestamp::EPOCH,
                cause: Sequence::new(1),
                command: None,
                event: Event::UserRegistered(UserRegistered { user, tenant }),
            });
        }
        assert_eq!(directory.tenant(TenantId(0)).users, [UserId(0), UserId(2)]);
        assert_eq!(directory.tenant(TenantId(1)).users, [UserId(1)]);
    }
}
