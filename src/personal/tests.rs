//! Keys on a real disk: found again, destroyed, half written and tampered with.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

fn vault() -> (TempDir, Vault) {
    let dir = tempfile::tempdir().expect("a directory");
    let vault = Vault::open(dir.path()).expect("no keys yet");
    (dir, vault)
}

fn reopened(dir: &TempDir) -> Vault {
    Vault::open(dir.path()).expect("whole")
}

fn bytes(dir: &TempDir) -> Vec<u8> {
    fs::read(dir.path().join(FILE)).expect("readable")
}

fn put(dir: &TempDir, bytes: &[u8]) {
    fs::write(dir.path().join(FILE), bytes).expect("written");
}

/// A vault with `count` keys.
fn filled(count: u32) -> (TempDir, Vault) {
    let (dir, vault) = vault();
    for key in 0..count {
        assert_eq!(vault.new_key().expect("made"), key);
    }
    (dir, vault)
}

#[test]
fn what_is_sealed_is_read_again_after_a_restart() {
    let (dir, vault) = filled(2);
    let sealed = vault.seal(1, "name", "李雷 | <x>").expect("a key");
    assert_eq!(sealed.key, 1);
    assert_eq!(sealed.bytes.len(), "李雷 | <x>".len() + 28);
    let empty = vault.seal(0, "phone", "").expect("a key");
    drop(vault);
    let vault = reopened(&dir);
    assert_eq!(vault.unseal("name", &sealed).as_deref(), Some("李雷 | <x>"));
    assert_eq!(vault.unseal("phone", &empty).as_deref(), Some(""));
    assert_eq!(vault.new_key().expect("made"), 2);
    let file = dir.path().join(FILE);
    let mode = fs::metadata(file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bytes(&dir).len(), 3 * RECORD_BYTES);
}

#[test]
fn the_same_text_seals_to_the_same_bytes() {
    let (dir, vault) = filled(2);
    let seal = |key, field, text| vault.seal(key, field, text).expect("a key").bytes;
    let sealed = seal(0, "name", "Ann");
    assert_eq!(reopened(&dir).seal(0, "name", "Ann").expect("a key").bytes, sealed);
    let others = [seal(1, "name", "Ann"), seal(0, "nam", "eAnn"), seal(0, "name", "Bob")];
    for other in others {
        assert_ne!(other[..NONCE_LEN], sealed[..NONCE_LEN]);
        assert_ne!(other[NONCE_LEN..], sealed[NONCE_LEN..]);
    }
}

#[test]
fn an_erased_key_is_gone_from_memory_and_disk() {
    let (dir, vault) = filled(3);
    let sealed: Vec<_> = (0..3).map(|key| vault.seal(key, "name", "Ann").expect("a key")).collect();
    let clone = vault.clone();
    vault.erase(1).expect("erased");
    vault.erase(1).expect("erased already");
    assert_eq!(bytes(&dir)[RECORD_BYTES..2 * RECORD_BYTES], [0; RECORD_BYTES]);
    for vault in [clone, reopened(&dir)] {
        let read: Vec<_> = sealed.iter().map(|sealed| vault.unseal("name", sealed)).collect();
        assert_eq!(read, [Some("Ann".to_owned()), None, Some("Ann".to_owned())]);
        let outcome = vault.seal(1, "name", "Ann");
        assert!(matches!(outcome, Err(VaultError::NoKey { key: 1 })), "{outcome:?}");
    }
    assert_eq!(reopened(&dir).new_key().expect("made"), 3);
    assert!(matches!(vault.erase(4), Err(VaultError::NoKey { key: 4 })));
}

#[test]
fn a_key_that_was_half_written_was_never_there() {
    for torn in 1..RECORD_BYTES {
        let (dir, vault) = filled(2);
        let sealed = vault.seal(0, "name", "Ann").expect("a key");
        put(&dir, &bytes(&dir)[..RECORD_BYTES + torn]);
        let vault = reopened(&dir);
        assert_eq!(bytes(&dir).len(), RECORD_BYTES);
        assert_eq!(vault.unseal("name", &sealed).as_deref(), Some("Ann"));
        assert_eq!(vault.new_key().expect("made"), 1);
    }
}

