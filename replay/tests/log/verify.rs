//! Verifying: every kind of damage is found and named, and what is not damaged is not blamed.

use std::fs;

use replay::{
    FileStore, Flaw, FrameHash, Log, LogOptions, Mark, OpenError, VerifyReport, verify_directory,
    verify_reader, verify_store,
};
use schemas::Sequence;

use crate::support::{
    MemoryStore, append, at, forged, hash_of, offset, printed, read_all, second, three_batches,
};

fn verify(store: &MemoryStore) -> VerifyReport {
    verify_store(store, None, |_| {}, |_| {})
}

/// A log of three batches; the keys of its frames.
fn sound() -> (MemoryStore, Vec<Sequence>) {
    let store = MemoryStore::default();
    three_batches(&mut store.log());
    let keys = store.keys();
    assert_eq!(keys, [1, 4, 5, 6, 7, 8, 9, 10].map(at), "one frame, then six, then one");
    (store, keys)
}

/// The problems, by where and by what kind.
fn check(store: &MemoryStore, expected: &[&str]) {
    assert_eq!(printed(&verify(store).problems), expected);
}

#[test]
fn a_sound_log_has_no_problems() {
    let (store, keys) = sound();
    let log = store.log();
    let (mut seen, mut told) = (Vec::new(), Vec::new());
    let report = verify_store(
        &store,
        Some(log.head().mark()),
        |events| seen.extend_from_slice(events),
        |progress| told.push(progress),
    );
    assert!(report.is_sound(), "{:?}", printed(&report.problems));
    assert_eq!((report.events, report.frames), (10, 8));
    let bytes: usize = keys.iter().map(|key| store.bytes(*key).len()).sum();
    assert_eq!(usize::try_from(report.bytes), Ok(bytes));
    assert_eq!(report.head, Some(log.head().mark()));
    assert_eq!(seen, read_all(&log.reader()));
    let last = told.last().expect("told at least once");
    assert_eq!((last.sequence, last.events, last.frames), (at(10), 10, 8));
    assert!(verify_reader(&log.reader(), |_| {}, |_| {}).is_sound());
    assert!(verify(&MemoryStore::default()).is_sound(), "an empty log is sound");
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    let store = MemoryStore::default();
    let mut log = store.log();
    append(&mut log, &[vec![1], vec![2, 3]]);
    append(&mut log, &[vec![4]]);
    append(&mut log, &[vec![5, 6]]);
    for key in store.keys() {
        let frame = store.bytes(key);
        for place in 0..frame.len() {
            for bit in 0..8 {
                let mut flipped = frame.clone();
                flipped[place] ^= 1 << bit;
                store.put(key, flipped);
                let problems = verify(&store).problems;
                let named = problems.first().is_some_and(|problem| {
                    problem.sequence == key && matches!(problem.flaw, Flaw::Frame(_))
                });
                assert!(named && problems.len() == 1, "bit {bit} of byte {place}: {problems:?}");
            }
        }
        store.put(key, frame);
    }
}

#[test]
fn every_changed_byte_of_a_file_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || FileStore::open(directory.path()).expect("opens");
    let (mut log, _) = Log::with_store(Box::new(open()), LogOptions::default()).expect("new");
    append(&mut log, &[vec![1], vec![2, 3]]);
    append(&mut log, &[vec![4]]);
    let anchor = log.head().mark();
    drop(log);
    let path = directory.path().join(FileStore::FILE);
    let bytes = fs::read(&path).expect("readable");
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        fs::write(&path, changed).expect("written");
        let report = verify_store(&open(), Some(anchor), |_| {}, |_| {});
        assert!(!report.is_sound(), "byte {place}");
    }
}

