//! What is known of a person who gives quota away: read out of the token and the vault, and sealed
//! before it goes to the log.

use std::collections::HashMap;

use projections::profiles::Profile;
use schemas::{Giver, Name, Sealed, SealedGiver, UserId};
use tokio::sync::Mutex;

use super::{AppState, auth::Identity, problem::Problem};
use crate::personal::{GITHUB_USERNAME, NAME, PHONE, VaultError};

/// The keys that were made for users of whom nothing sealed was on record then.
#[derive(Debug, Default)]
pub(super) struct NewKeys(Mutex<HashMap<Name, u32>>);

impl NewKeys {
    /// Forgets the key of `user`, which is to be erased.
    pub(super) async fn take(&self, user: &Name) -> Option<u32> {
        self.0.lock().await.remove(user)
    }
}

/// What a voucher of `user` says of its giver, and the same sealed under the user's key: what the
/// token says, and where it says nothing, what is on record.
pub(super) async fn giver(
    state: &AppState,
    user: &Name,
    identity: &Identity,
) -> Result<(Giver, SealedGiver), Problem> {
    let profile = profile(state, user);
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

fn profile(state: &AppState, user: &Name) -> Profile {
    state.views().look(|reading| {
        let user: Option<UserId> = reading.books.names.find(user.as_str());
        user.map(|user| reading.books.profiles.profile(user).clone()).unwrap_or_default()
    })
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
    let key = tokio::task::spawn_blocking(move || vault.new_key()).await;
    let key = key.map_err(|panic| Problem::internal(&panic))?.map_err(failed)?;
    made.insert(user.clone(), key);
    Ok(key)
}

fn failed(error: VaultError) -> Problem {
    Problem::internal(&format_args!("{:#}", anyhow::Error::from(error)))
}
