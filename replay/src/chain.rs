//! What must hold from one frame to the next: the rules of the log, in one place for opening,
//! reading and verifying.

use schemas::{Sequence, Timestamp};
use thiserror::Error;

use crate::frame::{Frame, FrameError, FrameHash, FrameHeader, RecordsError};
use crate::log::Head;
use crate::store::{Chunk, StoreError};

/// Something that is not as it must be, and where.
#[derive(Debug, Error)]
#[error("event {sequence}: {flaw}")]
pub struct Problem {
    /// The first event of the frame, by the key that it is stored under.
    pub sequence: Sequence,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What can be wrong with a log.
#[derive(Debug, Error)]
pub enum Flaw {
    /// The store does not give the frame.
    #[error("the store fails: {0}")]
    Store(StoreError),
    /// The frame's own bytes are broken.
    #[error("{0}")]
    Frame(FrameError),
    /// The frame is stored in another's place.
    #[error("the frame of event {says} stands here")]
    Misplaced {
        /// The first event, by the frame itself.
        says: Sequence,
    },
    /// Events are missing before the frame.
    #[error("the events from {expected} on are missing before it")]
    Gap {
        /// The first missing event.
        expected: Sequence,
    },
    /// The frame repeats events.
    #[error("the frame repeats events, {expected} should follow")]
    Overlap {
        /// The event that should follow.
        expected: Sequence,
    },
    /// The frame belongs after another frame.
    #[error("the frame does not follow the one before it: expected its hash {expected}, got {got}")]
    Link {
        /// The hash of the frame before it.
        expected: FrameHash,
        /// The hash that it names.
        got: FrameHash,
    },
    /// A batch begins before the one before it is whole.
    #[error("the batch that begins at event {first} is not whole")]
    BatchIncomplete {
        /// The batch's first event, as far as it is known.
        first: Sequence,
    },
    /// The frame is not the next of its batch.
    #[error("the frame is number {index} of {total} in its batch, expected {expected}")]
    BatchOrder {
        /// Its place.
        index: u32,
        /// Of how many.
        total: u32,
        /// The place that should follow.
        expected: u32,
    },
    /// A command goes on from another batch.
    #[error("a command goes on from the batch before")]
    CommandStraddles,
    /// Time went back.
    #[error("recorded at {got}, before {before}")]
    TimeWentBack {
        /// The frame's time.
        got: Timestamp,
        /// The time of the frame before.
        before: Timestamp,
    },
    /// Written for another partition or under another epoch.
    #[error("the frame belongs to partition {partition}, epoch {epoch}")]
    Foreign {
        /// Its partition.
        partition: u32,
        /// Its epoch.
        epoch: u64,
    },
    /// The events inside are not readable.
    #[error("{0}")]
    Records(RecordsError),
    /// The anchor knows events that the store has not.
    #[error("the store ends before this acknowledged event")]
    BehindAnchor,
    /// The anchor knows this event's frame by another hash.
    #[error("the frame of this event is not the one that was acknowledged")]
    AnchorDiffers,
    /// A checkpoint stands after an event that the log has not, or knows its frame by another hash.
    #[error("the checkpoint after this event is not of this log")]
    CheckpointDiffers,
    /// The anchor cannot be read.
    #[error("{0}")]
    Anchor(crate::AnchorError),
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy)]
enum Batch {
    /// The next frame begins one.
    Closed,
    /// The next frame is number `next` of `total`.
    Open { first: Sequence, next: u32, total: u32 },
    /// The frame before cannot tell.
    Unknown,
}

/// What is known after a frame of what must follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    next: Option<Sequence>,
    /// After a broken frame it is unknown whether its body or its hash is wrong.
    previous: (FrameHash, FrameHash),
    recorded_at: Timestamp,
    batch: Batch,
}

