//! Reading long stretches of the log in order: on the calling thread, or with fetching, checking
//! and decoding ahead of it.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use schemas::{Recorded, Sequence};

use crate::chain::{Chain, Flaw};
use crate::frame::{Frame, FrameHash};
use crate::log::Head;
use crate::reader::{LogReader, ReadError, Verification};
use crate::store::{Chunk, ChunkIter, Store};

/// How many frames go from thread to thread at once, so that waking each other costs little.
const GROUP_FRAMES: usize = 16;
/// How many groups may wait between two threads.
const GROUPS_WAITING: usize = 4;

/// Events in order, a frame at a time. Ends with its first error.
pub struct Scan<'a> {
    frames: Frames<'a>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        store: &'a dyn Store,
        from: Sequence,
        to: Sequence,
        verification: Verification,
    ) -> Result<Self, ReadError> {
        Ok(Self { frames: Frames::new(store, from, to, verification)? })
    }
}

impl fmt::Debug for Scan<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scan").field("range", &self.frames.range).finish_non_exhaustive()
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Vec<Recorded>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.frames.next()?;
        let mut events = Vec::new();
        let decoded = chunk.and_then(|chunk| self.frames.range.decode(&chunk, &mut events));
        if decoded.is_err() {
            self.frames.ended = true;
        }
        Some(decoded.map(|()| events))
    }
}

/// Which events are wanted; both ends are included.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: Sequence,
    to: Sequence,
}

impl Range {
    /// Appends the frame's events that are wanted.
    fn decode(self, chunk: &Chunk, events: &mut Vec<Recorded>) -> Result<(), ReadError> {
        let broken = |flaw| ReadError::broken(chunk.first, flaw);
        let frame = Frame::trust(&chunk.bytes).map_err(|error| broken(Flaw::Frame(error)))?;
        let before = events.len();
        frame.decode_into(events).map_err(|error| broken(Flaw::Records(error)))?;
        if frame.header.last() > self.to {
            let beyond = frame.header.last().get().saturating_sub(self.to.get());
            let beyond = usize::try_from(beyond).unwrap_or(usize::MAX);
            events.truncate(events.len().saturating_sub(beyond));
        }
        if frame.header.first < self.from {
            let early = self.from.get().saturating_sub(frame.header.first.get());
            let early = usize::try_from(early).unwrap_or(usize::MAX);
            let end = before.saturating_add(early).min(events.len());
            events.drain(before..end);
        }
        Ok(())
    }
}

/// Frames in order, checked but not decoded.
struct Frames<'a> {
    chunks: ChunkIter<'a>,
    next: Sequence,
    /// Follows the hashes, when they are wanted.
    chain: Option<Chain>,
    range: Range,
    ended: bool,
}

impl<'a> Frames<'a> {
    fn new(
        store: &'a dyn Store,
        from: Sequence,
        to: Sequence,
        verification: Verification,
    ) -> Result<Self, ReadError> {
        let from = from.max(Sequence::new(1));
        let range = Range { from, to };
        let next = if from > to {
            from
        } else {
            let holder = store.at_or_before(from).map_err(ReadError::Store)?;
            holder.map_or(from, |chunk| chunk.first)
        };
        let chain = match verification {
            Verification::Unverified => None,
            Verification::Chained => Some(chain_before(store, next)?),
        };
        Ok(Self { chunks: store.iterate(next), next, chain, range, ended: from > to })
    }

    fn check(&mut self, chunk: &Chunk) -> Result<(), ReadError> {
        let broken = |flaw| ReadError::broken(chunk.first, flaw);
        let header = if let Some(chain) = &mut self.chain {
            chain.follow(chunk).map_err(ReadError::Broken)?.header
        } else {
            Frame::trust(&chunk.bytes).map_err(|error| broken(Flaw::Frame(error)))?.header
        };
        if header.first != chunk.first {
            return Err(broken(Flaw::Misplaced { says: header.first }));
        }
        if chunk.first > self.next {
            return Err(broken(Flaw::Gap { expected: self.next }));
        }
        if chunk.first < self.next {
            return Err(broken(Flaw::Overlap { expected: self.next }));
        }
        self.next = header.next();
        Ok(())
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Chunk, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.next > self.range.to {
            return None;
        }
        let expected = self.next;
        let chunk = match self.chunks.next() {
            Some(Ok(chunk)) => self.check(&chunk).map(|()| chunk),
            Some(Err(error)) => Err(ReadError::Store(error)),
            // The head says that there is more.
            None => Err(ReadError::broken(expected, Flaw::Gap { expected })),
        };
        self.ended = chunk.is_err();
        Some(chunk)
    }
}

