//! Passwords: hashed with Argon2id, and compared with hashes. Each takes memory and time on purpose,
//! so that only a few are worked on at once and only so many may wait. A password and its hash are
//! shown to nobody.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::config::Secret;

/// A password has at least as many characters.
pub const CHARS_MIN: usize = 12;
/// And at most as many bytes.
pub const BYTES_MAX: usize = 1024;
/// How many are worked on at once.
const AT_ONCE: usize = 2;
/// How many may be there, with those that wait.
const WAITING_MAX: usize = 64;
const SALT_BYTES: usize = 16;
/// What is compared with where there is no hash, so that it takes as long: of the same cost, and of
/// no password.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGFsbHlib29rIHNhbHQgMQ\
    $bm8gcGFzc3dvcmQgaGFzaGVzIHRvIHRoZXNlIGJ5dGU";

/// Why a password was neither hashed nor compared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// Too many wait.
    #[error("too many passwords are being looked at")]
    Busy,
    /// The library refuses, or the process ends.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

/// Why a text cannot be a password; in words that do not repeat it.
#[must_use]
pub fn fault(password: &Secret) -> Option<&'static str> {
    let text = password.expose();
    let fits = text.chars().count() >= CHARS_MIN && text.len() <= BYTES_MAX;
    (!fits).then_some("must have at least 12 characters, and at most 1024 bytes")
}

/// A hash in PHC form with a random salt. Where the same password is to give the same hash again, as
/// for a request that is repeated, `salted_by` says what is the same then, and nowhere else.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash(password: &Secret, salted_by: Option<&str>) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    match salted_by {
        Some(text) => {
            let digest = Sha256::new().chain_update(b"tallybook/salt/").chain_update(text);
            for (byte, of_digest) in salt.iter_mut().zip(digest.finalize()) {
                *byte = of_digest;
            }
        }
        None => aws_lc_rs::rand::fill(&mut salt)
            .map_err(|_| PasswordError::Failed("there are no random bytes".to_owned()))?,
    }
    let hash: PasswordHash = Argon2::default()
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `hash` is of `password`. It takes as long where there is no hash, and is no then.
#[must_use]
pub fn fits(password: &Secret, hash: Option<&str>) -> bool {
    let text = password.expose().as_bytes();
    let is_of_it = Argon2::default().verify_password(text, hash.unwrap_or(NOBODYS)).is_ok();
    is_of_it && hash.is_some()
}

/// Works on passwords, beside what must not wait for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    present: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            present: Arc::new(Semaphore::new(WAITING_MAX)),
            at_work: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// As [`hash`].
    ///
    /// # Errors
    /// As [`hash`], and when too many wait.
    pub async fn hash(
        &self,
        password: Secret,
        salted_by: Option<String>,
    ) -> Result<String, PasswordError> {
        self.work(move || hash(&password, salted_by.as_deref())).await?
    }

    /// Which of `hashes` is of `password`, as [`fits`]; none is as good as one that does not fit.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn which(
        &self,
        password: Secret,
        hashes: Vec<Option<String>>,
    ) -> Result<Option<usize>, PasswordError> {
        self.work(move || match hashes.as_slice() {
            [] => fits(&password, None).then_some(0),
            hashes => hashes.iter().position(|hash| fits(&password, hash.as_deref())),
        })
        .await
    }

    /// Does what belongs to it in turn with it, and on such a thread.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let ended = || PasswordError::Failed("the service ends".to_owned());
        let place = Arc::clone(&self.present).try_acquire_owned();
        let place: OwnedSemaphorePermit = place.map_err(|error| match error {
            TryAcquireError::NoPermits => PasswordError::Busy,
            TryAcquireError::Closed => ended(),
        })?;
        let turn = Arc::clone(&self.at_work).acquire_owned().await.map_err(|_| ended())?;
        let work = move || {
            let done = work();
            drop((turn, place));
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_of_its_password_alone() {
        let passwords = Passwords::default();
        let password = || Secret::from("correct horse battery");
        let hash = passwords.hash(password(), None).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let other = passwords.hash(Secret::from("another password"), None).await.unwrap();
        let which = async |text: &str, hashes| passwords.which(Secret::from(text), hashes).await;
        let both = vec![Some(other), None, Some(hash.clone())];
        assert_eq!(which("correct horse battery", both.clone()).await, Ok(Some(2)));
        assert_eq!(which("correct horse batterz", both).await, Ok(None));
        assert_eq!(which("", vec![]).await, Ok(None));

        assert_ne!(passwords.hash(password(), None).await.unwrap(), hash, "salted");
        let again = async || passwords.hash(password(), Some("ann/key".to_owned())).await.unwrap();
        assert_eq!(again().await, again().await);
    }

    #[test]
    fn what_stands_for_no_hash_costs_as_much() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let real = hash(&Secret::from("some password"), None).unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!((nobodys.algorithm, nobodys.version), (real.algorithm, real.version));
        assert_eq!(nobodys.params, real.params);
        let length =
            |hash: &PasswordHash| hash.hash.as_ref().map(argon2::password_hash::phc::Output::len);
        assert_eq!(length(&nobodys), length(&real));
    }

    #[tokio::test]
    async fn those_who_find_no_place_are_told_at_once() {
        let passwords = Passwords::default();
        let places = Arc::clone(&passwords.present).acquire_many_owned(64).await.unwrap();
        let hash = passwords.hash(Secret::from("a password"), None).await;
        assert_eq!(hash, Err(PasswordError::Busy));
        drop(places);
    }
}
