//! Damage below the frames: whatever happens to the engine's own file, acknowledged events are
//! either all there or the log does not open.

use std::fs;

use replay::{Log, LogOptions, OpenError, Verification};
use schemas::Recorded;

use crate::support::{append, at};

/// What is read after damage: an error, or every event.
fn read(log: &Log) -> Option<Vec<Recorded>> {
    let mut events = Vec::new();
    let scan = log.reader().scan_pipelined(at(1), at(u64::MAX), Verification::Chained).ok()?;
    for part in scan {
        events.extend(part.ok()?);
    }
    Some(events)
}

#[test]
fn damage_to_the_engines_file_never_goes_unnoticed() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let (mut log, _) = Log::open(data, LogOptions::default()).expect("new");
    let mut expected = Vec::new();
    for _ in 0..8 {
        expected.extend(append(&mut log, &[vec![900; 9], vec![10; 9]]));
    }
    log.close().expect("synced");
    let names = ["log/db", "anchor", "log/conf"].map(|name| data.join(name));
    let saved = names.clone().map(|name| fs::read(name).expect("readable"));
    let used = saved[0].iter().rposition(|byte| *byte != 0).expect("not empty");

    let mut refused = 0;
    for place in (0..used).step_by((used / 40) | 1) {
        for (name, bytes) in names.iter().zip(&saved) {
            fs::write(name, bytes).expect("restored");
        }
        for entry in fs::read_dir(data.join("log")).expect("listed") {
            let path = entry.expect("listed").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")) {
                fs::remove_file(path).expect("removed");
            }
        }
        let mut changed = saved[0].clone();
        if place % 2 == 0 {
            changed[place] ^= 0x40;
        } else {
            changed.truncate(place);
        }
        fs::write(&names[0], changed).expect("written");
        match Log::open(data, LogOptions::default()) {
            Ok((log, opened)) => {
                assert!(read(&log).is_none_or(|events| events == expected), "byte {place}");
                assert_eq!(opened.cut, None, "byte {place}");
            }
            Err(OpenError::InUse { .. } | OpenError::Directory { .. }) => panic!("byte {place}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "some damage is seen");
}
