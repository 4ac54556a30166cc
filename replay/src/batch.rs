//! Commands become a batch of chunks here, on the deciding thread. The hashes are left to the
//! storing thread, so that nothing here waits for the frame before.

use schemas::{CodecError, CommandHeader, Event, Record, Sequence, Timestamp};

use crate::frame::{FrameHash, FrameHeader, seal};
use crate::store::Chunk;

/// How many bytes of records a chunk takes in before the next one begins. With 7 000 bytes for the
/// longest record and the frame around it, every frame stays below
/// [`FRAME_BYTES_MAX`](crate::FRAME_BYTES_MAX).
const CHUNK_BYTES: usize = 6_000;

/// Gathers the events of commands into a batch.
#[derive(Debug)]
pub struct BatchEncoder {
    first: Sequence,
    next: Sequence,
    recorded_at: Timestamp,
    payload: Vec<u8>,
    chunks: Vec<ChunkStart>,
}

#[derive(Debug, Clone, Copy)]
struct ChunkStart {
    first: Sequence,
    continues: Option<Sequence>,
    offset: usize,
}

/// A batch that waits to be linked to the log and stored.
#[derive(Debug)]
pub struct EncodedBatch {
    first: Sequence,
    next: Sequence,
    recorded_at: Timestamp,
    payload: Vec<u8>,
    chunks: Vec<ChunkStart>,
}

impl BatchEncoder {
    /// An empty batch whose first event will be `first`.
    #[must_use]
    pub const fn new(first: Sequence, recorded_at: Timestamp) -> Self {
        Self { first, next: first, recorded_at, payload: Vec::new(), chunks: Vec::new() }
    }

    /// Adds a command's events, all or none, and gives the sequence of the first. A command without
    /// events adds nothing.
    ///
    /// # Errors
    /// When an event cannot be encoded or is too long; the batch is then as before.
    pub fn push(
        &mut self,
        header: CommandHeader,
        events: &[Event],
    ) -> Result<Sequence, CodecError> {
        let cause = self.next;
        let (bytes, chunks) = (self.payload.len(), self.chunks.len());
        let mut command = Some(header);
        for event in events {
            if let Err(error) = self.push_record(command.take(), event, cause) {
                self.payload.truncate(bytes);
                self.chunks.truncate(chunks);
                self.next = cause;
                return Err(error);
            }
        }
        Ok(cause)
    }

    fn push_record(
        &mut self,
        command: Option<CommandHeader>,
        event: &Event,
        cause: Sequence,
    ) -> Result<(), CodecError> {
        let offset = self.payload.len();
        Record::encode_parts(command, event, &mut self.payload)?;
        let chunk_offset = self.chunks.last().map(|chunk| chunk.offset);
        let full =
            chunk_offset.is_none_or(|start| self.payload.len().saturating_sub(start) > CHUNK_BYTES);
        if full {
            let continues = Some(cause).filter(|cause| *cause != self.next);
            self.chunks.push(ChunkStart { first: self.next, continues, offset });
        }
        self.next = self.next.next();
        Ok(())
    }

    /// Whether there is no event yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The sequence that the next event will have.
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// How many bytes the records take so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// The batch, ready to be appended.
    #[must_use]
    pub fn finish(self) -> EncodedBatch {
        let Self { first, next, recorded_at, payload, chunks } = self;
        EncodedBatch { first, next, recorded_at, payload, chunks }
    }
}

impl EncodedBatch {
    /// The first event's sequence.
    #[must_use]
    pub const fn first(&self) -> Sequence {
        self.first
    }

    /// The sequence after the last event's.
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// When it was decided.
    #[must_use]
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Whether there is nothing to append.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The frames, linked to the one with the hash `previous`; and the hash of the last.
    pub(crate) fn seal(&self, mut previous: FrameHash) -> (Vec<Chunk>, FrameHash) {
        let mut frames = Vec::with_capacity(self.chunks.len());
        let total = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        let mut following = self.chunks.iter().skip(1);
        for (index, chunk) in (0..).zip(&self.chunks) {
            let (end, next) = following
                .next()
                .map_or((self.payload.len(), self.next), |after| (after.offset, after.first));
            let count = next.get().saturating_sub(chunk.first.get());
            let header = FrameHeader {
                partition: 0,
                epoch: 0,
                first: chunk.first,
                count: u32::try_from(count).unwrap_or(u32::MAX),
                index,
                total,
                continues: chunk.continues,
                recorded_at: self.recorded_at,
                previous,
            };
            let payload = self.payload.get(chunk.offset..end).unwrap_or_default();
            let (bytes, hash) = seal(&header, payload);
            frames.push(Chunk { first: chunk.first, bytes: bytes.into() });
            previous = hash;
        }
        (frames, previous)
    }
}
