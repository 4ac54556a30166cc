//! The two amounts of the book: [`Money`] for wallets and prices, [`Credits`] for quota. They are
//! different types on purpose, neither is a float, and all arithmetic on them is checked.

use std::fmt;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::decimal::{self, DecimalError};

macro_rules! amount {
    ($name:ident, $inner:ty, $scale:literal) => {
        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// How many decimals are kept.
            pub const SCALE: u32 = $scale;

            /// From a count of the smallest unit, `10^-SCALE`.
            #[must_use]
            pub const fn from_units(units: $inner) -> Self {
                Self(units)
            }

            /// The count of the smallest unit, `10^-SCALE`.
            #[must_use]
            pub const fn units(self) -> $inner {
                self.0
            }

            /// The sum, or `None` beyond the range.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The difference, or `None` beyond the range.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }

            /// The same amount with the other sign, or `None` beyond the range.
            #[must_use]
            pub const fn checked_neg(self) -> Option<Self> {
                match self.0.checked_neg() {
                    Some(negated) => Some(Self(negated)),
                    None => None,
                }
            }

            /// Below zero.
            #[must_use]
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }

            /// Above zero.
            #[must_use]
            pub const fn is_positive(self) -> bool {
                self.0 > 0
            }

            /// Exactly zero.
            #[must_use]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// Reads plain decimal or scientific text (`0.06`, `3e-05`), exactly.
            ///
            /// # Errors
            /// When the text is no number, has more decimals than are kept, or is out of range.
            pub fn parse(text: &str) -> Result<Self, DecimalError> {
                let units = decimal::parse(text, Self::SCALE)?;
                <$inner>::try_from(units)
                    .map(Self)
                    .map_err(|_| DecimalError::OutOfRange(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&decimal::format(i128::from(self.0), $scale))
            }
        }

        /// An exact JSON number.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                RawValue::from_string(self.to_string())
                    .map_err(serde::ser::Error::custom)?
                    .serialize(serializer)
            }
        }

        /// A JSON number or a string with one, read without passing through a float.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                let text =
                    raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
                Self::parse(text).map_err(de::Error::custom)
            }
        }
    };
}

/// US dollars, kept to 18 decimals: LLM prices go below 2e-10 USD a token, and of the public price
/// map only prices per pixel or per second need more than 15.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Money(i128);
amount!(Money, i128, 18);

/// Quota units (a token, a request, or whatever the tenant's rule draws), kept to 6 decimals: what
/// the gateway protocol prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Credits(i64);
amount!(Credits, i64, 6);

impl Money {
    /// A hundredth of a dollar: the least that payments are made in.
    pub const ONE_CENT: Self = Self(10_000_000_000_000_000);

    /// This amount `count` times, as in price per token × tokens. `None` beyond the range.
    #[must_use]
    pub fn checked_times(self, count: u64) -> Option<Self> {
        self.0.checked_mul(i128::from(count)).map(Self)
    }

    /// This amount × `numerator` ÷ `denominator`, rounded half to even at the last decimal.
    /// `None` beyond the range or when the denominator is zero.
    #[must_use]
    pub fn checked_ratio(self, numerator: u64, denominator: u64) -> Option<Self> {
        let product = self.0.checked_mul(i128::from(numerator))?;
        let denominator = i128::from(denominator);
        let quotient = product.checked_div_euclid(denominator)?;
        let twice = product.checked_rem_euclid(denominator)?.checked_mul(2)?;
        let up = twice > denominator || (twice == denominator && quotient.checked_rem(2)? != 0);
        quotient.checked_add(i128::from(up)).map(Self)
    }
}

impl Credits {
    /// Units in one whole credit.
    pub const ONE: Self = Self(1_000_000);

    /// All of them together, held at the ends of the range.
    #[must_use]
    pub fn saturating_sum(amounts: impl IntoIterator<Item = Self>) -> Self {
        Self(amounts.into_iter().fold(0, |sum: i64, amount| sum.saturating_add(amount.0)))
    }

    /// `count` whole credits. `None` beyond the range.
    #[must_use]
    pub fn whole(count: u64) -> Option<Self> {
        Self::ONE.checked_times(count)
    }

    /// This amount `count` times, as in weight × tokens. `None` beyond the range.
    #[must_use]
    pub fn checked_times(self, count: u64) -> Option<Self> {
        i64::try_from(count).ok().and_then(|count| self.0.checked_mul(count)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_price_table_is_exact() {
        let request = Money::parse("0.00003").expect("gpt-4 request price");
        let response = Money::parse("6e-05").expect("gpt-4 response price");
        let cost = request
            .checked_times(1000)
            .and_then(|cost| cost.checked_add(response.checked_times(500)?))
            .expect("in range");
        assert_eq!(cost.to_string(), "0.06");
    }

    #[test]
    fn json_keeps_every_decimal() {
        let text = "0.000000000187500001";
        let money: Money = serde_json::from_str(text).expect("a number");
        assert_eq!(serde_json::to_string(&money).expect("prints"), text);
        let quoted: Money = serde_json::from_str(r#""19.99""#).expect("a string");
        assert_eq!(quoted.to_string(), "19.99");
        assert!(serde_json::from_str::<Money>("true").is_err());
    }

    #[test]
    fn a_half_rounds_to_even() {
        let third = |units| Money::from_units(units).checked_ratio(1, 2).expect("in range").units();
        assert_eq!((third(1), third(3), third(5), third(-1), third(-3)), (0, 2, 2, 0, -2));
    }
}