#[test]
fn a_changed_value_in_the_engine_is_found_and_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let (mut log, _) = Log::open(data, LogOptions::default()).expect("new");
    three_batches(&mut log);
    drop(log);
    assert!(verify_directory(data, |_| {}, |_| {}).expect("opens").is_sound());

    let engine = sled::open(data.join("log")).expect("opens");
    for (key, byte) in [(5_u64, 90), (8, 3)] {
        let mut value = engine.get(key.to_be_bytes()).expect("readable").expect("there");
        value[byte] ^= 1;
        engine.insert(key.to_be_bytes(), value).expect("written");
    }
    engine.insert(b"stray", b"x").expect("written");
    drop(engine);
    let report = verify_directory(data, |_| {}, |_| {}).expect("opens");
    assert_eq!(
        printed(&report.problems),
        [
            "event 5: the frame's bytes do not match their hash",
            "event 8: the frame's bytes do not match their hash",
            "event 11: the store fails: there is a key of 5 bytes that no log has written",
        ]
    );
    assert_eq!((report.frames, report.events), (8, 8));
    let refused = Log::open(data, LogOptions::default()).err();
    assert!(
        matches!(&refused, Some(OpenError::Broken(problem)) if problem.sequence == at(5)),
        "{refused:?}"
    );
}

#[test]
fn missing_frames_are_found() {
    let (store, _) = sound();
    store.remove(at(6));
    let problems = verify(&store).problems;
    assert!(problems.iter().all(|problem| problem.sequence == at(7)), "{problems:?}");
    assert!(matches!(
        problems.iter().map(|problem| &problem.flaw).collect::<Vec<_>>().as_slice(),
        [Flaw::Gap { expected }, Flaw::Link { .. }, Flaw::BatchOrder { index: 3, expected: 2, .. }]
            if *expected == at(6)
    ));

    let (store, _) = sound();
    store.remove(at(1));
    let problems = verify(&store).problems;
    assert!(matches!(
        problems.iter().map(|problem| &problem.flaw).collect::<Vec<_>>().as_slice(),
        [Flaw::Gap { expected }, Flaw::Link { .. }] if *expected == at(1)
    ));

    let (store, _) = sound();
    store.remove(at(9));
    let problems = verify(&store).problems;
    assert!(
        matches!(
            problems.iter().map(|problem| &problem.flaw).collect::<Vec<_>>().as_slice(),
            [Flaw::Gap { .. }, Flaw::Link { .. }, Flaw::BatchIncomplete { first }]
                if *first == at(4)
        ),
        "{problems:?}"
    );
}

#[test]
fn an_unfinished_batch_at_the_end_is_found() {
    let (store, _) = sound();
    store.remove(at(10));
    store.remove(at(9));
    check(&store, &["event 4: the batch that begins at event 4 is not whole"]);
}

#[test]
fn duplicated_and_misplaced_frames_are_found() {
    let (store, _) = sound();
    store.put(at(11), store.bytes(at(10)));
    let problems = verify(&store).problems;
    assert!(problems.iter().all(|problem| problem.sequence == at(11)), "{problems:?}");
    assert!(matches!(
        problems.iter().map(|problem| &problem.flaw).collect::<Vec<_>>().as_slice(),
        [Flaw::Misplaced { says }, Flaw::Link { .. }] if *says == at(10)
    ));

    let (store, _) = sound();
    let (five, six) = (store.bytes(at(5)), store.bytes(at(6)));
    store.put(at(5), six);
    store.put(at(6), five);
    let problems = verify(&store).problems;
    for key in [5, 6] {
        let misplaced = problems.iter().any(|problem| {
            problem.sequence == at(key) && matches!(problem.flaw, Flaw::Misplaced { .. })
        });
        assert!(misplaced, "{problems:?}");
    }
    assert!(problems.iter().all(|problem| problem.sequence <= at(7)), "the rest holds");
}

#[test]
fn an_overlapping_frame_is_found() {
    let (store, _) = sound();
    let inserted = forged(&store.bytes(at(1)), offset::FIRST, &2_u64.to_le_bytes());
    store.put(at(2), inserted);
    let problems = verify(&store).problems;
    assert!(problems.iter().any(|problem| {
        problem.sequence == at(2)
            && matches!(problem.flaw, Flaw::Overlap { expected } if expected == at(4))
    }));
}

#[test]
fn a_forged_frame_breaks_the_chain_behind_it() {
    let (store, _) = sound();
    let forgery = forged(&store.bytes(at(1)), offset::RECORDED_AT, &500_000_i64.to_le_bytes());
    store.put(at(1), forgery.clone());
    let problems = verify(&store).problems;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.sequence, at(4));
    assert!(matches!(problem.flaw, Flaw::Link { expected, .. } if expected.0 == hash_of(&forgery)));
}

