//! Reading: every way of reading gives the same events, gapless, each with its cause.

use std::sync::Arc;

use proptest::prelude::*;
use replay::{
    FileStore, Log, LogOptions, LogReader, ReadError, SledStore, Store, Verification, verify_reader,
};
use schemas::{Recorded, Sequence};

use crate::support::{MemoryStore, append, at, batch, read_all, second};

fn piped(reader: &LogReader, from: u64, to: u64, verification: Verification) -> Vec<Recorded> {
    let scan = reader.scan_pipelined(at(from), at(to), verification).expect("threads");
    scan.flat_map(|events| events.expect("sound")).collect()
}

fn plain(reader: &LogReader, from: u64, to: u64) -> Vec<Recorded> {
    let scan = reader.scan(at(from), at(to), Verification::Unverified).expect("readable");
    scan.flat_map(|events| events.expect("sound")).collect()
}

/// Batches of commands, by the sizes of their events: mostly small, some longer than a chunk.
fn batches() -> impl Strategy<Value = Vec<Vec<Vec<usize>>>> {
    let size = prop_oneof![8 => 0_usize..200, 2 => 200_usize..3_000, 1 => 5_500_usize..6_900];
    let command = prop::collection::vec(size, 1..12);
    prop::collection::vec(prop::collection::vec(command, 1..12), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_appended_is_read(batches in batches()) {
        let directory = tempfile::tempdir().expect("a directory");
        let sled = SledStore::open(&directory.path().join("sled"), 1 << 20).expect("new");
        let file = FileStore::open(&directory.path().join("file")).expect("new");
        let stores: [Arc<dyn Store>; 2] = [Arc::new(sled), Arc::new(file)];
        let mut heads = Vec::new();
        for store in &stores {
            let (mut log, _) =
                Log::with_store(Box::new(Arc::clone(store)), LogOptions::default()).expect("new");
            let mut expected = Vec::new();
            for commands in &batches {
                expected.extend(append(&mut log, commands));
            }
            let reader = log.reader();
            prop_assert!((1..).zip(&expected).all(|(place, event)| event.sequence == at(place)));
            prop_assert_eq!(&read_all(&reader), &expected);
            prop_assert_eq!(&piped(&reader, 1, u64::MAX, Verification::Unverified), &expected);
            prop_assert_eq!(&piped(&reader, 1, u64::MAX, Verification::Chained), &expected);
            let count = u64::try_from(expected.len()).expect("few");
            for (from, to) in [(1, 1), (count / 3, count / 2), (count / 2, count), (count, count)] {
                let wanted: Vec<_> = expected
                    .iter()
                    .filter(|event| (from..=to).contains(&event.sequence.get()))
                    .cloned()
                    .collect();
                prop_assert_eq!(&plain(&reader, from, to), &wanted);
                prop_assert_eq!(&piped(&reader, from, to, Verification::Chained), &wanted);
            }
            let report = verify_reader(&reader, |_| {}, |_| {});
            prop_assert!(report.is_sound());
            let all = |store: &dyn Store| -> Vec<_> {
                store.iterate(Sequence::ZERO).map(|chunk| chunk.expect("readable")).collect()
            };
            heads.push((log.head(), all(store.as_ref())));
        }
        prop_assert_eq!(heads.first(), heads.last());
    }
}

/// A log of 200 batches of 1 to 5 events, with the events.
fn long_log() -> (Log, MemoryStore, Vec<Recorded>) {
    let store = MemoryStore::default();
    let mut log = store.log();
    let expected =
        (0..200).flat_map(|number| append(&mut log, &[vec![number; 1 + number % 5]])).collect();
    (log, store, expected)
}

#[test]
fn a_single_event_is_read_wherever_it_is() {
    let (log, _, expected) = long_log();
    let reader = log.reader();
    for event in &expected {
        assert_eq!(reader.read(event.sequence).expect("readable").as_ref(), Some(event));
    }
    assert_eq!(reader.read(at(0)).expect("readable"), None);
    assert_eq!(reader.read(log.head().sequence.next()).expect("readable"), None);
    let wanted = [600, 7, 8, 7, 0, 9_999, 599].map(at);
    let found: Vec<_> = reader
        .read_many(&wanted)
        .expect("readable")
        .iter()
        .map(|event| event.sequence.get())
        .collect();
    assert_eq!(found, [600, 7, 8, 7, 599]);
}

#[test]
fn pages_follow_one_another() {
    let (log, _, expected) = long_log();
    let reader = log.reader();
    let mut from = at(0);
    let mut read = Vec::new();
    loop {
        let page = reader.page(from, 7).expect("readable");
        let Some(last) = page.last() else { break };
        from = last.sequence.next();
        assert!(page.len() == 7 || from > log.head().sequence);
        read.extend(page);
    }
    assert_eq!(read, expected);
    assert_eq!(reader.page(at(1), 0).expect("readable"), []);
    assert_eq!(reader.page(at(1), u64::MAX).expect("readable").len(), 600);
}

#[test]
fn a_moment_finds_the_last_event_before_it() {
    let store = MemoryStore::default();
    let mut log = store.log();
    let mut next = at(1);
    for time in [10, 20, 20, 30] {
        let (batch, events) = batch(next, second(time), &[vec![3_000, 3_000, 10, 10, 10]]);
        next = next.plus(u64::try_from(events.len()).expect("few"));
        log.append(batch).expect("stored");
    }
    let reader = log.reader();
    for (moment, sequence) in [(9, 0), (10, 5), (19, 5), (20, 15), (29, 15), (30, 20), (99, 20)] {
        assert_eq!(reader.sequence_at(second(moment)).expect("readable"), at(sequence));
    }
    let empty = MemoryStore::default().log();
    assert_eq!(empty.reader().sequence_at(second(1)).expect("readable"), at(0));
}

#[test]
fn a_scan_ends_at_the_first_broken_frame() {
    let (log, store, _) = long_log();
    let key = at(301);
    assert!(store.keys().contains(&key));
    let mut bytes = store.bytes(key);
    *bytes.last_mut().expect("a frame") ^= 1;
    store.put(key, bytes);
    let reader = log.reader();
    let named =
        |error: &ReadError| matches!(error, ReadError::Broken(problem) if problem.sequence == key);

    let scan = reader.scan(at(1), at(u64::MAX), Verification::Chained).expect("readable");
    let plain: Vec<_> = scan.collect();
    let scan = reader.scan_pipelined(at(1), at(u64::MAX), Verification::Chained).expect("threads");
    let piped: Vec<_> = scan.collect();
    for outcome in [plain, piped] {
        let (last, before) = outcome.split_last().expect("some");
        assert!(last.as_ref().is_err_and(named));
        let read: usize = before.iter().map(|events| events.as_ref().expect("sound").len()).sum();
        assert_eq!(read, 300);
    }
}

#[test]
fn no_scan_passes_over_a_missing_frame() {
    for missing in [1, 301, 596] {
        let (log, store, _) = long_log();
        store.remove(at(missing));
        let reader = log.reader();
        for verification in [Verification::Chained, Verification::Unverified] {
            let scan = reader.scan_pipelined(at(1), at(u64::MAX), verification).expect("threads");
            assert!(scan.last().expect("some").is_err(), "{verification:?} over {missing}");
            let scan = reader.scan(at(1), at(u64::MAX), verification).expect("readable");
            assert!(scan.last().expect("some").is_err(), "{verification:?} over {missing}");
        }
        assert!(reader.read(at(missing)).is_err());
    }
}

#[test]
fn a_scan_that_is_left_early_ends_its_threads() {
    let (log, _, expected) = long_log();
    let reader = log.reader();
    for _ in 0..20 {
        let mut scan =
            reader.scan_pipelined(at(1), at(u64::MAX), Verification::Chained).expect("threads");
        let first = scan.next().expect("some").expect("sound");
        assert_eq!(first.first(), expected.first());
        drop(scan);
    }
}
