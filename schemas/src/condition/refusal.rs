//! Why a text is no condition, and at which character.

use std::fmt;

use thiserror::Error;

use crate::{Condition, DecimalError};

use super::function::Function;

/// Why a text is no condition, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at character {}: {fault}", position.saturating_add(1))]
pub struct ConditionError {
    position: usize,
    fault: Fault,
}

impl ConditionError {
    /// Of a fault at the byte `offset` of `text`.
    pub(super) fn new(text: &str, Refusal { offset, fault }: Refusal) -> Self {
        let position = text.char_indices().take_while(|(start, _)| *start < offset).count();
        Self { position, fault }
    }

    /// How many characters of the text stand before the fault: 0 at its first character, and as
    /// many as the text has where something is missing at its end.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What is wrong there, without the position.
    #[must_use]
    pub fn message(&self) -> String {
        self.fault.to_string()
    }
}

/// A fault and the byte of the text that it is at.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) offset: usize,
    pub(super) fault: Fault,
}

/// What can be wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Fault {
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("expected `(` after `{}`", .0.name())]
    NotCalled(Function),
    #[error("unknown function `{0}`")]
    UnknownFunction(String),
    #[error("missing closing `\"`")]
    OpenQuote,
    #[error("{} expects {expected}, got {got}", function.name())]
    WrongArity { function: Function, expected: Arity, got: usize },
    #[error("expected a number without quotes, got `\"{0}\"`")]
    QuotedNumber(String),
    #[error("expected a whole number of 64 bits, got `{0}`")]
    NotWhole(String),
    #[error("expected a number, but {0}")]
    NotCredits(DecimalError),
    #[error("expected a time in quotes, got `{0}`")]
    BareTime(String),
    #[error("expected a time like `2024-05-01 00:00:00`, got `{0}`")]
    NotTime(String),
    #[error("more than {max} parentheses are open", max = Condition::DEPTH_MAX)]
    TooDeep,
    #[error(
        "a condition must not be longer than {max} bytes, got {0}",
        max = Condition::TEXT_BYTES_MAX
    )]
    TooLong(usize),
    #[error(
        "a condition must not be longer than {max} bytes, this one is {0} once written in full",
        max = Condition::TEXT_BYTES_MAX
    )]
    TooLongInFull(usize),
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

impl Arity {
    /// The number alone.
    pub(super) const fn number(self) -> usize {
        match self {
            Self::Exactly(number) | Self::AtLeast(number) => number,
        }
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            0 => formatter.write_str("no arguments")?,
            1 => formatter.write_str("1 argument")?,
            number => write!(formatter, "{number} arguments")?,
        }
        match self {
            Self::Exactly(_) => Ok(()),
            Self::AtLeast(_) => formatter.write_str(" or more"),
        }
    }
}
