//! The anchor: always the last durable head, whichever of its slots is torn.

use std::fs;

use replay::{Anchor, AnchorError, FrameHash, Mark};

use crate::support::{MemoryStore, append, at};

fn mark(number: u8) -> Mark {
    Mark { sequence: at(u64::from(number)), hash: FrameHash([number; 32]) }
}

#[test]
fn the_anchor_knows_the_head_that_was_recorded_last() {
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(Anchor::read(directory.path()).expect("absent"), None);
    for round in 0..4 {
        let mut anchor = Anchor::open(directory.path()).expect("opens");
        for number in 1..=5 {
            let head = mark(round * 5 + number);
            anchor.record(head).expect("written");
            assert_eq!(Anchor::read(directory.path()).expect("readable"), Some(head));
        }
        anchor.close().expect("synced");
    }
    assert_eq!(fs::metadata(directory.path().join(Anchor::FILE)).expect("there").len(), 4_096);
}

#[test]
fn a_torn_slot_leaves_the_head_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(Anchor::FILE);
    let mut anchor = Anchor::open(directory.path()).expect("opens");
    anchor.record(mark(1)).expect("written");
    let before = fs::read(&path).expect("readable");
    anchor.record(mark(2)).expect("written");
    let after = fs::read(&path).expect("readable");
    anchor.close().expect("synced");
    let changed: Vec<_> =
        (0..after.len()).filter(|place| before[*place] != after[*place]).collect();
    let (first, last) = (changed[0], changed[changed.len() - 1]);
    for end in first..=last {
        let mut torn = before.clone();
        torn[..end].copy_from_slice(&after[..end]);
        fs::write(&path, torn).expect("written");
        assert_eq!(Anchor::read(directory.path()).expect("readable"), Some(mark(1)), "{end}");
    }
    let mut broken = after;
    broken[20] ^= 1;
    broken[2_048 + 20] ^= 1;
    fs::write(&path, broken).expect("written");
    assert!(matches!(Anchor::read(directory.path()), Err(AnchorError::Broken)));
}

#[test]
fn the_anchor_is_written_before_the_append_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = MemoryStore::default();
    let (mut log, _) = replay::Log::with_anchored_store(
        Box::new(store.clone()),
        directory.path(),
        replay::LogOptions::default(),
    )
    .expect("opens");
    for _ in 0..5 {
        append(&mut log, &[vec![1]]);
        let written = Anchor::read(directory.path()).expect("readable");
        assert_eq!(written, Some(log.head().mark()));
    }
    let head = log.head().mark();
    store.fail();
    let (bad, _) = crate::support::batch(at(6), crate::support::second(60), &[vec![1]]);
    log.append(bad).expect_err("the store fails");
    let written = Anchor::read(directory.path()).expect("readable");
    assert_eq!(written, Some(head), "never ahead of the store");
}
