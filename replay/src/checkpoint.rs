//! Checkpoints: what was folded from the log up to a position, so that a restart folds only the
//! rest. They are caches, and the log alone is the truth: one that is torn, broken or of another
//! version is skipped, and the reason told.
//!
//! A file holds the parts one after the other, then a table of them with their BLAKE3 digests, then
//! the digest and the length of the table. It takes its name only once it is whole and durable.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Take, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use schemas::Sequence;
use thiserror::Error;

use crate::frame::{FrameHash, Mark};
use crate::store::sync_directory;

const MAGIC: [u8; 8] = *b"tallycp1";
const BUFFER_BYTES: usize = 256 * 1024;
/// Digest and length of the table.
const TAIL_BYTES: u64 = 32 + 4;
const TABLE_BYTES_MAX: u32 = 1024 * 1024;

/// The directory of checkpoints.
#[derive(Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

/// Why a checkpoint cannot be written or used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("could not {operation} a checkpoint")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is torn, or its table is broken.
    #[error("the checkpoint is not whole")]
    Torn,
    /// A part's bytes are not those that were written.
    #[error("the checkpoint's part `{name}` is broken")]
    Digest {
        /// The part.
        name: String,
    },
    /// A part is missing, or was written by another version of its fold.
    #[error("the checkpoint has no part `{name}` of version {version}")]
    NoPart {
        /// The part that is wanted.
        name: String,
        /// In this version.
        version: u32,
    },
}

const fn io_error(operation: &'static str) -> impl FnOnce(io::Error) -> CheckpointError {
    move |source| CheckpointError::Io { operation, source }
}

/// A checkpoint that is being written. Dropped before [`finish`](Self::finish), it leaves nothing.
#[derive(Debug)]
pub struct CheckpointWriter {
    directory: PathBuf,
    temporary: PathBuf,
    mark: Mark,
    file: File,
    length: u64,
    parts: Vec<PartEntry>,
    finished: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PartEntry {
    name: String,
    version: u32,
    offset: u64,
    length: u64,
    digest: [u8; 32],
}

/// A whole checkpoint whose digests were found to hold.
#[derive(Debug)]
pub struct SavedCheckpoint {
    mark: Mark,
    path: PathBuf,
    parts: Vec<PartEntry>,
}

/// The newest usable checkpoint.
#[derive(Debug, Default)]
pub struct Latest {
    /// `None` when there is none.
    pub checkpoint: Option<SavedCheckpoint>,
    /// Newer ones that are not usable.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint that is not usable.
#[derive(Debug)]
pub struct Skipped {
    /// Its position, by its file name.
    pub sequence: Sequence,
    /// Why.
    pub reason: CheckpointError,
}

impl Checkpoints {
    /// The checkpoints of a data directory; their own directory is created when it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(data_directory: &Path) -> Result<Self, CheckpointError> {
        let directory = data_directory.join("checkpoints");
        fs::create_dir_all(&directory)
            .and_then(|()| sync_directory(data_directory))
            .map_err(io_error("create the directory of"))?;
        Ok(Self { directory })
    }

    /// The checkpoints of a data directory that is only looked at; `None` when it has none.
    #[must_use]
    pub fn existing(data_directory: &Path) -> Option<Self> {
        let directory = data_directory.join("checkpoints");
        directory.is_dir().then_some(Self { directory })
    }

    /// Begins a checkpoint of the state after the event at `mark`.
    ///
    /// # Errors
    /// When its file cannot be created.
    pub fn begin(&self, mark: Mark) -> Result<CheckpointWriter, CheckpointError> {
        let temporary = self.directory.join(format!("{:020}.tmp", mark.sequence.get()));
        let file = File::create(&temporary).map_err(io_error("create"))?;
        Ok(CheckpointWriter {
            directory: self.directory.clone(),
            temporary,
            mark,
            file,
            length: 0,
            parts: Vec::new(),
            finished: false,
        })
    }

    /// The newest checkpoint that is whole and has every part that is `wanted`, by name and
    /// version. Every byte of those parts is read and checked here.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn latest(&self, wanted: &[(&str, u32)]) -> Result<Latest, CheckpointError> {
        let mut latest = Latest::default();
        for (sequence, path) in self.list()?.into_iter().rev() {
            match open_checkpoint(sequence, path, wanted) {
                Ok(checkpoint) => {
                    latest.checkpoint = Some(checkpoint);
                    break;
                }
                Err(reason) => latest.skipped.push(Skipped { sequence, reason }),
            }
        }
        Ok(latest)
    }

    /// Every checkpoint in ascending order, whole or not. No part is read: see
    /// [`SavedCheckpoint::check_part`].
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn all(&self) -> Result<Vec<Result<SavedCheckpoint, Skipped>>, CheckpointError> {
        let open = |(sequence, path)| {
            open_checkpoint(sequence, path, &[]).map_err(|reason| Skipped { sequence, reason })
        };
        Ok(self.list()?.into_iter().map(open).collect())
    }

