//! Checkpoints: only a whole one is used, and the reason is told when one is not.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use replay::{CheckpointError, Checkpoints, FrameHash, Mark};

use crate::support::at;

fn mark(number: u64) -> Mark {
    Mark { sequence: at(number), hash: FrameHash([7; 32]) }
}

fn save(checkpoints: &Checkpoints, number: u64) {
    let mut writer = checkpoints.begin(mark(number)).expect("begun");
    writer.part("quota", 1, |to| to.write_all(&number.to_le_bytes())).expect("written");
    writer.part("wallets", 2, |to| to.write_all(b"wallets")).expect("written");
    writer.part("empty", 1, |_| Ok(())).expect("written");
    writer.finish().expect("durable");
}

const WANTED: [(&str, u32); 2] = [("wallets", 2), ("quota", 1)];

fn files(data: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(data.join("checkpoints"))
        .expect("listed")
        .map(|entry| entry.expect("listed").path())
        .collect();
    all.sort();
    all
}

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints::open(directory.path()).expect("created");
    assert!(checkpoints.latest(&WANTED).expect("listed").checkpoint.is_none());
    let long: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    save(&checkpoints, 9);
    let mut writer = checkpoints.begin(mark(10)).expect("begun");
    writer.part("quota", 1, |to| to.write_all(b"small")).expect("written");
    writer
        .part("wallets", 2, |to| long.chunks(1_000).try_for_each(|piece| to.write_all(piece)))
        .expect("written");
    writer.finish().expect("durable");

    let latest = checkpoints.latest(&WANTED).expect("listed");
    assert!(latest.skipped.is_empty());
    let checkpoint = latest.checkpoint.expect("usable");
    assert_eq!(checkpoint.mark(), mark(10));
    assert_eq!(checkpoint.part_bytes("quota").expect("there"), b"small");
    let mut read = Vec::new();
    checkpoint.part("wallets").expect("there").read_to_end(&mut read).expect("readable");
    assert!(read == long);
    assert!(matches!(checkpoint.part("usage"), Err(CheckpointError::NoPart { .. })));
}

#[test]
fn a_torn_or_changed_checkpoint_is_skipped() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints::open(directory.path()).expect("created");
    save(&checkpoints, 9);
    save(&checkpoints, 10);
    let path = files(directory.path()).pop().expect("two");
    let whole = fs::read(&path).expect("readable");
    let skipped = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        let latest = checkpoints.latest(&WANTED).expect("listed");
        let used = latest.checkpoint.expect("the one before").mark();
        let skipped: Vec<_> = latest.skipped.iter().map(|skipped| skipped.sequence).collect();
        used == mark(9) && skipped == [at(10)]
    };
    assert!(!skipped(&whole));
    for end in 0..whole.len() {
        assert!(skipped(&whole[..end]), "torn after {end} bytes");
    }
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        assert!(skipped(&changed), "byte {place}");
    }
    fs::write(&path, &whole).expect("written");
    fs::rename(&path, path.with_file_name(format!("{:020}.ckpt", 11))).expect("renamed");
    let latest = checkpoints.latest(&WANTED).expect("listed");
    assert_eq!(latest.checkpoint.expect("the one before").mark(), mark(9), "under another's name");
}

#[test]
fn another_version_is_skipped() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints::open(directory.path()).expect("created");
    save(&checkpoints, 9);
    let latest = checkpoints.latest(&[("quota", 1), ("wallets", 3)]).expect("listed");
    assert!(latest.checkpoint.is_none());
    let reasons: Vec<_> = latest.skipped.iter().map(|skip| skip.reason.to_string()).collect();
    assert_eq!(reasons, ["the checkpoint has no part `wallets` of version 3"]);
}

#[test]
fn what_was_not_finished_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints::open(directory.path()).expect("created");
    let mut writer = checkpoints.begin(mark(5)).expect("begun");
    writer.part("quota", 1, |to| to.write_all(b"half")).expect("written");
    let failed = writer.part("wallets", 2, |_| Err(io::Error::other("no")));
    assert!(matches!(failed, Err(CheckpointError::Io { .. })));
    assert_eq!(files(directory.path()).len(), 1);
    drop(writer);
    assert!(files(directory.path()).is_empty());
}

#[test]
fn only_the_newest_are_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints::open(directory.path()).expect("created");
    for number in [100, 9, 1_000, 20] {
        save(&checkpoints, number);
    }
    fs::write(directory.path().join("checkpoints/7.tmp"), "left by a crash").expect("written");
    assert_eq!(checkpoints.prune(2).expect("removed"), [at(9), at(20)]);
    assert_eq!(files(directory.path()).len(), 2);
    let newest = checkpoints.latest(&WANTED).expect("listed").checkpoint.expect("usable");
    assert_eq!(newest.mark(), mark(1_000));
    checkpoints.remove(at(1_000)).expect("removed");
    let newest = checkpoints.latest(&WANTED).expect("listed").checkpoint.expect("usable");
    assert_eq!(newest.mark(), mark(100));
}
