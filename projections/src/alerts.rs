//! Which alerts are raised.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use schemas::{
    AlertFigures, AlertKind, AlertSubject, Day, Event, NameId, Recorded, Sequence, TenantId,
    Timestamp, UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// An alert that is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Raised {
    /// The event that raised it.
    pub sequence: Sequence,
    /// When that was.
    pub at: Timestamp,
    /// The first day of the period concerned, where it is one.
    pub period: Option<Day>,
    /// How much of how much it was then.
    pub figures: AlertFigures,
}

/// A tenant's alerts.
#[derive(Debug, Clone, Default, Encode, Decode)]
struct OfTenant {
    own: BTreeMap<AlertKind, Raised>,
    /// The users of whom any are raised for it.
    users: BTreeSet<UserId>,
}

/// Which alerts are raised.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Alerts {
    tenants: Paged<OfTenant>,
    users: Paged<BTreeMap<(TenantId, AlertKind), Raised>>,
}

impl Alerts {
    /// The alert about this, when it is raised.
    #[must_use]
    pub fn raised(&self, subject: AlertSubject) -> Option<&Raised> {
        let AlertSubject { tenant, user, kind } = subject;
        match user {
            None => self.tenants.get(tenant.number()).own.get(&kind),
            Some(user) => self.users.get(user.number()).get(&(tenant, kind)),
        }
    }

    /// Everything that is raised for a tenant: about itself, then about its users.
    pub fn of_tenant(&self, tenant: TenantId) -> impl Iterator<Item = (AlertSubject, &Raised)> {
        let OfTenant { own, users } = self.tenants.get(tenant.number());
        let own = own.iter().map(move |(kind, raised)| (subject(tenant, None, *kind), raised));
        let users = users.iter().flat_map(move |user| {
            self.of_user(*user).filter(move |(subject, _)| subject.tenant == tenant)
        });
        own.chain(users)
    }

    /// Everything that is raised about a user, whichever tenant is told.
    pub fn of_user(&self, user: UserId) -> impl Iterator<Item = (AlertSubject, &Raised)> {
        let raised = self.users.get(user.number()).iter();
        raised.map(move |((tenant, kind), raised)| (subject(*tenant, Some(user), *kind), raised))
    }

    fn raise(&mut self, subject: AlertSubject, raised: Raised) {
        let AlertSubject { tenant, user, kind } = subject;
        let of_tenant = self.tenants.get_mut(tenant.number());
        match user {
            None => {
                of_tenant.own.insert(kind, raised);
            }
            Some(user) => {
                of_tenant.users.insert(user);
                self.users.get_mut(user.number()).insert((tenant, kind), raised);
            }
        }
    }

    fn clear(&mut self, subject: AlertSubject) {
        let AlertSubject { tenant, user, kind } = subject;
        let of_tenant = self.tenants.get_mut(tenant.number());
        match user {
            None => {
                of_tenant.own.remove(&kind);
            }
            Some(user) => {
                let of_user = self.users.get_mut(user.number());
                of_user.remove(&(tenant, kind));
                if !of_user.keys().any(|(told, _)| *told == tenant) {
                    of_tenant.users.remove(&user);
                }
            }
        }
    }
}

const fn subject(tenant: TenantId, user: Option<UserId>, kind: AlertKind) -> AlertSubject {
    AlertSubject { tenant, user, kind }
}

impl Projection for Alerts {
    const NAME: &'static str = "alerts";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::AlertRaised(alert) => {
                let raised = Raised {
                    sequence: recorded.sequence,
                    at: recorded.recorded_at,
                    period: alert.period,
                    figures: alert.figures,
                };
                self.raise(alert.subject, raised);
            }
            Event::AlertCleared(alert) => self.clear(alert.subject),
            _ => (),
        }
    }
}
