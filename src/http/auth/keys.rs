//! API keys. Only their SHA-256 is kept; it is compared in constant time.

use std::{collections::HashMap, fmt};

use anyhow::Context;
use schemas::Name;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Caller, Identity};
use crate::config::ApiKey;

/// The known keys.
pub(super) struct ApiKeys {
    /// By the first bytes of the digest, which tell nothing about the key; the rest is compared in
    /// constant time.
    by_prefix: HashMap<[u8; 4], Vec<Entry>>,
}

struct Entry {
    digest: [u8; 32],
    caller: Caller,
}

impl ApiKeys {
    pub(super) fn new(keys: &[ApiKey]) -> anyhow::Result<Self> {
        let mut by_prefix: HashMap<_, Vec<_>> = HashMap::with_capacity(keys.len());
        for key in keys {
            let digest = match (&key.key, &key.key_sha256) {
                (Some(key), _) => Sha256::digest(key.expose()).into(),
                (None, hexadecimal) => {
                    let text = hexadecimal.as_deref().unwrap_or_default();
                    from_hexadecimal(text).context("an API key's SHA-256 is 64 digits")?
                }
            };
            let caller = Caller {
                role: key.role,
                tenant: key.organization.clone(),
                user: key.user.clone(),
                actor: Name::try_from(format!("key:{}", key.name))
                    .with_context(|| format!("the name of the API key `{}`", key.name))?,
                identity: Identity::default(),
            };
            by_prefix.entry(prefix(&digest)).or_default().push(Entry { digest, caller });
        }
        Ok(Self { by_prefix })
    }

    /// Who holds `key`.
    pub(super) fn caller(&self, key: &[u8]) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let entries = self.by_prefix.get(&prefix(&digest))?;
        let found = entries.iter().find(|entry| entry.digest.ct_eq(&digest).into())?;
        Some(&found.caller)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} API keys", self.by_prefix.values().map(Vec::len).sum::<usize>())
    }
}

fn prefix(digest: &[u8; 32]) -> [u8; 4] {
    let [first, second, third, fourth, ..] = *digest;
    [first, second, third, fourth]
}

fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::Role;

    fn key(key: Option<&str>, sha256: Option<&str>, name: &str) -> ApiKey {
        ApiKey {
            key: key.map(Into::into),
            key_sha256: sha256.map(ToOwned::to_owned),
            role: Role::Developer,
            organization: None,
            user: None,
            name: Name::try_from(name).unwrap(),
        }
    }

    #[test]
    fn a_key_is_known_by_itself_or_by_its_digest() {
        // printf abc | sha256sum
        let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let keys =
            ApiKeys::new(&[key(Some("first"), None, "one"), key(None, Some(abc), "two")]).unwrap();
        assert_eq!(keys.caller(b"first").unwrap().actor.as_str(), "key:one");
        assert_eq!(keys.caller(b"abc").unwrap().actor.as_str(), "key:two");
        for unknown in [&b""[..], b"firs", b"first ", b"FIRST", abc.as_bytes(), b"\xff"] {
            assert_eq!(keys.caller(unknown), None);
        }
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let mut keys = ApiKeys::new(&[key(Some("first"), None, "one")]).unwrap();
        let digest: [u8; 32] = Sha256::digest("other").into();
        let entries = keys.by_prefix.drain().next().unwrap().1;
        keys.by_prefix.insert(prefix(&digest), entries);
        assert_eq!(keys.caller(b"other"), None);
    }
}
