//! Prices as the map writes them: JSON numbers, or strings with one, read as exact decimals.

use crate::{DecimalError, Money};

use super::PriceFault;

/// A price, and whether decimals had to be given up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) money: Money,
    pub(super) rounded: bool,
}

/// Reads the JSON text of a price. `None` for `null`: not stated.
pub(super) fn price(json: &str) -> Result<Option<Price>, PriceFault> {
    let text = match json.as_bytes().first() {
        Some(b'"') => json.trim_matches('"'),
        Some(b'-' | b'0'..=b'9') => json,
        Some(b'n') => return Ok(None),
        _ => return Err(PriceFault::NotANumber(excerpt(json))),
    };
    let (money, rounded) = match Money::parse(text) {
        Ok(money) => (money, false),
        Err(DecimalError::TooPrecise { .. }) => {
            (nearest(text).ok_or_else(|| PriceFault::TooPrecise(excerpt(text)))?, true)
        }
        Err(error @ DecimalError::OutOfRange(_)) => return Err(PriceFault::Decimal(error)),
        Err(DecimalError::Malformed(_)) => return Err(PriceFault::NotANumber(excerpt(json))),
    };
    if money.is_negative() {
        return Err(PriceFault::Negative(excerpt(text)));
    }
    Ok(Some(Price { money, rounded }))
}

/// A whole number of tokens, as in a `range`; the map writes `256000.0` too.
pub(super) fn tokens(json: &str) -> Result<u32, PriceFault> {
    let not_tokens = || PriceFault::NotTokens(excerpt(json));
    let one = Money::parse("1").map_err(PriceFault::Decimal)?.units();
    let units = Money::parse(json).map_err(|_| not_tokens())?.units();
    match (units.checked_div_euclid(one), units.checked_rem_euclid(one)) {
        (Some(tokens), Some(0)) => u32::try_from(tokens).map_err(|_| not_tokens()),
        _ => Err(not_tokens()),
    }
}

/// The nearest amount, half to even, of a number that is too precise to be kept exactly: the map
/// holds sums of floats such as `2.0000000000000002e-07`. `None` when a price would become zero.
fn nearest(text: &str) -> Option<Money> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mantissa = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let decimals =
        i64::try_from(fraction.len()).ok()?.checked_sub(exponent.parse::<i64>().ok()?)?;
    let surplus = u32::try_from(decimals.checked_sub(i64::from(Money::SCALE))?).ok()?;
    let money = Money::from_units(mantissa).checked_ratio(1, 10_u64.checked_pow(surplus)?)?;
    (!money.is_zero()).then_some(money)
}

/// As much of a wrong value as a message should repeat.
fn excerpt(json: &str) -> String {
    json.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_or_said_to_be_rounded() {
        let read = |json| {
            let price = price(json).expect("valid").expect("stated");
            (price.money.to_string(), price.rounded)
        };
        assert_eq!(read("3e-05"), ("0.00003".to_owned(), false));
        assert_eq!(read("\"1.5e-7\""), ("0.00000015".to_owned(), false));
        assert_eq!(read("0"), ("0".to_owned(), false));
        assert_eq!(read("2.0000000000000002e-07"), ("0.0000002".to_owned(), true));
        assert_eq!(read("1.1428571428571428e-06"), ("0.000001142857142857".to_owned(), true));
        assert_eq!(read("9.499999999999999e-07"), ("0.00000095".to_owned(), true));
        assert_eq!(price("null"), Ok(None));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for json in ["true", "[]", "{}", "\"\"", "\"free\"", "\"0x1\"", "\"1 \"", "\"NaN\""] {
            assert!(matches!(price(json), Err(PriceFault::NotANumber(_))), "{json}");
        }
        assert!(matches!(price("-1e-6"), Err(PriceFault::Negative(_))));
        assert!(matches!(price("-1.0000000000000001e-7"), Err(PriceFault::Negative(_))));
        assert!(matches!(price("1e-19"), Err(PriceFault::TooPrecise(_))));
        assert!(matches!(price("1e-300"), Err(PriceFault::TooPrecise(_))));
        assert!(matches!(price("1e300"), Err(PriceFault::Decimal(_))));
    }

    #[test]
    fn token_counts_are_whole() {
        assert_eq!(tokens("256000.0"), Ok(256_000));
        assert_eq!(tokens("0"), Ok(0));
        for json in ["-1", "0.5", "\"1\"", "5e9", "null"] {
            assert!(matches!(tokens(json), Err(PriceFault::NotTokens(_))), "{json}");
        }
    }
}
