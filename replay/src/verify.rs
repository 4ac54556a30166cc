//! Checking a whole log, frame by frame and link by link. It names every problem and goes on after
//! each; what the events mean is checked by the caller, who sees them all.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use schemas::{Recorded, Sequence};
use sha2::{Digest, Sha256};

use crate::chain::{Chain, Flaw, Problem};
use crate::checkpoint::Checkpoints;
use crate::frame::{Frame, FrameError, FrameHash, Mark};
use crate::log::Head;
use crate::open::{OpenError, open_directory};
use crate::reader::LogReader;
use crate::store::{Chunk, Store, StoreError};

const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How often progress is told, in frames.
const PROGRESS_FRAMES: u64 = 256;
/// How many frames may wait, checked, for their events to be looked at.
const FRAMES_WAITING: usize = 64;

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last event that was looked at.
    pub sequence: Sequence,
    /// Events so far.
    pub events: u64,
    /// Frames so far.
    pub frames: u64,
    /// Bytes of frames so far.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Readable events.
    pub events: u64,
    /// Frames, also broken ones.
    pub frames: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// The last frame that holds; `None` when there is none.
    pub head: Option<Mark>,
    /// Everything that is not as it must be, in the order of the log.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// Nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Verifies the log of a data directory that no service uses, and that its checkpoints stand after
/// events of this log. No event is changed; the storage engine may write its own bookkeeping.
///
/// # Errors
/// When there is no log, or it cannot be opened at all. A broken anchor is a problem in the report.
pub fn verify_directory(
    directory: &Path,
    on_records: impl FnMut(&[Recorded]),
    on_progress: impl FnMut(Progress),
) -> Result<VerifyReport, OpenError> {
    let (anchor, broken_anchor) = match crate::Anchor::read(directory) {
        Ok(anchor) => (anchor, None),
        Err(error) => (None, Some(error)),
    };
    let (store, _lock) = open_directory(directory, CACHE_BYTES, false)?;
    let verifier = Verifier::new(anchor, marks_of_checkpoints(directory));
    let mut report = verify(&store, None, verifier, on_records, on_progress);
    report.problems.extend(
        broken_anchor.map(|error| Problem { sequence: Sequence::ZERO, flaw: Flaw::Anchor(error) }),
    );
    Ok(report)
}

/// Verifies what a running log has made durable so far, against the head that it answers from.
pub fn verify_reader(
    reader: &LogReader,
    on_records: impl FnMut(&[Recorded]),
    on_progress: impl FnMut(Progress),
) -> VerifyReport {
    let head = reader.head();
    let verifier = Verifier::new(Some(head.mark()), Vec::new());
    verify(reader.store(), Some(head.sequence), verifier, on_records, on_progress)
}

/// Verifies all that a store holds, against the anchor if there is one.
pub fn verify_store(
    store: &dyn Store,
    anchor: Option<Mark>,
    on_records: impl FnMut(&[Recorded]),
    on_progress: impl FnMut(Progress),
) -> VerifyReport {
    verify(store, None, Verifier::new(anchor, Vec::new()), on_records, on_progress)
}

/// Where the checkpoints stand, as far as they can be read.
fn marks_of_checkpoints(directory: &Path) -> Vec<Mark> {
    let all = Checkpoints::existing(directory).and_then(|checkpoints| checkpoints.all().ok());
    all.into_iter().flatten().flatten().map(|saved| saved.mark()).collect()
}

fn verify(
    store: &dyn Store,
    to: Option<Sequence>,
    mut verifier: Verifier,
    mut on_records: impl FnMut(&[Recorded]),
    mut on_progress: impl FnMut(Progress),
) -> VerifyReport {
    std::thread::scope(|scope| {
        let (sender, frames) = sync_channel(FRAMES_WAITING);
        scope.spawn(move || hash_all(store, to, &sender));
        for hashed in frames {
            match hashed {
                Ok(hashed) => on_records(verifier.take(&hashed)),
                Err(error) => verifier.report(verifier.last.next(), Flaw::Store(error)),
            }
            if verifier.report.frames.is_multiple_of(PROGRESS_FRAMES) {
                on_progress(verifier.progress());
            }
        }
    });
    verifier.finish();
    on_progress(verifier.progress());
    verifier.report
}

/// A chunk with the hash that its bytes have.
struct Hashed {
    chunk: Chunk,
    computed: FrameHash,
}

