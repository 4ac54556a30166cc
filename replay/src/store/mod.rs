//! Where frames are kept. A store keeps bytes under sequences, durably and in order; it does not
//! know what the bytes mean.

mod file;
mod sled;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs, io};

use schemas::Sequence;
use thiserror::Error;

pub use self::file::FileStore;
pub use self::sled::SledStore;

/// The smallest storage that a log needs. Reads may run beside an append; there is one appender.
pub trait Store: Send + Sync {
    /// Appends chunks in ascending order, all or none, and returns only when a power cut can no
    /// longer take them away.
    ///
    /// # Errors
    /// When that is not certain. The store may then hold all of them, some, or none.
    fn append(&self, chunks: Vec<Chunk>) -> Result<(), StoreError>;

    /// The chunk with the greatest first sequence that is not greater than `sequence`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn at_or_before(&self, sequence: Sequence) -> Result<Option<Chunk>, StoreError>;

    /// All chunks whose first sequence is `from` or greater, in ascending order.
    fn iterate(&self, from: Sequence) -> ChunkIter<'_>;

    /// Removes, durably, all chunks whose first sequence is `from` or greater: what is left of a
    /// batch that was never acknowledged. Nothing else is ever removed.
    ///
    /// # Errors
    /// When it is not certain that they are gone.
    fn cut(&self, from: Sequence) -> Result<(), StoreError>;
}

/// A store that others look at too, as a test or a simulation does.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn append(&self, chunks: Vec<Chunk>) -> Result<(), StoreError> {
        self.as_ref().append(chunks)
    }

    fn at_or_before(&self, sequence: Sequence) -> Result<Option<Chunk>, StoreError> {
        self.as_ref().at_or_before(sequence)
    }

    fn iterate(&self, from: Sequence) -> ChunkIter<'_> {
        self.as_ref().iterate(from)
    }

    fn cut(&self, from: Sequence) -> Result<(), StoreError> {
        self.as_ref().cut(from)
    }
}

/// Chunks in ascending order.
pub type ChunkIter<'a> = Box<dyn Iterator<Item = Result<Chunk, StoreError>> + 'a>;

/// A frame's bytes under its first sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What it is stored under.
    pub first: Sequence,
    /// The frame.
    pub bytes: ChunkBytes,
}

/// Bytes that are cheap to clone and to hand to another thread.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkBytes(::sled::IVec);

impl Deref for ChunkBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for ChunkBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for ChunkBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.len())
    }
}

/// Why a store did not do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("could not {operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The storage engine refused.
    #[error("the storage engine could not {operation}")]
    Engine {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: ::sled::Error,
    },
    /// A chunk is so long that the engine would keep it in a file that it never syncs.
    #[error("a chunk has {bytes} bytes, more than {max}", max = crate::FRAME_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// There are files that the engine never syncs.
    #[error(
        "`{directory}` is not empty, but its files are never synced to disk; restore the data directory from a backup"
    )]
    Blobs {
        /// Where.
        directory: String,
    },
    /// Another process has it.
    #[error("it is in use by another process")]
    InUse,
    /// A key that is not a sequence.
    #[error("there is a key of {bytes} bytes that no log has written")]
    ForeignKey {
        /// Its length.
        bytes: usize,
    },
}

/// An I/O error with what was tried.
pub(crate) const fn io_error(operation: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { operation, source }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
