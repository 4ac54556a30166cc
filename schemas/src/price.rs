//! A price sheet: what one model costs, per token class, service tier and length of context. It is
//! kept in one canonical order, so that equal sheets are equal bytes in the log.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Money, ServiceTier};

/// Disjoint classes of tokens that a price can name. Stored by position: append only.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenClass {
    /// Input that no cache or audio class takes.
    Input,
    /// Output that no reasoning or audio class takes.
    Output,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache for minutes.
    CacheWrite,
    /// Input written to a cache for an hour or more.
    CacheWrite1h,
    /// Audio input.
    AudioInput,
    /// Audio output.
    AudioOutput,
    /// Reasoning output.
    Reasoning,
}

impl TokenClass {
    /// Every class, in order.
    pub const ALL: [Self; 8] = [
        Self::Input,
        Self::Output,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::AudioInput,
        Self::AudioOutput,
        Self::Reasoning,
    ];
}

/// One price: of a class, in a tier, for prompts longer than a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Rate {
    /// What it prices.
    pub class: TokenClass,
    /// In which tier.
    pub tier: ServiceTier,
    /// For prompts of more than this many tokens; 0 for the base price.
    pub above_tokens: u32,
    /// USD for one token, never negative.
    pub per_token: Money,
}

impl Rate {
    /// What a sheet is ordered by, and what it holds at most once.
    fn key(&self) -> (TokenClass, ServiceTier, u32) {
        (self.class, self.tier, self.above_tokens)
    }
}

/// Why some rates are no price sheet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PriceSheetError {
    /// More rates than a sheet can hold.
    #[error("must not have more than {max} rates, got {got}", max = PriceSheet::RATES_MAX)]
    TooManyRates {
        /// How many were given.
        got: usize,
    },
    /// Two prices for the same thing.
    #[error("{class:?} in tier {tier:?} above {above_tokens} tokens is priced twice")]
    PricedTwice {
        /// The class.
        class: TokenClass,
        /// The tier.
        tier: ServiceTier,
        /// The threshold.
        above_tokens: u32,
    },
    /// A price below zero.
    #[error("{class:?} must not have a negative price, got `{per_token}`")]
    Negative {
        /// The class.
        class: TokenClass,
        /// The price as given.
        per_token: Money,
    },
}

/// All rates of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(transparent)]
pub struct PriceSheet {
    /// In the order (class, tier, threshold), each at most once.
    rates: Vec<Rate>,
}

impl PriceSheet {
    /// The most rates that one sheet holds. The public price map needs 60; with the largest
    /// possible numbers this many take less than 5 KB in the log.
    pub const RATES_MAX: usize = 200;

    /// A sheet of these rates, in whatever order they come.
    ///
    /// # Errors
    /// When there are too many, when two price the same thing, or when one is negative.
    pub fn new(mut rates: Vec<Rate>) -> Result<Self, PriceSheetError> {
        if rates.len() > Self::RATES_MAX {
            return Err(PriceSheetError::TooManyRates { got: rates.len() });
        }
        rates.sort_by_key(Rate::key);
        if let Some(&Rate { class, per_token, .. }) =
            rates.iter().find(|rate| rate.per_token.is_negative())
        {
            return Err(PriceSheetError::Negative { class, per_token });
        }
        for (rate, next) in rates.iter().zip(rates.iter().skip(1)) {
            if rate.key() == next.key() {
                let &Rate { class, tier, above_tokens, .. } = rate;
                return Err(PriceSheetError::PricedTwice { class, tier, above_tokens });
            }
        }
        Ok(Self { rates })
    }

    /// The rates in the order (class, tier, threshold).
    #[must_use]
    pub fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// Prices nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }
}

/// The number of a published price book; 0 is the built-in one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize,
)]
#[serde(transparent)]
pub struct PriceVersion(pub u32);

/// What a consumption costs, by which price book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Charge {
    /// The price book that was applied.
    pub version: PriceVersion,
    /// USD.
    pub cost: Money,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(class: TokenClass, above_tokens: u32, units: i128) -> Rate {
        let per_token = Money::from_units(units);
        Rate { class, tier: ServiceTier::Standard, above_tokens, per_token }
    }

    #[test]
    fn a_sheet_has_one_order() {
        let (input, long) = (rate(TokenClass::Input, 0, 1), rate(TokenClass::Input, 200_000, 2));
        let output = rate(TokenClass::Output, 0, 3);
        let sheet = PriceSheet::new(vec![output, long, input]).expect("a sheet");
        assert_eq!(sheet.rates(), [input, long, output]);
        assert_eq!(Ok(sheet), PriceSheet::new(vec![input, output, long]));
    }

    #[test]
    fn a_sheet_is_refused_when_it_contradicts_itself() {
        let twice = vec![rate(TokenClass::Input, 0, 1), rate(TokenClass::Input, 0, 1)];
        assert!(matches!(PriceSheet::new(twice), Err(PriceSheetError::PricedTwice { .. })));
        let negative = vec![rate(TokenClass::Input, 0, -1)];
        assert!(matches!(PriceSheet::new(negative), Err(PriceSheetError::Negative { .. })));
        let many = vec![rate(TokenClass::Input, 0, 1); PriceSheet::RATES_MAX + 1];
        assert!(matches!(PriceSheet::new(many), Err(PriceSheetError::TooManyRates { got: 201 })));
    }

    #[test]
    fn the_largest_sheet_is_small() {
        let rates = (0..200).map(|step| Rate {
            class: TokenClass::Reasoning,
            tier: ServiceTier::Ultrafast,
            above_tokens: u32::MAX - step,
            per_token: Money::from_units(i128::MAX),
        });
        let sheet = PriceSheet::new(rates.collect()).expect("a sheet");
        let bytes = bincode::encode_to_vec(&sheet, bincode::config::standard()).expect("encodes");
        assert!(bytes.len() < 5_000, "{}", bytes.len());
    }
}
