//! Which events others are told of, by webhook or by mail, and what they are called there: the one
//! list of it.

use schemas::{AlertKind, Event, TenantId, TenantStatus};

macro_rules! notices {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// What others are told of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Notice {
            $($(#[$doc])* $variant,)+
        }

        impl Notice {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As it is called outside.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

notices! {
    /// What is available of a wallet has fallen below the tenant's threshold.
    LowBalance => "wallet.low_balance",
    /// It is above the threshold again.
    BalanceRestored => "wallet.balance_restored",
    /// A wallet is below its credit limit.
    CreditLimitPassed => "wallet.credit_limit_passed",
    /// Money came into a wallet by hand.
    WalletToppedUp => "wallet.topped_up",
    /// A refund, or a present.
    WalletCredited => "wallet.credited",
    /// A payment has come in.
    TopUpSucceeded => "top_up.succeeded",
    /// A payment did not come in.
    TopUpFailed => "top_up.failed",
    /// Usage was billed.
    BillPosted => "bill.posted",
    /// 80 % of a limit are used.
    LimitWarning => "limit.warning",
    /// All of a limit is used.
    LimitReached => "limit.reached",
    /// 80 % of a user's quota are used.
    QuotaWarning => "quota.warning",
    /// All of a user's quota is used.
    QuotaExhausted => "quota.exhausted",
    /// A tenant may begin nothing new.
    TenantSuspended => "tenant.suspended",
    /// A tenant has left.
    TenantDeactivated => "tenant.deactivated",
    /// A tenant is let in again.
    TenantReactivated => "tenant.reactivated",
}

impl Notice {
    /// What an event tells others, and whose others they are; `None` for most events.
    #[must_use]
    pub const fn of(event: &Event) -> Option<(TenantId, Self)> {
        Some(match event {
            Event::AlertRaised(raised) => {
                (raised.subject.tenant, Self::of_alert(raised.subject.kind))
            }
            Event::AlertCleared(cleared) => match cleared.subject.kind {
                AlertKind::LowBalance => (cleared.subject.tenant, Self::BalanceRestored),
                _ => return None,
            },
            Event::WalletToppedUp(top_up) => (top_up.tenant, Self::WalletToppedUp),
            Event::WalletCredited(credit) => (credit.tenant, Self::WalletCredited),
            Event::TopUpSucceeded(top_up) => (top_up.tenant, Self::TopUpSucceeded),
            Event::TopUpFailed(top_up) => (top_up.tenant, Self::TopUpFailed),
            Event::BillPosted(bill) => (bill.tenant, Self::BillPosted),
            Event::TenantStatusChanged(changed) => {
                let notice = match changed.status {
                    TenantStatus::Active => Self::TenantReactivated,
                    TenantStatus::Suspended => Self::TenantSuspended,
                    TenantStatus::Inactive => Self::TenantDeactivated,
                };
                (changed.tenant, notice)
            }
            _ => return None,
        })
    }

    /// What an alert of a kind is called.
    #[must_use]
    pub const fn of_alert(kind: AlertKind) -> Self {
        match kind {
            AlertKind::LowBalance => Self::LowBalance,
            AlertKind::CreditLimitPassed => Self::CreditLimitPassed,
            AlertKind::LimitWarning(_) => Self::LimitWarning,
            AlertKind::LimitReached(_) => Self::LimitReached,
            AlertKind::QuotaWarning => Self::QuotaWarning,
            AlertKind::QuotaExhausted => Self::QuotaExhausted,
        }
    }

    /// Whether it is about money, which other people care for than about limits.
    #[must_use]
    pub const fn is_about_money(self) -> bool {
        match self {
            Self::LowBalance
            | Self::BalanceRestored
            | Self::CreditLimitPassed
            | Self::WalletToppedUp
            | Self::WalletCredited
            | Self::TopUpSucceeded
            | Self::TopUpFailed
            | Self::BillPosted => true,
            Self::LimitWarning
            | Self::LimitReached
            | Self::QuotaWarning
            | Self::QuotaExhausted
            | Self::TenantSuspended
            | Self::TenantDeactivated
            | Self::TenantReactivated => false,
        }
    }
}
