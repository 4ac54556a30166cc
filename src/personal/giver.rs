//! What vouchers say of their givers, sealed and in clear.

use schemas::{Giver, Sealed, SealedGiver};

use super::{Vault, VaultError};

/// The field of a display name: what is sealed as one field cannot be read as another.
pub const NAME: &str = "name";
/// The field of an e-mail address.
pub const EMAIL: &str = "email";
/// The field of a phone number.
pub const PHONE: &str = "phone";
/// The field of a GitHub user name.
pub const GITHUB_USERNAME: &str = "github_username";
/// The field of a password's hash.
pub const PASSWORD: &str = "password";

impl Vault {
    /// Seals what is not empty.
    ///
    /// # Errors
    /// When there is no such key, or no longer.
    pub fn seal_giver(&self, key: u32, giver: &Giver) -> Result<SealedGiver, VaultError> {
        let seal = |field, text: &str| match text {
            "" => Ok(None),
            text => self.seal(key, field, text).map(Some),
        };
        Ok(SealedGiver {
            name: seal(NAME, &giver.name)?,
            phone: seal(PHONE, &giver.phone)?,
            github: seal(GITHUB_USERNAME, &giver.github)?,
        })
    }

    /// The giver again. `None` once any of it has been erased.
    #[must_use]
    pub fn unseal_giver(&self, sealed: &SealedGiver) -> Option<Giver> {
        let unseal = |field, sealed: &Option<Sealed>| match sealed {
            None => Some(String::new()),
            Some(sealed) => self.unseal(field, sealed),
        };
        Some(Giver {
            name: unseal(NAME, &sealed.name)?,
            phone: unseal(PHONE, &sealed.phone)?,
            github: unseal(GITHUB_USERNAME, &sealed.github)?,
        })
    }
}
