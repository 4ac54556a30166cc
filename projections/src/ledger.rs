//! Double entry: the postings that an event implies, and the balance of every account. What the
//! quota and wallet folds say must agree with it after every event.

use bincode::{Decode, Encode};
use schemas::{
    CreditKind, Credits, Draw, Event, ItemOutcome, Money, NameId, Recorded, Sequence, TenantId,
    UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// A movement from one account to another. It cannot be unbalanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting<Account, Amount> {
    /// What becomes less.
    pub source: Account,
    /// What becomes more.
    pub destination: Account,
    /// By how much; above zero.
    pub amount: Amount,
}

/// The accounts that quota moves between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaAccount {
    /// Where all quota comes from; minus what was ever given.
    Issued,
    /// What users hold in lots.
    Lots(UserId),
    /// Minus what users drew beyond their lots.
    Overdraft(UserId),
    /// What was used.
    Consumed,
    /// What lapsed.
    Expired,
    /// What is in vouchers that are neither redeemed nor returned.
    Vouchers,
}

/// The accounts that money moves between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyAccount {
    /// Minus what came in from outside.
    Funding,
    /// Minus what people corrected.
    Adjustments,
    /// What a tenant paid and was not billed.
    Wallet(TenantId),
    /// Minus what a tenant used and was not billed.
    Accrued(TenantId),
    /// What all tenants used and were not billed.
    UnbilledRevenue,
    /// What all tenants were billed and not given back.
    Revenue,
}

/// The movements of quota that an event implies.
pub fn quota_postings(event: &Event, mut post: impl FnMut(Posting<QuotaAccount, Credits>)) {
    use QuotaAccount::{Consumed, Expired, Issued, Lots, Overdraft, Vouchers};
    let mut post = |source, destination, amount: Credits| {
        if !amount.is_zero() {
            post(Posting { source, destination, amount });
        }
    };
    match event {
        Event::ConsumptionRecorded(consumption) => {
            post_draw(consumption.context.user, &consumption.draw, post);
        }
        Event::ConsumptionRated(rated) => post_draw(rated.context.user, &rated.draw, post),
        Event::QuotaDrawn(drawn) => post_draw(Some(drawn.user), &drawn.draw, post),
        Event::QuotaRecharged(given) => {
            post(Issued, Lots(given.user), given.amount);
            post(Lots(given.user), Overdraft(given.user), given.overdraft_paid);
        }
        Event::StrategyExecuted(given) => {
            post(Issued, Lots(given.user), given.amount);
            post(Lots(given.user), Overdraft(given.user), given.overdraft_paid);
        }
        Event::QuotaExpired(lot) => post(Lots(lot.user), Expired, lot.amount),
        Event::QuotaWithdrawn(withdrawn) => {
            let user = withdrawn.user;
            withdrawn.unused.iter().for_each(|part| post(Lots(user), Issued, part.amount));
            withdrawn.drawn.iter().for_each(|part| post(Overdraft(user), Issued, part.amount));
        }
        Event::QuotaRefunded(refund) => {
            let user = refund.user;
            refund.lots.iter().for_each(|part| post(Consumed, Lots(user), part.amount));
            post(Consumed, Overdraft(user), refund.overdraft);
        }
        Event::VoucherItemReserved(item) => {
            item.lots.iter().for_each(|part| post(Lots(item.giver), Vouchers, part.amount));
        }
        Event::VoucherItemSettled(item) => {
            let from = if item.foreign { Issued } else { Vouchers };
            match item.outcome {
                ItemOutcome::Redeemed | ItemOutcome::Returned => {
                    post(from, Lots(item.user), item.amount);
                    post(Lots(item.user), Overdraft(item.user), item.overdraft_paid);
                }
                ItemOutcome::Expired => post(from, Expired, item.amount),
            }
        }
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
        | Event::DeliveryRequested(_) => {}
    }
}

fn post_draw(
    user: Option<UserId>,
    draw: &Draw,
    mut post: impl FnMut(QuotaAccount, QuotaAccount, Credits),
) {
    use QuotaAccount::{Consumed, Lots, Overdraft};
    let Some(user) = user else { return };
    for lot in &draw.lots {
        post(Lots(user), Consumed, lot.amount);
    }
    post(Overdraft(user), Consumed, draw.overdraft);
}

