#![expect(clippy::arithmetic_side_effects, reason = "the numbers of a test are small")]

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::*;
use crate::{Rate, ServiceTier, TokenClass, Usage, rate};

/// The map, byte for byte as published.
const PUBLISHED: &str = include_str!("../../data/model_prices_and_context_window.json");

fn refusal(text: &str) -> String {
    PriceMap::read_strictly(text).expect_err("refused").to_string()
}

fn sheet(entry: &str) -> PriceSheet {
    let map = PriceMap::read_strictly(&format!(r#"{{"m": {entry}}}"#)).expect("a price map");
    map.sheets.into_iter().next().expect("one model").1
}

fn rates(entry: &str) -> Vec<(TokenClass, ServiceTier, u32, String)> {
    let text = |rate: &Rate| (rate.class, rate.tier, rate.above_tokens, rate.per_token.to_string());
    sheet(entry).rates().iter().map(text).collect()
}

fn published() -> PriceMap {
    PriceMap::read(PUBLISHED).expect("a price map")
}

#[test]
fn the_published_map_is_read_whole() {
    let PriceMap { sheets, report } = published();
    assert_eq!(report.refused, []);
    assert_eq!((sheets.len(), report.unpriced.len(), report.rounded.len()), (3_778, 774, 62));
    assert_eq!(report.ignored_fields.get("off_peak_pricing"), Some(&10));
    assert!(sheets.iter().zip(sheets.iter().skip(1)).all(|(left, right)| left.0 < right.0));
    assert!(sheets.iter().all(|(name, sheet)| !sheet.is_empty() && name.as_str() != SPECIMEN));
}

#[test]
fn every_published_sheet_is_small() {
    for (name, sheet) in &published().sheets {
        let bytes = bincode::encode_to_vec(sheet, bincode::config::standard()).expect("encodes");
        assert!(bytes.len() < 1_000, "{name}: {}", bytes.len());
        assert!(sheet.rates().len() <= 60, "{name}: {}", sheet.rates().len());
        let (decoded, _) =
            bincode::decode_from_slice::<PriceSheet, _>(&bytes, bincode::config::standard())
                .expect("decodes");
        assert_eq!(&decoded, sheet);
    }
}

/// Digits without zeros around them, and the exponent of the last one: the same for equal numbers,
/// and worked out on text alone.
fn canonical(text: &str) -> (String, i64) {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let digits = significant.trim_start_matches('0').to_owned();
    let exponent = exponent.parse::<i64>().expect("an exponent")
        + i64::try_from(zeros).expect("short")
        - i64::try_from(fraction.len()).expect("short");
    if digits.is_empty() { (digits, 0) } else { (digits, exponent) }
}

#[test]
fn published_prices_are_read_to_the_last_digit() {
    let PriceMap { sheets, report } = published();
    let sheets: HashMap<_, _> = sheets.iter().map(|(name, sheet)| (name.as_str(), sheet)).collect();
    let map: HashMap<String, HashMap<String, &RawValue>> =
        serde_json::from_str(PUBLISHED).expect("a price map");
    let mut prices = 0;
    for (model, fields) in &map {
        let Some(sheet) = sheets.get(model.as_str()) else { continue };
        // A price table replaces the prices beside it.
        let inclusive = fields.get("litellm_provider").map(|json| json.get()) == Some("\"xai\"");
        if fields.contains_key("tiered_pricing") {
            continue;
        }
        for (name, json) in fields {
            let Some(field) = field::parse(name) else { continue };
            if inclusive && field.class == TokenClass::Reasoning {
                continue;
            }
            let above = field.above_tokens.saturating_sub(u32::from(inclusive));
            let rate = sheet.rates().iter().find(|rate| {
                (rate.class, rate.tier, rate.above_tokens) == (field.class, field.tier, above)
            });
            let printed = rate.expect("a rate").per_token.to_string();
            let rounded = report
                .rounded
                .iter()
                .any(|price| price.model.as_str() == model && price.field == *name);
            let exact = canonical(&printed) == canonical(json.get());
            assert_ne!(exact, rounded, "{model} {name}: {printed} for {}", json.get());
            prices += 1;
        }
    }
    assert!(prices > 10_000, "{prices}");
}

#[test]
fn a_map_written_by_hand_is_read_like_the_published_one() {
    let map = PriceMap::read_strictly(
        r#"{
            "z": {"mode": "chat", "supports_vision": true, "tiered_pricing": null},
            "b": {"input_cost_per_token": "1.5e-6", "output_cost_per_token": null, "mode": "chat"},
            "a": {"input_cost_per_token": 0}
        }"#,
    )
    .expect("a price map");
    let names: Vec<_> = map.sheets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(map.report.unpriced, [Name::try_from("z").expect("a name")]);
    assert_eq!(map.report.ignored_fields.get("mode"), Some(&2));
    assert_eq!(PriceMap::read("{}").expect("empty"), PriceMap::default());
}

#[test]
fn a_wrong_entry_is_named() {
    let cases = [
        (r#"{"m": 1}"#, "model `m`: must be a JSON object"),
        (
            r#"{"m": {"input_cost_per_token": true}}"#,
            "model `m`, field `input_cost_per_token`: must be a number, got `true`",
        ),
        (
            r#"{"m": {"output_cost_per_token_flex": -1e-6}}"#,
            "model `m`, field `output_cost_per_token_flex`: must not be negative, got `-1e-6`",
        ),
        (
            r#"{"m": {"input_cost_per_token": 1e-19}}"#,
            "model `m`, field `input_cost_per_token`: must not need more than 18 decimals, got `1e-19`",
        ),
        (
            r#"{"m": {"input_cost_per_token": 1e300}}"#,
            "model `m`, field `input_cost_per_token`: `1e300` is out of range",
        ),
        (
            r#"{"m": {"input_cost_per_token": 1, "input_cost_per_token": 1}}"#,
            "model `m`, field `input_cost_per_token`: must not be there twice",
        ),
        (r#"{"": {}}"#, "model ``: the name must not be empty"),
        (r#"{"m": {}, "m": {}}"#, "model `m`: must not be there twice"),
        (
            r#"{"m": {"tiered_pricing": [{"range": [0, 0.5], "input_cost_per_token": 1}]}}"#,
            "model `m`, field `tiered_pricing.range`: must be a whole number of tokens, got `0.5`",
        ),
        (
            r#"{"m": {"tiered_pricing": [{"range": [0, 9], "range": [0, 9]}]}}"#,
            "model `m`, field `tiered_pricing.range`: must not be there twice",
        ),
        (
            r#"{"m": {"tiered_pricing": [1]}}"#,
            "model `m`, field `tiered_pricing`: must be a JSON object",
        ),
        (
            r#"{"m": {"tiered_pricing": [{"range": [1, 9], "input_cost_per_token": 1}]}}"#,
            "model `m`, field `tiered_pricing`: must have ranges that follow one another from 0",
        ),
        (
            r#"{"m": {"tiered_pricing": [{"range": [0, 9], "output_cost_per_token": 1}]}}"#,
            "model `m`, field `tiered_pricing`: must have `input_cost_per_token` in every row",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(refusal(text), want);
    }
    for text in ["", "[]", "1", "null", r#"{"m": {}"#, r#"{"m": {}} x"#] {
        assert_eq!(refusal(text), "a price map must be a JSON object of models", "{text}");
    }
}

#[test]
fn a_wrong_entry_spoils_no_other() {
    let text = r#"{
        "bad": {"input_cost_per_token": 1, "output_cost_per_token": "much"},
        "twice": {"input_cost_per_token": 1},
        "good": {"input_cost_per_token": 1},
        "twice": {"input_cost_per_token": 2}
    }"#;
    let map = PriceMap::read(text).expect("a price map");
    let names: Vec<_> = map.sheets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["good"]);
    let refused: Vec<_> = map.report.refused.iter().map(|entry| entry.model.as_str()).collect();
    assert_eq!(refused, ["bad", "twice"]);
}

#[test]
fn a_price_table_prices_the_whole_call_by_one_row() {
    use TokenClass::{CacheRead, Input, Output, Reasoning};
    let standard = ServiceTier::Standard;
    let entry = r#"{
        "input_cost_per_token": 9, "cache_creation_input_token_cost": 3, "tiered_pricing": [
            {"range": [32000.0, 128000], "input_cost_per_token": 2, "output_cost_per_token": 5},
            {"range": [0, 32000], "input_cost_per_token": 1, "output_cost_per_token": 4,
             "cache_read_input_token_cost": 0.5, "output_cost_per_reasoning_token": 6}
        ]}"#;
    let want = [
        (Input, standard, 0, "1"),
        (Input, standard, 32_000, "2"),
        (Output, standard, 0, "4"),
        (Output, standard, 32_000, "5"),
        (CacheRead, standard, 0, "0.5"),
        (CacheRead, standard, 32_000, "2"),
        (Reasoning, standard, 0, "6"),
        (Reasoning, standard, 32_000, "5"),
    ];
    assert_eq!(
        rates(entry),
        want.map(|(class, tier, above, price)| (class, tier, above, price.to_owned()))
    );
    let input_only = r#"{"output_cost_per_token": 7, "tiered_pricing": [{"range": [0, 9], "input_cost_per_token": 1}]}"#;
    let want = [(Input, standard, 0, "1".to_owned()), (Output, standard, 0, "7".to_owned())];
    assert_eq!(rates(input_only), want);
}

#[test]
fn a_provider_may_have_a_rule_of_its_own() {
    let prices = r#""input_cost_per_token": 2, "input_cost_per_token_above_200k_tokens": 4,
        "output_cost_per_token": 8, "output_cost_per_reasoning_token": 9"#;
    let cost = |provider: &str, prompt, cache_read| {
        let sheet = sheet(&format!(r#"{{{prices}, "litellm_provider": "{provider}"}}"#));
        let usage = Usage { prompt, completion: 1, reasoning: 1, cache_read, ..Usage::default() };
        rate(&sheet, &usage, ServiceTier::Standard).expect("priced").to_string()
    };
    assert_eq!(cost("openai", 200_000, 0), "400009");
    assert_eq!(cost("xai", 199_999, 0), "400006");
    assert_eq!(cost("xai", 200_000, 0), "800008");
    assert_eq!(cost("openai", 10, 10), "29");
    assert_eq!(cost("fireworks_ai", 10, 10), "19");
}

#[test]
fn one_hour_goes_before_twelve() {
    let twelve = r#""cache_creation_input_token_cost_above_12hr": 2"#;
    let one = r#""cache_creation_input_token_cost_above_1hr": 1"#;
    let want =
        |price: &str| vec![(TokenClass::CacheWrite1h, ServiceTier::Standard, 0, price.to_owned())];
    assert_eq!(rates(&format!("{{{twelve}}}")), want("2"));
    assert_eq!(rates(&format!("{{{one}, {twelve}}}")), want("1"));
    assert_eq!(rates(&format!("{{{twelve}, {one}}}")), want("1"));
}
