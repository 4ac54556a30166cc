//! What is checked before a log is used: that no other process has it, that no acknowledged event
//! is missing, and that what follows the last checkpoint is whole. A broken frame is named and never
//! skipped; only what is left of a batch that was never acknowledged is cut off.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use schemas::Sequence;
use thiserror::Error;

use crate::anchor::AnchorError;
use crate::chain::{Chain, Flaw, Problem};
use crate::frame::{Frame, FrameHeader, Mark};
use crate::log::{Head, LogOptions};
use crate::store::{Chunk, SledStore, Store, StoreError, sync_directory};

/// What opening a log found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opened {
    /// How many frames were checked.
    pub frames_checked: u64,
    /// How many events they hold.
    pub events_checked: u64,
    /// What was left of a batch that was never acknowledged, when there was such.
    pub cut: Option<Cut>,
    /// There was no anchor: the log is new, or someone removed it.
    pub anchor_missing: bool,
}

/// What was left of a batch that was never acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Its first event.
    pub first: Sequence,
    /// How many of its frames were there.
    pub frames: u64,
    /// Whether they have been removed; otherwise they are only left out.
    pub removed: bool,
}

/// Why a log does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data directory `{directory}` is in use by a running service; read it through its API \
         or a copy"
    )]
    InUse {
        /// The data directory.
        directory: String,
    },
    /// There is nothing to look at.
    #[error("there is no log in the data directory `{directory}`")]
    NoLog {
        /// The data directory.
        directory: String,
    },
    /// The file system refused.
    #[error("could not prepare the data directory `{directory}`")]
    Directory {
        /// The data directory.
        directory: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error("could not open the log's store")]
    Store(#[source] StoreError),
    /// The anchor failed.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A frame is broken, or not in its place.
    #[error(
        "the log is broken; run `replay verify` for all problems, and restore it from a backup"
    )]
    Broken(#[source] Problem),
    /// Acknowledged events are missing.
    #[error(
        "the log ends at event {head}, but events up to {acknowledged} were acknowledged: the store \
         has lost data; restore the data directory from a backup, or, to accept the loss, remove \
         the file `anchor`"
    )]
    BehindAnchor {
        /// The last event that is there.
        head: Sequence,
        /// The last event that is known to have been there.
        acknowledged: Sequence,
    },
    /// The log has another history than the anchor.
    #[error(
        "event {sequence} is not the one that was acknowledged: the store and the file `anchor` \
         are of different logs; put back the two that belong together"
    )]
    AnchorDiffers {
        /// The anchor's position.
        sequence: Sequence,
    },
    /// The log has another history than the checkpoint.
    #[error(
        "the checkpoint at event {sequence} is not of this log; remove it, and the log is read from \
         its beginning"
    )]
    KnownGoodDiffers {
        /// The checkpoint's position.
        sequence: Sequence,
    },
}

/// Locks the data directory, and opens the store in it, or creates both. The lock holds for as long
/// as the file.
pub(crate) fn open_directory(
    directory: &Path,
    cache_bytes: u64,
    create: bool,
) -> Result<(SledStore, File), OpenError> {
    let name = || directory.display().to_string();
    let failed = |source| OpenError::Directory { directory: name(), source };
    if !create && !directory.join("log/db").is_file() {
        return Err(OpenError::NoLog { directory: name() });
    }
    create_directory(directory).map_err(failed)?;
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join("lock"))
        .map_err(failed)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse { directory: name() },
        TryLockError::Error(error) => failed(error),
    })?;
    let store =
        SledStore::open(&directory.join("log"), cache_bytes).map_err(|error| match error {
            StoreError::InUse => OpenError::InUse { directory: name() },
            error => OpenError::Store(error),
        })?;
    sync_directory(directory).map_err(failed)?;
    Ok((store, lock))
}

/// Creates the directory, and those above it that are missing, durably.
fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    create_directory(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent),
    }
}

/// Checks the store against what is known of it, and gives the head of its last whole batch.
pub(crate) fn check(
    store: &dyn Store,
    anchor: Option<Mark>,
    options: &LogOptions,
) -> Result<(Head, Opened), OpenError> {
    let start = match options.known_good {
        Some(mark) => known_good(store, mark)?,
        None => Head::GENESIS,
    };
    let (head, mut opened) = check_tail(store, start)?;
    if let Some(anchor) = anchor {
        check_anchor(store, head, anchor)?;
    }
    if let Some(cut) = &mut opened.cut
        && options.repair
    {
        store.cut(cut.first).map_err(OpenError::Store)?;
        cut.removed = true;
    }
    Ok((head, opened))
}

/// The head that a checkpoint speaks of.
fn known_good(store: &dyn Store, mark: Mark) -> Result<Head, OpenError> {
    if mark == Mark::GENESIS {
        return Ok(Head::GENESIS);
    }
    let differs = OpenError::KnownGoodDiffers { sequence: mark.sequence };
    let chunk = store.at_or_before(mark.sequence).map_err(OpenError::Store)?;
    let header = chunk.map(|chunk| header_at(&chunk, mark)).transpose()?.flatten();
    match header {
        Some(header) if header.ends_batch() => {
            Ok(Head { sequence: mark.sequence, hash: mark.hash, recorded_at: header.recorded_at })
        }
        _ => Err(differs),
    }
}

/// The header of the frame, when the mark is its end and its hash.
fn header_at(chunk: &Chunk, mark: Mark) -> Result<Option<FrameHeader>, OpenError> {
    let frame = Frame::check(&chunk.bytes).map_err(|error| {
        OpenError::Broken(Problem { sequence: chunk.first, flaw: Flaw::Frame(error) })
    })?;
    let here = Mark { sequence: frame.header.last(), hash: frame.hash };
    Ok((here == mark && frame.header.first == chunk.first).then_some(frame.header))
}

/// Follows the chain from `start` to the last whole batch.
fn check_tail(store: &dyn Store, start: Head) -> Result<(Head, Opened), OpenError> {
    let mut head = start;
    let mut opened = Opened::default();
    let mut chain = Chain::after(&start);
    let mut open_frames = 0_u64;
    for chunk in store.iterate(start.sequence.next()) {
        let chunk = chunk.map_err(OpenError::Store)?;
        let frame = chain.follow(&chunk).map_err(OpenError::Broken)?;
        opened.frames_checked = opened.frames_checked.saturating_add(1);
        opened.events_checked = opened.events_checked.saturating_add(u64::from(frame.header.count));
        open_frames = open_frames.saturating_add(1);
        if frame.header.ends_batch() {
            head = Head {
                sequence: frame.header.last(),
                hash: frame.hash,
                recorded_at: frame.header.recorded_at,
            };
            open_frames = 0;
        }
    }
    opened.cut = chain.open_batch().map(|first| Cut { first, frames: open_frames, removed: false });
    Ok((head, opened))
}

fn check_anchor(store: &dyn Store, head: Head, anchor: Mark) -> Result<(), OpenError> {
    if anchor.sequence > head.sequence {
        return Err(OpenError::BehindAnchor { head: head.sequence, acknowledged: anchor.sequence });
    }
    if anchor == Mark::GENESIS {
        return Ok(());
    }
    let chunk = store.at_or_before(anchor.sequence).map_err(OpenError::Store)?;
    match chunk.map(|chunk| header_at(&chunk, anchor)).transpose()?.flatten() {
        Some(_) => Ok(()),
        None => Err(OpenError::AnchorDiffers { sequence: anchor.sequence }),
    }
}
