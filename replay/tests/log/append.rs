//! Appending: what is acknowledged is durable and complete, and nothing follows a failure.

use std::sync::Arc;

use replay::{
    AppendError, BatchEncoder, FRAME_BYTES_MAX, FileStore, Frame, Log, LogOptions, SledStore, Store,
};
use schemas::{CodecError, RECORD_BYTES_MAX};

use crate::support::{MemoryStore, append, at, batch, event, header, read_all, second};

#[test]
fn a_failed_append_poisons_the_log() {
    let store = MemoryStore::default();
    let mut log = store.log();
    let expected = append(&mut log, &[vec![1]]);
    let reader = log.reader();
    let before = log.head();

    store.fail();
    let (bad, _) = batch(at(2), second(9), &[vec![4_000, 4_000, 4_000, 4_000]]);
    assert!(matches!(log.append(bad), Err(AppendError::Store(_))));
    assert!(log.is_poisoned());
    let (good, _) = batch(at(2), second(9), &[vec![1]]);
    assert!(matches!(log.append(good), Err(AppendError::Poisoned)));

    assert_eq!((log.head(), reader.head()), (before, before));
    assert_eq!(store.keys().len(), 3, "half of the batch was written");
    assert_eq!(read_all(&reader), expected, "and nobody sees it");
    assert_eq!(reader.read(at(2)).expect("readable"), None);
}

#[test]
fn a_batch_follows_the_head_in_place_and_time() {
    let decide = |first, time| batch(at(first), second(time), &[vec![1]]).0;
    let log_with_one = || {
        let mut log = MemoryStore::default().log();
        log.append(decide(1, 10)).expect("the first");
        log
    };
    for (first, time, accepted) in
        [(2, 10, true), (2, 11, true), (1, 10, false), (3, 10, false), (2, 9, false)]
    {
        let mut log = log_with_one();
        let outcome = log.append(decide(first, time));
        assert_eq!(outcome.is_ok(), accepted, "batch at {first}, second {time}");
        assert_eq!(log.is_poisoned(), !accepted);
    }
}

#[test]
fn a_batch_without_events_changes_nothing() {
    let mut log = MemoryStore::default().log();
    append(&mut log, &[vec![1]]);
    let head = log.head();
    let mut empty = BatchEncoder::new(at(2), second(60));
    assert_eq!(empty.push(header(1), &[]).expect("nothing to encode"), at(2));
    assert!(empty.is_empty());
    assert_eq!(log.append(empty.finish()).expect("nothing to store"), head);
}

#[test]
fn a_command_is_taken_whole_or_not_at_all() {
    let mut encoder = BatchEncoder::new(at(1), second(1));
    encoder.push(header(1), &[event(5_000)]).expect("short");
    let (next, bytes) = (encoder.next_sequence(), encoder.bytes());
    let too_long = encoder.push(header(2), &[event(5_000), event(RECORD_BYTES_MAX)]);
    assert!(matches!(too_long, Err(CodecError::TooLong { .. })));
    assert_eq!((encoder.next_sequence(), encoder.bytes()), (next, bytes));

    let store = MemoryStore::default();
    let mut log = store.log();
    encoder.push(header(3), &[event(500)]).expect("short");
    log.append(encoder.finish()).expect("stored");
    let events = read_all(&log.reader());
    assert_eq!(events.len(), 2);
    assert_eq!(events.last().map(|last| (last.sequence, last.cause)), Some((at(2), at(2))));
    assert_eq!(store.keys(), [at(1)], "what was not taken left no chunk behind");
}

#[test]
fn no_frame_is_longer_than_the_store_can_sync() {
    let longest = (0..RECORD_BYTES_MAX)
        .rev()
        .find(|size| BatchEncoder::new(at(1), second(1)).push(header(1), &[event(*size)]).is_ok())
        .expect("some size fits");
    assert!(longest > 6_900);
    let store = MemoryStore::default();
    let mut log = store.log();
    append(&mut log, &[vec![longest; 4], vec![0; 2_000], vec![5_900, longest, 5_900, 60, 40]]);
    for key in store.keys() {
        let bytes = store.bytes(key);
        assert!(bytes.len() <= FRAME_BYTES_MAX, "{} bytes at event {key}", bytes.len());
        assert!(Frame::check(&bytes).is_ok());
    }
}

#[test]
fn every_append_is_synced_and_none_becomes_a_blob() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(SledStore::open(directory.path(), 1 << 20).expect("new"));
    let (mut log, _) = Log::with_store(Box::new(Arc::clone(&store)), LogOptions::default())
        .expect("an empty log opens");
    for count in 1..=20 {
        append(&mut log, &[vec![6_900; 3], vec![10; 100]]);
        assert_eq!(store.syncs(), count);
    }
    let mut blobs = std::fs::read_dir(directory.path().join("blobs")).expect("sled makes it");
    assert!(blobs.next().is_none());
}

#[test]
fn a_reader_outlives_its_log_and_keeps_reading() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, _) = Log::open(directory.path(), LogOptions::default()).expect("new");
    let reader = log.reader();
    let early = append(&mut log, &[vec![1, 2, 3]]);
    assert_eq!(read_all(&reader), early, "a reader sees what follows its making");
    log.close().expect("synced");
    assert_eq!(read_all(&reader), early);
}

#[test]
fn a_plain_file_holds_the_same_chunks_as_the_engine() {
    let directory = tempfile::tempdir().expect("a directory");
    let sled = Arc::new(SledStore::open(&directory.path().join("sled"), 1 << 20).expect("new"));
    let file = Arc::new(FileStore::open(&directory.path().join("file")).expect("new"));
    let stores: [Arc<dyn Store>; 2] = [sled, file];
    for store in &stores {
        let (mut log, _) = Log::with_store(Box::new(Arc::clone(store)), LogOptions::default())
            .expect("an empty log opens");
        append(&mut log, &[vec![10; 700]]);
        append(&mut log, &[vec![10; 10]]);
    }
    let [sled, file] = stores.map(|store| {
        let all: Vec<_> = store.iterate(at(0)).map(|chunk| chunk.expect("readable")).collect();
        let found: Vec<_> =
            (0..720).map(|sequence| store.at_or_before(at(sequence)).expect("readable")).collect();
        store.cut(at(100)).expect("cut");
        let rest: Vec<_> = store.iterate(at(0)).map(|chunk| chunk.expect("readable")).collect();
        assert!(rest.len() < all.len() && all.starts_with(&rest));
        (all, found, rest)
    });
    assert_eq!(sled, file);
}
