//! The anchor: a small file beside the store that knows the log's head and its hash. A storage
//! engine can lose data and open without an error, even empty; a store that is behind its anchor
//! does not open.
//!
//! The anchor must never be ahead of the store, and must cost the writer no second sync. So it is
//! written with `pwrite` only after the store's append is durable, and before anyone is answered:
//! it survives a crash of the process from that moment on. A thread of its own syncs it to disk,
//! always the newest state, with a pause in between so that it does not take the disk from the
//! writer. After a power cut it is a few milliseconds behind the store: what is lost is only the
//! proof for the last moments, never a false alarm. Two slots take turns, so that a torn write
//! spoils one and the other still holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use schemas::Sequence;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::frame::{FrameHash, Mark};
use crate::store::sync_directory;

const MAGIC: [u8; 8] = *b"tallyhd1";
const PAGE_BYTES: usize = 4_096;
const SLOT_OFFSETS: [u64; 2] = [0, 2_048];
/// magic, sequence, hash, SHA-256 of them.
const SLOT_BYTES: usize = 8 + 8 + 32 + 32;

/// How long the thread leaves the disk to the writer after each sync.
const SYNC_PAUSE: Duration = Duration::from_millis(5);

/// Why the anchor does not answer.
#[derive(Debug, Error)]
pub enum AnchorError {
    /// The operating system refused.
    #[error("could not {operation} the file `anchor`")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Neither slot holds.
    #[error(
        "the file `anchor` is broken; verify the log, and if it is whole, remove the file to have \
         it written anew"
    )]
    Broken,
    /// An earlier sync of it failed.
    #[error("the file `anchor` could not be synced to disk: {0}")]
    SyncFailed(String),
}

/// The open anchor, and the thread that syncs it.
#[derive(Debug)]
pub struct Anchor {
    shared: Arc<Shared>,
    slot: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    state: Mutex<State>,
    /// There is something to sync.
    changed: Condvar,
    /// There will be nothing more.
    closed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    dirty: bool,
    closing: bool,
    failed: Option<String>,
}

impl Anchor {
    /// The file's name in the data directory.
    pub const FILE: &str = "anchor";

    /// What the anchor in `directory` says; `None` when there is none yet.
    ///
    /// # Errors
    /// When it cannot be read or is broken.
    pub fn read(directory: &Path) -> Result<Option<Mark>, AnchorError> {
        match File::open(directory.join(Self::FILE)) {
            Ok(file) => read_slots(&file).map(|newest| newest.map(|(mark, _)| mark)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AnchorError::Io { operation: "open", source }),
        }
    }

    /// Opens or creates the anchor in `directory`, and starts its thread.
    ///
    /// # Errors
    /// When it cannot be read, written or is broken.
    pub fn open(directory: &Path) -> Result<Self, AnchorError> {
        let file = open_file(directory)?;
        let newest = read_slots(&file)?.map_or(1, |(_, slot)| slot);
        let shared = Arc::new(Shared {
            file,
            state: Mutex::default(),
            changed: Condvar::new(),
            closed: Condvar::new(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("anchor".to_owned())
            .spawn(move || for_thread.sync_until_closed())
            .map_err(|source| AnchorError::Io { operation: "start the thread for", source })?;
        Ok(Self { shared, slot: 1_usize.saturating_sub(newest), thread: Some(thread) })
    }

    /// Writes a head that the store has made durable; the thread will sync it.
    ///
    /// # Errors
    /// When the write or an earlier sync failed.
    pub fn record(&mut self, head: Mark) -> Result<(), AnchorError> {
        if let Some(reason) = &self.shared.state.lock().failed {
            return Err(AnchorError::SyncFailed(reason.clone()));
        }
        let offset = SLOT_OFFSETS.get(self.slot).copied().unwrap_or_default();
        self.shared
            .file
            .write_all_at(&slot_bytes(head), offset)
            .map_err(|source| AnchorError::Io { operation: "write", source })?;
        self.slot = 1_usize.saturating_sub(self.slot);
        let was_dirty = std::mem::replace(&mut self.shared.state.lock().dirty, true);
        if !was_dirty {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    /// Syncs what is left and ends the thread.
    ///
    /// # Errors
    /// When a sync failed.
    pub fn close(mut self) -> Result<(), AnchorError> {
        self.end_thread();
        match self.shared.state.lock().failed.take() {
            Some(reason) => Err(AnchorError::SyncFailed(reason)),
            None => Ok(()),
        }
    }

    fn end_thread(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_one();
        self.shared.closed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.shared.state.lock().failed = Some("its thread panicked".to_owned());
        }
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl Shared {
    fn sync_until_closed(&self) {
        loop {
            let mut state = self.state.lock();
            while !state.dirty && !state.closing {
                self.changed.wait(&mut state);
            }
            if !state.dirty {
                return;
            }
            state.dirty = false;
            drop(state);
            if let Err(error) = self.file.sync_data() {
                self.state.lock().failed = Some(error.to_string());
                return;
            }
            let mut state = self.state.lock();
            if !state.closing {
                self.closed.wait_for(&mut state, SYNC_PAUSE);
            }
        }
    }
}

/// The file at its full length, so that a later sync has no metadata to write.
fn open_file(directory: &Path) -> Result<File, AnchorError> {
    let create = || -> io::Result<File> {
        let path = directory.join(Anchor::FILE);
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        if length == 0 {
            file.write_all_at(&[0; PAGE_BYTES], 0)?;
        }
        file.sync_all()?;
        sync_directory(directory)?;
        Ok(file)
    };
    create().map_err(|source| AnchorError::Io { operation: "open", source })
}

fn slot_bytes(head: Mark) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&head.sequence.get().to_le_bytes());
    bytes.extend_from_slice(&head.hash.0);
    let check = Sha256::digest(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

/// The newer of the two slots, with its number; `None` in a file that was only just created.
fn read_slots(file: &File) -> Result<Option<(Mark, usize)>, AnchorError> {
    let mut newest: Option<(Mark, usize)> = None;
    let mut written = false;
    for (slot, offset) in SLOT_OFFSETS.into_iter().enumerate() {
        let mut bytes = [0; SLOT_BYTES];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            // Shorter than a page: it was being created.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(source) => return Err(AnchorError::Io { operation: "read", source }),
        }
        written |= bytes != [0; SLOT_BYTES];
        if let Some(mark) = parse_slot(&bytes)
            && newest.is_none_or(|(best, _)| mark.sequence >= best.sequence)
        {
            newest = Some((mark, slot));
        }
    }
    if newest.is_none() && written { Err(AnchorError::Broken) } else { Ok(newest) }
}

fn parse_slot(bytes: &[u8; SLOT_BYTES]) -> Option<Mark> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (hash, _) = rest.split_first_chunk::<32>()?;
    let mark =
        Mark { sequence: Sequence::new(u64::from_le_bytes(*sequence)), hash: FrameHash(*hash) };
    (*magic == MAGIC && slot_bytes(mark) == bytes).then_some(mark)
}
