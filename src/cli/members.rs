//! The members of a JSON object in their own order, each as it stands there: no number passes
//! through a float.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

struct Members<'json>(Vec<(String, &'json RawValue)>);

/// The members of an object.
///
/// # Errors
/// When the text is not one JSON object.
pub(super) fn of(json: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Members<'_>>(json).map(|Members(members)| members)
}

impl<'de: 'json, 'json> Deserialize<'de> for Members<'json> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
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
        deserializer.deserialize_map(Object).map(Members)
    }
}
