//! `tallybook replay rebuild`: folds the log from its first event, tells what came out, and with
//! `--write` keeps it as a checkpoint.

use std::time::Instant;

use anyhow::Context;
use clap::Args;
use projections::Projections;
use replay::{Checkpoints, digest, save_checkpoint};
use schemas::Sequence;

use super::{Check, Common, OpenLog};
use crate::cli::output::{Document, Text, rows};

/// The flags of `replay rebuild`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Write a fresh checkpoint, which the next start begins from. Nothing is written without.
    #[arg(long)]
    write: bool,
}

rows! {
    /// A projection at the end of the log.
    ProjectionRow {
        name: &'static str,
        version: u32,
        digest: String,
    }
}

pub(super) fn run(Arguments { common, write }: &Arguments) -> anyhow::Result<()> {
    let log = OpenLog::open(&common.data_dir, Check::All)?;
    let head = log.log.head();
    anyhow::ensure!(
        !*write || head.sequence != Sequence::ZERO,
        "a log without events needs no checkpoint"
    );
    let started = Instant::now();
    let state = log.fold(Projections::default(), head.sequence, common.json)?;
    let millis = started.elapsed().as_millis().max(1);
    let rate = u128::from(head.sequence.get()).saturating_mul(1000).checked_div(millis);
    if *write {
        Checkpoints::open(&common.data_dir)
            .and_then(|checkpoints| save_checkpoint(&checkpoints, head.mark(), &state))
            .context("cannot write the checkpoint")?;
    }
    let rows: Vec<ProjectionRow> = state
        .parts()
        .iter()
        .map(|part| ProjectionRow {
            name: part.name,
            version: part.version,
            digest: digest(part).to_hex().to_string(),
        })
        .collect();
    let mut document = Document::default();
    document.field("events", head.sequence)?;
    document.field("hash", Text(head.hash))?;
    document.field("milliseconds", u64::try_from(millis)?)?;
    document.field("events_per_second", u64::try_from(rate.unwrap_or(0))?)?;
    document.field("checkpoint", if *write { "written" } else { "not written" })?;
    document.table("projections", &rows)?;
    document.print(common.json)
}
