//! Refusals about tenants.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about tenants.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TenantRejection {
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NoSuchTenant,
}

impl TenantRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchTenant => "no_such_tenant",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchTenant => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchTenant => Blame::Missing,
        }
    }
}
