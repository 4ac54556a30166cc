//! Rates the samples of `tests/pricing/compare.py` by the published price map: samples on standard
//! input, our costs beside the reference's on standard output, `unrated` where there is none.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};

use schemas::{PriceMap, PriceSheet};

#[path = "../tests/pricing/samples.rs"]
mod samples;

use samples::Sample;

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
            let Sample { case, tier, usage, reference } = sample;
            let cost = schemas::rate(sheet, usage, *tier);
            let cost = cost.map_or_else(|| "unrated".to_owned(), |cost| cost.to_string());
            write!(output, "\t{case}={reference}={cost}")?;
        }
        writeln!(output)?;
    }
    Ok(())
}
