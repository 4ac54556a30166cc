//! Exact decimal text for fixed-point integers, shared by [`crate::Money`] and [`crate::Credits`].
//! Nothing here rounds: a text with more digits than the scale holds is refused.

use thiserror::Error;

/// Why a text is not an exact decimal of the wanted scale.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// Not of the form `[-]digits[.digits][e[±]digits]`.
    #[error("`{0}` is not a decimal number")]
    Malformed(String),
    /// More decimal places than can be kept exactly.
    #[error("`{text}` has more than {scale} decimals")]
    TooPrecise {
        /// The text as given.
        text: String,
        /// The decimals that can be kept.
        scale: u32,
    },
    /// Outside the range of the type.
    #[error("`{0}` is out of range")]
    OutOfRange(String),
}

/// The longest text that is looked at; longer ones are malformed.
const TEXT_BYTES_MAX: usize = 64;

/// Reads `text` (JSON number syntax, a leading `+` or `-`, an optional exponent) as an integer
/// count of `10^-scale`. Exact or an error.
pub(crate) fn parse(text: &str, scale: u32) -> Result<i128, DecimalError> {
    let malformed = || DecimalError::Malformed(text.chars().take(TEXT_BYTES_MAX).collect());
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(malformed());
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i16>().map_err(|_| malformed())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(malformed()),
        None => (number, ""),
    };
    if whole.is_empty() {
        return Err(malformed());
    }
    let mut mantissa: i128 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = digit.to_digit(10).ok_or_else(malformed)?;
        mantissa = mantissa
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit)))
            .ok_or_else(|| DecimalError::OutOfRange(text.to_owned()))?;
    }
    let fraction_digits = i64::try_from(fraction.len()).map_err(|_| malformed())?;
    let shift =
        i64::from(scale).saturating_add(i64::from(exponent)).saturating_sub(fraction_digits);
    let magnitude = shifted(mantissa, shift, text, scale)?;
    Ok(if negative { magnitude.saturating_neg() } else { magnitude })
}

/// `mantissa × 10^shift`, exactly.
fn shifted(mantissa: i128, shift: i64, text: &str, scale: u32) -> Result<i128, DecimalError> {
    if mantissa == 0 {
        return Ok(0);
    }
    let power =
        u32::try_from(shift.unsigned_abs()).ok().and_then(|digits| 10_i128.checked_pow(digits));
    match (shift >= 0, power) {
        (true, Some(power)) => {
            mantissa.checked_mul(power).ok_or_else(|| DecimalError::OutOfRange(text.to_owned()))
        }
        (true, None) => Err(DecimalError::OutOfRange(text.to_owned())),
        (false, Some(power)) if mantissa.checked_rem(power) == Some(0) => {
            Ok(mantissa.checked_div(power).unwrap_or(0))
        }
        (false, _) => Err(DecimalError::TooPrecise { text: text.to_owned(), scale }),
    }
}

/// The shortest plain decimal text of `value × 10^-scale`: no exponent, no trailing zeros.
pub(crate) fn format(value: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_exactly_or_refused() {
        let cases = [
            ("0", Ok(0)),
            ("-0.000001", Ok(-1)),
            ("1", Ok(1_000_000)),
            ("12.5", Ok(12_500_000)),
            ("3e-06", Ok(3)),
            ("1.5E2", Ok(150_000_000)),
            ("1.2345670", Ok(1_234_567)),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text, 6), want, "{text}");
        }
        for text in ["", "-", ".5", "5.", "1e", "NaN", "1,5", "0x10", "1_0", " 1", "--1", "+-1"] {
            assert!(matches!(parse(text, 6), Err(DecimalError::Malformed(_))), "{text}");
        }
        assert!(matches!(parse("1e-7", 6), Err(DecimalError::TooPrecise { .. })));
        assert!(matches!(parse("1e300", 6), Err(DecimalError::OutOfRange(_))));
        assert!(matches!(
            parse("999999999999999999999999999999999999999999", 6),
            Err(DecimalError::OutOfRange(_))
        ));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in any::<i64>().prop_map(i128::from), scale in 0_u32..19) {
            let text = format(value, usize::try_from(scale).expect("small"));
            prop_assert_eq!(parse(&text, scale), Ok(value));
        }

        #[test]
        fn garbage_never_panics(text in ".{0,80}") {
            let _read = parse(&text, 18);
        }
    }
}
