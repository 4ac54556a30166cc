//! How bodies say what changes: what is left out stays as it is, what is `null` is cleared. For
//! `deserialize_with`, beside `default`.

use schemas::{Change, Name};
use serde::{Deserialize, Deserializer, de};

/// A value that is there: `null` clears.
pub(super) fn value<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Change<T>, D::Error> {
    let value = Option::<T>::deserialize(deserializer)?;
    Ok(value.map_or(Change::Clear, Change::Set))
}

/// A short text that is there: `null` and nothing clear.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Name>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()) {
        None => Ok(Change::Clear),
        Some(text) => Name::try_from(text).map(Change::Set).map_err(de::Error::custom),
    }
}

/// A value that is there and cannot be cleared.
pub(super) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
