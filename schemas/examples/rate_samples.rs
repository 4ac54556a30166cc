//! Rates the samples of `tests/pricing/compare.py` by the published price map: samples on standard
//! input, costs on standard output, one line for each model and `unrated` where there is no cost.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};

use schemas::{PriceMap, PriceSheet};

#[path = "../tests/pricing/samples.rs"]
mod samples;

const MAP: &str = include_str!("../data/model_prices_and_context_window.json");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let sheets: HashMap<_, _> = PriceMap::read(MAP)?.sheets.into_iter().collect();
    let sheets: HashMap<_, _> = sheets.iter().map(|(name, sheet)| (name.as_str(), sheet)).collect();
    let unpriced = PriceSheet::default();
    let mut output = io::stdout().lock();
    for model in samples::read(&text) {
        let sheet = sheets.get(model.name.as_str()).copied().unwrap_or(&unpriced);
        write!(output, "{}", model.name)?;
        for sample in &model.samples {
            match schemas::rate(sheet, &sample.usage, sample.tier) {
                Some(cost) => write!(output, "\t{cost}")?,
                None => write!(output, "\tunrated")?,
            }
        }
        writeln!(output)?;
    }
    Ok(())
}
