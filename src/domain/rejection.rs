//! Why a command is refused: expected, named, and the sender's to mend.

use thiserror::Error;

/// A refusal. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The sender's key was used before, for something else.
    #[error("the idempotency key was used before with another content")]
    KeyReused,
    /// The call was recorded before, with another content.
    #[error("request `{request_id}` was recorded before with another content")]
    CallConflict {
        /// The call.
        request_id: String,
    },
    /// An amount, with what is there already, leaves the range that can be kept.
    #[error("{field} is too large")]
    AmountOutOfRange {
        /// The field that gave it.
        field: &'static str,
    },
    /// An amount must be above zero, or not zero.
    #[error("{field} must be {rule}")]
    AmountRule {
        /// The field that gave it.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A price book without prices.
    #[error("the price book has no prices")]
    NoPrices,
    /// A text that is too long to be kept.
    #[error("{field} must not be longer than {max} bytes")]
    TextTooLong {
        /// The field that gave it.
        field: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// A text with control characters, lines and tabs aside.
    #[error("{field} must not contain control characters")]
    ControlCharacter {
        /// The field that gave it.
        field: &'static str,
    },
    /// The command is too long to be recorded.
    #[error("the command is too long to be recorded")]
    TooLong,
}

impl Rejection {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::KeyReused => "idempotency_key_reused",
            Self::CallConflict { .. } => "call_conflict",
            Self::AmountOutOfRange { .. } => "amount_out_of_range",
            Self::AmountRule { .. } => "amount_invalid",
            Self::NoPrices => "no_prices",
            Self::TextTooLong { .. } => "text_too_long",
            Self::ControlCharacter { .. } => "control_character",
            Self::TooLong => "command_too_long",
        }
    }

    /// The field to mend, where it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::KeyReused => Some("Idempotency-Key"),
            Self::CallConflict { .. } => Some("requestId"),
            Self::AmountOutOfRange { field }
            | Self::AmountRule { field, .. }
            | Self::TextTooLong { field, .. }
            | Self::ControlCharacter { field } => Some(field),
            Self::NoPrices | Self::TooLong => None,
        }
    }

    /// Whether it says that something else is recorded under the same name, not that the command is
    /// wrong in itself.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::KeyReused | Self::CallConflict { .. })
    }
}

/// The longest reason or reference, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1_000;

/// Refuses a text that is too long to be kept, or that would confuse who reads it.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), Rejection> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Rejection::TextTooLong { field, max: TEXT_BYTES_MAX });
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(Rejection::ControlCharacter { field });
    }
    Ok(())
}
