//! The prices that hold before any price book is published: five OpenAI chat models.

use crate::{Money, Name, PriceSheet, Rate, ServiceTier, TokenClass};

/// Model, and input and output price of one token in nano-USD (10^-9 USD).
const NANO_USD: [(&str, i128, i128); 5] = [
    ("gpt-3.5-turbo", 1_500, 2_000),
    ("gpt-3.5-turbo-16k", 1_500, 2_000),
    ("gpt-4", 30_000, 60_000),
    ("gpt-4-turbo", 10_000, 30_000),
    ("gpt-4-turbo-preview", 10_000, 30_000),
];

/// The sheets of [`crate::PriceVersion`] 0, by exact model name and in the order of the names. A
/// model that is not among them has no price.
///
/// # Panics
/// Never: the built-in names are names.
#[must_use]
pub fn builtin_sheets() -> Vec<(Name, PriceSheet)> {
    let named = |name| Name::try_from(name).expect("invariant: a built-in name is a name");
    NANO_USD.iter().map(|&(name, input, output)| (named(name), sheet(input, output))).collect()
}

/// The one of [`builtin_sheets`] that is of `model`.
#[must_use]
pub fn builtin_sheet(model: &str) -> Option<PriceSheet> {
    let (_, input, output) = NANO_USD.iter().find(|(name, _, _)| *name == model)?;
    Some(sheet(*input, *output))
}

fn sheet(input: i128, output: i128) -> PriceSheet {
    let rates = [(TokenClass::Input, input), (TokenClass::Output, output)];
    let rates = rates.map(|(class, nano)| Rate {
        class,
        tier: ServiceTier::Standard,
        above_tokens: 0,
        per_token: nano_usd(nano),
    });
    PriceSheet::new(rates.to_vec()).expect("invariant: the built-in rates form a sheet")
}

fn nano_usd(count: i128) -> Money {
    Money::from_units(count.saturating_mul(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Usage, rate};

    #[test]
    fn the_built_in_prices_are_exact() {
        let golden = [
            ("gpt-4", 1_000, 500, "0.06"),
            ("gpt-4-turbo", 1_000, 1_000, "0.04"),
            ("gpt-4-turbo-preview", 1_000, 1_000, "0.04"),
            ("gpt-3.5-turbo", 1_000, 1_000, "0.0035"),
            ("gpt-3.5-turbo-16k", 308, 142, "0.000746"),
        ];
        let sheets = builtin_sheets();
        assert_eq!(sheets.len(), golden.len());
        for (model, prompt, completion, want) in golden {
            let (_, sheet) =
                sheets.iter().find(|(name, _)| name.as_str() == model).expect("a built-in model");
            let usage = Usage { prompt, completion, ..Usage::default() };
            for tier in [ServiceTier::Standard, ServiceTier::Priority, ServiceTier::Batch] {
                let cost = rate(sheet, &usage, tier).expect("priced");
                assert_eq!(cost.to_string(), want, "{model}");
            }
        }
    }
}
