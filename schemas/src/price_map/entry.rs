//! One model of the price map, to one price sheet.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{Money, PriceSheet, Rate, ServiceTier, TokenClass};

use super::field::{self, Field};
use super::number::{self, Price};
use super::{Entries, PriceFault};

/// What one entry holds.
pub(super) struct Entry {
    /// Empty when the entry has no price per token.
    pub(super) sheet: PriceSheet,
    /// Fields that are no price per token.
    pub(super) ignored: Vec<String>,
    /// Field and text of the prices that are too precise.
    pub(super) rounded: Vec<(String, String)>,
}

type Refusal = (Option<String>, PriceFault);
type Rates = BTreeMap<(TokenClass, ServiceTier, u32), Money>;

/// Providers whose bills follow a rule that no field of the map states. The library that the map
/// belongs to has the same rules in its code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Provider {
    /// The price above a threshold applies from the threshold on, and reasoning is plain output.
    Xai,
    /// Input read from a cache costs half, where no price is stated.
    Fireworks,
    /// No rule of its own.
    Other,
}

/// Reads the JSON of one entry.
pub(super) fn read(json: &RawValue) -> Result<Entry, Refusal> {
    let mut reader = Reader::default();
    let mut provider = Provider::Other;
    for (name, json) in members(json)? {
        match (name.as_str(), field::parse(&name)) {
            (_, Some(field)) => reader.price(&name, field, json.get())?,
            ("litellm_provider", None) => provider = Provider::named(json.get()),
            ("tiered_pricing", None) => reader.table(&name, json)?,
            (_, None) => reader.ignored.push(name),
        }
    }
    reader.finish(provider)
}

/// The members of an object in the order of their names, each at most once.
fn members(json: &RawValue) -> Result<Vec<(String, &RawValue)>, Refusal> {
    let Entries(mut members) =
        serde_json::from_str(json.get()).map_err(|_| (None, PriceFault::NotAnObject))?;
    members.sort_by(|(left, _), (right, _)| left.cmp(right));
    let pairs = members.iter().zip(members.iter().skip(1));
    match pairs.into_iter().find(|((name, _), (next, _))| name == next) {
        Some(((name, _), _)) => Err((Some(name.clone()), PriceFault::Twice)),
        None => Ok(members),
    }
}

impl Provider {
    fn named(json: &str) -> Self {
        match json {
            r#""xai""# => Self::Xai,
            r#""fireworks_ai""# => Self::Fireworks,
            _ => Self::Other,
        }
    }
}

#[derive(Default)]
struct Reader {
    rates: Rates,
    /// The rates of a table by length of prompt, which replaces those above.
    table: Option<Rates>,
    ignored: Vec<String>,
    rounded: Vec<(String, String)>,
}

impl Reader {
    /// Fields come in the order of their names, so that of two cache lifetimes of an hour or more
    /// the `1hr` price replaces the `12hr` one.
    fn price(&mut self, name: &str, field: Field, json: &str) -> Result<(), Refusal> {
        if let Some(money) = self.money(name, json)? {
            self.rates.insert((field.class, field.tier, field.above_tokens), money);
        }
        Ok(())
    }

    fn money(&mut self, name: &str, json: &str) -> Result<Option<Money>, Refusal> {
        let price = number::price(json).map_err(|reason| (Some(name.to_owned()), reason))?;
        Ok(price.map(|Price { money, rounded }| {
            if rounded {
                self.rounded.push((name.to_owned(), json.to_owned()));
            }
            money
        }))
    }

    /// Reads a list of price tables, each for the prompts of its `range`. A list of anything else,
    /// such as the prices of searches by their number of results, is ignored.
    fn table(&mut self, name: &str, json: &RawValue) -> Result<(), Refusal> {
        let refused = |reason| (Some(name.to_owned()), reason);
        let elements: Option<Vec<&RawValue>> =
            serde_json::from_str(json.get()).map_err(|_| refused(PriceFault::Ranges))?;
        let mut rows = Vec::new();
        for element in elements.unwrap_or_default() {
            let fields = members(element).map_err(|(field, reason)| {
                (Some(field.map_or(name.to_owned(), |field| format!("{name}.{field}"))), reason)
            })?;
            if !fields.iter().any(|(field, _)| field == "range") {
                self.ignored.push(name.to_owned());
                return Ok(());
            }
            rows.push(self.row(name, &fields)?);
        }
        rows.sort_by_key(|row| row.from);
        let mut end = 0;
        for row in &rows {
            if row.from != end || row.to <= row.from {
                return Err(refused(PriceFault::Ranges));
            }
            if row.price(TokenClass::Input).is_none() {
                return Err(refused(PriceFault::RowWithoutInput));
            }
            end = row.to;
        }
        if !rows.is_empty() {
            self.table = Some(by_threshold(&rows));
        }
        Ok(())
    }

