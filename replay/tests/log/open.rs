//! Opening: what is whole opens where it ended, and what is not says what to do.

use std::fs;
use std::path::Path;

use replay::{
    AppendError, Cut, FileStore, Frame, FrameHash, Log, LogOptions, Mark, OpenError, Opened,
    verify_directory,
};

use crate::support::{MemoryStore, append, at, batch, read_all, second, three_batches};

fn open(store: &MemoryStore, options: LogOptions) -> Result<(Log, Opened), OpenError> {
    Log::with_store(Box::new(store.clone()), options)
}

#[test]
fn a_log_opens_where_it_ended() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("new/data");
    let (mut log, opened) = Log::open(&data, LogOptions::default()).expect("new");
    assert_eq!(opened, Opened { anchor_missing: true, ..Opened::default() });
    let (mut expected, head) = three_batches(&mut log);
    drop(log);

    let (mut log, opened) = Log::open(&data, LogOptions::default()).expect("sound");
    assert_eq!(log.head(), head);
    assert_eq!((opened.events_checked, opened.cut, opened.anchor_missing), (10, None, false));
    expected.extend(append(&mut log, &[vec![1]]));
    assert_eq!(read_all(&log.reader()), expected);
}

#[test]
fn a_directory_in_use_does_not_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, _) = Log::open(directory.path(), LogOptions::default()).expect("new");
    let refused = |repair| {
        let options = LogOptions { repair, ..LogOptions::default() };
        Log::open(directory.path(), options).err().expect("locked").to_string()
    };
    let message = format!(
        "the data directory `{}` is in use by a running service; read it through its API or a copy",
        directory.path().display()
    );
    assert_eq!(refused(true), message);
    assert_eq!(refused(false), message);
    let reader = log.reader();
    drop(log);
    assert_eq!(refused(true), message, "a reader holds it too");
    drop(reader);
    Log::open(directory.path(), LogOptions::default()).expect("released");
}

#[test]
fn a_log_that_is_only_looked_at_is_not_created() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("mistyped");
    let looking = LogOptions { repair: false, ..LogOptions::default() };
    assert!(matches!(Log::open(&data, looking), Err(OpenError::NoLog { .. })));
    let verified = verify_directory(&data, |_| {}, |_| {});
    assert!(matches!(verified, Err(OpenError::NoLog { .. })));
    assert!(!data.exists());
}

#[test]
fn what_was_acknowledged_is_never_cut_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = MemoryStore::default();
    let open = || {
        let store = Box::new(store.clone());
        Log::with_anchored_store(store, directory.path(), LogOptions::default())
    };
    let (mut log, _) = open().expect("new");
    append(&mut log, &[vec![1]]);
    append(&mut log, &[vec![5_000; 4]]);
    drop(log);
    let keys = store.keys();
    let torn = store.remove(at(5));
    assert!(matches!(
        open(),
        Err(OpenError::BehindAnchor { head, acknowledged }) if head == at(1) && acknowledged == at(5)
    ));
    store.put(at(5), torn);
    assert_eq!(store.keys(), keys, "nothing was removed");
    assert_eq!(open().expect("whole again").0.head().sequence, at(5));
}

#[test]
fn blobs_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(Log::open(directory.path(), LogOptions::default()).expect("new"));
    fs::write(directory.path().join("log/blobs/1"), "x").expect("written");
    let Err(OpenError::Store(error)) = Log::open(directory.path(), LogOptions::default()) else {
        panic!("opened over a blob")
    };
    assert!(error.to_string().contains("log/blobs` is not empty"), "{error}");
}

#[test]
fn a_batch_that_was_never_acknowledged_is_cut_back() {
    let store = MemoryStore::default();
    let mut log = store.log();
    let expected = append(&mut log, &[vec![1], vec![2]]);
    let head = log.head();
    append(&mut log, &[vec![3_000; 20]]);
    let keys = store.keys();
    for present in 0..keys.len() - 1 {
        let torn = store.copy();
        for key in keys.iter().skip(1 + present) {
            torn.remove(*key);
        }
        let left = (present > 0).then_some(Cut {
            first: at(3),
            frames: u64::try_from(present).expect("few"),
            removed: false,
        });

        let looking = LogOptions { repair: false, ..LogOptions::default() };
        let (mut log, opened) = open(&torn, looking).expect("opens");
        assert_eq!((log.head(), opened.cut), (head, left));
        assert_eq!(read_all(&log.reader()), expected);
        let (next, _) = batch(at(3), second(9), &[vec![1]]);
        assert!(matches!(log.append(next), Err(AppendError::ReadOnly)));
        assert_eq!(torn.keys().len(), 1 + present, "nothing was cut");

        let (mut log, opened) = open(&torn, LogOptions::default()).expect("opens");
        assert_eq!((log.head(), opened.cut), (head, left.map(|cut| Cut { removed: true, ..cut })));
        assert_eq!(torn.keys().len(), 1);
        append(&mut log, &[vec![4]]);
        assert_eq!(open(&torn, LogOptions::default()).expect("whole").1.cut, None);
    }
}

