//! Strategies, vouchers and attributes as rows for `replay at`. What is sealed stays so: the keys
//! are not in the log.

use projections::Projections;
use schemas::{Credits, StrategyId, StrategyKind, Timestamp, UserId, VoucherId, VoucherOutcome};

use super::at::Lower;
use super::state::{Whom, text};
use crate::cli::output::rows;
use crate::views::outcome_name;

rows! {
    /// A recharge strategy that is not deleted.
    StrategyRow {
        strategy_id: Shown<StrategyId>,
        name: String,
        kind: Lower<StrategyKind>,
        amount: Credits,
        periodic_expr: String,
        condition: String,
        enabled: bool,
        handled_until: Timestamp,
        executed: u64,
        failed: u64,
        skipped_ticks: u64,
    }
    /// A voucher.
    VoucherRow {
        voucher_id: VoucherId,
        giver_id: String,
        receiver_id: String,
        status: &'static str,
        amount: Credits,
    }
    /// A user's attributes.
    AttributesRow {
        user_id: String,
        github_star: String,
        vip: i64,
        org: String,
        updated_at: Timestamp,
    }
}

/// A number that prints as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Shown<T>(T);

impl std::fmt::Display for Shown<StrategyId> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.0.fmt(formatter)
    }
}

pub(super) fn strategies(state: &Projections) -> Vec<StrategyRow> {
    let all = state.books.strategies.all();
    all.map(|(id, strategy)| {
        let definition = strategy.definition.clone();
        StrategyRow {
            strategy_id: Shown(id),
            name: definition.name,
            kind: Lower(definition.kind),
            amount: definition.amount,
            periodic_expr: definition.periodic_expr,
            condition: definition.condition,
            enabled: definition.enabled,
            handled_until: strategy.handled_until,
            executed: strategy.executed,
            failed: strategy.failed,
            skipped_ticks: strategy.skipped,
        }
    })
    .collect()
}

/// In the order in which they were issued.
pub(super) fn vouchers(state: &Projections, whom: Whom) -> Vec<VoucherRow> {
    let books = &state.books;
    let is_asked_for = |user| whom.is_user(&books.directory, user);
    let mut all: Vec<_> = books
        .vouchers
        .all()
        .filter(|(_, voucher)| is_asked_for(voucher.giver) || is_asked_for(voucher.receiver))
        .collect();
    all.sort_by_key(|(id, voucher)| (voucher.issued, *id));
    all.into_iter()
        .map(|(voucher_id, voucher)| VoucherRow {
            voucher_id,
            giver_id: text(&books.names, voucher.giver),
            receiver_id: text(&books.names, voucher.receiver),
            status: voucher
                .closed
                .map_or("open", |(outcome, _): (VoucherOutcome, _)| outcome_name(outcome)),
            amount: Credits::saturating_sum(voucher.items.iter().map(|item| item.amount)),
        })
        .collect()
}

pub(super) fn attributes(state: &Projections, whom: Whom) -> Vec<AttributesRow> {
    let books = &state.books;
    let all = books.names.all().filter(|(user, _)| whom.is_user(&books.directory, *user));
    all.filter_map(|(user, name): (UserId, _)| {
        let profile = books.profiles.profile(user);
        Some(AttributesRow {
            user_id: name.to_string(),
            github_star: profile.github_star.join(","),
            vip: profile.vip,
            org: profile.org.clone(),
            updated_at: profile.updated_at?,
        })
    })
    .collect()
}
