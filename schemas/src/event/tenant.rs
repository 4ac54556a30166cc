//! Events of tenants: who they are, what they may use, and on which terms.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Change, Money, Sealed, TenantId, Zone};

/// Whether a tenant may begin anything new. What it has used already is recorded whatever this says.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// It may.
    #[default]
    Active,
    /// It may not, until somebody or a payment lets it again.
    Suspended,
    /// It may not: it has left.
    Inactive,
}

/// Why a tenant's status changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// Somebody wanted it so.
    #[default]
    ByHand,
    /// A bill took the wallet below its credit limit.
    CreditLimitPassed,
    /// A payment brought the wallet back above it.
    CreditRestored,
}

/// See [`Event::TenantUpdated`](crate::Event::TenantUpdated). What is kept stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TenantUpdated {
    /// The tenant.
    pub tenant: TenantId,
    /// What changed.
    pub terms: TermChanges,
}

/// Changes of a tenant's terms: what the event holds and what asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct TermChanges {
    /// What people call it.
    pub display_name: Change<String>,
    /// Whom to write to.
    pub contact_email: Change<Sealed>,
    /// Whom to write to about money.
    pub billing_email: Change<Sealed>,
    /// Whose days and months its usage is counted by; without, UTC. Holds for what is recorded from
    /// then on.
    pub zone: Change<Zone>,
    /// What is added to the cost of what is recorded from then on, in hundredths of a percent; less
    /// than nothing is a discount, of no more than the whole.
    pub markup_basis_points: Change<i32>,
    /// How far below zero its wallet may go, zero or above; without, nothing new begins below zero
    /// once the wallet has ever been moved.
    pub credit_limit: Change<Money>,
    /// Whether a bill that takes the wallet below the credit limit suspends the tenant.
    pub suspends_past_credit_limit: Change<bool>,
    /// Below which available amount its people are told.
    pub low_balance: Change<Money>,
}

/// See [`Event::TenantStatusChanged`](crate::Event::TenantStatusChanged).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TenantStatusChanged {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is now.
    pub status: TenantStatus,
    /// Why.
    pub reason: StatusReason,
}

/// How many tokens a tenant may use; 0: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct ConsumptionLimits {
    /// In a month of the tenant's.
    pub monthly: u64,
    /// In a day of the tenant's.
    pub daily: u64,
    /// Each of its users, in a month of the tenant's.
    pub per_user: u64,
}

/// See [`Event::ConsumptionLimitsSet`](crate::Event::ConsumptionLimitsSet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ConsumptionLimitsSet {
    /// Whose.
    pub tenant: TenantId,
    /// From now on.
    pub limits: ConsumptionLimits,
}

/// How a wallet fills itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct AutoTopUp {
    /// Whether it does.
    pub enabled: bool,
    /// Below which available amount.
    pub threshold: Money,
    /// By how much, in whole cents.
    pub amount: Money,
    /// The payment provider's id of the means of payment.
    pub payment_method: Option<String>,
    /// The payment provider's id of who pays.
    pub customer: Option<String>,
}

/// See [`Event::AutoTopUpSet`](crate::Event::AutoTopUpSet).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AutoTopUpSet {
    /// Whose wallet.
    pub tenant: TenantId,
    /// From now on.
    pub auto_top_up: AutoTopUp,
}