#[test]
fn a_file_cut_anywhere_in_its_last_batch_opens_before_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let segment = directory.path().join(FileStore::FILE);
    let open = || {
        let store = FileStore::open(directory.path()).expect("opens");
        Log::with_store(Box::new(store), LogOptions::default()).expect("opens")
    };
    let (mut log, _) = open();
    append(&mut log, &[vec![1]]);
    let head = log.head();
    let whole = fs::metadata(&segment).expect("there").len();
    append(&mut log, &[vec![2_500; 4]]);
    drop(log);
    let bytes = fs::read(&segment).expect("readable");
    let whole = usize::try_from(whole).expect("short");
    for end in (whole..bytes.len()).step_by(61) {
        fs::write(&segment, bytes.get(..end).expect("shorter")).expect("written");
        let (mut log, _) = open();
        assert_eq!(log.head(), head, "cut after {end} bytes");
        append(&mut log, &[vec![5]]);
        drop(log);
        assert_eq!(open().0.head().sequence, at(2));
    }
}

#[test]
fn a_broken_frame_is_named_and_never_cut() {
    let store = MemoryStore::default();
    three_batches(&mut store.log());
    for key in store.keys() {
        let broken = store.copy();
        let mut bytes = broken.bytes(key);
        *bytes.last_mut().expect("a frame") ^= 1;
        broken.put(key, bytes);
        let Err(OpenError::Broken(problem)) = open(&broken, LogOptions::default()) else {
            panic!("opened over a broken frame")
        };
        assert_eq!(problem.sequence, key);
        assert_eq!(broken.keys(), store.keys());
    }
}

#[test]
fn a_whole_batch_that_is_missing_inside_is_named() {
    let store = MemoryStore::default();
    three_batches(&mut store.log());
    let keys = store.keys();
    for key in keys.iter().take(keys.len() - 1) {
        let gap = store.copy();
        gap.remove(*key);
        assert!(matches!(open(&gap, LogOptions::default()), Err(OpenError::Broken(_))));
    }
}

#[test]
fn what_a_checkpoint_covers_is_not_checked_again() {
    let store = MemoryStore::default();
    let mut log = store.log();
    append(&mut log, &[vec![1], vec![2]]);
    let good = log.head().mark();
    append(&mut log, &[vec![3_000; 6]]);
    let head = log.head();
    let known = |mark| LogOptions { known_good: Some(mark), ..LogOptions::default() };

    let (log, opened) = open(&store, known(good)).expect("sound");
    assert_eq!((log.head(), opened.events_checked), (head, 6));
    assert_eq!(open(&store, known(head.mark())).expect("sound").1.events_checked, 0);
    assert_eq!(open(&store, known(Mark::GENESIS)).expect("sound").1.events_checked, 8);

    let inside = store.keys().into_iter().nth(1).expect("a batch of several frames");
    let inside = store.bytes(inside);
    let frame = Frame::check(&inside).expect("sound");
    for other in [
        Mark { hash: FrameHash::GENESIS, ..good },
        Mark { sequence: at(1), ..good },
        Mark { sequence: at(99), ..head.mark() },
        Mark { sequence: frame.header.last(), hash: frame.hash },
    ] {
        let refused = open(&store, known(other));
        assert!(
            matches!(refused, Err(OpenError::KnownGoodDiffers { sequence }) if sequence == other.sequence)
        );
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        if entry.file_type().expect("known").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

#[test]
fn a_store_behind_its_anchor_does_not_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, older) = (directory.path().join("data"), directory.path().join("older"));
    let open = || Log::open(&data, LogOptions::default());
    let (mut log, _) = open().expect("new");
    append(&mut log, &[vec![1], vec![2]]);
    drop(log);
    copy_files(&data.join("log"), &older);
    let (mut log, _) = open().expect("sound");
    append(&mut log, &[vec![3]]);
    drop(log);

    for (restored, events) in [(true, 2), (false, 0)] {
        fs::remove_dir_all(data.join("log")).expect("removed");
        if restored {
            copy_files(&older, &data.join("log"));
        }
        let refused = open().err().expect("behind");
        assert!(
            matches!(
                refused,
                OpenError::BehindAnchor { head, acknowledged }
                    if head == at(events) && acknowledged == at(3)
            ),
            "{refused}"
        );
        assert!(refused.to_string().contains("restore the data directory from a backup"));
    }
    fs::remove_file(data.join("anchor")).expect("removed");
    let (log, opened) = open().expect("the loss was accepted");
    assert!(opened.anchor_missing);
    assert_eq!(log.head().sequence, at(0));
}

#[test]
fn a_store_with_another_history_than_its_anchor_does_not_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    for (data, size) in [(&one, 1), (&other, 2)] {
        let (mut log, _) = Log::open(data, LogOptions::default()).expect("new");
        append(&mut log, &[vec![size]]);
        append(&mut log, &[vec![3]]);
    }
    fs::copy(one.join("anchor"), other.join("anchor")).expect("copied");
    assert!(matches!(
        Log::open(&other, LogOptions::default()),
        Err(OpenError::AnchorDiffers { sequence }) if sequence == at(2)
    ));
}
