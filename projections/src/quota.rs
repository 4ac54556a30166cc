//! Quota: every user's lots, and what was drawn beyond them.

use bincode::{Decode, Encode};
use schemas::{
    Credits, Draw, Event, ItemOutcome, LotSource, NameId, QuotaRefunded, QuotaWithdrawn, Recorded,
    Timestamp, UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

mod account;

pub use account::{Account, LOTS_A_DRAW_MAX, Lot, take};

/// Everyone's quota.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Quota {
    accounts: Paged<Account>,
}

impl Quota {
    /// One user's quota.
    #[must_use]
    pub fn account(&self, user: UserId) -> &Account {
        self.accounts.get(user.number())
    }

    /// Everyone's quota, also of those who were never given any.
    pub fn accounts(&self) -> impl Iterator<Item = (UserId, &Account)> {
        self.accounts.iter().map(|(number, account)| (UserId(number), account))
    }

    /// Takes one event in; `None` when the event breaks a law of quota: it draws or writes off what
    /// is not there.
    pub fn follow(&mut self, recorded: &Recorded) -> Option<()> {
        let lot = |amount: Credits, expires_at: Timestamp, source: LotSource| Lot {
            expires_at,
            id: recorded.sequence,
            granted: amount,
            remaining: amount,
            source,
            model: None,
        };
        match &recorded.event {
            Event::QuotaRecharged(given) => {
                let lot = lot(given.amount, given.expires_at, given.source);
                self.recharge(recorded, given.user, lot, given.overdraft_paid)
            }
            Event::StrategyExecuted(given) => {
                let lot = lot(given.amount, given.expires_at, LotSource::Strategy);
                let lot = Lot { model: given.model, ..lot };
                self.recharge(recorded, given.user, lot, given.overdraft_paid)
            }
            Event::VoucherItemSettled(item) => {
                let source = match item.outcome {
                    ItemOutcome::Redeemed => LotSource::Transfer,
                    ItemOutcome::Returned => LotSource::Return,
                    ItemOutcome::Expired => return Some(()),
                };
                let lot = lot(item.amount, item.expires_at, source);
                self.recharge(recorded, item.user, lot, item.overdraft_paid)
            }
            Event::VoucherItemReserved(item) => {
                self.accounts.get_mut(item.giver.number()).withdraw(&item.lots)
            }
            Event::QuotaWithdrawn(QuotaWithdrawn { user, unused, drawn, reason: _ }) => {
                let account = self.accounts.get_mut(user.number());
                account.withdraw(unused)?;
                account.withdraw_drawn(drawn)
            }
            Event::QuotaRefunded(QuotaRefunded { user, lots, overdraft, reason: _ }) => {
                self.accounts.get_mut(user.number()).refund(lots, *overdraft)
            }
            Event::QuotaExpired(expired) => {
                self.accounts.get_mut(expired.user.number()).expire(expired.lot, expired.amount)
            }
            Event::ConsumptionRecorded(consumption) => {
                self.draw(consumption.context.user, &consumption.draw)
            }
            Event::ConsumptionRated(rated) => self.draw(rated.context.user, &rated.draw),
            Event::QuotaDrawn(drawn) => self.draw(Some(drawn.user), &drawn.draw),
            Event::NameIntroduced(_)
            | Event::WalletToppedUp(_)
            | Event::WalletAdjusted(_)
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
            | Event::StrategyCreated(_)
            | Event::StrategyUpdated(_)
            | Event::StrategySwitched(_)
            | Event::StrategyDeleted(_)
            | Event::StrategyFailed(_)
            | Event::StrategyTickHandled(_)
            | Event::VoucherIssued(_)
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
            | Event::BillPosted(_)
            | Event::WalletCredited(_)
            | Event::TopUpStarted(_)
            | Event::TopUpLinked(_)
            | Event::TopUpSucceeded(_)
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

    fn recharge(
        &mut self,
        recorded: &Recorded,
        user: UserId,
        lot: Lot,
        overdraft_paid: Credits,
    ) -> Option<()> {
        let account = self.accounts.get_mut(user.number());
        account.forget_used_up(recorded.recorded_at);
        account.recharge(lot, overdraft_paid)
    }

    fn draw(&mut self, user: Option<UserId>, draw: &Draw) -> Option<()> {
        if draw.lots.is_empty() && draw.overdraft.is_zero() {
            return Some(());
        }
        self.accounts.get_mut(user?.number()).draw(draw)
    }
}

impl Projection for Quota {
    const NAME: &'static str = "quota";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        let _lawful = self.follow(recorded);
    }
}