impl Chain {
    /// After the whole batch that ends at `head`.
    pub(crate) const fn after(head: &Head) -> Self {
        Self {
            next: Some(head.sequence.next()),
            previous: (head.hash, head.hash),
            recorded_at: head.recorded_at,
            batch: Batch::Closed,
        }
    }

    /// After a frame of which only the hash and the next sequence are known.
    pub(crate) const fn amid(next: Sequence, previous: FrameHash) -> Self {
        Self {
            next: Some(next),
            previous: (previous, previous),
            recorded_at: Timestamp::from_micros(i64::MIN),
            batch: Batch::Unknown,
        }
    }

    /// Everything that is wrong with a frame in this place, stored under `key`.
    pub(crate) fn flaws(&self, key: Sequence, header: &FrameHeader) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if header.first != key {
            flaws.push(Flaw::Misplaced { says: header.first });
        }
        match self.next {
            Some(expected) if key > expected => flaws.push(Flaw::Gap { expected }),
            Some(expected) if key < expected => flaws.push(Flaw::Overlap { expected }),
            _ => {}
        }
        let (stored, computed) = self.previous;
        if header.previous != stored && header.previous != computed {
            flaws.push(Flaw::Link { expected: stored, got: header.previous });
        }
        if header.partition != 0 || header.epoch != 0 {
            flaws.push(Flaw::Foreign { partition: header.partition, epoch: header.epoch });
        }
        if header.recorded_at < self.recorded_at {
            flaws.push(Flaw::TimeWentBack { got: header.recorded_at, before: self.recorded_at });
        }
        flaws.extend(self.batch_flaw(header));
        flaws
    }

    fn batch_flaw(&self, header: &FrameHeader) -> Option<Flaw> {
        let FrameHeader { index, total, .. } = *header;
        let order = |expected| Flaw::BatchOrder { index, total, expected };
        match self.batch {
            Batch::Open { first, .. } if index == 0 => Some(Flaw::BatchIncomplete { first }),
            Batch::Open { next, total: of, .. } if index != next || total != of => {
                Some(order(next))
            }
            Batch::Open { .. } if header.recorded_at > self.recorded_at => Some(order(index)),
            Batch::Closed if index != 0 => Some(order(0)),
            _ if index == 0 && header.continues.is_some() => Some(Flaw::CommandStraddles),
            _ => None,
        }
    }

    /// Goes on after a frame that may have had flaws.
    pub(crate) fn advance(&mut self, frame: &Frame<'_>) {
        let header = &frame.header;
        self.next = Some(header.next());
        self.previous = (frame.hash, frame.hash);
        self.recorded_at = header.recorded_at;
        self.batch = if header.ends_batch() {
            Batch::Closed
        } else {
            let first = match self.batch {
                Batch::Open { first, .. } if header.index > 0 => first,
                _ => header.first,
            };
            Batch::Open { first, next: header.index.saturating_add(1), total: header.total }
        };
    }

    /// Goes on after a frame that cannot be believed: `stored` and `computed` are its two hashes.
    pub(crate) const fn advance_broken(&mut self, stored: FrameHash, computed: FrameHash) {
        self.next = None;
        self.previous = (stored, computed);
        self.batch = Batch::Unknown;
    }

    /// The first event of a batch that is not whole yet, as far as it is known.
    pub(crate) const fn open_batch(&self) -> Option<Sequence> {
        match self.batch {
            Batch::Open { first, .. } => Some(first),
            Batch::Closed | Batch::Unknown => None,
        }
    }

    /// Takes a frame in; the first flaw stops.
    pub(crate) fn follow<'a>(&mut self, chunk: &'a Chunk) -> Result<Frame<'a>, Problem> {
        let problem = |flaw| Problem { sequence: chunk.first, flaw };
        let frame = Frame::check(&chunk.bytes).map_err(|error| problem(Flaw::Frame(error)))?;
        if let Some(flaw) = self.flaws(chunk.first, &frame.header).into_iter().next() {
            return Err(problem(flaw));
        }
        self.advance(&frame);
        Ok(frame)
    }
}
