//! The rating beside LiteLLM 1.109.1, the library that the price map belongs to: every chat model of
//! the map costs the same on every sample, except the models that `PRICING.md` lists, and those differ
//! in the way that it describes. No network and no Python: the samples are checked in, made by
//! `tests/pricing/compare.py`.

use std::collections::{BTreeMap, HashMap};

use schemas::{Money, PriceMap, PriceSheet, ServiceTier, Usage, rate};

#[path = "pricing/samples.rs"]
mod samples;

use samples::{Model, Sample};

const MAP: &str = include_str!("../data/model_prices_and_context_window.json");
const SAMPLES: &str = include_str!("pricing/samples.tsv");
const DIFFERENCES: &str = include_str!("../PRICING.md");

/// The chat models of the map.
const MODELS: usize = 3_265;

struct Sheets(HashMap<String, PriceSheet>);

impl Sheets {
    fn read() -> Self {
        let map = PriceMap::read(MAP).expect("a price map");
        Self(map.sheets.into_iter().map(|(name, sheet)| (name.to_string(), sheet)).collect())
    }

    fn cost(&self, model: &str, usage: &Usage, tier: ServiceTier) -> Option<Money> {
        self.0.get(model).and_then(|sheet| rate(sheet, usage, tier))
    }

    fn agrees(&self, model: &str, sample: &Sample) -> bool {
        let cost = self.cost(model, &sample.usage, sample.tier);
        cost.is_some_and(|cost| near(cost, sample.reference))
    }
}

/// Equal within 1e-9 of the larger one: the reference adds floats.
fn near(left: Money, right: Money) -> bool {
    let difference = left.units().abs_diff(right.units());
    difference * 1_000_000_000 <= left.units().max(right.units()).unsigned_abs()
}

/// The models in the lists of `PRICING.md`, each with the heading above its list.
fn causes() -> BTreeMap<&'static str, &'static str> {
    let mut causes = BTreeMap::new();
    let (mut heading, mut listed) = ("", false);
    for line in DIFFERENCES.lines() {
        if let Some(cause) = line.strip_prefix("### ") {
            heading = cause;
        } else if line.starts_with("```") {
            listed = line == "```models";
        } else if listed {
            assert_eq!(causes.insert(line, heading), None, "{line} is listed twice");
        }
    }
    causes
}

/// Whether a difference is the one that `PRICING.md` describes under `cause`.
fn explained(sheets: &Sheets, model: &str, sample: &Sample, cause: &str) -> bool {
    let Sample { case, tier, usage, reference } = sample;
    let ours = sheets.cost(model, usage, *tier);
    let dearer = ours.is_some_and(|ours| ours > *reference);
    match cause {
        "unpriced" => reference.is_zero() && !sheets.0.contains_key(model),
        "tier only" => reference.is_zero() && (ours.is_some() == (*tier == ServiceTier::Priority)),
        "output only" => ours.is_none() && usage.prompt > 0,
        "tier ignored" => sheets
            .cost(model, usage, ServiceTier::Standard)
            .is_some_and(|standard| *tier != ServiceTier::Standard && near(standard, *reference)),
        "off-peak" => case.starts_with('o') && dearer,
        "half for batch" => *tier == ServiceTier::Batch && dearer,
        "long cache write" => *tier != ServiceTier::Standard && usage.cache_write_1h > 0 && dearer,
        "other entry" => {
            let provider = if model.starts_with("deepseek") { "deepseek" } else { "gemini" };
            sheets.agrees(&format!("{provider}/{model}"), sample)
        }
        _ => panic!("`{cause}` is not a cause"),
    }
}

#[test]
fn every_chat_model_costs_what_the_reference_says() {
    let (sheets, causes) = (Sheets::read(), causes());
    let models = samples::read(SAMPLES);
    assert_eq!(models.len(), MODELS);
    let mut wrong = Vec::new();
    for Model { name, samples } in &models {
        let differing: Vec<_> =
            samples.iter().filter(|sample| !sheets.agrees(name, sample)).collect();
        match causes.get(name.as_str()) {
            None if differing.is_empty() => {}
            None => wrong.push(format!("{name} differs in {}", cases(&differing))),
            Some(cause) if differing.is_empty() => wrong.push(format!("{name} agrees: {cause}")),
            Some(cause) => {
                let rest: Vec<_> = differing
                    .into_iter()
                    .filter(|sample| !explained(&sheets, name, sample, cause))
                    .collect();
                if !rest.is_empty() {
                    wrong.push(format!("{name} is not {cause} in {}", cases(&rest)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} models:\n{}", wrong.len(), wrong.join("\n"));
}

fn cases(samples: &[&Sample]) -> String {
    samples.iter().map(|sample| sample.case.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn nearly_all_models_agree() {
    let causes = causes();
    let count = |names: &[&str]| causes.values().filter(|cause| names.contains(cause)).count();
    let unpriced = count(&["unpriced", "tier only", "output only"]);
    let standard = MODELS - unpriced - count(&["other entry"]);
    assert!(standard * 100 >= MODELS * 97, "{standard} agree in the standard tier");
    let (priced, everywhere) = (MODELS - unpriced, MODELS - causes.len());
    assert!(everywhere * 1_000 >= priced * 968, "{everywhere} of {priced} agree in every tier");
}
