//! `tallybook replay show`: events as people and programs read them, with their names.

use std::io::Write;

use clap::Args;
use projections::names::Names;
use schemas::{Recorded, Sequence};
use serde_json::value::to_raw_value;

use super::export::each_event;
use super::{Check, Common, OpenLog};
use crate::cli::output::{json_line, to_stdout};
use crate::cli::{UsageError, members};
use crate::views::EventView;

/// The flags of `replay show`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The event; the first is 1.
    #[arg(value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: u64,
    /// Up to this event, included.
    #[arg(long, value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
}

pub(super) fn run(Arguments { common, sequence, to }: &Arguments) -> anyhow::Result<()> {
    let (from, to) = (Sequence::new(*sequence), Sequence::new(to.unwrap_or(*sequence)));
    if to < from {
        return Err(UsageError::new("`--to` must not lie before the first event").into());
    }
    let log = OpenLog::open(&common.data_dir, Check::Tail)?;
    log.must_have(to)?;
    to_stdout(|out| {
        each_event(&log, (from, to), common.json, |names, recorded| {
            let view = EventView::new(names, recorded);
            if common.json { json_line(out, &view) } else { write_text(out, names, recorded) }
        })
    })
}

/// The event's line, and below it what it says.
fn write_text(out: &mut dyn Write, names: &Names, recorded: &Recorded) -> anyhow::Result<()> {
    let EventView { sequence, recorded_at, type_name, cause, actor, data } =
        EventView::new(names, recorded);
    write!(out, "{sequence}  {recorded_at}  {type_name}")?;
    match actor {
        Some(actor) => writeln!(out, "  by {actor}")?,
        None => writeln!(out, "  of command {cause}")?,
    }
    let json = to_raw_value(&data)?;
    for (name, value) in members::of(json.get())? {
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        writeln!(out, "    {name:<24} {}", text.as_deref().unwrap_or(value.get()))?;
    }
    writeln!(out)?;
    Ok(())
}
