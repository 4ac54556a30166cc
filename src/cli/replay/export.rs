//! `tallybook replay export`: events as JSON Lines, one at a time, however long the log is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use projections::Projection;
use projections::names::Names;
use replay::Verification;
use schemas::{Event, Recorded, Sequence, Timestamp};

use super::{Check, Common, OpenLog};
use crate::cli::UsageError;
use crate::cli::output::{Document, json_line, to_stdout};
use crate::cli::progress::Progress;
use crate::views::{AsOf, EventView};

/// The flags of `replay export`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// From this event, or from the first that was recorded then or later.
    #[arg(long, value_name = "SEQUENCE|RFC3339")]
    from: Option<AsOf>,
    /// Up to this event, or to the last that was recorded until then; included.
    #[arg(long, value_name = "SEQUENCE|RFC3339")]
    to: Option<AsOf>,
    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE",
        value_parser = PossibleValuesParser::new(Event::TYPE_NAMES))]
    type_name: Option<String>,
    /// Into this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { common, from, to, type_name, output } = arguments;
    let log = OpenLog::open(&common.data_dir, Check::Tail)?;
    let from = match from {
        None => Sequence::new(1),
        Some(AsOf::Sequence(sequence)) => *sequence,
        Some(AsOf::Time(moment)) => {
            let before = Timestamp::from_micros(moment.micros().saturating_sub(1));
            log.reader.sequence_at(before)?.next()
        }
    };
    let to = match to {
        None => log.head(),
        Some(AsOf::Time(moment)) => log.reader.sequence_at(*moment)?,
        Some(AsOf::Sequence(sequence)) => {
            log.must_have(*sequence)?;
            *sequence
        }
    };
    if to.next() < from {
        return Err(UsageError::new("`--to` must not lie before `--from`").into());
    }
    let export = |out: &mut dyn Write| {
        let mut events = 0_u64;
        each_event(&log, (from, to), common.json, |names, recorded| {
            if type_name.as_ref().is_none_or(|wanted| recorded.event.type_name() == wanted) {
                json_line(out, &EventView::new(names, recorded))?;
                events = events.saturating_add(1);
            }
            Ok(())
        })?;
        Ok(events)
    };
    let Some(path) = output else { return to_stdout(export).map(drop) };
    let name = path.display().to_string();
    let failed = || format!("cannot write `{name}`");
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    let events = export(&mut file).with_context(failed)?;
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).with_context(failed)?;
    let mut document = Document::default();
    document.field("events", events)?;
    document.field("output", name.as_str())?;
    document.print(common.json)
}

/// Reads the events of a range in order, each with all names that it may use. Only the names are
/// kept, so that the whole log can be gone through.
pub(super) fn each_event(
    log: &OpenLog,
    (from, to): (Sequence, Sequence),
    is_json: bool,
    mut each: impl FnMut(&Names, &Recorded) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bar = Progress::new("reading", Some(to.get()), is_json);
    let mut names = Names::default();
    for events in log.reader.scan_pipelined(Sequence::new(1), to, Verification::Unverified)? {
        for recorded in events? {
            names.apply(&recorded);
            if recorded.sequence >= from {
                each(&names, &recorded)?;
            }
            bar.reach(recorded.sequence);
        }
    }
    Ok(())
}
