//! A real book in this process: a log on disk, all folds, all readers, and checkpoints, as the
//! service runs it.

use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{anyhow, bail};
use replay::{LogReader, Restored};
use schemas::Envelope;
use tallybook::clock::Clock;
use tallybook::config::Config;
use tallybook::domain::Rules;
use tallybook::views::Views;
use tallybook::writer::{Outcome, Writer, WriterOptions};

use super::company;

/// An open book.
#[derive(Debug)]
pub(crate) struct Book {
    /// Where commands go in.
    pub(crate) writer: Writer,
    /// Reads the log.
    pub(crate) reader: LogReader,
    /// What readers read.
    pub(crate) views: Views,
    ended: JoinHandle<()>,
}

impl Book {
    /// Opens the book in `directory` with the service's own defaults, but for how often
    /// checkpoints are taken.
    pub(crate) fn open(directory: &Path, checkpoint_events: Option<u64>) -> anyhow::Result<Self> {
        Self::start(replay::restore(directory, |_, _| ())?, checkpoint_events)
    }

    /// Goes on where it was left.
    pub(crate) fn start(
        restored: Restored,
        checkpoint_events: Option<u64>,
    ) -> anyhow::Result<Self> {
        let defaults = Config::default();
        let reader = restored.log.reader();
        let options = WriterOptions {
            queue_max: defaults.limits.queue_commands_max,
            checkpoint_events: checkpoint_events.unwrap_or(defaults.checkpoint.every_events),
            rules: rules(),
        };
        let started = Writer::start(
            restored.log,
            restored.projections,
            Some(restored.checkpoints),
            Clock::system(),
            options,
        )?;
        let views = Views::new(started.reading, reader.clone(), started.head);
        Ok(Self { writer: started.writer, reader, views, ended: started.ended })
    }

    /// Ends it, after a last checkpoint.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let Self { writer, reader, views, ended } = self;
        drop((writer, reader, views));
        ended.join().map_err(|_| anyhow!("the writer has panicked"))
    }

    /// Records what the company needs before its first call; of every user's three lots the first
    /// two are soon used up.
    pub(crate) async fn set_up(&self) -> anyhow::Result<()> {
        let lots = [20_000, 200_000, 1_000_000_000_000];
        record(&self.writer, company::setup(company::USERS, &lots)).await
    }
}

/// The operator's rules that everything is decided by.
pub(crate) fn rules() -> Rules {
    let seconds = Config::default().intake.pairing_timeout_seconds;
    Rules { pairing_timeout_seconds: i64::from(seconds), ..Rules::default() }
}

/// Hands commands in, a thousand at a time; every one must be new.
pub(crate) async fn record(writer: &Writer, mut envelopes: Vec<Envelope>) -> anyhow::Result<()> {
    while !envelopes.is_empty() {
        let rest = envelopes.split_off(envelopes.len().min(1000));
        submit_all(writer, envelopes).await?;
        envelopes = rest;
    }
    Ok(())
}

/// Hands commands in as one submission; every one must be new.
pub(crate) async fn submit_all(writer: &Writer, envelopes: Vec<Envelope>) -> anyhow::Result<()> {
    for answer in writer.submit_all(envelopes).await {
        if answer?.outcome != Outcome::Recorded {
            bail!("a command that should be new was known");
        }
    }
    Ok(())
}
