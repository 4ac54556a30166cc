//! `tallybook replay diff`: what changed between two points. Only what differs is told.

use std::collections::BTreeMap;

use clap::Args;
use projections::Projections;
use schemas::{Credits, Money, Sequence, Timestamp};

use super::state::{self, Period, UsageRow, Whom};
use super::{Check, Common, OpenLog};
use crate::cli::UsageError;
use crate::cli::output::{Document, rows};
use crate::views::AsOf;

/// The flags of `replay diff`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The state after this event, or at this time; 0 is before everything.
    #[arg(long, value_name = "SEQUENCE|RFC3339")]
    from: AsOf,
    /// The state to compare it with.
    #[arg(long, value_name = "SEQUENCE|RFC3339")]
    to: AsOf,
}

rows! {
    /// A wallet that changed.
    WalletChange {
        organization_id: String,
        balance_from: Money,
        balance_to: Money,
        accrued_from: Money,
        accrued_to: Money,
    }
    /// A quota that changed.
    QuotaChange {
        user_id: String,
        available_from: Credits,
        available_to: Credits,
        overdraft_from: Credits,
        overdraft_to: Credits,
    }
    /// Usage that was added.
    UsageChange {
        organization_id: String,
        requests_from: u64,
        requests_to: u64,
        unrated_from: u64,
        unrated_to: u64,
        total_tokens_from: u64,
        total_tokens_to: u64,
        cost_from: Money,
        cost_to: Money,
    }
}

/// The figures at one point, by name.
struct Figures {
    wallets: BTreeMap<String, (Money, Money)>,
    quota: BTreeMap<String, (Credits, Credits)>,
    usage: BTreeMap<String, (u64, u64, u64, Money)>,
}

impl Figures {
    fn of(state: &Projections, moment: Timestamp) -> Self {
        let whom = Whom::default();
        let wallets = state::wallets(state, whom, moment);
        let quota = state::quota(state, whom, moment);
        let usage = state::usage(state, whom, Period::Always);
        let usage_of = |row: UsageRow| {
            (row.organization_id, (row.requests, row.unrated, row.total_tokens, row.cost))
        };
        Self {
            wallets: wallets
                .into_iter()
                .map(|row| (row.organization_id, (row.balance, row.accrued)))
                .collect(),
            quota: quota
                .into_iter()
                .map(|row| (row.user_id, (row.available_quota, row.overdraft)))
                .collect(),
            usage: usage.into_iter().map(usage_of).collect(),
        }
    }
}

pub(super) fn run(Arguments { common, from, to }: &Arguments) -> anyhow::Result<()> {
    let log = OpenLog::open(&common.data_dir, Check::Tail)?;
    let (from, moment_from) = log.point(*from)?;
    let (to, moment_to) = log.point(*to)?;
    if to < from || moment_to < moment_from {
        return Err(UsageError::new("`--to` must not lie before `--from`").into());
    }
    let state = log.fold(Projections::default(), from, common.json)?;
    let before = Figures::of(&state, moment_from);
    let state = log.fold(state, to, common.json)?;
    let after = Figures::of(&state, moment_to);
    document((from, to), &before, &after)?.print(common.json)
}

fn document(
    (from, to): (Sequence, Sequence),
    before: &Figures,
    after: &Figures,
) -> anyhow::Result<Document> {
    let wallets = changes(&before.wallets, &after.wallets, |name, old, new| WalletChange {
        organization_id: name,
        balance_from: old.0,
        balance_to: new.0,
        accrued_from: old.1,
        accrued_to: new.1,
    });
    let quota = changes(&before.quota, &after.quota, |name, old, new| QuotaChange {
        user_id: name,
        available_from: old.0,
        available_to: new.0,
        overdraft_from: old.1,
        overdraft_to: new.1,
    });
    let usage = changes(&before.usage, &after.usage, |name, old, new| UsageChange {
        organization_id: name,
        requests_from: old.0,
        requests_to: new.0,
        unrated_from: old.1,
        unrated_to: new.1,
        total_tokens_from: old.2,
        total_tokens_to: new.2,
        cost_from: old.3,
        cost_to: new.3,
    });
    let mut document = Document::default();
    document.field("from", from)?;
    document.field("to", to)?;
    document.table("wallets", &wallets)?;
    document.table("quota", &quota)?;
    document.table("usage", &usage)?;
    Ok(document)
}

/// Those that differ. Names are never taken back: all that were there before are there after.
fn changes<Figure: Copy + Default + PartialEq, Change>(
    before: &BTreeMap<String, Figure>,
    after: &BTreeMap<String, Figure>,
    change: impl Fn(String, Figure, Figure) -> Change,
) -> Vec<Change> {
    let old = |name: &String| before.get(name).copied().unwrap_or_default();
    after
        .iter()
        .filter(|(name, new)| old(name) != **new)
        .map(|(name, new)| change(name.clone(), old(name), *new))
        .collect()
}
