//! `tallybook replay`: everything that is told from the log alone, without a service. The log is
//! opened for reading and never changed.

mod at;
mod diff;
mod export;
mod rebuild;
mod recharges;
mod show;
mod state;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use projections::{PARTS, Projections};
use replay::{Checkpoints, Log, LogOptions, LogReader, OpenError, SavedCheckpoint, Verification};
use schemas::{Sequence, Timestamp};

use super::progress::Progress;
use crate::clock::Clock;
use crate::views::AsOf;

/// The subcommands of `replay`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What can be told from the log.
#[derive(Debug, Subcommand)]
enum Command {
    /// Check every frame, hash, posting and checkpoint, and name what is wrong.
    Verify(verify::Arguments),
    /// Fold the log from its first event, and print a digest of every projection.
    Rebuild(rebuild::Arguments),
    /// What changed between two points: wallets, quota and usage.
    Diff(diff::Arguments),
    /// Print events.
    Show(show::Arguments),
    /// Print any projection as it was at a point.
    At(at::Arguments),
    /// Write events as JSON Lines.
    Export(export::Arguments),
}

/// Which log, and for whom the answer is.
#[derive(Debug, Args)]
struct Common {
    /// Where the log lives; no service may use it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Rebuild(arguments) => rebuild::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Diff(arguments) => diff::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Show(arguments) => show::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::At(arguments) => at::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Export(arguments) => export::run(&arguments).map(|()| ExitCode::SUCCESS),
    }
}

/// How much of the log is checked when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Everything.
    All,
    /// What follows the newest checkpoint, as when a service starts.
    Tail,
}

/// A log that is only read. It stays locked for as long as this.
struct OpenLog {
    log: Log,
    reader: LogReader,
}

impl OpenLog {
    fn open(directory: &Path, check: Check) -> anyhow::Result<Self> {
        let known_good = match check {
            Check::All => None,
            Check::Tail => newest_checkpoint(directory)?.map(|saved| saved.mark()),
        };
        let options = LogOptions { known_good, repair: false, ..LogOptions::default() };
        let (log, opened) = match Log::open(directory, options) {
            Err(OpenError::KnownGoodDiffers { .. }) => {
                Log::open(directory, LogOptions { known_good: None, ..options })?
            }
            opened => opened?,
        };
        if let Some(cut) = opened.cut {
            tracing::warn!(
                first = %cut.first,
                frames = cut.frames,
                "a batch at the end that was never acknowledged is left out"
            );
        }
        Ok(Self { reader: log.reader(), log })
    }

    fn head(&self) -> Sequence {
        self.log.head().sequence
    }

    /// The last event that counts at `as_of`, and the time that what has expired is judged by.
    fn point(&self, as_of: AsOf) -> anyhow::Result<(Sequence, Timestamp)> {
        let head = self.log.head();
        match as_of {
            AsOf::Sequence(sequence) => {
                self.must_have(sequence)?;
                let recorded = self.reader.read(sequence)?;
                let moment = recorded.map_or(Timestamp::EPOCH, |recorded| recorded.recorded_at);
                Ok((sequence, moment))
            }
            AsOf::Time(moment) => {
                // A log that was written by a clock ahead of ours has no future up to its end.
                let now = Clock::system().now().max(head.recorded_at);
                anyhow::ensure!(
                    moment <= now,
                    "{moment} lies in the future; the log ends at event {}",
                    head.sequence
                );
                Ok((self.reader.sequence_at(moment)?, moment))
            }
        }
    }

    fn must_have(&self, sequence: Sequence) -> anyhow::Result<()> {
        let head = self.head();
        anyhow::ensure!(
            sequence <= head,
            "there is no event {sequence}; the log ends at event {head}"
        );
        Ok(())
    }

    /// Folds on from `begun` up to `to`.
    fn fold(&self, begun: Projections, to: Sequence, is_json: bool) -> anyhow::Result<Projections> {
        let bar = Progress::new("folding", Some(to.get()), is_json);
        let told = |done, _| bar.reach(done);
        Ok(replay::rebuild(&self.reader, begun, to, Verification::Unverified, told)?)
    }
}

fn newest_checkpoint(directory: &Path) -> anyhow::Result<Option<SavedCheckpoint>> {
    let Some(checkpoints) = Checkpoints::existing(directory) else { return Ok(None) };
    let latest = checkpoints.latest(&PARTS).context("cannot look at the checkpoints")?;
    Ok(latest.checkpoint)
}
