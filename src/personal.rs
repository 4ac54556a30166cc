//! Personal data that can be erased while the log stays whole: the log holds it only encrypted, each
//! person's under a key of their own, and the keys lie in one file beside the log. Erasing a key
//! erases what is encrypted under it from every copy of the log, though not from copies of the keys:
//! leave `personal.keys` out of backups that are kept for longer than an erasure may take.
//!
//! The file is a row of records of 36 bytes, the n-th (from 0) for key n: 32 random bytes and a check
//! of them, or zeros where the key has been erased.

mod giver;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use parking_lot::{Mutex, RwLock};
use schemas::Sealed;
use thiserror::Error;

pub use giver::{EMAIL, GITHUB_USERNAME, NAME, PASSWORD, PHONE};

const FILE: &str = "personal.keys";
const SECRET_BYTES: usize = 32;
const RECORD_BYTES: usize = 36;
/// What a disk writes as a whole.
const SECTOR_BYTES: u64 = 512;

type Secret = [u8; SECRET_BYTES];
type Bytes = [u8; RECORD_BYTES];
/// In memory as in the file.
const ERASED: Secret = [0; SECRET_BYTES];

/// Why a key is not there, or not kept, or not destroyed.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The file cannot be read or made.
    #[error("could not open `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A record is neither a key nor erased.
    #[error("`{path}` is damaged at key {key}; restore it from a copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of the key.
        key: u32,
    },
    /// The file cannot be written; nothing more will be written to it.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// An earlier write failed, so that nobody knows what is on disk until the file is opened again.
    #[error("`{path}` is not written to any more since a write failed")]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// There never was such a key, or it has been erased.
    #[error("there is no personal key {key}")]
    NoKey {
        /// The number of the key.
        key: u32,
    },
    /// All numbers are taken.
    #[error("there are no more numbers for personal keys")]
    Full,
    /// The system gives no random bytes.
    #[error("could not make a random key")]
    Random,
}

/// The keys. Cheap to clone; clones share the keys.
///
/// [`Vault::open`], [`Vault::new_key`] and [`Vault::erase`] read and sync a file: call them inside
/// `spawn_blocking`. [`Vault::seal`] and [`Vault::unseal`] only compute, and do not wait for the disk.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// `None` once a write has failed. Whoever changes `keys` holds this first.
    file: Mutex<Option<File>>,
    keys: RwLock<Vec<Secret>>,
}

impl Vault {
    /// Opens the keys in the directory `dir`, or starts with none. What is left of a key that was
    /// being written, or of one that was being erased, when the machine stopped is cleared away:
    /// neither had been acknowledged.
    ///
    /// # Errors
    /// When the file cannot be read, or a record in it is damaged.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        let path = dir.join(FILE);
        let failed = |source| VaultError::Open { path: path.clone(), source };
        let (file, bytes) = read(dir, &path).map_err(failed)?;
        let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
        let mut keys = Vec::with_capacity(records.len());
        for (key, bytes) in (0..).zip(records) {
            let secret = match Record::read(key, bytes) {
                Record::Key(secret) => secret,
                Record::Erased => ERASED,
                Record::HalfErased => {
                    store(&file, key, &[0; RECORD_BYTES]).map_err(failed)?;
                    ERASED
                }
                Record::Damaged => return Err(VaultError::Damaged { path, key }),
            };
            keys.push(secret);
        }
        let (file, keys) = (Mutex::new(Some(file)), RwLock::new(keys));
        Ok(Self(Arc::new(Inner { path, file, keys })))
    }

    /// Makes a key and gives its number. It is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn new_key(&self) -> Result<u32, VaultError> {
        let mut file = self.0.file.lock();
        let key = u32::try_from(self.0.keys.read().len()).map_err(|_| VaultError::Full)?;
        let mut secret = ERASED;
        rand::fill(&mut secret).map_err(|_| VaultError::Random)?;
        self.write(&mut file, key, &record(key, &secret))?;
        self.0.keys.write().push(secret);
        Ok(key)
    }

    /// Makes sure that no new key gets a number up to `last`: a log that knows these keys may have
    /// outlived the file that held them. Those that are missing count as erased.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn retire(&self, last: u32) -> Result<(), VaultError> {
        let mut file = self.0.file.lock();
        let count = usize::try_from(last).map_err(|_| VaultError::Full)?.saturating_add(1);
        if self.0.keys.read().len() >= count {
            return Ok(());
        }
        // What lies between becomes zeros too, which is what an erased key is.
        self.write(&mut file, last, &[0; RECORD_BYTES])?;
        self.0.keys.write().resize(count, ERASED);
        Ok(())
    }

    /// Whether there is such a key, and it has not been erased.
    #[must_use]
    pub fn holds(&self, key: u32) -> bool {
        self.secret(key).is_some()
    }

    /// Encrypts `text` as the `field` of a person. The same text, field and key give the same bytes,
    /// 28 more than the text has.
    ///
    /// # Errors
    /// When there is no such key, or no longer.
    pub fn seal(&self, key: u32, field: &str, text: &str) -> Result<Sealed, VaultError> {
        let secret = self.secret(key).ok_or(VaultError::NoKey { key })?;
        Ok(Sealed { key, bytes: encrypt(&secret, field, text) })
    }

    /// The text again. `None` when its key has been erased, or it was not sealed here as this
    /// `field`.
    #[must_use]
    pub fn unseal(&self, field: &str, sealed: &Sealed) -> Option<String> {
        decrypt(&self.secret(sealed.key)?, field, &sealed.bytes)
    }

    /// Destroys a key: nothing that was sealed with it can be read again. That is on disk when this
    /// returns. Erasing twice is erasing once.
    ///
    /// # Errors
    /// When there never was such a key, or the file cannot be written.
    pub fn erase(&self, key: u32) -> Result<(), VaultError> {
        let mut file = self.0.file.lock();
        let place = usize::try_from(key).ok().filter(|place| *place < self.0.keys.read().len());
        let place = place.ok_or(VaultError::NoKey { key })?;
        self.write(&mut file, key, &[0; RECORD_BYTES])?;
        if let Some(secret) = self.0.keys.write().get_mut(place) {
            *secret = ERASED;
        }
        Ok(())
    }

    fn secret(&self, key: u32) -> Option<Secret> {
        let keys = self.0.keys.read();
        keys.get(usize::try_from(key).ok()?).copied().filter(|secret| *secret != ERASED)
    }

    fn write(&self, file: &mut Option<File>, key: u32, bytes: &Bytes) -> Result<(), VaultError> {
        let path = || self.0.path.clone();
        let opened = file.as_ref().ok_or_else(|| VaultError::Stopped { path: path() })?;
        store(opened, key, bytes).map_err(|source| {
            *file = None;
            VaultError::Write { path: path(), source }
        })
    }
}