    /// Removes all but the newest `keep` checkpoints, and files that were never finished. Gives the
    /// positions of the removed ones. Must not run beside a writer.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn prune(&self, keep: usize) -> Result<Vec<Sequence>, CheckpointError> {
        for path in self.files("tmp")? {
            fs::remove_file(path).map_err(io_error("remove"))?;
        }
        let mut all = self.list()?;
        all.truncate(all.len().saturating_sub(keep));
        let mut removed = Vec::with_capacity(all.len());
        for (sequence, path) in all {
            fs::remove_file(path).map_err(io_error("remove"))?;
            removed.push(sequence);
        }
        Ok(removed)
    }

    /// Removes one checkpoint, as when the log is found to have another history.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, sequence: Sequence) -> Result<(), CheckpointError> {
        fs::remove_file(path_of(&self.directory, sequence)).map_err(io_error("remove"))
    }

    /// All checkpoints by position, in ascending order.
    fn list(&self) -> Result<Vec<(Sequence, PathBuf)>, CheckpointError> {
        let mut found: Vec<_> = self
            .files("ckpt")?
            .into_iter()
            .filter_map(|path| {
                let position = path.file_stem()?.to_str()?.parse().ok()?;
                Some((Sequence::new(position), path))
            })
            .collect();
        found.sort();
        Ok(found)
    }

    fn files(&self, extension: &str) -> Result<Vec<PathBuf>, CheckpointError> {
        let entries = fs::read_dir(&self.directory).map_err(io_error("list"))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error("list"))?.path();
            if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
        Ok(found)
    }
}

fn path_of(directory: &Path, sequence: Sequence) -> PathBuf {
    directory.join(format!("{:020}.ckpt", sequence.get()))
}

impl CheckpointWriter {
    /// Adds a part: whatever `write` writes.
    ///
    /// # Errors
    /// When it cannot be written; the checkpoint is then to be dropped.
    pub fn part(
        &mut self,
        name: &str,
        version: u32,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CheckpointError> {
        let target = HashingWriter { file: &self.file, hasher: blake3::Hasher::new(), length: 0 };
        let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, target);
        write(&mut buffered).map_err(io_error("write"))?;
        let HashingWriter { hasher, length, .. } = buffered
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .map_err(io_error("write"))?;
        let offset = self.length;
        self.length = offset.saturating_add(length);
        let digest = *hasher.finalize().as_bytes();
        self.parts.push(PartEntry { name: name.to_owned(), version, offset, length, digest });
        Ok(())
    }

    /// Makes the checkpoint durable and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written; then there is none.
    pub fn finish(mut self) -> Result<(), CheckpointError> {
        let table = encode_table(self.mark, &self.parts);
        let path = path_of(&self.directory, self.mark.sequence);
        self.file
            .write_all(&table)
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.temporary, path))
            .map_err(io_error("write"))?;
        self.finished = true;
        sync_directory(&self.directory).map_err(io_error("sync the directory of"))
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is removed when checkpoints are next pruned.
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// Sits below the buffer, so that the hash sees large pieces.
struct HashingWriter<'a> {
    file: &'a File,
    hasher: blake3::Hasher,
    length: u64,
}

impl Write for HashingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.length = self.length.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SavedCheckpoint {
    /// The event that it stands after, with the hash that the log must have there.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// The digest of a part, whose bytes are read and found to have it.
    ///
    /// # Errors
    /// When there is no such part of this version, when its bytes are not those that were written,
    /// or when they cannot be read.
    pub fn check_part(&self, name: &str, version: u32) -> Result<blake3::Hash, CheckpointError> {
        check_part(&self.path, &self.parts, name, version)
    }

    /// A part's bytes as a buffered stream.
    ///
    /// # Errors
    /// When there is no such part, or the file cannot be read.
    pub fn part(&self, name: &str) -> Result<PartReader, CheckpointError> {
        let entry = self.parts.iter().find(|entry| entry.name == name);
        let entry =
            entry.ok_or_else(|| CheckpointError::NoPart { name: name.to_owned(), version: 0 })?;
        read_part(&self.path, entry).map_err(io_error("read"))
    }

    /// A part's bytes at once.
    ///
    /// # Errors
    /// As [`Self::part`].
    pub fn part_bytes(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let mut reader = self.part(name)?;
        let mut bytes =
            Vec::with_capacity(usize::try_from(reader.0.get_ref().limit()).unwrap_or(0));
        reader.read_to_end(&mut bytes).map_err(io_error("read"))?;
        Ok(bytes)
    }
}

/// The bytes of a part.
#[derive(Debug)]
pub struct PartReader(BufReader<Take<File>>);

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for PartReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

fn read_part(path: &Path, entry: &PartEntry) -> io::Result<PartReader> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(entry.offset))?;
    Ok(PartReader(BufReader::with_capacity(BUFFER_BYTES, file.take(entry.length))))
}

