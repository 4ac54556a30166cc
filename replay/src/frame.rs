//! The bytes of a frame: one chunk of a batch as it is stored. Fixed little-endian header, the
//! records, and a SHA-256 over both; every frame names the hash of the one before it. These bytes
//! never change once released: a new layout is a new [`FRAME_VERSION`].

use std::fmt;

use schemas::{CodecError, Record, Recorded, Sequence, Timestamp};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The layout that is written.
pub const FRAME_VERSION: u8 = 1;

/// The most bytes of a frame. At the store's segment size a value of more than 7 707 bytes would
/// become a file of its own that is never synced.
pub const FRAME_BYTES_MAX: usize = 7_600;

/// version, partition, epoch, first, count, index, total, continues, recorded at, previous, length.
pub(crate) const HEADER_BYTES: usize = 1 + 4 + 8 + 8 + 4 + 4 + 4 + 8 + 8 + 32 + 4;
const HASH_BYTES: usize = 32;
const OVERHEAD_BYTES: usize = HEADER_BYTES + HASH_BYTES;

/// The SHA-256 of a frame.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FrameHash(pub [u8; HASH_BYTES]);

impl FrameHash {
    /// What the first frame names as the one before it.
    pub const GENESIS: Self = Self([0; HASH_BYTES]);
}

/// Lower-case hexadecimal.
impl fmt::Display for FrameHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for FrameHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FrameHash({self})")
    }
}

/// A position at the end of a frame, with the hash that proves everything up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last event of the frame.
    pub sequence: Sequence,
    /// The frame's hash.
    pub hash: FrameHash,
}

impl Mark {
    /// Before the first event.
    pub const GENESIS: Self = Self { sequence: Sequence::ZERO, hash: FrameHash::GENESIS };
}

/// What stands before the records of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The part of the book; 0 on a single machine.
    pub partition: u32,
    /// The reign of the writer; 0 on a single machine.
    pub epoch: u64,
    /// The first event.
    pub first: Sequence,
    /// How many events, at least one.
    pub count: u32,
    /// The frame's place in its batch, from 0.
    pub index: u32,
    /// How many frames the batch has.
    pub total: u32,
    /// When the frame begins in the middle of a command: the command's first event.
    pub continues: Option<Sequence>,
    /// When the batch was decided.
    pub recorded_at: Timestamp,
    /// The hash of the frame before.
    pub previous: FrameHash,
}

impl FrameHeader {
    /// The last event.
    #[must_use]
    pub fn last(&self) -> Sequence {
        Sequence::new(self.next().get().saturating_sub(1))
    }

    /// The event after the last.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        // A `From` conversion is not yet possible in a constant function.
        self.first.plus(self.count as u64)
    }

    /// Whether this is the last frame of its batch.
    #[must_use]
    pub const fn ends_batch(&self) -> bool {
        self.index.saturating_add(1) == self.total
    }
}

/// A frame whose hash holds, borrowed from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header.
    pub header: FrameHeader,
    /// The records, one after the other.
    pub payload: &'a [u8],
    /// The frame's own hash.
    pub hash: FrameHash,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Fewer bytes than any frame has.
    #[error("the frame is cut off after {bytes} bytes")]
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// The bytes were changed after they were written.
    #[error("the frame's bytes do not match their hash")]
    Hash,
    /// Written by a later release.
    #[error("the frame has the layout {0}, this release knows only {FRAME_VERSION}")]
    Version(u8),
    /// The header does not fit the bytes.
    #[error("the frame says {says} bytes of records and has {has}")]
    Length {
        /// By its header.
        says: u32,
        /// By its end.
        has: usize,
    },
    /// A frame holds at least one event, and its place is within its batch.
    #[error("the frame's header contradicts itself")]
    Header,
}

/// Why the records of a sound frame cannot be read.
#[derive(Debug, Error)]
pub enum RecordsError {
    /// An event that this release does not know.
    #[error("event {sequence} is not readable")]
    Codec {
        /// The event.
        sequence: Sequence,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// An event belongs to no command.
    #[error("event {0} belongs to no command")]
    NoCommand(Sequence),
    /// A frame in the middle of a command begins another.
    #[error("event {0} begins a command where another goes on")]
    CommandInside(Sequence),
    /// More bytes than events.
    #[error("{0} bytes follow the last event")]
    BytesLeft(usize),
}

/// The bytes of a frame and its hash.
pub(crate) fn seal(header: &FrameHeader, payload: &[u8]) -> (Vec<u8>, FrameHash) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(OVERHEAD_BYTES));
    bytes.push(FRAME_VERSION);
    bytes.extend_from_slice(&header.partition.to_le_bytes());
    bytes.extend_from_slice(&header.epoch.to_le_bytes());
    bytes.extend_from_slice(&header.first.get().to_le_bytes());
    bytes.extend_from_slice(&header.count.to_le_bytes());
    bytes.extend_from_slice(&header.index.to_le_bytes());
    bytes.extend_from_slice(&header.total.to_le_bytes());
    bytes.extend_from_slice(&header.continues.map_or(0, Sequence::get).to_le_bytes());
    bytes.extend_from_slice(&header.recorded_at.micros().to_le_bytes());
    bytes.extend_from_slice(&header.previous.0);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    let hash = hash_of(&bytes);
    bytes.extend_from_slice(&hash.0);
    (bytes, hash)
}

