//! What the tests of the log share: commands, a model of what they become, and a store in memory
//! that can be broken and can fail.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use replay::{
    BatchEncoder, Chunk, ChunkIter, EncodedBatch, Head, Log, LogOptions, LogReader, Problem, Store,
    StoreError, Verification,
};
use schemas::{
    ActorId, CommandHeader, CommandKey, Event, Fingerprint, Money, Recorded, Sequence, TenantId,
    Timestamp, WalletToppedUp,
};
use sha2::{Digest, Sha256};

/// The `number`-th sequence.
pub(crate) fn at(number: u64) -> Sequence {
    Sequence::new(number)
}

/// The `number`-th second.
pub(crate) fn second(number: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(number)
}

/// An event that takes a little more than `bytes`.
pub(crate) fn event(bytes: usize) -> Event {
    Event::WalletToppedUp(WalletToppedUp {
        tenant: TenantId(7),
        amount: Money::from_units(i128::try_from(bytes).expect("small")),
        reference: "r".repeat(bytes),
    })
}

/// The header of a command that is recognised by `number`.
pub(crate) fn header(number: u64) -> CommandHeader {
    CommandHeader {
        actor: ActorId(3),
        key: CommandKey::Explicit(u128::from(number).to_le_bytes()),
        fingerprint: Fingerprint(number.to_le_bytes()),
    }
}

/// A batch of commands, given by the sizes of their events, and the events as they must be read.
pub(crate) fn batch(
    first: Sequence,
    recorded_at: Timestamp,
    commands: &[Vec<usize>],
) -> (EncodedBatch, Vec<Recorded>) {
    let mut encoder = BatchEncoder::new(first, recorded_at);
    let mut expected = Vec::new();
    let mut sequence = first;
    for sizes in commands {
        let header = header(sequence.get());
        let events: Vec<_> = sizes.iter().map(|size| event(*size)).collect();
        let cause = encoder.push(header, &events).expect("short enough");
        assert_eq!(cause, sequence);
        for (place, event) in events.into_iter().enumerate() {
            let command = (place == 0).then_some(header);
            expected.push(Recorded { sequence, recorded_at, cause, command, event });
            sequence = sequence.next();
        }
    }
    assert_eq!(encoder.next_sequence(), sequence);
    (encoder.finish(), expected)
}

/// Appends commands to a log, a second after its head.
pub(crate) fn append(log: &mut Log, commands: &[Vec<usize>]) -> Vec<Recorded> {
    let head = log.head();
    let (batch, expected) = batch(head.sequence.next(), head.recorded_at.plus_seconds(1), commands);
    log.append(batch).expect("the store works");
    expected
}

/// All events, read in one thread with every hash checked.
pub(crate) fn read_all(reader: &LogReader) -> Vec<Recorded> {
    let scan = reader.scan(at(1), at(u64::MAX), Verification::Chained).expect("readable");
    scan.flat_map(|events| events.expect("sound")).collect()
}

/// A store in memory. Clones share what is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStore {
    chunks: Arc<Mutex<BTreeMap<Sequence, Vec<u8>>>>,
    fails: Arc<AtomicBool>,
}

impl MemoryStore {
    /// A log over this store.
    pub(crate) fn log(&self) -> Log {
        Log::with_store(Box::new(self.clone()), LogOptions::default()).expect("sound").0
    }

    /// From now on every append fails, after it has written half of its chunks.
    pub(crate) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// A copy that shares nothing.
    pub(crate) fn copy(&self) -> Self {
        Self { chunks: Arc::new(Mutex::new(self.chunks.lock().clone())), ..Self::default() }
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> Vec<Sequence> {
        self.chunks.lock().keys().copied().collect()
    }

    /// The bytes under a key.
    pub(crate) fn bytes(&self, key: Sequence) -> Vec<u8> {
        self.chunks.lock().get(&key).expect("a chunk").clone()
    }

    /// Puts bytes under a key.
    pub(crate) fn put(&self, key: Sequence, bytes: Vec<u8>) {
        self.chunks.lock().insert(key, bytes);
    }

    /// Takes a chunk away.
    pub(crate) fn remove(&self, key: Sequence) -> Vec<u8> {
        self.chunks.lock().remove(&key).expect("a chunk")
    }
}

impl Store for MemoryStore {
    fn append(&self, chunks: Vec<Chunk>) -> Result<(), StoreError> {
        let fails = self.fails.load(Ordering::Relaxed);
        let written = if fails { chunks.len() / 2 } else { chunks.len() };
        for chunk in chunks.iter().take(written) {
            self.put(chunk.first, chunk.bytes.to_vec());
        }
        if fails {
            let source = io::Error::other("the disk is full");
            return Err(StoreError::Io { operation: "write", source });
        }
        Ok(())
    }

    fn at_or_before(&self, sequence: Sequence) -> Result<Option<Chunk>, StoreError> {
        Ok(self.chunks.lock().range(..=sequence).next_back().map(chunk))
    }

    fn iterate(&self, from: Sequence) -> ChunkIter<'_> {
        let found: Vec<_> = self.chunks.lock().range(from..).map(chunk).map(Ok).collect();
        Box::new(found.into_iter())
    }

    fn cut(&self, from: Sequence) -> Result<(), StoreError> {
        drop(self.chunks.lock().split_off(&from));
        Ok(())
    }
}

fn chunk((first, bytes): (&Sequence, &Vec<u8>)) -> Chunk {
    Chunk { first: *first, bytes: bytes.clone().into() }
}

/// Where the fields of a frame's header begin.
pub(crate) mod offset {
    pub(crate) const VERSION: usize = 0;
    pub(crate) const PARTITION: usize = 1;
    pub(crate) const FIRST: usize = 13;
    pub(crate) const INDEX: usize = 25;
    pub(crate) const CONTINUES: usize = 33;
    pub(crate) const RECORDED_AT: usize = 41;
    pub(crate) const PREVIOUS: usize = 49;
    pub(crate) const PAYLOAD: usize = 85;
}

/// The frame with other bytes at `offset`, under a hash that holds: what no flipped bit can do.
pub(crate) fn forged(frame: &[u8], offset: usize, other: &[u8]) -> Vec<u8> {
    let body = frame.len().checked_sub(32).expect("a frame");
    let mut bytes = frame.to_vec();
    bytes.truncate(body);
    bytes.splice(offset..offset + other.len(), other.iter().copied());
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

/// The hash behind a frame.
pub(crate) fn hash_of(frame: &[u8]) -> [u8; 32] {
    *frame.last_chunk().expect("a frame")
}

/// The problems as they are printed.
pub(crate) fn printed(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Three batches: of one frame, of several, of one.
pub(crate) fn three_batches(log: &mut Log) -> (Vec<Recorded>, Head) {
    let mut expected = append(log, &[vec![10], vec![20, 30]]);
    expected.extend(append(log, &[vec![3_000, 3_000, 3_000, 3_000, 3_000], vec![5_000]]));
    expected.extend(append(log, &[vec![40]]));
    (expected, log.head())
}