/// Opens a checkpoint and checks the wanted parts.
fn open_checkpoint(
    sequence: Sequence,
    path: PathBuf,
    wanted: &[(&str, u32)],
) -> Result<SavedCheckpoint, CheckpointError> {
    let (mark, parts) = read_table(&path)?;
    if mark.sequence != sequence {
        return Err(CheckpointError::Torn);
    }
    for &(name, version) in wanted {
        check_part(&path, &parts, name, version)?;
    }
    Ok(SavedCheckpoint { mark, path, parts })
}

fn check_part(
    path: &Path,
    parts: &[PartEntry],
    name: &str,
    version: u32,
) -> Result<blake3::Hash, CheckpointError> {
    let entry = parts.iter().find(|entry| entry.name == name && entry.version == version);
    let entry = entry.ok_or_else(|| CheckpointError::NoPart { name: name.to_owned(), version })?;
    let digest = digest_of(path, entry).map_err(io_error("read"))?;
    if digest != entry.digest {
        return Err(CheckpointError::Digest { name: name.to_owned() });
    }
    Ok(digest)
}

fn digest_of(path: &Path, entry: &PartEntry) -> io::Result<blake3::Hash> {
    let mut reader = read_part(path, entry)?;
    let mut hasher = blake3::Hasher::new();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finalize());
        }
        hasher.update(bytes);
        let length = bytes.len();
        reader.consume(length);
    }
}

fn encode_table(mark: Mark, parts: &[PartEntry]) -> Vec<u8> {
    let mut table = Vec::new();
    table.extend_from_slice(&MAGIC);
    table.extend_from_slice(&mark.sequence.get().to_le_bytes());
    table.extend_from_slice(&mark.hash.0);
    for PartEntry { name, version, offset, length, digest } in parts {
        let name_bytes = u32::try_from(name.len()).unwrap_or(u32::MAX);
        table.extend_from_slice(&name_bytes.to_le_bytes());
        table.extend_from_slice(name.as_bytes());
        table.extend_from_slice(&version.to_le_bytes());
        table.extend_from_slice(&offset.to_le_bytes());
        table.extend_from_slice(&length.to_le_bytes());
        table.extend_from_slice(digest);
    }
    let length = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let digest = blake3::hash(&table);
    table.extend_from_slice(digest.as_bytes());
    table.extend_from_slice(&length.to_le_bytes());
    table
}

fn read_table(path: &Path) -> Result<(Mark, Vec<PartEntry>), CheckpointError> {
    let file = File::open(path).map_err(io_error("open"))?;
    let end = file.metadata().map_err(io_error("open"))?.len();
    let tail_at = end.checked_sub(TAIL_BYTES).ok_or(CheckpointError::Torn)?;
    let mut digest = [0; 32];
    let mut length = [0; 4];
    file.read_exact_at(&mut digest, tail_at)
        .and_then(|()| file.read_exact_at(&mut length, tail_at.saturating_add(32)))
        .map_err(io_error("read"))?;
    let length = u32::from_le_bytes(length);
    let table_at = tail_at
        .checked_sub(u64::from(length))
        .filter(|_| length <= TABLE_BYTES_MAX)
        .ok_or(CheckpointError::Torn)?;
    let mut table = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut table, table_at).map_err(io_error("read"))?;
    if blake3::hash(&table) != digest {
        return Err(CheckpointError::Torn);
    }
    decode_table(&table, table_at).ok_or(CheckpointError::Torn)
}

/// `None` when the table is not one, or speaks of bytes that are not there.
fn decode_table(table: &[u8], parts_end: u64) -> Option<(Mark, Vec<PartEntry>)> {
    let (magic, rest) = table.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (hash, mut rest) = rest.split_first_chunk::<32>()?;
    let sequence = Sequence::new(u64::from_le_bytes(*sequence));
    let mark = Mark { sequence, hash: FrameHash(*hash) };
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (name_bytes, after) = rest.split_first_chunk::<4>()?;
        let name_bytes = usize::try_from(u32::from_le_bytes(*name_bytes)).ok()?;
        let (name, after) = after.split_at_checked(name_bytes)?;
        let (version, after) = after.split_first_chunk::<4>()?;
        let (offset, after) = after.split_first_chunk::<8>()?;
        let (length, after) = after.split_first_chunk::<8>()?;
        let (digest, after) = after.split_first_chunk::<32>()?;
        let (offset, length) = (u64::from_le_bytes(*offset), u64::from_le_bytes(*length));
        offset.checked_add(length).filter(|end| *end <= parts_end)?;
        parts.push(PartEntry {
            name: String::from_utf8(name.to_vec()).ok()?,
            version: u32::from_le_bytes(*version),
            offset,
            length,
            digest: *digest,
        });
        rest = after;
    }
    (*magic == MAGIC).then_some((mark, parts))
}
