//! Commands about tenants.

use bincode::Encode;

use crate::{AutoTopUp, ConsumptionLimits, Name, TenantStatus, TermChanges};

/// See [`Command::UpdateTenant`](crate::Command::UpdateTenant). What is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct UpdateTenant {
    /// The tenant's id.
    pub tenant: Name,
    /// Whether it becomes known by this; else it must be known.
    pub creates: bool,
    /// Its terms.
    pub terms: TermChanges,
    /// Its status.
    pub status: Option<TenantStatus>,
    /// How much it may use.
    pub limits: Option<ConsumptionLimits>,
    /// How its wallet fills itself.
    pub auto_top_up: Option<AutoTopUp>,
}

/// See [`Command::SetConsumptionLimits`](crate::Command::SetConsumptionLimits).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetConsumptionLimits {
    /// Whose; it must be known.
    pub tenant: Name,
    /// From now on.
    pub limits: ConsumptionLimits,
}

/// See [`Command::SetAutoTopUp`](crate::Command::SetAutoTopUp).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetAutoTopUp {
    /// Whose wallet; it must be known.
    pub tenant: Name,
    /// From now on.
    pub auto_top_up: AutoTopUp,
}
