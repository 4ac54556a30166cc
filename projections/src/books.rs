//! The folds together: what the writer decides by, and what readers read.

use schemas::{Event, Recorded, Sequence, Timestamp};

use crate::accounts::Accounts;
use crate::alerts::Alerts;
use crate::bills::Bills;
use crate::calls::Calls;
use crate::directory::Directory;
use crate::draw_rules::DrawRules;
use crate::histories::Histories;
use crate::holds::Holds;
use crate::ledger::{Ledger, moved_users};
use crate::limit_usage::LimitUsage;
use crate::names::Names;
use crate::prices::Prices;
use crate::profiles::Profiles;
use crate::projection::Projection;
use crate::quota::Quota;
use crate::strategies::Strategies;
use crate::tenants::Tenants;
use crate::top_ups::TopUps;
use crate::unbilled::Unbilled;
use crate::unrated::Unrated;
use crate::usage::UsageByDay;
use crate::vouchers::Vouchers;
use crate::wallets::Wallets;
use crate::webhooks::Webhooks;

/// What both the writer and the readers need.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// Up to and including this event.
    pub head: Sequence,
    /// When that event was recorded.
    pub recorded_at: Timestamp,
    /// The names.
    pub names: Names,
    /// Who is known.
    pub directory: Directory,
    /// Every account's balance.
    pub ledger: Ledger,
    /// Everyone's lots.
    pub quota: Quota,
    /// Every tenant's money.
    pub wallets: Wallets,
    /// All prices.
    pub prices: Prices,
    /// Every tenant's draw rule.
    pub draw_rules: DrawRules,
    /// Usage without a price.
    pub unrated: Unrated,
    /// Everyone's attributes.
    pub profiles: Profiles,
    /// The recharge strategies, and what they gave.
    pub strategies: Strategies,
    /// Every voucher.
    pub vouchers: Vouchers,
    /// Who may sign in, sessions and API keys.
    pub accounts: Accounts,
    /// Which alerts are raised.
    pub alerts: Alerts,
    /// Every bill.
    pub bills: Bills,
    /// What is kept free for calls.
    pub holds: Holds,
    /// What counts towards limits.
    pub limit_usage: LimitUsage,
    /// Tenants' terms.
    pub tenants: Tenants,
    /// Payments through the provider.
    pub top_ups: TopUps,
    /// Endpoints of webhooks and what is owed to them.
    pub webhooks: Webhooks,
}

impl Books {
    /// Takes one event in, and checks that the folds and the ledger say the same of everything that
    /// it moved.
    pub fn apply(&mut self, recorded: &Recorded) {
        self.follow(recorded);
        self.cross_check(recorded);
    }

    /// Takes one event in that has been checked before.
    fn follow(&mut self, recorded: &Recorded) {
        let Self {
            head,
            recorded_at,
            names,
            directory,
            ledger,
            quota,
            wallets,
            prices,
            draw_rules,
            unrated,
            profiles,
            strategies,
            vouchers,
            accounts,
            alerts,
            bills,
            holds,
            limit_usage,
            tenants,
            top_ups,
            webhooks,
        } = self;
        *head = recorded.sequence;
        *recorded_at = recorded.recorded_at;
        names.apply(recorded);
        directory.apply(recorded);
        ledger.apply(recorded);
        prices.apply(recorded);
        draw_rules.apply(recorded);
        unrated.apply(recorded);
        profiles.apply(recorded);
        strategies.apply(recorded);
        vouchers.apply(recorded);
        accounts.apply(recorded);
        alerts.apply(recorded);
        holds.apply(recorded);
        limit_usage.apply(recorded);
        tenants.apply(recorded);
        top_ups.apply(recorded);
        webhooks.apply(recorded);
        if quota.follow(recorded).is_none() {
            ledger.report(recorded.sequence, "quota is drawn that is not there".to_owned());
        }
        if wallets.follow(recorded).is_none() {
            ledger.report(recorded.sequence, "money leaves its range".to_owned());
        }
        if bills.follow(recorded).is_none() {
            ledger.report(recorded.sequence, "a bill is not the sum of its lines".to_owned());
        }
    }

    fn cross_check(&mut self, recorded: &Recorded) {
        let Self { ledger, quota, wallets, vouchers, .. } = self;
        let mut disagree = ledger.in_vouchers() != vouchers.reserved();
        moved_users(&recorded.event, |user| {
            let account = quota.account(user);
            disagree |= ledger.lots(user) != account.remaining()
                || ledger.overdraft(user).checked_neg() != Some(account.overdraft());
        });
        if disagree {
            ledger.report(recorded.sequence, "quota and ledger disagree".to_owned());
        }
        let tenant = match &recorded.event {
            Event::WalletToppedUp(money) => money.tenant,
            Event::WalletAdjusted(money) => money.tenant,
            Event::ConsumptionRecorded(consumption) => consumption.context.tenant,
            Event::ConsumptionRated(rated) => rated.context.tenant,
            Event::TopUpSucceeded(top_up) => top_up.tenant,
            Event::WalletCredited(credit) => credit.tenant,
            Event::BillPosted(bill) => bill.tenant,
            _ => return,
        };
        let wallet = wallets.wallet(tenant);
        if let Event::BillPosted(bill) = &recorded.event
            && (bill.after != wallet.balance
                || bill.before.checked_sub(bill.cost) != Some(bill.after))
        {
            ledger.report(recorded.sequence, "bill and wallet disagree".to_owned());
        }
        let agrees = ledger.wallet(tenant) == wallet.balance
            && ledger.accrued(tenant).checked_neg() == Some(wallet.accrued);
        if !agrees {
            ledger.report(recorded.sequence, "wallet and ledger disagree".to_owned());
        }
    }
}

/// What the writer decides by.
#[derive(Debug, Clone, Default)]
pub struct Deciding {
    /// What readers need as well.
    pub books: Books,
    /// What has been taken in.
    pub calls: Calls,
    /// What the next bills take.
    pub unbilled: Unbilled,
}

impl Deciding {
    /// Takes one event in.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Self { books, calls, unbilled } = self;
        books.apply(recorded);
        calls.apply(recorded);
        unbilled.apply(recorded);
    }
}

/// What readers read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What the writer needs as well.
    pub books: Books,
    /// Usage by day.
    pub usage: UsageByDay,
    /// Which events concern whom.
    pub histories: Histories,
}

impl Reading {
    /// Takes one event in, which the writer has checked.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Self { books, usage, histories } = self;
        books.follow(recorded);
        usage.apply(recorded);
        histories.apply(recorded);
    }
}
