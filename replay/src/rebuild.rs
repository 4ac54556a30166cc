//! The state of the book from its log: from the newest checkpoint, or from the first event. The
//! service starts through this, and `replay` proves through it.

use std::io;
use std::path::Path;

use projections::{PARTS, Part, Projections};
use schemas::{Sequence, Timestamp};
use thiserror::Error;

use crate::checkpoint::{CheckpointError, Checkpoints, SavedCheckpoint};
use crate::frame::Mark;
use crate::log::{Log, LogOptions};
use crate::open::{OpenError, Opened};
use crate::reader::{LogReader, ReadError, Verification};

/// Why a state cannot be restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The log does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The checkpoints cannot be listed.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
}

/// A book as it is after a start.
pub struct Restored {
    /// The log, open for appending.
    pub log: Log,
    /// Every fold, at the log's head.
    pub projections: Projections,
    /// The directory's checkpoints.
    pub checkpoints: Checkpoints,
    /// What opening the log found.
    pub opened: Opened,
    /// The checkpoint that the folds were begun from.
    pub checkpoint: Option<Sequence>,
    /// In words, why newer checkpoints were passed over.
    pub passed_over: Vec<String>,
}

/// Opens the log in `directory` and folds it, from the newest checkpoint that fits it.
///
/// # Errors
/// When the log does not open, or cannot be read.
pub fn restore(
    directory: &Path,
    on_progress: impl FnMut(Sequence, Sequence),
) -> Result<Restored, RestoreError> {
    let checkpoints = Checkpoints::open(directory)?;
    let latest = checkpoints.latest(&PARTS)?;
    let mut passed_over: Vec<String> = latest
        .skipped
        .iter()
        .map(|skipped| format!("checkpoint {}: {}", skipped.sequence, skipped.reason))
        .collect();
    let mut checkpoint = latest.checkpoint;
    let known_good = checkpoint.as_ref().map(SavedCheckpoint::mark);
    let (log, opened) =
        match Log::open(directory, LogOptions { known_good, ..LogOptions::default() }) {
            Err(OpenError::KnownGoodDiffers { .. }) if known_good.is_some() => {
                passed_over.push("the newest checkpoint is of another log".to_owned());
                checkpoint = None;
                Log::open(directory, LogOptions::default())?
            }
            opened => opened?,
        };
    let reader = log.reader();
    let begun = match checkpoint {
        Some(saved) => match load_checkpoint(&reader, &saved)? {
            Ok(projections) => projections,
            Err(reason) => {
                passed_over.push(format!("checkpoint {}: {reason}", saved.mark().sequence));
                Projections::default()
            }
        },
        None => Projections::default(),
    };
    let checkpoint = Some(begun.head()).filter(|sequence| *sequence != Sequence::ZERO);
    let head = log.head().sequence;
    let projections = rebuild(&reader, begun, head, Verification::Unverified, on_progress)?;
    Ok(Restored { log, projections, checkpoints, opened, checkpoint, passed_over })
}

/// Folds the events after `begun` up to `to`. `on_progress` is told the last event folded, and `to`.
///
/// # Errors
/// When the log cannot be read.
pub fn rebuild(
    reader: &LogReader,
    begun: Projections,
    to: Sequence,
    verification: Verification,
    mut on_progress: impl FnMut(Sequence, Sequence),
) -> Result<Projections, ReadError> {
    let mut projections = begun;
    let from = projections.head().next();
    if from > to {
        return Ok(projections);
    }
    for events in reader.scan_pipelined(from, to, verification)? {
        events?.iter().for_each(|recorded| projections.apply(recorded));
        on_progress(projections.head(), to);
    }
    Ok(projections)
}

/// The folds of a checkpoint; in words, why they cannot be read, where that is so.
///
/// # Errors
/// When the log cannot be read.
pub fn load_checkpoint(
    reader: &LogReader,
    saved: &SavedCheckpoint,
) -> Result<Result<Projections, String>, ReadError> {
    let head = saved.mark().sequence;
    let recorded_at = reader.read(head)?.map_or(Timestamp::EPOCH, |recorded| recorded.recorded_at);
    let loaded = Projections::load(head, recorded_at, |name| saved.part_bytes(name).ok());
    Ok(loaded.map_err(|error| error.to_string()))
}

/// Writes a checkpoint of the folds, which stand at `mark`.
///
/// # Errors
/// When it cannot be written; then there is none.
pub fn save_checkpoint(
    checkpoints: &Checkpoints,
    mark: Mark,
    projections: &Projections,
) -> Result<(), CheckpointError> {
    let mut writer = checkpoints.begin(mark)?;
    for part in projections.parts() {
        writer.part(part.name, part.version, |out| (part.save)(out).map_err(io::Error::other))?;
    }
    writer.finish()
}

/// The digest of a fold: that of its part in a checkpoint. Equal states have equal digests.
///
/// # Panics
/// Never: a state can be encoded, and hashing does not fail.
#[must_use]
pub fn digest(part: &Part<'_>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    (part.save)(&mut hasher).expect("invariant: a hasher takes everything");
    hasher.finalize()
}
