//! Refusals about bills and credits.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about bills and credits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BillRejection {
    /// The day is not over yet.
    #[error("the day is not over yet")]
    DayNotOver,
}

impl BillRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::DayNotOver => "day_not_over",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::DayNotOver => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::DayNotOver => Blame::State,
        }
    }
}
