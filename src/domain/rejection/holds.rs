//! Refusals about holds.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HoldRejection {
    /// There is no such hold.
    #[error("there is no such hold")]
    NoSuchHold,
}

impl HoldRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchHold => "no_such_hold",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchHold => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchHold => Blame::Missing,
        }
    }
}
