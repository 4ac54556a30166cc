//! Reads the samples that `tests/pricing/compare.py` makes with the reference library.

use std::collections::HashMap;

use schemas::{Money, ServiceTier, Usage};

/// The samples of one model.
pub(crate) struct Model {
    /// Its name in the price map.
    pub(crate) name: String,
    /// What the reference library says.
    pub(crate) samples: Vec<Sample>,
}

/// One usage and its cost by the reference library.
pub(crate) struct Sample {
    /// Its name in the file: the letter of the tier, the number of the usage.
    pub(crate) case: String,
    /// The tier it was served in.
    pub(crate) tier: ServiceTier,
    /// The usage.
    pub(crate) usage: Usage,
    /// The reference's cost in USD.
    pub(crate) reference: Money,
}

/// Every model of a samples file, in its order.
pub(crate) fn read(text: &str) -> Vec<Model> {
    let mut pool = HashMap::new();
    let mut models = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        match fields.next() {
            Some("u") => {
                let number = fields.next().expect("a number");
                pool.insert(number, usage(fields));
            }
            Some("m") => {
                let name = fields.next().expect("a name").to_owned();
                let samples = fields.map(|field| sample(field, &pool)).collect();
                models.push(Model { name, samples });
            }
            _ => {}
        }
    }
    models
}

fn usage<'text>(fields: impl Iterator<Item = &'text str>) -> Usage {
    let counts: Vec<u64> = fields.map(|field| field.parse().expect("a count")).collect();
    let &[
        prompt,
        completion,
        cache_read,
        cache_write,
        cache_write_1h,
        audio_input,
        ref output @ ..,
    ] = counts.as_slice()
    else {
        panic!("eight counts")
    };
    let &[reasoning, audio_output] = output else { panic!("eight counts") };
    Usage {
        prompt,
        completion,
        total: prompt + completion,
        cache_read,
        cache_write,
        cache_write_1h,
        audio_input,
        reasoning,
        audio_output,
    }
}

fn sample(field: &str, pool: &HashMap<&str, Usage>) -> Sample {
    let (case, cost) = field.split_once('=').expect("case=cost");
    let (letter, number) = case.split_at(1);
    let tier = match letter {
        "s" | "o" => ServiceTier::Standard,
        "p" => ServiceTier::Priority,
        "f" => ServiceTier::Flex,
        "b" => ServiceTier::Batch,
        "a" => ServiceTier::Balanced,
        "u" => ServiceTier::Ultrafast,
        _ => panic!("unknown tier `{letter}`"),
    };
    let usage = *pool.get(number).expect("a usage of the pool");
    let reference = Money::parse(cost).expect("a cost");
    Sample { case: case.to_owned(), tier, usage, reference }
}
