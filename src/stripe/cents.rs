//! Amounts as Stripe writes them: whole cents. No float is in between.

use std::fmt;

use schemas::Money;
use serde::Deserialize;
use thiserror::Error;

/// An amount that is no number of whole cents, or beyond what can be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must have at most 2 decimals")]
pub struct CentsError;

/// Whole cents, zero or above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Cents(u64);

impl Cents {
    /// The same amount in USD.
    #[must_use]
    pub fn money(self) -> Option<Money> {
        Money::ONE_CENT.checked_times(self.0)
    }
}

impl TryFrom<Money> for Cents {
    type Error = CentsError;

    fn try_from(money: Money) -> Result<Self, CentsError> {
        let (units, cent) = (money.units(), Money::ONE_CENT.units());
        let (whole, rest) = (units.checked_div(cent), units.checked_rem(cent));
        match (whole.and_then(|whole| u64::try_from(whole).ok()), rest) {
            (Some(whole), Some(0)) => Ok(Self(whole)),
            _ => Err(CentsError),
        }
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_exact_both_ways() {
        for (money, cents) in [
            ("19.99", "1999"),
            ("10", "1000"),
            ("0.01", "1"),
            ("1.10", "110"),
            ("4.35", "435"),
            ("1128.90", "112890"),
            ("10000", "1000000"),
            ("0", "0"),
        ] {
            let money = Money::parse(money).unwrap();
            let read = Cents::try_from(money).unwrap();
            assert_eq!(read.to_string(), cents);
            assert_eq!(read.money(), Some(money));
        }
    }

    #[test]
    fn what_is_no_number_of_cents_is_refused() {
        for money in ["0.001", "19.999", "0.000000000000000001", "-0.01", "-19.99"] {
            assert_eq!(Cents::try_from(Money::parse(money).unwrap()), Err(CentsError), "{money}");
        }
    }
}
