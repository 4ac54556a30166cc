//! Projections as rows, the same for every subcommand that prints them: figures and names as the
//! HTTP API has them.

use std::collections::BTreeMap;

use projections::Projections;
use projections::directory::Directory;
use projections::names::Names;
use projections::quota::Account;
use projections::unbilled::Billable;
use projections::usage::Totals;
use schemas::{Credits, Day, Money, NameId, Sequence, TenantId, Timestamp, UserId};

use crate::cli::output::rows;

rows! {
    /// A user's quota.
    QuotaRow {
        user_id: String,
        total_quota: Credits,
        used_quota: Credits,
        available_quota: Credits,
        overdraft: Credits,
    }
    /// A part of a user's quota that has not expired.
    LotRow {
        user_id: String,
        lot: Sequence,
        granted: Credits,
        remaining: Credits,
        expiry_date: Timestamp,
    }
    /// A tenant's money.
    WalletRow {
        organization_id: String,
        balance: Money,
        accrued: Money,
        held: Money,
        available: Money,
    }
    /// What is kept free for a call.
    HoldRow {
        hold: Sequence,
        organization_id: String,
        user_id: String,
        request_id: String,
        amount: Money,
        credits: Credits,
        tokens: u64,
        expires_at: Timestamp,
    }
    /// A bill.
    BillRow {
        bill: Sequence,
        organization_id: String,
        day: Day,
        posted_at: Timestamp,
        requests: u64,
        tokens: u64,
        cost: Money,
        refunded: Money,
    }
    /// A tenant's day with rated calls that no bill has taken yet.
    UnbilledRow {
        organization_id: String,
        day: Day,
        requests: u64,
        tokens: u64,
        cost: Money,
    }
    /// A period of a tenant's that is closed: the latest day, and the latest month.
    ClosedRow {
        organization_id: String,
        period: String,
        requests: u64,
        tokens: u64,
        cost: Money,
    }
    /// What a tenant, or one of its users, used in a time.
    UsageRow {
        period: String,
        organization_id: String,
        user_id: String,
        requests: u64,
        unrated: u64,
        prompt_tokens: u64,
        completion_tokens: u64,
        total_tokens: u64,
        cost: Money,
    }
}

/// Over which time usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Always,
    Day,
    Month,
}

/// Whom the rows are about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Whom {
    pub(super) tenant: Option<TenantId>,
    pub(super) user: Option<UserId>,
}

impl Whom {
    pub(super) fn is_tenant(self, tenant: TenantId) -> bool {
        self.tenant.is_none_or(|wanted| wanted == tenant)
    }

    /// A user belongs to the tenant that registered it, or that it first called for.
    pub(super) fn is_user(self, directory: &Directory, user: UserId) -> bool {
        self.user.is_none_or(|wanted| wanted == user)
            && (self.tenant.is_none() || self.tenant == directory.user(user).tenant)
    }

    /// The tenants to look at.
    fn tenants(self, names: &Names) -> Vec<TenantId> {
        let all = names.all().map(|(tenant, _)| tenant);
        all.filter(|tenant| self.is_tenant(*tenant)).collect()
    }
}

pub(super) fn text<Id: NameId>(names: &Names, id: Id) -> String {
    names.text(id).to_string()
}

/// The quota of those who were ever given any or drew any.
pub(super) fn quota(state: &Projections, whom: Whom, moment: Timestamp) -> Vec<QuotaRow> {
    let row = |(user, account): (UserId, &Account)| QuotaRow {
        user_id: text(&state.books.names, user),
        total_quota: account.total_at(moment),
        used_quota: account.used_at(moment),
        available_quota: account.available_at(moment),
        overdraft: account.overdraft(),
    };
    accounts(state, whom).map(row).collect()
}

pub(super) fn lots(state: &Projections, whom: Whom, moment: Timestamp) -> Vec<LotRow> {
    let rows = |(user, account): (UserId, &Account)| -> Vec<LotRow> {
        let row = |lot: &projections::quota::Lot| LotRow {
            user_id: text(&state.books.names, user),
            lot: lot.id,
            granted: lot.granted,
            remaining: lot.remaining,
            expiry_date: lot.expires_at,
        };
        account.lots_at(moment).map(row).collect()
    };
    accounts(state, whom).flat_map(rows).collect()
}

fn accounts(state: &Projections, whom: Whom) -> impl Iterator<Item = (UserId, &Account)> {
    let books = &state.books;
    books.quota.accounts().filter(move |(user, account)| {
        (account.was_given() || !account.overdraft().is_zero())
            && whom.is_user(&books.directory, *user)
    })
}