#[test]
fn an_erasure_that_was_half_written_is_finished() {
    // Key 14 lies at 504: eight bytes in one sector, the rest in the next.
    let at = 14 * RECORD_BYTES;
    for zeroed in [at..512, 512..at + RECORD_BYTES] {
        let (dir, vault) = filled(16);
        let sealed = vault.seal(14, "name", "Ann").expect("a key");
        let mut half = bytes(&dir);
        half[zeroed].fill(0);
        put(&dir, &half);
        assert_eq!(reopened(&dir).unseal("name", &sealed), None);
        assert_eq!(bytes(&dir)[at..at + RECORD_BYTES], [0; RECORD_BYTES]);
        assert_eq!(bytes(&dir)[..at], half[..at]);
        assert_eq!(bytes(&dir)[at + RECORD_BYTES..], half[at + RECORD_BYTES..]);
    }
}

#[test]
fn a_damaged_key_is_named() {
    let (dir, _) = filled(16);
    let whole = bytes(&dir);
    let damaged = |bytes: &[u8]| {
        put(&dir, bytes);
        match Vault::open(dir.path()) {
            Err(VaultError::Damaged { key, .. }) => Some(key),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        }
    };
    assert_eq!(damaged(&whole), None);
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        assert_eq!(damaged(&bytes), u32::try_from(position / RECORD_BYTES).ok(), "{position}");
    }
    let mut swapped = whole.clone();
    swapped[..2 * RECORD_BYTES].rotate_left(RECORD_BYTES);
    assert_eq!(damaged(&swapped), Some(0));
    let mut half = whole.clone();
    half[RECORD_BYTES + 8..2 * RECORD_BYTES].fill(0);
    assert_eq!(damaged(&half), Some(1), "within one sector nothing is written by half");
    // Key 127 ends where a sector ends, so that it has no half in the next one.
    let mut last = record(127, &[7; SECRET_BYTES]);
    last[0] = 8;
    assert!(matches!(Record::read(127, &last), Record::Damaged));
}

#[test]
fn what_was_not_sealed_here_is_not_read() {
    let (_dir, vault) = filled(2);
    let sealed = vault.seal(0, "name", "Ann").expect("a key");
    assert_eq!(vault.unseal("phone", &sealed), None);
    for key in [1, 2, u32::MAX] {
        assert_eq!(vault.unseal("name", &Sealed { key, ..sealed.clone() }), None);
    }
    for position in 0..sealed.bytes.len() {
        let mut tampered = sealed.clone();
        tampered.bytes[position] ^= 1;
        assert_eq!(vault.unseal("name", &tampered), None, "{position}");
        tampered.bytes.truncate(position);
        assert_eq!(vault.unseal("name", &tampered), None, "{position}");
    }
    assert!(matches!(vault.seal(2, "name", "Ann"), Err(VaultError::NoKey { key: 2 })));
}

#[test]
fn after_a_failed_write_nothing_is_written() {
    let (dir, vault) = filled(1);
    let sealed = vault.seal(0, "name", "Ann").expect("a key");
    let unwritable = File::open(dir.path().join(FILE)).expect("readable");
    *vault.0.file.lock() = Some(unwritable);
    assert!(matches!(vault.new_key(), Err(VaultError::Write { .. })));
    assert!(matches!(vault.new_key(), Err(VaultError::Stopped { .. })));
    assert!(matches!(vault.erase(0), Err(VaultError::Stopped { .. })));
    assert_eq!(vault.unseal("name", &sealed).as_deref(), Some("Ann"));
    assert_eq!(bytes(&dir).len(), RECORD_BYTES);
}

#[test]
fn a_key_that_the_log_knows_is_never_given_to_somebody_else() {
    let (dir, vault) = filled(2);
    vault.retire(4).expect("written");
    vault.retire(1).expect("nothing to do");
    assert!(vault.holds(1) && !vault.holds(2) && !vault.holds(4));
    vault.erase(3).expect("as any other that is gone");
    assert_eq!(vault.new_key().expect("a key"), 5);
    drop(vault);
    let vault = Vault::open(dir.path()).expect("whole");
    assert_eq!([1, 2, 4, 5].map(|key| vault.holds(key)), [true, false, false, true]);
}

#[test]
fn keys_are_not_printed() {
    let (dir, vault) = filled(1);
    assert_eq!(format!("{vault:?}"), format!("Vault({})", dir.path().join(FILE).display()));
}
