//! Reading the log beside its appender: up to the last durable event, never beyond.

use std::fmt;
use std::sync::Arc;

use schemas::{Recorded, Sequence, Timestamp};
use thiserror::Error;

use crate::chain::{Flaw, Problem};
use crate::frame::{Frame, FrameHeader};
use crate::log::{Head, Shared};
use crate::scan::{PipelinedScan, Scan};
use crate::store::{Chunk, Store, StoreError};

/// Why an event cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The store failed.
    #[error("could not read the log's store")]
    Store(#[source] StoreError),
    /// The log is broken there.
    #[error(
        "the log is broken; run `replay verify` for all problems, and restore it from a backup"
    )]
    Broken(#[source] Problem),
    /// The system has no thread to spare.
    #[error("could not start a thread for reading")]
    Thread(#[source] std::io::Error),
}

impl ReadError {
    pub(crate) const fn broken(sequence: Sequence, flaw: Flaw) -> Self {
        Self::Broken(Problem { sequence, flaw })
    }
}

/// How much is checked of what is read. Missing and misplaced frames are always found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Every frame's hash, its link to the frame before it, and its place in its batch.
    Chained,
    /// No hashes.
    Unverified,
}

/// A reader of the durable log. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

impl fmt::Debug for LogReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogReader").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl LogReader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.shared.store.as_ref()
    }

    /// The last durable batch's end.
    #[must_use]
    pub fn head(&self) -> Head {
        *self.shared.head.read()
    }

    /// The event at `sequence`; `None` when there is none yet. No hash is checked.
    ///
    /// # Errors
    /// When the log cannot be read there.
    pub fn read(&self, sequence: Sequence) -> Result<Option<Recorded>, ReadError> {
        self.read_many(&[sequence]).map(|mut events| events.pop())
    }

    /// The events at the given sequences, in the given order; those beyond the head are left out.
    /// Neighbours cost least when they are asked for one after the other. No hash is checked.
    ///
    /// # Errors
    /// When the log cannot be read there.
    pub fn read_many(&self, sequences: &[Sequence]) -> Result<Vec<Recorded>, ReadError> {
        let head = self.head().sequence;
        let mut events = Vec::with_capacity(sequences.len());
        let mut rest = sequences;
        while let Some((first, others)) = rest.split_first() {
            if *first == Sequence::ZERO || *first > head {
                rest = others;
                continue;
            }
            let (chunk, header) = self.frame_of(*first)?;
            let count = rest.iter().take_while(|sequence| holds(&header, **sequence)).count();
            let (here, later) = rest.split_at(count.max(1));
            let broken = |flaw| ReadError::broken(chunk.first, flaw);
            let frame = Frame::trust(&chunk.bytes).map_err(|error| broken(Flaw::Frame(error)))?;
            let found = frame.decode_some(here).map_err(|error| broken(Flaw::Records(error)))?;
            events.extend(found);
            rest = later;
        }
        Ok(events)
    }

    /// Up to `events_max` events from `from` on: a page. The next one begins after the last event.
    ///
    /// # Errors
    /// When the log cannot be read there.
    pub fn page(&self, from: Sequence, events_max: u64) -> Result<Vec<Recorded>, ReadError> {
        let mut page = Vec::new();
        let from = from.max(Sequence::new(1));
        if events_max == 0 {
            return Ok(page);
        }
        let last = from.plus(events_max.saturating_sub(1));
        for events in self.scan(from, last, Verification::Unverified)? {
            page.extend(events?);
        }
        Ok(page)
    }

    /// The events from `from` to `to`, both included, as far as they exist now; a frame at a time,
    /// on the calling thread.
    ///
    /// # Errors
    /// When the log cannot be read at `from`. What follows is told by the iterator, which ends with
    /// its first error.
    pub fn scan(
        &self,
        from: Sequence,
        to: Sequence,
        verification: Verification,
    ) -> Result<Scan<'_>, ReadError> {
        Scan::new(self.store(), from, to.min(self.head().sequence), verification)
    }

    /// The same, faster for long stretches: fetching and checking go on in one thread, decoding in
    /// another, and the iterator gives the events of several frames at a time.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn scan_pipelined(
        &self,
        from: Sequence,
        to: Sequence,
        verification: Verification,
    ) -> Result<PipelinedScan, ReadError> {
        let to = to.min(self.head().sequence);
        PipelinedScan::start(self.clone(), from, to, verification)
    }

    /// The last event that was recorded at `moment` or before; zero when there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn sequence_at(&self, moment: Timestamp) -> Result<Sequence, ReadError> {
        // All events up to `known` are early enough; all from `late` on are too late.
        let mut known = Sequence::ZERO;
        let mut late = self.head().sequence.next();
        while known.next() < late {
            let middle = known.get().midpoint(late.get());
            let (_, header) = self.frame_of(Sequence::new(middle))?;
            if header.recorded_at <= moment {
                known = header.last();
            } else {
                late = header.first;
            }
        }
        Ok(known)
    }

    /// The frame that holds an event of the durable log.
    fn frame_of(&self, sequence: Sequence) -> Result<(Chunk, FrameHeader), ReadError> {
        let gap = || ReadError::broken(sequence, Flaw::Gap { expected: sequence });
        let chunk = self.store().at_or_before(sequence).map_err(ReadError::Store)?;
        let chunk = chunk.ok_or_else(gap)?;
        let header = Frame::trust(&chunk.bytes)
            .map_err(|error| ReadError::broken(chunk.first, Flaw::Frame(error)))?
            .header;
        if header.first != chunk.first {
            let flaw = Flaw::Misplaced { says: header.first };
            return Err(ReadError::broken(chunk.first, flaw));
        }
        if holds(&header, sequence) { Ok((chunk, header)) } else { Err(gap()) }
    }
}

fn holds(header: &FrameHeader, sequence: Sequence) -> bool {
    header.first <= sequence && sequence < header.next()
}