    fn row(&mut self, table: &str, fields: &[(String, &RawValue)]) -> Result<Row, Refusal> {
        let mut row = Row { from: 0, to: 0, prices: BTreeMap::new() };
        for (name, json) in fields {
            let path = format!("{table}.{name}");
            match field::parse(name) {
                Some(Field { class, tier: ServiceTier::Standard, above_tokens: 0 }) => {
                    if let Some(money) = self.money(&path, json.get())? {
                        row.prices.insert(class, money);
                    }
                }
                _ if name == "range" => {
                    let bound =
                        |json| number::tokens(json).map_err(|reason| (Some(path.clone()), reason));
                    let bounds: Vec<&RawValue> = serde_json::from_str(json.get())
                        .map_err(|_| (Some(path.clone()), PriceFault::Ranges))?;
                    let [from, to] = bounds.as_slice() else {
                        return Err((Some(path), PriceFault::Ranges));
                    };
                    (row.from, row.to) = (bound(from.get())?, bound(to.get())?);
                }
                _ => self.ignored.push(path),
            }
        }
        Ok(row)
    }

    fn finish(mut self, provider: Provider) -> Result<Entry, Refusal> {
        let output = (TokenClass::Output, ServiceTier::Standard, 0);
        if let Some(mut table) = self.table.take() {
            if let Some(&flat) = self.rates.get(&output) {
                table.entry(output).or_insert(flat);
            }
            self.rates = table;
        }
        match provider {
            Provider::Xai => {
                self.rates.retain(|&(class, ..), _| class != TokenClass::Reasoning);
            }
            Provider::Fireworks => self.halve_cache_reads(),
            Provider::Other => {}
        }
        let rates = self.rates.iter().map(|(&(class, tier, above), &per_token)| {
            let from = u32::from(provider == Provider::Xai);
            Rate { class, tier, above_tokens: above.saturating_sub(from), per_token }
        });
        let sheet =
            PriceSheet::new(rates.collect()).map_err(|error| (None, PriceFault::Sheet(error)))?;
        Ok(Entry { sheet, ignored: self.ignored, rounded: self.rounded })
    }

    fn halve_cache_reads(&mut self) {
        let base = |class| (class, ServiceTier::Standard, 0);
        let input = self.rates.get(&base(TokenClass::Input));
        if let Some(half) = input.and_then(|price| price.checked_ratio(1, 2)) {
            self.rates.entry(base(TokenClass::CacheRead)).or_insert(half);
        }
    }
}

/// The prices for prompts of more than `from` and up to `to` tokens.
struct Row {
    from: u32,
    to: u32,
    prices: BTreeMap<TokenClass, Money>,
}

/// One row prices a whole call, so a class that one row states and another does not is filled from
/// its own row, not from the row below. The last row has no end.
fn by_threshold(rows: &[Row]) -> Rates {
    let mut rates = Rates::new();
    for class in TokenClass::ALL {
        if !rows.iter().any(|row| row.prices.contains_key(&class)) {
            continue;
        }
        for row in rows {
            if let Some(price) = row.price(class) {
                rates.insert((class, ServiceTier::Standard, row.from), price);
            }
        }
    }
    rates
}

impl Row {
    /// The price of `class`, or of the class that stands in for it.
    fn price(&self, class: TokenClass) -> Option<Money> {
        let stand_in = match class {
            TokenClass::Input | TokenClass::Output => return self.prices.get(&class).copied(),
            TokenClass::CacheRead | TokenClass::CacheWrite | TokenClass::AudioInput => {
                TokenClass::Input
            }
            TokenClass::CacheWrite1h => TokenClass::CacheWrite,
            TokenClass::AudioOutput | TokenClass::Reasoning => TokenClass::Output,
        };
        self.prices.get(&class).copied().or_else(|| self.price(stand_in))
    }
}
