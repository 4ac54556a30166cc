//! Refusals about payments.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about payments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopUpRejection {
    /// There is no such top-up.
    #[error("there is no such top-up")]
    NoSuchTopUp,
}

impl TopUpRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchTopUp => "no_such_top_up",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchTopUp => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchTopUp => Blame::Missing,
        }
    }
}