/// Nothing of the keys.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Vault({})", self.0.path.display())
    }
}

/// The file and what is in it, without the beginning of a record at its end.
fn read(dir: &Path, path: &Path) -> io::Result<(File, Vec<u8>)> {
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    File::open(dir)?.sync_all()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let torn = bytes.len() % RECORD_BYTES;
    if torn > 0 {
        bytes.truncate(bytes.len() - torn);
        file.set_len(bytes.len().try_into().map_err(io::Error::other)?)?;
        file.sync_all()?;
    }
    Ok((file, bytes))
}

fn store(file: &File, key: u32, bytes: &Bytes) -> io::Result<()> {
    file.write_all_at(bytes, position(key))?;
    file.sync_data()
}

fn position(key: u32) -> u64 {
    u64::from(key) * RECORD_BYTES as u64
}

/// What a record says.
enum Record {
    Key(Secret),
    Erased,
    HalfErased,
    Damaged,
}

impl Record {
    fn read(key: u32, bytes: &Bytes) -> Self {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        if is_zero(bytes) {
            return Self::Erased;
        }
        if let Some(secret) = bytes.first_chunk().filter(|secret| record(key, secret) == *bytes) {
            return Self::Key(*secret);
        }
        // Of a record that lies in two sectors, one may have been written and the other not.
        let in_first = SECTOR_BYTES - position(key) % SECTOR_BYTES;
        let halves = usize::try_from(in_first).ok().and_then(|at| bytes.split_at_checked(at));
        match halves {
            Some((first, second)) if is_zero(first) || (is_zero(second) && !second.is_empty()) => {
                Self::HalfErased
            }
            _ => Self::Damaged,
        }
    }
}

/// The bytes of a key: itself and the beginning of a hash over its number and itself.
fn record(key: u32, secret: &Secret) -> Bytes {
    let mut bytes = [0; RECORD_BYTES];
    let (front, check) = bytes.split_at_mut(SECRET_BYTES);
    front.copy_from_slice(secret);
    let hash = blake3::Hasher::new().update(&key.to_le_bytes()).update(secret).finalize();
    check.copy_from_slice(&hash.as_bytes()[..RECORD_BYTES - SECRET_BYTES]);
    bytes
}

/// The nonce, then the encrypted text with its tag. AES-GCM-SIV bears a nonce that is the same for
/// the same text, and one that two texts share by chance.
fn encrypt(secret: &Secret, field: &str, text: &str) -> Vec<u8> {
    let nonce = nonce(secret, field, text);
    let mut sealed = text.as_bytes().to_vec();
    cipher(secret)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(field.as_bytes()),
            &mut sealed,
        )
        .expect("invariant: no text in memory is too long to be encrypted");
    [nonce.as_slice(), &sealed].concat()
}

fn decrypt(secret: &Secret, field: &str, bytes: &[u8]) -> Option<String> {
    let (nonce, sealed) = bytes.split_first_chunk()?;
    let mut text = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let text = cipher(secret).open_in_place(nonce, Aad::from(field.as_bytes()), &mut text).ok()?;
    String::from_utf8(text.to_vec()).ok()
}

fn cipher(secret: &Secret) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM_SIV, secret);
    LessSafeKey::new(key.expect("invariant: the cipher takes keys of 32 bytes"))
}

/// Derived with a key of its own, that of the cipher is used for nothing else.
fn nonce(secret: &Secret, field: &str, text: &str) -> [u8; NONCE_LEN] {
    let key = blake3::derive_key("tallybook 2026-11-23 nonces of personal data", secret);
    let length = u64::try_from(field.len()).expect("invariant: lengths fit in 64 bits");
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(&length.to_le_bytes()).update(field.as_bytes()).update(text.as_bytes());
    let mut nonce = [0; NONCE_LEN];
    hasher.finalize_xof().fill(&mut nonce);
    nonce
}

#[cfg(test)]
mod tests;
