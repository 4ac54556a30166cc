//! The field names of the price map: `<what>[_above_<n>[k]_tokens][_<tier>]`.

use crate::{ServiceTier, TokenClass};

/// The names of prices per token, longest first where one starts with another.
const CLASSES: [(&str, TokenClass); 9] = [
    ("input_cost_per_token", TokenClass::Input),
    ("output_cost_per_token", TokenClass::Output),
    ("cache_read_input_token_cost", TokenClass::CacheRead),
    ("cache_creation_input_token_cost_above_1hr", TokenClass::CacheWrite1h),
    // OpenAI's long cache lifetime, where Anthropic's is one hour.
    ("cache_creation_input_token_cost_above_12hr", TokenClass::CacheWrite1h),
    ("cache_creation_input_token_cost", TokenClass::CacheWrite),
    ("input_cost_per_audio_token", TokenClass::AudioInput),
    ("output_cost_per_audio_token", TokenClass::AudioOutput),
    ("output_cost_per_reasoning_token", TokenClass::Reasoning),
];

const TIERS: [(&str, ServiceTier); 5] = [
    ("_priority", ServiceTier::Priority),
    ("_flex", ServiceTier::Flex),
    ("_batches", ServiceTier::Batch),
    ("_balanced", ServiceTier::Balanced),
    ("_ultrafast", ServiceTier::Ultrafast),
];

/// What a field prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) class: TokenClass,
    pub(super) tier: ServiceTier,
    pub(super) above_tokens: u32,
}

/// Reads a field name. `None` when it is no price of one token.
pub(super) fn parse(name: &str) -> Option<Field> {
    CLASSES.iter().find_map(|&(prefix, class)| {
        let (rest, above_tokens) = threshold(name.strip_prefix(prefix)?)?;
        let tier = if rest.is_empty() { Some(ServiceTier::Standard) } else { tier(rest) }?;
        Some(Field { class, tier, above_tokens })
    })
}

/// Splits a leading `_above_<n>[k]_tokens` off; 0 when there is none.
fn threshold(rest: &str) -> Option<(&str, u32)> {
    let Some(rest) = rest.strip_prefix("_above_") else {
        return Some((rest, 0));
    };
    let (number, rest) = rest.split_once("_tokens")?;
    let (digits, unit) = match number.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => (number, 1),
    };
    let tokens = digits.parse::<u32>().ok()?.checked_mul(unit)?;
    (tokens > 0).then_some((rest, tokens))
}

fn tier(suffix: &str) -> Option<ServiceTier> {
    TIERS.iter().find(|(name, _)| *name == suffix).map(|&(_, tier)| tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_class_tier_and_threshold() {
        let cases = [
            ("input_cost_per_token", TokenClass::Input, ServiceTier::Standard, 0),
            ("output_cost_per_token_flex", TokenClass::Output, ServiceTier::Flex, 0),
            (
                "cache_read_input_token_cost_above_272k_tokens_priority",
                TokenClass::CacheRead,
                ServiceTier::Priority,
                272_000,
            ),
            (
                "cache_creation_input_token_cost_above_512_tokens",
                TokenClass::CacheWrite,
                ServiceTier::Standard,
                512,
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                TokenClass::CacheWrite1h,
                ServiceTier::Standard,
                200_000,
            ),
            (
                "cache_creation_input_token_cost_above_12hr_batches",
                TokenClass::CacheWrite1h,
                ServiceTier::Batch,
                0,
            ),
        ];
        for (name, class, tier, above_tokens) in cases {
            let field = parse(name).expect(name);
            assert_eq!((field.class, field.tier, field.above_tokens), (class, tier, above_tokens));
        }
    }

    #[test]
    fn other_fields_price_nothing() {
        for name in [
            "",
            "mode",
            "input_cost_per_second",
            "input_cost_per_token_cache_hit",
            "input_cost_per_token_decisions",
            "input_cost_per_token_above_k_tokens",
            "input_cost_per_token_above_0k_tokens",
            "input_cost_per_token_above_9999999999k_tokens",
            "input_dbu_cost_per_token",
            "cache_read_input_audio_token_cost",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
