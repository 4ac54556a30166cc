//! What an import leaves out, and why: nothing of a price map is dropped in silence.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::{DecimalError, Name, NameError, PriceSheetError};

/// What became of the entries and fields that are in no price sheet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceMapReport {
    /// Models without any price per token (images, seconds, pages, or nothing at all).
    pub unpriced: Vec<Name>,
    /// Entries that contradict the format; none of their prices is taken.
    pub refused: Vec<PriceEntryError>,
    /// Prices with more decimals than money has, taken to the nearest.
    pub rounded: Vec<RoundedPrice>,
    /// The fields that say nothing about a price per token, and how many models have them.
    pub ignored_fields: BTreeMap<String, u64>,
}

/// A price that was taken to the nearest amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundedPrice {
    /// The model.
    pub model: Name,
    /// The field.
    pub field: String,
    /// The number as the map has it.
    pub text: String,
}

/// Why one entry of a price map is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceEntryError {
    /// The model, as named in the map.
    pub model: String,
    /// The field inside the entry; `None` when it is the entry as a whole.
    pub field: Option<String>,
    /// What is wrong with it.
    pub reason: PriceFault,
}

impl fmt::Display for PriceEntryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model: String = self.model.chars().take(80).collect();
        write!(formatter, "model `{model}`")?;
        if let Some(field) = &self.field {
            write!(formatter, ", field `{field}`")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

impl std::error::Error for PriceEntryError {}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PriceFault {
    /// The model's name cannot be a name.
    #[error("the name {0}")]
    Name(NameError),
    /// The same model, or the same field of one model, twice.
    #[error("must not be there twice")]
    Twice,
    /// An entry that is no JSON object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// A price that is no number.
    #[error("must be a number, got `{0}`")]
    NotANumber(String),
    /// A price below zero.
    #[error("must not be negative, got `{0}`")]
    Negative(String),
    /// A price so small that it would be rounded to nothing.
    #[error("must not need more than 18 decimals, got `{0}`")]
    TooPrecise(String),
    /// A price out of range.
    #[error(transparent)]
    Decimal(DecimalError),
    /// A bound of a range that is no token count.
    #[error("must be a whole number of tokens, got `{0}`")]
    NotTokens(String),
    /// A price table whose ranges leave gaps, overlap or do not start at 0.
    #[error("must have ranges that follow one another from 0")]
    Ranges,
    /// A price table with a row that does not price input.
    #[error("must have `input_cost_per_token` in every row")]
    RowWithoutInput,
    /// Rates that form no sheet.
    #[error(transparent)]
    Sheet(PriceSheetError),
}
