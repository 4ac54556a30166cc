//! Commands about tenants.

use bincode::Encode;

use crate::{AutoTopUp, Change, ConsumptionLimits, Money, Name, TenantStatus, TermChanges};

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
    pub limits: LimitChanges,
    /// How its wallet fills itself.
    pub auto_top_up: AutoTopUpChanges,
}

impl UpdateTenant {
    /// No change of a tenant that is known.
    #[must_use]
    pub fn of(tenant: Name) -> Self {
        Self {
            tenant,
            creates: false,
            terms: TermChanges::default(),
            status: None,
            limits: LimitChanges::default(),
            auto_top_up: AutoTopUpChanges::default(),
        }
    }
}

/// Changes of how much a tenant may use: what is cleared has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode)]
pub struct LimitChanges {
    /// In a month.
    pub monthly: Change<u64>,
    /// In a day.
    pub daily: Change<u64>,
    /// Each user, in a month.
    pub per_user: Change<u64>,
}

impl LimitChanges {
    /// No limits at all.
    pub const CLEAR: Self =
        Self { monthly: Change::Clear, daily: Change::Clear, per_user: Change::Clear };

    /// The limits after these changes.
    #[must_use]
    pub fn applied_to(self, mut limits: ConsumptionLimits) -> ConsumptionLimits {
        self.monthly.apply_or_default(&mut limits.monthly);
        self.daily.apply_or_default(&mut limits.daily);
        self.per_user.apply_or_default(&mut limits.per_user);
        limits
    }
}

/// Changes of how a wallet fills itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode)]
pub struct AutoTopUpChanges {
    /// Whether it does.
    pub enabled: Change<bool>,
    /// Below which available amount.
    pub threshold: Change<Money>,
    /// By how much.
    pub amount: Change<Money>,
    /// The payment provider's id of the means of payment.
    pub payment_method: Change<String>,
}

impl AutoTopUpChanges {
    /// Nothing at all.
    pub const CLEAR: Self = Self {
        enabled: Change::Clear,
        threshold: Change::Clear,
        amount: Change::Clear,
        payment_method: Change::Clear,
    };

    /// The settings after these changes.
    #[must_use]
    pub fn applied_to(self, mut settings: AutoTopUp) -> AutoTopUp {
        self.enabled.apply_or_default(&mut settings.enabled);
        self.threshold.apply_or_default(&mut settings.threshold);
        self.amount.apply_or_default(&mut settings.amount);
        self.payment_method.apply_to(&mut settings.payment_method);
        settings
    }
}

/// See [`Command::SetConsumptionLimits`](crate::Command::SetConsumptionLimits).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetConsumptionLimits {
    /// Whose; it must be known.
    pub tenant: Name,
    /// From now on.
    pub limits: LimitChanges,
}

/// See [`Command::SetAutoTopUp`](crate::Command::SetAutoTopUp).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetAutoTopUp {
    /// Whose wallet; it must be known.
    pub tenant: Name,
    /// From now on.
    pub auto_top_up: AutoTopUp,
}
