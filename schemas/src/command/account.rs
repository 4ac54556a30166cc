//! Commands about accounts, sessions and API keys.

use bincode::Encode;

use crate::{ApiKeyId, Attributes, Name, Role, Sealed, Timestamp};

/// See [`Command::SetAccount`](crate::Command::SetAccount). What is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetAccount {
    /// The tenant whose administrator asks, who has a say only over its users; `None`: a developer.
    pub within: Option<Name>,
    /// The user's id.
    pub user: Name,
    /// Whether the account is made by this; else the user must be known.
    pub creates: bool,
    /// The tenant the user belongs to.
    pub tenant: Option<Name>,
    /// What its holder may do.
    pub role: Option<Role>,
    /// Whether anyone may act as this user.
    pub active: Option<bool>,
    /// Who the person is.
    pub attributes: Attributes,
    /// The Argon2 hash of a password, sealed under the user's key.
    pub password: Option<Sealed>,
    /// The session that stays when a password ends all others, by the SHA-256 of its secret.
    pub keeps_session: Option<[u8; 32]>,
}

/// See [`Command::OpenSession`](crate::Command::OpenSession).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct OpenSession {
    /// Who signs in.
    pub user: Name,
    /// What the password that was given was compared with; it must still be the user's.
    pub password: Sealed,
    /// SHA-256 of the session's secret.
    pub session: [u8; 32],
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// See [`Command::IssueApiKey`](crate::Command::IssueApiKey).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct IssueApiKey {
    /// The tenant whose administrator asks; `None`: a developer.
    pub within: Option<Name>,
    /// What people call it.
    pub name: Name,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// The key's first characters.
    pub prefix: String,
    /// What its holder may do.
    pub role: Role,
    /// The tenant it belongs to.
    pub tenant: Option<Name>,
    /// The user it stands for.
    pub user: Option<Name>,
    /// The user who asks, if it is one with a say over no more than a tenant.
    pub issuer: Option<Name>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// See [`Command::RevokeApiKey`](crate::Command::RevokeApiKey).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RevokeApiKey {
    /// The key's number.
    pub key: ApiKeyId,
    /// The tenant whose administrator asks; `None`: a developer.
    pub within: Option<Name>,
}
