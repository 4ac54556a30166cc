//! Every reason for which credentials are not accepted.

use thiserror::Error;

/// Why credentials are not accepted. Says which part is at fault, never what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthError {
    /// Nothing was sent.
    #[error("send an API key as `X-API-Key`, or a token as `Authorization: Bearer`, or sign in")]
    NoCredentials,
    /// No such key, or one that was withdrawn.
    #[error("the API key is not known")]
    UnknownApiKey,
    /// A key whose time is over.
    #[error("the API key has expired")]
    ApiKeyExpired,
    /// A session that was ended, or whose time is over.
    #[error("the session has ended; sign in again")]
    UnknownSession,
    /// The user may not act any more, whatever the credentials say.
    #[error("the account is not active")]
    AccountInactive,
    /// `Basic`, for one.
    #[error("the authorization scheme must be `Bearer`")]
    UnknownScheme,
    /// Not a JSON Web Token.
    #[error("the token is malformed: {0}")]
    Malformed(String),
    /// `none`, and everything that is not configured.
    #[error("the token's algorithm is not accepted")]
    AlgorithmNotAccepted,
    /// The key is for another algorithm.
    #[error("the token's algorithm is not the one of its key")]
    WrongAlgorithm,
    /// No key has this `kid`.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is not valid")]
    WrongSignature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is someone else's.
    #[error("the token comes from another issuer")]
    WrongIssuer,
    /// `aud` is someone else.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// A claim that is needed is absent.
    #[error("the token has no claim `{0}`")]
    MissingClaim(String),
    /// A claim cannot be used.
    #[error("the token's claim `{claim}` {reason}")]
    InvalidClaim {
        /// Its name.
        claim: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The issuer's keys have never been seen, and cannot be fetched.
    #[error("the issuer's keys cannot be fetched at the moment")]
    KeysUnavailable,
}

impl AuthError {
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }

    pub(super) fn invalid(claim: &str, reason: impl Into<String>) -> Self {
        Self::InvalidClaim { claim: claim.to_owned(), reason: reason.into() }
    }

    /// For programs: stable, in `snake_case`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::UnknownApiKey => "unknown_api_key",
            Self::ApiKeyExpired => "api_key_expired",
            Self::UnknownSession => "unknown_session",
            Self::AccountInactive => "account_inactive",
            Self::UnknownScheme => "unknown_scheme",
            Self::Malformed(_) => "malformed_token",
            Self::AlgorithmNotAccepted => "algorithm_not_accepted",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::WrongSignature => "wrong_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::MissingClaim(_) => "missing_claim",
            Self::InvalidClaim { .. } => "invalid_claim",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}
