//! Refusals about accounts and API keys.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about accounts and API keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountRejection {
    /// There is no such API key.
    #[error("there is no such API key")]
    NoSuchKey,
}

impl AccountRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchKey => "no_such_api_key",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchKey => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchKey => Blame::Missing,
        }
    }
}