/// The chain as it stands before the frame that begins with `first`.
fn chain_before(store: &dyn Store, first: Sequence) -> Result<Chain, ReadError> {
    if first <= Sequence::new(1) {
        return Ok(Chain::after(&Head::GENESIS));
    }
    let before = Sequence::new(first.get().saturating_sub(1));
    let chunk = store.at_or_before(before).map_err(ReadError::Store)?;
    let Some(chunk) = chunk else { return Ok(Chain::amid(first, FrameHash::GENESIS)) };
    let frame = Frame::trust(&chunk.bytes)
        .map_err(|error| ReadError::broken(chunk.first, Flaw::Frame(error)))?;
    Ok(Chain::amid(first, frame.hash))
}

/// Events in order, several frames at a time, fetched, checked and decoded ahead by two threads.
/// Ends with its first error.
pub struct PipelinedScan {
    /// `None` once the threads are told to end.
    events: Option<Receiver<Result<Vec<Recorded>, ReadError>>>,
    threads: Vec<JoinHandle<()>>,
}

impl PipelinedScan {
    pub(crate) fn start(
        reader: LogReader,
        from: Sequence,
        to: Sequence,
        verification: Verification,
    ) -> Result<Self, ReadError> {
        let (chunk_sender, chunks) = sync_channel(GROUPS_WAITING);
        let (event_sender, events) = sync_channel(GROUPS_WAITING);
        let range = Range { from: from.max(Sequence::new(1)), to };
        let fetch = spawn("log-fetch", move || fetch(&reader, range, verification, &chunk_sender))?;
        // Should this one not start, its receiver goes and the first ends by itself.
        let decode = spawn("log-decode", move || decode(range, &chunks, &event_sender))?;
        Ok(Self { events: Some(events), threads: vec![fetch, decode] })
    }
}

impl fmt::Debug for PipelinedScan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PipelinedScan").finish_non_exhaustive()
    }
}

impl Iterator for PipelinedScan {
    type Item = Result<Vec<Recorded>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let received = self.events.as_ref()?.recv();
        if !matches!(received, Ok(Ok(_))) {
            self.events = None;
            let panicked = self.threads.drain(..).find_map(|thread| thread.join().err());
            if let Some(panic) = panicked {
                // An end that is none must not look like the end of the log.
                std::panic::resume_unwind(panic);
            }
        }
        received.ok()
    }
}

impl Drop for PipelinedScan {
    fn drop(&mut self) {
        // Without a receiver the threads end at their next group.
        self.events = None;
        for thread in self.threads.drain(..) {
            // A panic was printed where it happened; nobody reads the events any more.
            drop(thread.join());
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ReadError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(ReadError::Thread)
}

type Group = Result<Vec<Chunk>, ReadError>;

fn fetch(reader: &LogReader, range: Range, verification: Verification, groups: &SyncSender<Group>) {
    let frames = Frames::new(reader.store(), range.from, range.to, verification);
    let mut group = Vec::with_capacity(GROUP_FRAMES);
    let failed = match frames {
        Err(error) => Some(error),
        Ok(frames) => frames
            .map(|chunk| -> Result<bool, ReadError> {
                group.push(chunk?);
                if group.len() < GROUP_FRAMES {
                    return Ok(true);
                }
                let full = std::mem::replace(&mut group, Vec::with_capacity(GROUP_FRAMES));
                Ok(groups.send(Ok(full)).is_ok())
            })
            .find_map(|sent| match sent {
                Ok(true) => None,
                Ok(false) => Some(None),
                Err(error) => Some(Some(error)),
            })
            .flatten(),
    };
    // A receiver that is gone wants nothing more.
    let received = groups.send(Ok(group)).is_ok();
    if let Some(error) = failed
        && received
    {
        drop(groups.send(Err(error)));
    }
}

fn decode(
    range: Range,
    groups: &Receiver<Group>,
    sender: &SyncSender<Result<Vec<Recorded>, ReadError>>,
) {
    for group in groups {
        let mut events = Vec::new();
        let decoded = group
            .and_then(|group| group.iter().try_for_each(|chunk| range.decode(chunk, &mut events)));
        let ended = decoded.is_err();
        let nothing = events.is_empty();
        if !nothing && sender.send(Ok(events)).is_err() {
            return;
        }
        if let Err(error) = decoded {
            drop(sender.send(Err(error)));
        }
        if ended {
            return;
        }
    }
}