/// The users whose lots or overdraft an event moves; one that it moves several times in a row is told
/// once.
pub fn moved_users(event: &Event, mut tell: impl FnMut(UserId)) {
    let mut told = None;
    quota_postings(event, |posting| {
        for account in [posting.source, posting.destination] {
            if let QuotaAccount::Lots(user) | QuotaAccount::Overdraft(user) = account
                && told != Some(user)
            {
                told = Some(user);
                tell(user);
            }
        }
    });
}

/// The movements of money that an event implies.
pub fn money_postings(event: &Event, mut post: impl FnMut(Posting<MoneyAccount, Money>)) {
    use MoneyAccount::{Accrued, Adjustments, Funding, Revenue, UnbilledRevenue, Wallet};
    let mut accrue = |tenant: TenantId, cost: Money| {
        if !cost.is_zero() {
            post(Posting { source: Accrued(tenant), destination: UnbilledRevenue, amount: cost });
        }
    };
    match event {
        Event::ConsumptionRecorded(consumption) => {
            if let Some(charge) = consumption.charge {
                accrue(consumption.context.tenant, charge.cost);
            }
        }
        Event::ConsumptionRated(rated) => accrue(rated.context.tenant, rated.charge.cost),
        Event::WalletToppedUp(top_up) => post(Posting {
            source: Funding,
            destination: Wallet(top_up.tenant),
            amount: top_up.amount,
        }),
        Event::WalletAdjusted(adjustment) => {
            let wallet = Wallet(adjustment.tenant);
            let (source, destination, amount) = match adjustment.amount.checked_neg() {
                Some(taken) if taken.is_positive() => (wallet, Adjustments, taken),
                _ => (Adjustments, wallet, adjustment.amount),
            };
            post(Posting { source, destination, amount });
        }
        Event::TopUpSucceeded(top_up) => post(Posting {
            source: Funding,
            destination: Wallet(top_up.tenant),
            amount: top_up.amount,
        }),
        Event::WalletCredited(credit) => {
            let source = match credit.kind {
                CreditKind::Refund => Revenue,
                CreditKind::Credit => Adjustments,
            };
            post(Posting { source, destination: Wallet(credit.tenant), amount: credit.amount });
        }
        Event::BillPosted(bill) if bill.cost.is_zero() => {}
        Event::BillPosted(bill) => {
            let (tenant, amount) = (bill.tenant, bill.cost);
            post(Posting { source: UnbilledRevenue, destination: Accrued(tenant), amount });
            post(Posting { source: Wallet(tenant), destination: Revenue, amount });
        }
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
        | Event::DeliveryRequested(_) => {}
    }
}

/// A law that an event breaks. There is none in a log that this program wrote.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Violation {
    /// The event.
    pub sequence: Sequence,
    /// What does not add up.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct QuotaBalances {
    lots: Credits,
    overdraft: Credits,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct MoneyBalances {
    wallet: Money,
    accrued: Money,
}

/// The balance of every account.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Ledger {
    users: Paged<QuotaBalances>,
    tenants: Paged<MoneyBalances>,
    issued: i128,
    consumed: i128,
    expired: i128,
    vouchers: i128,
    funding: Money,
    adjustments: Money,
    unbilled: Money,
    revenue: Money,
    violations: Vec<Violation>,
}

impl Ledger {
    /// What the user holds in lots, expired but not yet booked ones included.
    #[must_use]
    pub fn lots(&self, user: UserId) -> Credits {
        self.users.get(user.number()).lots
    }

    /// Minus what the user drew beyond lots.
    #[must_use]
    pub fn overdraft(&self, user: UserId) -> Credits {
        self.users.get(user.number()).overdraft
    }

    /// What the tenant paid and was not billed.
    #[must_use]
    pub fn wallet(&self, tenant: TenantId) -> Money {
        self.tenants.get(tenant.number()).wallet
    }

    /// Minus what the tenant used and was not billed.
    #[must_use]
    pub fn accrued(&self, tenant: TenantId) -> Money {
        self.tenants.get(tenant.number()).accrued
    }

    /// What is in vouchers that are neither redeemed nor returned, in the smallest unit.
    #[must_use]
    pub const fn in_vouchers(&self) -> i128 {
        self.vouchers
    }

    /// The laws that events broke.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Notes that an event breaks a law.
    pub fn report(&mut self, sequence: Sequence, detail: String) {
        self.violations.push(Violation { sequence, detail });
    }

