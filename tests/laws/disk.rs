//! A disk that fails when it is told to. It tells apart what a process sees from what a power cut
//! leaves: an append that succeeds is durable; one that fails may have put any number of its chunks
//! in the cache, and any number of those on the platter.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use replay::{Chunk, ChunkBytes, ChunkIter, Store, StoreError};
use schemas::Sequence;

/// What is left of an append or a cut that fails, in shares of its chunks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// So many calls succeed before.
    pub(crate) after: u32,
    /// Of ten chunks, so many get into the cache.
    pub(crate) cached: usize,
    /// Of ten chunks in the cache, so many get onto the platter.
    pub(crate) durable: usize,
    /// It panics instead of saying so.
    pub(crate) panics: bool,
}

#[derive(Debug, Default)]
struct Platter {
    cache: BTreeMap<Sequence, ChunkBytes>,
    durable: BTreeMap<Sequence, ChunkBytes>,
    fault: Option<Fault>,
    failed: bool,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    /// Begins to count calls for the next fault.
    pub(crate) fn plan(&self, fault: Option<Fault>) {
        let mut platter = self.0.lock();
        platter.fault = fault;
        platter.failed = false;
    }

    /// Whether a call has failed since the last plan.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.lock().failed
    }

    /// A power cut: only what is on the platter is left.
    pub(crate) fn cut_power(&self) {
        let mut platter = self.0.lock();
        platter.cache = platter.durable.clone();
    }

    /// What a store does when it opens: whatever is found is made durable before it is used.
    pub(crate) fn open(&self) -> Box<dyn Store> {
        let mut platter = self.0.lock();
        platter.durable = platter.cache.clone();
        Box::new(self.clone())
    }

    /// Nothing is on the platter.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().durable.is_empty()
    }

    /// Whether the last durable frame that begins at or before `sequence` holds it.
    pub(crate) fn holds(&self, sequence: Sequence) -> bool {
        let platter = self.0.lock();
        let chunk = platter.durable.range(..=sequence).next_back();
        chunk.is_some_and(|(_, bytes)| {
            replay::Frame::check(bytes).is_ok_and(|frame| frame.header.last() >= sequence)
        })
    }

    /// Takes the last chunk away, as no disk may.
    pub(crate) fn lose_last(&self) {
        let mut platter = self.0.lock();
        platter.durable.pop_last();
        platter.cache = platter.durable.clone();
    }
}

impl Platter {
    /// Whether this call is to fail.
    fn fails(&mut self) -> Option<Fault> {
        let fault = self.fault.as_mut()?;
        if let Some(after) = fault.after.checked_sub(1) {
            fault.after = after;
            return None;
        }
        self.failed = true;
        self.fault.take()
    }
}

const fn share(of: usize, tenths: usize) -> usize {
    (of * tenths).div_ceil(10)
}

fn failure(operation: &'static str) -> StoreError {
    StoreError::Io { operation, source: io::Error::other("injected") }
}

impl Store for Disk {
    fn append(&self, chunks: Vec<Chunk>) -> Result<(), StoreError> {
        let mut platter = self.0.lock();
        let beginning = chunks.first().map(|chunk| chunk.first);
        let behind = beginning.is_none_or(|first| platter.cache.range(first..).next().is_none());
        assert!(behind, "nothing that is there is written again");
        let fault = platter.fails();
        let cached = fault.map_or(chunks.len(), |fault| share(chunks.len(), fault.cached));
        let durable = fault.map_or(cached, |fault| share(cached, fault.durable));
        for (place, Chunk { first, bytes }) in chunks.into_iter().take(cached).enumerate() {
            if place < durable {
                platter.durable.insert(first, bytes.clone());
            }
            platter.cache.insert(first, bytes);
        }
        match fault {
            None => Ok(()),
            Some(fault) => {
                assert!(!fault.panics, "injected");
                Err(failure("append"))
            }
        }
    }

    fn at_or_before(&self, sequence: Sequence) -> Result<Option<Chunk>, StoreError> {
        let platter = self.0.lock();
        let found = platter.cache.range(..=sequence).next_back();
        Ok(found.map(|(first, bytes)| Chunk { first: *first, bytes: bytes.clone() }))
    }

    fn iterate(&self, from: Sequence) -> ChunkIter<'_> {
        let mut from = from;
        Box::new(std::iter::from_fn(move || {
            let platter = self.0.lock();
            let (first, bytes) = platter.cache.range(from..).next()?;
            from = first.next();
            Some(Ok(Chunk { first: *first, bytes: bytes.clone() }))
        }))
    }

    /// Removes from the end, so that what a failure leaves is a beginning.
    fn cut(&self, from: Sequence) -> Result<(), StoreError> {
        let mut platter = self.0.lock();
        let fault = platter.fails();
        let present = platter.cache.range(from..).count();
        let removed = fault.map_or(present, |fault| share(present, fault.cached));
        for place in 0..removed {
            let last = platter.cache.pop_last();
            let durably = fault.is_none_or(|fault| place < share(removed, fault.durable));
            if let Some((first, _)) = last.filter(|_| durably) {
                platter.durable.remove(&first);
            }
        }
        fault.map_or(Ok(()), |_| Err(failure("cut")))
    }
}
