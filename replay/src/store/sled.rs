//! The store in production: chunks in sled, keyed by their first sequence, big-endian. sled's own
//! `flush` ends in `sync_file_range`, which survives a crash of the process but not a power cut, so
//! each append ends in an `fdatasync` of sled's file through a handle of our own.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::Sequence;

use super::{Chunk, ChunkBytes, ChunkIter, Store, StoreError, io_error, sync_directory};
use crate::frame::FRAME_BYTES_MAX;

/// How long a lock is waited for that an instance of this process is about to release.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Chunks in sled.
#[derive(Debug)]
pub struct SledStore {
    db: sled::Db,
    /// sled's data file, opened a second time for `fdatasync`.
    file: File,
    syncs: AtomicU64,
}

impl SledStore {
    /// Opens or creates the store in `directory`, and makes durable whatever it recovered.
    ///
    /// # Errors
    /// When another process has it, when it holds files that are never synced, or when it cannot be
    /// read.
    pub fn open(directory: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(io_error("create the log's directory"))?;
        refuse_blobs(directory)?;
        let config = sled::Config::new()
            .path(directory)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .use_compression(false);
        let db = open_when_released(&config)?;
        let file = File::open(directory.join("db")).map_err(io_error("open the data file"))?;
        // What a killed process had written but not yet synced was recovered as well, and will be
        // answered from now on.
        for name in ["db", "conf"] {
            File::open(directory.join(name))
                .and_then(|file| file.sync_all())
                .map_err(io_error("sync the data file"))?;
        }
        sync_directory(directory).map_err(io_error("sync the log's directory"))?;
        Ok(Self { db, file, syncs: AtomicU64::new(0) })
    }

    /// How often the data file was synced since it was opened.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.db.apply_batch(batch).map_err(engine_error("write"))?;
        self.db.flush().map_err(engine_error("flush"))?;
        self.file.sync_data().map_err(io_error("sync the data file"))?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Store for SledStore {
    fn append(&self, chunks: Vec<Chunk>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for Chunk { first, bytes } in chunks {
            if bytes.len() > FRAME_BYTES_MAX {
                return Err(StoreError::TooLong { bytes: bytes.len() });
            }
            batch.insert(&key(first), bytes.0);
        }
        self.apply(batch)
    }

    fn at_or_before(&self, sequence: Sequence) -> Result<Option<Chunk>, StoreError> {
        let found = self.db.range(..=key(sequence)).next_back();
        found.map(|entry| chunk(entry, "read")).transpose()
    }

    fn iterate(&self, from: Sequence) -> ChunkIter<'_> {
        Box::new(self.db.range(key(from)..).map(|entry| chunk(entry, "read")))
    }

    fn cut(&self, from: Sequence) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for entry in self.db.range(key(from)..) {
            let (key, _) = entry.map_err(engine_error("read"))?;
            batch.remove(key);
        }
        self.apply(batch)
    }
}

const fn key(sequence: Sequence) -> [u8; 8] {
    sequence.get().to_be_bytes()
}

fn chunk(
    entry: sled::Result<(sled::IVec, sled::IVec)>,
    operation: &'static str,
) -> Result<Chunk, StoreError> {
    let (key, value) = entry.map_err(engine_error(operation))?;
    let first = <[u8; 8]>::try_from(key.as_ref())
        .map_err(|_| StoreError::ForeignKey { bytes: key.len() })?;
    Ok(Chunk { first: Sequence::new(u64::from_be_bytes(first)), bytes: ChunkBytes(value) })
}

const fn engine_error(operation: &'static str) -> impl FnOnce(sled::Error) -> StoreError {
    move |source| StoreError::Engine { operation, source }
}

fn refuse_blobs(directory: &Path) -> Result<(), StoreError> {
    let blobs = directory.join("blobs");
    let empty = match fs::read_dir(&blobs) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(io_error("list the blobs")(error)),
    };
    if empty { Ok(()) } else { Err(StoreError::Blobs { directory: blobs.display().to_string() }) }
}

/// sled gives its lock back only when its last background write has ended, which may be a moment
/// after it was dropped.
fn open_when_released(config: &sled::Config) -> Result<sled::Db, StoreError> {
    for _ in 1..LOCK_ATTEMPTS {
        match config.open() {
            Err(error) if is_locked(&error) => std::thread::sleep(LOCK_PAUSE),
            outcome => return outcome.map_err(engine_error("open")),
        }
    }
    config.open().map_err(|error| {
        if is_locked(&error) { StoreError::InUse } else { engine_error("open")(error) }
    })
}

/// sled has no error of its own for a lock that is taken.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}
