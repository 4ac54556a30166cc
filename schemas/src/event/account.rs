//! Events of accounts: who may sign in, with what, and the keys of programs. No secret stands here
//! in clear: passwords are hashed and sealed, sessions and keys are random and hashed.

use bincode::{Decode, Encode};

use crate::{Role, Sealed, TenantId, Timestamp, UserId};

/// See [`Event::AccountSet`](crate::Event::AccountSet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AccountSet {
    /// Whose account.
    pub user: UserId,
    /// The tenant whose administrator last said whether anyone may act; `None`: a developer.
    pub within: Option<TenantId>,
    /// What its holder may do.
    pub role: Role,
    /// Whether anyone may act as this user.
    pub active: bool,
}

/// See [`Event::PasswordSet`](crate::Event::PasswordSet).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PasswordSet {
    /// Whose.
    pub user: UserId,
    /// The Argon2 hash in PHC form, sealed under the user's key.
    pub hash: Sealed,
}

/// See [`Event::PasswordCleared`](crate::Event::PasswordCleared).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PasswordCleared {
    /// Whose.
    pub user: UserId,
}

/// See [`Event::SessionOpened`](crate::Event::SessionOpened).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SessionOpened {
    /// Who signed in.
    pub user: UserId,
    /// SHA-256 of the session's secret.
    pub session: [u8; 32],
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// See [`Event::SessionClosed`](crate::Event::SessionClosed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SessionClosed {
    /// Who signed out.
    pub user: UserId,
    /// SHA-256 of the session's secret.
    pub session: [u8; 32],
}

/// The number of an API key that the book has issued: the count of keys before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ApiKeyId(pub u32);

/// See [`Event::ApiKeyIssued`](crate::Event::ApiKeyIssued).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ApiKeyIssued {
    /// The key's number.
    pub key: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the key, which is random.
    pub digest: [u8; 32],
    /// The key's first characters, to tell keys apart by.
    pub prefix: String,
    /// What its holder may do.
    pub role: Role,
    /// The tenant it belongs to; none for a developer's.
    pub tenant: Option<TenantId>,
    /// The user it stands for.
    pub user: Option<UserId>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// See [`Event::ApiKeyRevoked`](crate::Event::ApiKeyRevoked).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ApiKeyRevoked {
    /// The key's number.
    pub key: ApiKeyId,
}
