//! Refusals about tenants.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about tenants.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TenantRejection {
    /// There is no such tenant.
    #[error("Tenant not found")]
    NoSuchTenant,
    /// There is no such tenant, as its own administrators call it.
    #[error("Organization not found")]
    NoSuchOrganization,
}

impl TenantRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchTenant => "no_such_tenant",
            Self::NoSuchOrganization => "no_such_organization",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchTenant | Self::NoSuchOrganization => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchTenant | Self::NoSuchOrganization => Blame::Missing,
        }
    }
}