/// Hashing is most of the work, and needs nothing of the frames before.
fn hash_all(
    store: &dyn Store,
    to: Option<Sequence>,
    sender: &SyncSender<Result<Hashed, StoreError>>,
) {
    let to = to.unwrap_or(Sequence::new(u64::MAX));
    for chunk in store.iterate(Sequence::ZERO) {
        if chunk.as_ref().is_ok_and(|chunk| chunk.first > to) {
            return;
        }
        let failed =
            chunk.as_ref().is_err_and(|error| !matches!(error, StoreError::ForeignKey { .. }));
        let hashed = chunk.map(|chunk| {
            let (body, _) = split_hash(&chunk.bytes);
            let computed = FrameHash(Sha256::digest(body).into());
            Hashed { chunk, computed }
        });
        if sender.send(hashed).is_err() || failed {
            return;
        }
    }
}

/// A frame's body, and the hash behind it.
fn split_hash(bytes: &[u8]) -> (&[u8], FrameHash) {
    bytes
        .split_last_chunk::<32>()
        .map_or((bytes, FrameHash::GENESIS), |(body, stored)| (body, FrameHash(*stored)))
}

struct Verifier {
    chain: Chain,
    anchor: Option<Mark>,
    /// Where checkpoints stand, in ascending order, as far as the log has not come yet.
    checkpoints: VecDeque<Mark>,
    /// The event up to which the log has been looked at.
    last: Sequence,
    /// Whether the frame looked at last is one, so that it is known where it ends.
    last_holds: bool,
    events: Vec<Recorded>,
    report: VerifyReport,
}

impl Verifier {
    fn new(anchor: Option<Mark>, checkpoints: Vec<Mark>) -> Self {
        Self {
            chain: Chain::after(&Head::GENESIS),
            checkpoints: checkpoints.into(),
            anchor: anchor.filter(|anchor| *anchor != Mark::GENESIS),
            last: Sequence::ZERO,
            last_holds: true,
            events: Vec::new(),
            report: VerifyReport::default(),
        }
    }

    fn report(&mut self, sequence: Sequence, flaw: Flaw) {
        self.report.problems.push(Problem { sequence, flaw });
    }

    /// The chunk's readable events.
    fn take(&mut self, hashed: &Hashed) -> &[Recorded] {
        let Hashed { chunk, computed } = hashed;
        self.events.clear();
        self.report.frames = self.report.frames.saturating_add(1);
        let length = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
        self.report.bytes = self.report.bytes.saturating_add(length);
        let (_, stored) = split_hash(&chunk.bytes);
        let checked =
            if stored == *computed { Frame::trust(&chunk.bytes) } else { Err(FrameError::Hash) };
        self.last_holds = checked.is_ok();
        match checked {
            Ok(frame) => self.take_frame(chunk.first, &frame),
            Err(error) => {
                self.report(chunk.first, Flaw::Frame(error));
                self.chain.advance_broken(stored, *computed);
                self.last = self.last.max(chunk.first);
            }
        }
        self.report.events =
            self.report.events.saturating_add(u64::try_from(self.events.len()).unwrap_or(u64::MAX));
        &self.events
    }

    fn take_frame(&mut self, key: Sequence, frame: &Frame<'_>) {
        for flaw in self.chain.flaws(key, &frame.header) {
            self.report(key, flaw);
        }
        if let Err(error) = frame.decode_into(&mut self.events) {
            self.report(key, Flaw::Records(error));
        }
        self.chain.advance(frame);
        let last = frame.header.last();
        if let Some(anchor) = self.anchor
            && frame.header.first <= anchor.sequence
            && anchor.sequence <= last
            && (anchor != Mark { sequence: last, hash: frame.hash })
        {
            self.report(anchor.sequence, Flaw::AnchorDiffers);
        }
        while let Some(mark) = self.checkpoints.pop_front_if(|mark| mark.sequence <= last) {
            if mark.sequence >= frame.header.first
                && mark != (Mark { sequence: last, hash: frame.hash })
            {
                self.report(mark.sequence, Flaw::CheckpointDiffers);
            }
        }
        self.last = self.last.max(last);
        self.report.head = Some(Mark { sequence: last, hash: frame.hash });
    }

    fn finish(&mut self) {
        if let Some(first) = self.chain.open_batch() {
            self.report(first, Flaw::BatchIncomplete { first });
        }
        if let Some(anchor) = self.anchor
            && anchor.sequence > self.last
            && self.last_holds
        {
            self.report(anchor.sequence, Flaw::BehindAnchor);
        }
        for mark in std::mem::take(&mut self.checkpoints) {
            if self.last_holds {
                self.report(mark.sequence, Flaw::CheckpointDiffers);
            }
        }
    }

    const fn progress(&self) -> Progress {
        Progress {
            sequence: self.last,
            events: self.report.events,
            frames: self.report.frames,
            bytes: self.report.bytes,
        }
    }
}