#[test]
fn time_that_goes_back_is_found() {
    let (store, _) = sound();
    let back = forged(&store.bytes(at(10)), offset::RECORDED_AT, &1_i64.to_le_bytes());
    store.put(at(10), back);
    let problems = verify(&store).problems;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(matches!(
        problem.flaw,
        Flaw::TimeWentBack { before, .. } if before == second(2)
    ));
}

#[test]
fn a_frame_that_does_not_belong_there_is_found() {
    let (store, _) = sound();
    store.put(at(10), forged(&store.bytes(at(10)), offset::VERSION, &[9]));
    check(&store, &["event 10: the frame has the layout 9, this release knows only 1"]);

    let (store, _) = sound();
    store.put(at(10), forged(&store.bytes(at(10)), offset::PARTITION, &[2]));
    check(&store, &["event 10: the frame belongs to partition 2, epoch 0"]);

    let (store, _) = sound();
    store.put(at(10), forged(&store.bytes(at(10)), offset::INDEX, &7_u32.to_le_bytes()));
    check(&store, &["event 10: the frame's header contradicts itself"]);

    let (store, _) = sound();
    let second_of_two = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    store.put(at(10), forged(&store.bytes(at(10)), offset::INDEX, &second_of_two));
    check(&store, &["event 10: the frame is number 1 of 2 in its batch, expected 0"]);

    let (store, _) = sound();
    store.put(at(10), forged(&store.bytes(at(10)), offset::CONTINUES, &9_u64.to_le_bytes()));
    check(
        &store,
        &[
            "event 10: a command goes on from the batch before",
            "event 10: event 10 begins a command where another goes on",
        ],
    );
}

#[test]
fn events_that_cannot_be_read_are_found() {
    let (store, _) = sound();
    store.put(at(10), forged(&store.bytes(at(10)), offset::PAYLOAD, &[9]));
    check(&store, &["event 10: event 10 is not readable"]);

    // Without its command's header, the first event of the log belongs to nothing.
    let (store, _) = sound();
    let frame = store.bytes(at(10));
    let mut continued = frame;
    let header = 1 + 1 + 1 + 16 + 8;
    continued.drain(offset::PAYLOAD + 1..offset::PAYLOAD + header);
    let length = u32::try_from(continued.len() - 32 - offset::PAYLOAD).expect("short");
    let continued = forged(&continued, offset::PAYLOAD - 4, &length.to_le_bytes());
    store.put(at(10), forged(&continued, offset::PAYLOAD, &[0]));
    check(&store, &["event 10: event 10 belongs to no command"]);
}

#[test]
fn it_goes_on_after_a_problem() {
    let (store, keys) = sound();
    for key in [1, 6, 7, 10] {
        let mut bytes = store.bytes(at(key));
        bytes[60] ^= 0x80;
        store.put(at(key), bytes);
    }
    let report = verify(&store);
    let named: Vec<_> = report.problems.iter().map(|problem| problem.sequence.get()).collect();
    assert_eq!(named, [1, 6, 7, 10]);
    assert_eq!(report.events, 4);
    assert_eq!(usize::try_from(report.frames), Ok(keys.len()));
}

#[test]
fn a_link_behind_a_broken_frame_is_still_checked() {
    let (store, _) = sound();
    let mut bytes = store.bytes(at(5));
    bytes[100] ^= 1;
    store.put(at(5), bytes);
    store.put(at(6), forged(&store.bytes(at(6)), offset::PREVIOUS, &[0; 32]));
    let problems = verify(&store).problems;
    assert!(
        problems.iter().any(|problem| {
            problem.sequence == at(6) && matches!(problem.flaw, Flaw::Link { .. })
        })
    );
}

#[test]
fn the_anchor_is_compared() {
    let (store, _) = sound();
    let head = store.log().head().mark();
    let with = |anchor| {
        let report = verify_store(&store, Some(anchor), |_| {}, |_| {});
        printed(&report.problems)
    };
    let differs = "event 10: the frame of this event is not the one that was acknowledged";
    assert_eq!(with(head), [""; 0]);
    assert_eq!(with(Mark { hash: FrameHash::GENESIS, ..head }), [differs]);
    assert_eq!(
        with(Mark { sequence: at(12), ..head }),
        ["event 12: the store ends before this acknowledged event"]
    );
}
