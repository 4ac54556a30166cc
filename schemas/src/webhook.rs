//! What an endpoint of webhooks is called.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Names an endpoint of webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct WebhookId(pub [u8; 16]);

/// Why a text names no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be 32 lower-case hexadecimal digits")]
pub struct WebhookIdError;

impl fmt::Display for WebhookId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).simple().fmt(formatter)
    }
}

impl FromStr for WebhookId {
    type Err = WebhookIdError;

    fn from_str(text: &str) -> Result<Self, WebhookIdError> {
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.into_bytes()))
            .ok()
            .filter(|id| id.to_string() == text)
            .ok_or(WebhookIdError)
    }
}

impl Serialize for WebhookId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WebhookId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