fn hash_of(bytes: &[u8]) -> FrameHash {
    FrameHash(Sha256::digest(bytes).into())
}

impl<'a> Frame<'a> {
    /// Reads a frame and checks its hash.
    ///
    /// # Errors
    /// When a single bit is not as it was written.
    pub fn check(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort { bytes: bytes.len() };
        let (body, stored) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(too_short)?;
        if hash_of(body).0 != *stored {
            return Err(FrameError::Hash);
        }
        Self::trust(bytes)
    }

    /// Reads a frame without computing its hash.
    ///
    /// # Errors
    /// When its structure does not hold.
    pub fn trust(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort { bytes: bytes.len() };
        let (body, stored) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(too_short)?;
        let too_short = FrameError::TooShort { bytes: bytes.len() };
        let (header, payload) = body.split_first_chunk::<HEADER_BYTES>().ok_or(too_short)?;
        let (header, length) = parse_header(header)?;
        if usize::try_from(length) != Ok(payload.len()) {
            return Err(FrameError::Length { says: length, has: payload.len() });
        }
        Ok(Self { header, payload, hash: FrameHash(*stored) })
    }

    /// Appends the frame's events to `events`.
    ///
    /// # Errors
    /// When an event is not readable; those before it have been appended.
    pub fn decode_into(&self, events: &mut Vec<Recorded>) -> Result<(), RecordsError> {
        let mut records = self.records();
        events.reserve(usize::try_from(self.header.count).unwrap_or(0));
        for recorded in &mut records {
            events.push(recorded?);
        }
        match records.rest.len() {
            0 => Ok(()),
            bytes => Err(RecordsError::BytesLeft(bytes)),
        }
    }

    /// The frame's events at the given sequences, in the given order; those outside are left out. The
    /// frame is decoded once for all of them, up to the last.
    ///
    /// # Errors
    /// When one of them, or an event before it, is not readable.
    pub fn decode_some(&self, sequences: &[Sequence]) -> Result<Vec<Recorded>, RecordsError> {
        let mut wanted: Vec<(Sequence, usize)> = sequences.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let mut wanted = wanted.into_iter().peekable();
        let mut found = Vec::with_capacity(sequences.len());
        let mut records = self.records();
        while wanted.peek().is_some() {
            let Some(recorded) = records.next() else { break };
            let recorded = recorded?;
            while let Some((_, place)) = wanted.next_if(|(next, _)| *next <= recorded.sequence) {
                found.push((place, recorded.clone()));
            }
        }
        found.retain(|(place, recorded)| sequences.get(*place) == Some(&recorded.sequence));
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, recorded)| recorded).collect())
    }

    fn records(&self) -> Records<'a> {
        Records {
            sequence: self.header.first,
            left: self.header.count,
            recorded_at: self.header.recorded_at,
            continues: self.header.continues,
            cause: self.header.continues,
            rest: self.payload,
        }
    }
}

struct Records<'a> {
    sequence: Sequence,
    left: u32,
    recorded_at: Timestamp,
    /// Only before the first record.
    continues: Option<Sequence>,
    cause: Option<Sequence>,
    rest: &'a [u8],
}

impl Iterator for Records<'_> {
    type Item = Result<Recorded, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let sequence = self.sequence;
        self.sequence = sequence.next();
        let (record, used) = match Record::decode_from(self.rest) {
            Ok(decoded) => decoded,
            Err(source) => return Some(Err(RecordsError::Codec { sequence, source })),
        };
        self.rest = self.rest.get(used..).unwrap_or_default();
        let continues = self.continues.take();
        if record.command.is_some() {
            if continues.is_some() {
                return Some(Err(RecordsError::CommandInside(sequence)));
            }
            self.cause = Some(sequence);
        }
        let Some(cause) = self.cause else {
            return Some(Err(RecordsError::NoCommand(sequence)));
        };
        let recorded_at = self.recorded_at;
        let Record { command, event } = record;
        Some(Ok(Recorded { sequence, recorded_at, cause, command, event }))
    }
}

/// Takes fixed-size fields from the front of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(FrameError::Header)?;
        self.0 = rest;
        Ok(*field)
    }
}

/// The header and the length of the payload.
fn parse_header(bytes: &[u8; HEADER_BYTES]) -> Result<(FrameHeader, u32), FrameError> {
    let mut fields = Fields(bytes);
    let [version] = fields.take()?;
    if version != FRAME_VERSION {
        return Err(FrameError::Version(version));
    }
    let header = FrameHeader {
        partition: u32::from_le_bytes(fields.take()?),
        epoch: u64::from_le_bytes(fields.take()?),
        first: Sequence::new(u64::from_le_bytes(fields.take()?)),
        count: u32::from_le_bytes(fields.take()?),
        index: u32::from_le_bytes(fields.take()?),
        total: u32::from_le_bytes(fields.take()?),
        continues: Some(u64::from_le_bytes(fields.take()?))
            .filter(|first| *first != 0)
            .map(Sequence::new),
        recorded_at: Timestamp::from_micros(i64::from_le_bytes(fields.take()?)),
        previous: FrameHash(fields.take()?),
    };
    let length = u32::from_le_bytes(fields.take()?);
    let sound = header.first != Sequence::ZERO
        && header.count > 0
        && header.index < header.total
        && header.continues.is_none_or(|first| first < header.first);
    if sound { Ok((header, length)) } else { Err(FrameError::Header) }
}
