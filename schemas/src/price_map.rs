//! Import of the LiteLLM price map: one JSON object, model name to fields, of which the prices per
//! token become price sheets. A map written by hand has the same shape. Numbers are read from their
//! text, never through a float.

mod entry;
mod field;
mod number;
mod report;

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

pub use report::{PriceEntryError, PriceFault, PriceMapReport, RoundedPrice};

use crate::{Name, PriceSheet};

/// The entry of the public map that is no model but explains the fields.
const SPECIMEN: &str = "sample_spec";

/// Price sheets by model, and what is not in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceMap {
    /// In the order of the names, each at most once; none of them empty.
    pub sheets: Vec<(Name, PriceSheet)>,
    /// What was left out.
    pub report: PriceMapReport,
}

/// Why a text is no price map.
#[derive(Debug, Error)]
pub enum PriceMapError {
    /// Not JSON, or JSON of another kind.
    #[error("a price map must be a JSON object of models")]
    NotAnObject(#[source] serde_json::Error),
    /// An entry that contradicts the format.
    #[error(transparent)]
    Entry(#[from] PriceEntryError),
}

impl PriceMap {
    /// Reads a price map and leaves out what is no price per token, or wrong, entry by entry.
    ///
    /// # Errors
    /// When the text is not one JSON object.
    pub fn read(text: &str) -> Result<Self, PriceMapError> {
        let Entries(mut models) = serde_json::from_str(text).map_err(PriceMapError::NotAnObject)?;
        models.sort_by(|(left, _), (right, _)| left.cmp(right));
        let mut map = Self::default();
        let mut previous = None;
        for (model, json) in &models {
            let twice = previous.replace(model) == Some(model);
            let read = if twice {
                // Neither of two prices of one model is better than the other.
                map.sheets.pop_if(|(name, _)| name.as_str() == model);
                Err((None, PriceFault::Twice))
            } else if model == SPECIMEN {
                continue;
            } else {
                map.add(model, json)
            };
            if let Err((field, reason)) = read {
                map.report.refused.push(PriceEntryError { model: model.clone(), field, reason });
            }
        }
        Ok(map)
    }

    /// Reads a price map and refuses all of it for one wrong entry: for a map that somebody wrote
    /// and expects to hold as a whole.
    ///
    /// # Errors
    /// When the text is not one JSON object, or the first wrong entry by name.
    pub fn read_strictly(text: &str) -> Result<Self, PriceMapError> {
        let map = Self::read(text)?;
        match map.report.refused.first() {
            Some(refused) => Err(refused.clone().into()),
            None => Ok(map),
        }
    }

    fn add(&mut self, model: &str, json: &RawValue) -> Result<(), (Option<String>, PriceFault)> {
        let name = Name::try_from(model).map_err(|error| (None, PriceFault::Name(error)))?;
        let entry = entry::read(json)?;
        for field in entry.ignored {
            let count = self.report.ignored_fields.entry(field).or_default();
            *count = count.saturating_add(1);
        }
        let rounded = entry.rounded.into_iter();
        self.report.rounded.extend(rounded.map(|(field, text)| RoundedPrice {
            model: name.clone(),
            field,
            text,
        }));
        if entry.sheet.is_empty() {
            self.report.unpriced.push(name);
        } else {
            self.sheets.push((name, entry.sheet));
        }
        Ok(())
    }
}

/// The members of a JSON object as they stand there: in order, repeated ones included.
struct Entries<'json>(Vec<(String, &'json RawValue)>);

impl<'de: 'json, 'json> Deserialize<'de> for Entries<'json> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Entries)
    }
}

#[cfg(test)]
mod tests;
