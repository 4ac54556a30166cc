//! What is known of people: sealed before it goes to the log; and of a person who gives quota away,
//! read out of the token and the vault.

use std::collections::HashMap;

use projections::{books::Reading, profiles::Profile};
use schemas::{Change, Giver, Name, Sealed, SealedGiver, UserId};
use tokio::sync::Mutex;

use super::{AppState, auth::Identity, problem::Problem};
use crate::personal::{GITHUB_USERNAME, NAME, PHONE, Vault, VaultError};

/// The keys that were made for users of whom nothing sealed was on record then.
#[derive(Debug, Default)]
pub(super) struct NewKeys(Mutex<HashMap<Name, u32>>);

impl NewKeys {
    /// Forgets the key of `user`, which is to be erased.
    pub(super) async fn take(&self, user: &Name) -> Option<u32> {
        self.0.lock().await.remove(user)
    }
}

/// Seals what is said of one person or organization, under the key that there is for it, or under a
/// new one when one is needed and there is none, or none any more: an erasure may have been cut off.
#[derive(Debug)]
pub(super) struct Sealer<'a> {
    vault: &'a Vault,
    key: Option<u32>,
}

impl<'a> Sealer<'a> {
    /// Seals under `key`, if that is still good.
    pub(super) fn new(vault: &'a Vault, key: Option<u32>) -> Self {
        Self { vault, key: key.filter(|key| vault.holds(*key)) }
    }

    /// Seals what is set as this `field`.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub(super) fn seal(
        &mut self,
        field: &str,
        change: Change<Name>,
    ) -> Result<Change<Sealed>, VaultError> {
        let text = match change {
            Change::Keep => return Ok(Change::Keep),
            Change::Clear => return Ok(Change::Clear),
            Change::Set(text) => text,
        };
        let key = match self.key {
            Some(key) => key,
            None => *self.key.insert(self.vault.new_key()?),
        };
        self.vault.seal(key, field, text.as_str()).map(Change::Set)
    }
}

/// Describes or erases a user while nothing is sealed: no text goes under a key that is being erased,
/// and no key is made that an erasure does not know of. Done to its end even when its caller goes
/// away.
pub(super) async fn alone<T: Send + 'static>(
    state: AppState,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    to_its_end(async move {
        let _alone = state.describing().write().await;
        work.await
    })
    .await
}

/// Seals, and hands in what is sealed, while nobody is described or erased; as [`alone`] otherwise.
pub(super) async fn sealing<T: Send + 'static>(
    state: AppState,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    to_its_end(async move {
        let _sealing = state.describing().read().await;
        work.await
    })
    .await
}

async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Problem::internal(&panic)),
    }
}

/// What a voucher of `user` says of its giver, and the same sealed under the user's key: what the
/// token says, and where it says nothing, what is on record.
pub(super) async fn giver(
    state: &AppState,
    user: &Name,
    identity: &Identity,
) -> Result<(Giver, SealedGiver), Problem> {
    let profile = state.views().look(|reading| profile_of(reading, user)).unwrap_or_default();
    let vault = state.vault();
    let known = |said: &str, field, sealed: &Option<Sealed>| match said {
        "" => sealed.as_ref().and_then(|sealed| vault.unseal(field, sealed)).unwrap_or_default(),
        said => said.to_owned(),
    };
    let giver = Giver {
        name: known(&identity.name, NAME, &profile.name),
        phone: known(&identity.phone, PHONE, &profile.phone),
        github: known(&identity.github, GITHUB_USERNAME, &profile.github_username),
    };
    if giver == Giver::default() {
        return Ok((giver, SealedGiver::default()));
    }
    let sealed = match profile.keys.first().map(|key| vault.seal_giver(*key, &giver)) {
        Some(Ok(sealed)) => sealed,
        // There is none yet, or it was erased since the profile was read.
        None | Some(Err(VaultError::NoKey { .. })) => {
            let key = new_key(state, user).await?;
            vault.seal_giver(key, &giver).map_err(failed)?
        }
        Some(Err(error)) => return Err(failed(error)),
    };
    Ok((giver, sealed))
}

/// What is known of a user by this name; nothing when nobody has ever spoken of one.
pub(super) fn profile_of(reading: &Reading, name: &Name) -> Option<Profile> {
    let user: UserId = reading.books.names.find(name.as_str())?;
    Some(reading.books.profiles.profile(user).clone())
}

/// A key for `user`, who has none on record. One that was made before and is still good is taken
/// again, so that requests that lead to nothing do not fill the vault.
async fn new_key(state: &AppState, user: &Name) -> Result<u32, Problem> {
    let mut made = state.new_keys().0.lock().await;
    let vault = state.vault().clone();
    if let Some(key) = made.get(user)
        && vault.seal(*key, NAME, "").is_ok()
    {
        return Ok(*key);
    }
    let key = in_vault(move || vault.new_key()).await?;
    made.insert(user.clone(), key);
    Ok(key)
}

/// Works with the keys on a thread where the disk may take its time.
pub(super) async fn in_vault<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(failed),
        Err(panic) => Err(Problem::internal(&panic)),
    }
}

fn failed(error: VaultError) -> Problem {
    Problem::internal(&format_args!("{:#}", anyhow::Error::from(error)))
}
