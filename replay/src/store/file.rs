//! A store in one plain file: the simplest thing that can be right, and so the oracle that the
//! engine is compared with. Entries follow one another: first sequence, length, a check of both,
//! the bytes. What follows the last whole entry was never acknowledged and counts as absent.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::RwLock;
use schemas::Sequence;

use super::{Chunk, ChunkIter, Store, StoreError, io_error, sync_directory};

const ENTRY_BYTES: usize = 8 + 4 + 4;

/// Chunks in a plain file.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// Where the bytes of a chunk begin, and how many there are.
    places: BTreeMap<Sequence, (u64, u32)>,
    /// Where the next entry begins.
    end: u64,
}

impl FileStore {
    /// The file's name in its directory.
    pub const FILE: &str = "segment";

    /// Opens or creates the store in `directory`.
    ///
    /// # Errors
    /// When another process has it or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(io_error("create the log's directory"))?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(Self::FILE))
            .map_err(io_error("open the segment file"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse,
            TryLockError::Error(error) => io_error("lock the segment file")(error),
        })?;
        file.sync_all().map_err(io_error("sync the segment file"))?;
        sync_directory(directory).map_err(io_error("sync the log's directory"))?;
        let entries = read_entries(&file).map_err(io_error("read the segment file"))?;
        Ok(Self { file, entries: RwLock::new(entries) })
    }

    fn read(&self, first: Sequence, offset: u64, length: u32) -> Result<Chunk, StoreError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, offset).map_err(io_error("read the segment file"))?;
        Ok(Chunk { first, bytes: bytes.into() })
    }

    fn next(&self, from: Sequence) -> Option<Result<Chunk, StoreError>> {
        let found = self.entries.read().places.range(from..).next().map(|(key, at)| (*key, *at));
        found.map(|(first, (offset, length))| self.read(first, offset, length))
    }
}

impl Store for FileStore {
    fn append(&self, chunks: Vec<Chunk>) -> Result<(), StoreError> {
        let mut entries = self.entries.write();
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            let length = u32::try_from(chunk.bytes.len())
                .map_err(|_| StoreError::TooLong { bytes: chunk.bytes.len() })?;
            bytes.extend_from_slice(&entry_header(chunk.first, length));
            places.push((chunk.first, (entries.end.saturating_add(size(bytes.len())), length)));
            bytes.extend_from_slice(&chunk.bytes);
        }
        self.file
            .set_len(entries.end)
            .and_then(|()| self.file.write_all_at(&bytes, entries.end))
            .and_then(|()| self.file.sync_data())
            .map_err(io_error("write the segment file"))?;
        entries.end = entries.end.saturating_add(size(bytes.len()));
        entries.places.extend(places);
        Ok(())
    }

    fn at_or_before(&self, sequence: Sequence) -> Result<Option<Chunk>, StoreError> {
        let entries = self.entries.read();
        let found = entries.places.range(..=sequence).next_back().map(|(key, at)| (*key, *at));
        drop(entries);
        found.map(|(first, (offset, length))| self.read(first, offset, length)).transpose()
    }

    fn iterate(&self, from: Sequence) -> ChunkIter<'_> {
        let mut from = from;
        Box::new(std::iter::from_fn(move || {
            let chunk = self.next(from)?;
            if let Ok(chunk) = &chunk {
                from = chunk.first.next();
            }
            Some(chunk)
        }))
    }

    fn cut(&self, from: Sequence) -> Result<(), StoreError> {
        let mut entries = self.entries.write();
        let cut = entries.places.split_off(&from);
        if let Some((offset, _)) = cut.values().next() {
            entries.end = offset.saturating_sub(size(ENTRY_BYTES));
        }
        self.file
            .set_len(entries.end)
            .and_then(|()| self.file.sync_all())
            .map_err(io_error("cut the segment file"))
    }
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn entry_header(first: Sequence, length: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(ENTRY_BYTES);
    header.extend_from_slice(&first.get().to_le_bytes());
    header.extend_from_slice(&length.to_le_bytes());
    let check = blake3::hash(&header);
    header.extend(check.as_bytes().iter().take(4));
    header
}

/// The places of all whole entries from the file's beginning.
fn read_entries(file: &File) -> io::Result<Entries> {
    let mut entries = Entries::default();
    let file_end = file.metadata()?.len();
    loop {
        let begin = entries.end.saturating_add(size(ENTRY_BYTES));
        if begin > file_end {
            return Ok(entries);
        }
        let mut header = [0; ENTRY_BYTES];
        file.read_exact_at(&mut header, entries.end)?;
        let Some((first, length)) = parse_entry_header(&header) else { return Ok(entries) };
        let end = begin.saturating_add(u64::from(length));
        if end > file_end {
            return Ok(entries);
        }
        entries.places.insert(first, (begin, length));
        entries.end = end;
    }
}

fn parse_entry_header(header: &[u8; ENTRY_BYTES]) -> Option<(Sequence, u32)> {
    let (first, rest) = header.split_first_chunk::<8>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let (first, length) = (Sequence::new(u64::from_le_bytes(*first)), u32::from_le_bytes(*length));
    (entry_header(first, length) == header).then_some((first, length))
}