/// Every tenant's money at a moment: what is held is not available.
pub(super) fn wallets(state: &Projections, whom: Whom, moment: Timestamp) -> Vec<WalletRow> {
    let row = |tenant| {
        let wallet = state.books.wallets.wallet(tenant);
        let held = state.books.holds.held_money(tenant, moment);
        let available = wallet.available().and_then(|left| left.checked_sub(held));
        WalletRow {
            organization_id: text(&state.books.names, tenant),
            balance: wallet.balance,
            accrued: wallet.accrued,
            held,
            available: available.unwrap_or_default(),
        }
    };
    whom.tenants(&state.books.names).into_iter().map(row).collect()
}

/// The holds that are open, the oldest first.
pub(super) fn holds(state: &Projections, whom: Whom, moment: Timestamp) -> Vec<HoldRow> {
    let names = &state.books.names;
    let of_tenant = |tenant| state.books.holds.of_tenant(tenant, Sequence::ZERO);
    let open = whom.tenants(names).into_iter().flat_map(of_tenant).filter(|(_, hold)| {
        !hold.is_over(moment) && (whom.user.is_none() || whom.user == hold.placed.user)
    });
    let mut rows: Vec<HoldRow> = open
        .map(|(id, hold)| HoldRow {
            hold: id,
            organization_id: text(names, hold.placed.tenant),
            user_id: hold.placed.user.map(|user| text(names, user)).unwrap_or_default(),
            request_id: hold.placed.request_id.to_string(),
            amount: hold.placed.amount,
            credits: hold.placed.credits,
            tokens: hold.placed.tokens,
            expires_at: hold.placed.expires_at,
        })
        .collect();
    rows.sort_by_key(|row| row.hold);
    rows
}

/// Every bill, the tenants' one after the other.
pub(super) fn bills(state: &Projections, whom: Whom) -> Vec<BillRow> {
    let names = &state.books.names;
    let mut rows = Vec::new();
    for tenant in whom.tenants(names) {
        rows.extend(state.books.bills.of(tenant).iter().map(|bill| BillRow {
            bill: bill.id,
            organization_id: text(names, tenant),
            day: bill.day,
            posted_at: bill.posted_at,
            requests: bill.requests,
            tokens: bill.tokens,
            cost: bill.cost,
            refunded: bill.refunded,
        }));
    }
    rows
}

/// What the next bills take.
pub(super) fn unbilled(state: &Projections, whom: Whom) -> Vec<UnbilledRow> {
    let names = &state.books.names;
    let mut rows = Vec::new();
    for tenant in whom.tenants(names) {
        rows.extend(state.unbilled.days(tenant).map(|(day, pool)| {
            let Billable { requests, tokens, cost } = pool.total();
            UnbilledRow { organization_id: text(names, tenant), day, requests, tokens, cost }
        }));
    }
    rows
}

/// The latest closed day and month of every tenant.
pub(super) fn closed(state: &Projections, whom: Whom) -> Vec<ClosedRow> {
    let names = &state.books.names;
    let mut rows = Vec::new();
    for tenant in whom.tenants(names) {
        let closed = state.books.bills.closed(tenant);
        let latest = [closed.latest_day.as_ref(), closed.latest_month.as_ref()];
        rows.extend(latest.into_iter().flatten().map(|closed| ClosedRow {
            organization_id: text(names, tenant),
            period: match closed.period {
                schemas::Period::Day => closed.first.to_string(),
                schemas::Period::Month => closed.first.month(),
            },
            requests: closed.requests,
            tokens: closed.tokens,
            cost: closed.cost,
        }));
    }
    rows
}

/// Usage by period and tenant, or, when a user is asked for, that user's.
pub(super) fn usage(state: &Projections, whom: Whom, period: Period) -> Vec<UsageRow> {
    let names = &state.books.names;
    let mut rows = Vec::new();
    for tenant in whom.tenants(names) {
        let mut totals = BTreeMap::<String, Totals>::new();
        let always = (Day::from_days(i32::MIN), Day::from_days(i32::MAX));
        for (day, used) in state.usage.days(tenant, always.0, always.1) {
            let name = match period {
                Period::Always => String::new(),
                Period::Day => day.to_string(),
                Period::Month => day.month(),
            };
            let used = match whom.user {
                None => Some(&used.totals),
                Some(user) => used.by_user.get(&user).map(|active| &active.totals),
            };
            if let Some(used) = used {
                totals.entry(name).or_default().add(used);
            }
        }
        let user_id = whom.user.map(|user| text(names, user)).unwrap_or_default();
        rows.extend(totals.into_iter().map(|(period, totals)| UsageRow {
            period,
            organization_id: text(names, tenant),
            user_id: user_id.clone(),
            requests: totals.requests,
            unrated: totals.unrated,
            prompt_tokens: totals.prompt_tokens,
            completion_tokens: totals.completion_tokens,
            total_tokens: totals.total_tokens,
            cost: totals.cost,
        }));
    }
    rows
}