    /// The sums over all accounts, of quota in its smallest unit and of money. Both are zero.
    #[must_use]
    pub fn trial_balance(&self) -> (i128, i128) {
        let users = self.users.iter().fold(0_i128, |sum, (_, user)| {
            sum.saturating_add(i128::from(user.lots.units()))
                .saturating_add(i128::from(user.overdraft.units()))
        });
        let quota = [self.issued, self.consumed, self.expired, self.vouchers]
            .into_iter()
            .fold(users, i128::saturating_add);
        let tenants = self.tenants.iter().fold(0_i128, |sum, (_, tenant)| {
            sum.saturating_add(tenant.wallet.units()).saturating_add(tenant.accrued.units())
        });
        let money = [self.funding, self.adjustments, self.unbilled, self.revenue]
            .into_iter()
            .fold(tenants, |sum, amount| sum.saturating_add(amount.units()));
        (quota, money)
    }

    fn move_quota(&mut self, account: QuotaAccount, amount: Credits, sign: i64) -> Option<()> {
        let units = amount.units().checked_mul(sign)?;
        let wide = i128::from(units);
        match account {
            QuotaAccount::Lots(user) => {
                let balance = &mut self.users.get_mut(user.number()).lots;
                *balance = balance.checked_add(Credits::from_units(units))?;
            }
            QuotaAccount::Overdraft(user) => {
                let balance = &mut self.users.get_mut(user.number()).overdraft;
                *balance = balance.checked_add(Credits::from_units(units))?;
            }
            QuotaAccount::Issued => self.issued = self.issued.checked_add(wide)?,
            QuotaAccount::Consumed => self.consumed = self.consumed.checked_add(wide)?,
            QuotaAccount::Expired => self.expired = self.expired.checked_add(wide)?,
            QuotaAccount::Vouchers => self.vouchers = self.vouchers.checked_add(wide)?,
        }
        Some(())
    }

    fn move_money(&mut self, account: MoneyAccount, amount: Money) -> Option<()> {
        let balance = match account {
            MoneyAccount::Wallet(tenant) => &mut self.tenants.get_mut(tenant.number()).wallet,
            MoneyAccount::Accrued(tenant) => &mut self.tenants.get_mut(tenant.number()).accrued,
            MoneyAccount::Funding => &mut self.funding,
            MoneyAccount::Adjustments => &mut self.adjustments,
            MoneyAccount::UnbilledRevenue => &mut self.unbilled,
            MoneyAccount::Revenue => &mut self.revenue,
        };
        *balance = balance.checked_add(amount)?;
        Some(())
    }
}

impl Projection for Ledger {
    const NAME: &'static str = "ledger";
    const VERSION: u32 = 3;

    fn apply(&mut self, recorded: &Recorded) {
        let mut broken = None;
        quota_postings(&recorded.event, |posting| {
            let moved = posting.amount.is_positive()
                && self.move_quota(posting.source, posting.amount, -1).is_some()
                && self.move_quota(posting.destination, posting.amount, 1).is_some();
            if !moved {
                broken = Some(format!("{posting:?} cannot be posted"));
            }
        });
        money_postings(&recorded.event, |posting| {
            let moved = posting.amount.is_positive()
                && posting
                    .amount
                    .checked_neg()
                    .and_then(|taken| self.move_money(posting.source, taken))
                    .is_some()
                && self.move_money(posting.destination, posting.amount).is_some();
            if !moved {
                broken = Some(format!("{posting:?} cannot be posted"));
            }
        });
        if let Some(detail) = broken {
            self.report(recorded.sequence, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{LotSource, Timestamp};

    use super::*;

    #[test]
    fn whoever_is_given_or_loses_quota_is_told_once() {
        let user = UserId(7);
        let whole = |count| Credits::whole(count).expect("in range");
        let recharge = schemas::QuotaRecharged {
            user,
            amount: whole(5),
            expires_at: Timestamp::EPOCH,
            overdraft_paid: whole(2),
            source: LotSource::Grant,
            reason: String::new(),
        };
        let expired = schemas::QuotaExpired { user, lot: Sequence::new(1), amount: whole(3) };
        for event in [Event::QuotaRecharged(recharge), Event::QuotaExpired(expired)] {
            let mut told = Vec::new();
            moved_users(&event, |user| told.push(user));
            assert_eq!(told, [user], "{event:?}");
        }
    }
}
