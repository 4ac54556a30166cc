//! Money: every tenant's wallet, and what has accrued and is not billed yet.

use bincode::{Decode, Encode};
use schemas::{Event, Money, NameId, Recorded, TenantId};

use crate::collections::Paged;
use crate::projection::Projection;

/// One tenant's money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Wallet {
    /// What was paid in and corrected, less what was billed.
    pub balance: Money,
    /// What was used and not billed yet.
    pub accrued: Money,
    /// Whether anything was ever paid in or corrected: from then on the wallet guards new calls.
    pub funded: bool,
}

impl Wallet {
    /// What is left to use: balance minus accrued. `None` beyond the range.
    #[must_use]
    pub const fn available(&self) -> Option<Money> {
        self.balance.checked_sub(self.accrued)
    }
}

/// Every tenant's money.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Wallets {
    tenants: Paged<Wallet>,
}

impl Wallets {
    /// One tenant's money.
    #[must_use]
    pub fn wallet(&self, tenant: TenantId) -> &Wallet {
        self.tenants.get(tenant.number())
    }

    /// Every tenant's money.
    pub fn all(&self) -> impl Iterator<Item = (TenantId, &Wallet)> {
        self.tenants.iter().map(|(number, wallet)| (TenantId(number), wallet))
    }

    /// Takes one event in; `None` when an amount leaves the range.
    pub fn follow(&mut self, recorded: &Recorded) -> Option<()> {
        match &recorded.event {
            Event::WalletToppedUp(top_up) => self.pay_in(top_up.tenant, top_up.amount),
            Event::WalletAdjusted(adjusted) => self.pay_in(adjusted.tenant, adjusted.amount),
            Event::ConsumptionRecorded(consumption) => match consumption.charge {
                Some(charge) => self.accrue(consumption.context.tenant, charge.cost),
                None => Some(()),
            },
            Event::ConsumptionRated(rated) => self.accrue(rated.context.tenant, rated.charge.cost),
            Event::TopUpSucceeded(top_up) => self.pay_in(top_up.tenant, top_up.amount),
            Event::WalletCredited(credit) => self.pay_in(credit.tenant, credit.amount),
            Event::BillPosted(bill) => self.bill(bill.tenant, bill.cost),
            Event::NameIntroduced(_)
            | Event::QuotaRecharged(_)
            | Event::QuotaExpired(_)
            | Event::DrawRuleSet(_)
            | Event::ModelPriced(_)
            | Event::PriceBookPublished(_)
            | Event::RequestReceived(_)
            | Event::ResponseReceived(_)
            | Event::PairingTimedOut(_)
            | Event::ConflictObserved(_)
            | Event::TenantRegistered(_)
            | Event::UserRegistered(_)
            | Event::UserDescribed(_)
            | Event::UserErased(_)
            | Event::QuotaWithdrawn(_)
            | Event::QuotaDrawn(_)
            | Event::QuotaRefunded(_)
            | Event::StrategyCreated(_)
            | Event::StrategyUpdated(_)
            | Event::StrategySwitched(_)
            | Event::StrategyDeleted(_)
            | Event::StrategyExecuted(_)
            | Event::StrategyFailed(_)
            | Event::StrategyTickHandled(_)
            | Event::VoucherItemReserved(_)
            | Event::VoucherIssued(_)
            | Event::VoucherItemSettled(_)
            | Event::VoucherClosed(_)
            | Event::TenantUpdated(_)
            | Event::TenantStatusChanged(_)
            | Event::ConsumptionLimitsSet(_)
            | Event::AutoTopUpSet(_)
            | Event::AccountSet(_)
            | Event::PasswordSet(_)
            | Event::PasswordCleared(_)
            | Event::SessionOpened(_)
            | Event::SessionClosed(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_)
            | Event::HoldPlaced(_)
            | Event::HoldReleased(_)
            | Event::HoldExpired(_)
            | Event::BillItemized(_)
            | Event::TopUpStarted(_)
            | Event::TopUpLinked(_)
            | Event::TopUpFailed(_)
            | Event::PeriodClosed(_)
            | Event::AlertRaised(_)
            | Event::AlertCleared(_)
            | Event::WebhookSet(_)
            | Event::WebhookRemoved(_)
            | Event::DeliveryAttempted(_)
            | Event::DeliveryRequested(_) => Some(()),
        }
    }

    fn pay_in(&mut self, tenant: TenantId, amount: Money) -> Option<()> {
        let wallet = self.tenants.get_mut(tenant.number());
        wallet.balance = wallet.balance.checked_add(amount)?;
        wallet.funded = true;
        Some(())
    }

    fn bill(&mut self, tenant: TenantId, cost: Money) -> Option<()> {
        let wallet = self.tenants.get_mut(tenant.number());
        wallet.balance = wallet.balance.checked_sub(cost)?;
        wallet.accrued = wallet.accrued.checked_sub(cost)?;
        Some(())
    }

    fn accrue(&mut self, tenant: TenantId, cost: Money) -> Option<()> {
        let wallet = self.tenants.get_mut(tenant.number());
        wallet.accrued = wallet.accrued.checked_add(cost)?;
        Some(())
    }
}

impl Projection for Wallets {
    const NAME: &'static str = "wallets";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        let _lawful = self.follow(recorded);
    }
}
