//! By what a payment is known here before the provider knows of it, and what it is asked for with.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Names a top-up through a payment provider, before the provider knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TopUpId(pub [u8; 16]);

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a top-up's id is 32 lower-case hexadecimal digits")]
pub struct TopUpIdError;

impl TopUpId {
    /// The top-up that one asker's `key` names: the same for the same scope and key.
    #[must_use]
    pub fn of_key(scope: &str, key: &str) -> Self {
        Self::of(&["key", scope, key])
    }

    /// The top-up for a payment that is known only by the provider's id of it.
    #[must_use]
    pub fn of_payment(payment_intent: &str) -> Self {
        Self::of(&["payment", payment_intent])
    }

    fn of(parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tallybook/top-up");
        for part in parts {
            hasher.update(&[0]);
            hasher.update(part.as_bytes());
        }
        Self(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for TopUpId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).as_simple().fmt(formatter)
    }
}

impl FromStr for TopUpId {
    type Err = TopUpIdError;

    fn from_str(text: &str) -> Result<Self, TopUpIdError> {
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.into_bytes()))
            .ok()
            .filter(|id| id.to_string() == text)
            .ok_or(TopUpIdError)
    }
}

impl Serialize for TopUpId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TopUpId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What the provider is asked for a payment with, beside the amount: kept, so that whoever must ask
/// again asks for the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct TopUpTerms {
    /// The provider's id of the means of payment.
    pub payment_method: Option<String>,
    /// The provider's id of who pays.
    pub customer: Option<String>,
    /// Where the provider's page leads once it is paid.
    pub success_url: Option<String>,
    /// And where when it is not.
    pub cancel_url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_only_as_it_is_written() {
        let id = TopUpId::of_key("acme", "k");
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse(), Ok(id));
        for other in [text.to_uppercase(), format!("{text}0"), String::new(), format!("{{{text}}}")]
        {
            assert_eq!(other.parse::<TopUpId>(), Err(TopUpIdError), "{other}");
        }
    }

    #[test]
    fn no_two_askers_and_no_payment_name_the_same_top_up() {
        let ids = [
            TopUpId::of_key("acme", "k"),
            TopUpId::of_key("acm", "ek"),
            TopUpId::of_key("", "acmek"),
            TopUpId::of_payment("acme"),
            TopUpId::of_payment("k"),
        ];
        let distinct: std::collections::BTreeSet<TopUpId> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
