//! The log: one appender, any number of readers. Only this file appends.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use schemas::{Sequence, Timestamp};
use thiserror::Error;

use crate::anchor::{Anchor, AnchorError};
use crate::batch::EncodedBatch;
use crate::frame::{FrameHash, Mark};
use crate::open::{self, OpenError, Opened};
use crate::reader::LogReader;
use crate::store::{Store, StoreError};

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last event; zero when there is none.
    pub sequence: Sequence,
    /// The hash of the last frame.
    pub hash: FrameHash,
    /// When the last batch was decided.
    pub recorded_at: Timestamp,
}

impl Head {
    /// Of a log without events.
    pub const GENESIS: Self =
        Self { sequence: Sequence::ZERO, hash: FrameHash::GENESIS, recorded_at: Timestamp::EPOCH };

    /// The position and its proof.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark { sequence: self.sequence, hash: self.hash }
    }
}

/// How to open a log.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// A position whose hash is known from elsewhere, as from a checkpoint: only what follows it is
    /// checked. `None` checks everything.
    pub known_good: Option<Mark>,
    /// Whether to remove what is left of a batch that was never acknowledged, and to write the
    /// anchor. Without it no event is removed, nothing can be appended, and no log is created; the
    /// storage engine may still write its own bookkeeping.
    pub repair: bool,
    /// What the storage engine may keep in memory for reads.
    pub cache_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { known_good: None, repair: true, cache_bytes: 64 * 1024 * 1024 }
    }
}

/// Why a batch was not acknowledged. Whether it is in the log is known when the log is next opened.
#[derive(Debug, Error)]
pub enum AppendError {
    /// An earlier append failed.
    #[error("the log takes nothing more, since an earlier append failed")]
    Poisoned,
    /// The log was opened for reading.
    #[error("the log was opened for reading only")]
    ReadOnly,
    /// The batch was decided after another one than the last.
    #[error("the batch begins at event {got}, but {expected} should follow")]
    OutOfOrder {
        /// What should follow.
        expected: Sequence,
        /// What came.
        got: Sequence,
    },
    /// The batch was decided before the last one.
    #[error("the batch was decided at {got}, before the last one at {last}")]
    TimeWentBack {
        /// When the last batch was decided.
        last: Timestamp,
        /// When this one was.
        got: Timestamp,
    },
    /// The store failed.
    #[error("could not store the batch")]
    Store(#[source] StoreError),
    /// The anchor failed.
    #[error("could not record the log's head")]
    Anchor(#[source] AnchorError),
}

/// What the appender and the readers share.
pub(crate) struct Shared {
    pub(crate) store: Box<dyn Store>,
    pub(crate) head: RwLock<Head>,
    /// Held for as long as anyone reads.
    _lock: Option<File>,
}

/// The one appender of a log.
pub struct Log {
    shared: Arc<Shared>,
    anchor: Option<Anchor>,
    head: Head,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Healthy,
    ReadOnly,
    Poisoned,
}

impl Log {
    /// Opens the log in the data directory `directory`, its frames in `log/`, its head in `anchor`;
    /// creates it unless it is opened for reading only.
    ///
    /// # Errors
    /// When another process has it, when a frame is broken, when acknowledged events are missing,
    /// or when the file system refuses.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Self, Opened), OpenError> {
        let (store, lock) = open::open_directory(directory, options.cache_bytes, options.repair)?;
        Self::open_anchored(Box::new(store), Some(lock), directory, options)
    }

    /// Opens a log over any store, without lock and without anchor.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_store(
        store: Box<dyn Store>,
        options: LogOptions,
    ) -> Result<(Self, Opened), OpenError> {
        let (head, opened) = open::check(store.as_ref(), None, &options)?;
        let log = Self::start(store, None, None, head, &options)?;
        Ok((log, opened))
    }

    /// Opens a log over any store with an anchor in `directory`, without lock.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_anchored_store(
        store: Box<dyn Store>,
        directory: &Path,
        options: LogOptions,
    ) -> Result<(Self, Opened), OpenError> {
        Self::open_anchored(store, None, directory, options)
    }

    fn open_anchored(
        store: Box<dyn Store>,
        lock: Option<File>,
        directory: &Path,
        options: LogOptions,
    ) -> Result<(Self, Opened), OpenError> {
        let mark = Anchor::read(directory)?;
        let (head, opened) = open::check(store.as_ref(), mark, &options)?;
        let anchor = if options.repair { Some(Anchor::open(directory)?) } else { None };
        let log = Self::start(store, lock, anchor, head, &options)?;
        Ok((log, Opened { anchor_missing: mark.is_none(), ..opened }))
    }

    fn start(
        store: Box<dyn Store>,
        lock: Option<File>,
        mut anchor: Option<Anchor>,
        head: Head,
        options: &LogOptions,
    ) -> Result<Self, OpenError> {
        if let Some(anchor) = &mut anchor {
            anchor.record(head.mark())?;
        }
        let shared = Arc::new(Shared { store, head: RwLock::new(head), _lock: lock });
        let state = if options.repair { State::Healthy } else { State::ReadOnly };
        Ok(Self { shared, anchor, head, state })
    }

    /// The end of the log.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// A reader of what is durable.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// Whether an append has failed, so that nothing more is taken.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.state == State::Poisoned
    }

    /// Links the batch to the log and stores it; once this returns, a power cut cannot take it
    /// away, and readers see it. A batch without events changes nothing.
    ///
    /// # Errors
    /// When the batch does not follow the head, or when it is not certain that it is durable. Every
    /// later append then fails.
    pub fn append(&mut self, batch: EncodedBatch) -> Result<Head, AppendError> {
        match self.state {
            State::Healthy => {}
            State::ReadOnly => return Err(AppendError::ReadOnly),
            State::Poisoned => return Err(AppendError::Poisoned),
        }
        // Also a panic inside leaves it so.
        self.state = State::Poisoned;
        let head = self.append_durably(&batch)?;
        self.state = State::Healthy;
        drop(batch);
        Ok(head)
    }

    fn append_durably(&mut self, batch: &EncodedBatch) -> Result<Head, AppendError> {
        let (expected, got) = (self.head.sequence.next(), batch.first());
        if got != expected {
            return Err(AppendError::OutOfOrder { expected, got });
        }
        let (last, got) = (self.head.recorded_at, batch.recorded_at());
        if got < last {
            return Err(AppendError::TimeWentBack { last, got });
        }
        if batch.is_empty() {
            return Ok(self.head);
        }
        let (frames, hash) = batch.seal(self.head.hash);
        self.shared.store.append(frames).map_err(AppendError::Store)?;
        let sequence = Sequence::new(batch.next_sequence().get().saturating_sub(1));
        let head = Head { sequence, hash, recorded_at: batch.recorded_at() };
        if let Some(anchor) = &mut self.anchor {
            anchor.record(head.mark()).map_err(AppendError::Anchor)?;
        }
        self.head = head;
        *self.shared.head.write() = head;
        Ok(head)
    }

    /// Syncs the anchor and ends. Dropping the log does the same and cannot say whether it failed.
    ///
    /// # Errors
    /// When the anchor could not be synced.
    pub fn close(mut self) -> Result<(), AnchorError> {
        self.anchor.take().map_or(Ok(()), Anchor::close)
    }
}
