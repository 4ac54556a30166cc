//! Who and what an event speaks of. Names come in as text and are introduced to the log once, each
//! with a small number of its own; events carry the numbers, so that they stay short to hash, to
//! store and to replay.

use std::fmt;

use bincode::enc::Encoder;
use bincode::error::EncodeError;
use bincode::{Decode, Encode};
use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The position of an event in the log: from 1, without gaps.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The `position`-th event.
    #[must_use]
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The position as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position `count` events after this one.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a name names. Each kind numbers its names from 0, in the order of their introduction.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum NameKind {
    /// An organization: whose wallet pays.
    Tenant,
    /// A person or key that calls: whose quota is drawn. One namespace for the whole installation.
    User,
    /// A model, by the exact name in the usage report.
    Model,
    /// The seed's `assistantType`.
    Assistant,
    /// Who issued a command.
    Actor,
    /// Why a response ended.
    FinishReason,
}

impl NameKind {
    /// Every kind, in order.
    pub const ALL: [Self; 6] =
        [Self::Tenant, Self::User, Self::Model, Self::Assistant, Self::Actor, Self::FinishReason];
}

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident is $kind:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub u32);

        impl NameId for $name {
            const KIND: NameKind = NameKind::$kind;
            fn from_number(number: u32) -> Self {
                Self(number)
            }
            fn number(self) -> u32 {
                self.0
            }
        }
    )+};
}

/// The number of an introduced name of one kind.
pub trait NameId: Copy {
    /// The kind that this type numbers.
    const KIND: NameKind;
    /// From the number alone.
    fn from_number(number: u32) -> Self;
    /// The number alone.
    fn number(self) -> u32;
}

numbered! {
    /// An introduced tenant.
    TenantId is Tenant;
    /// An introduced user.
    UserId is User;
    /// An introduced model.
    ModelId is Model;
    /// An introduced assistant type.
    AssistantId is Assistant;
    /// An introduced actor.
    ActorId is Actor;
    /// An introduced finish reason.
    FinishReasonId is FinishReason;
}

/// Why a text cannot be a name or an external id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// No characters.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`Name::BYTES_MAX`].
    #[error("must not be longer than {max} bytes, got {got}", max = Name::BYTES_MAX)]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// A control character inside.
    #[error("must not contain control characters")]
    ControlCharacter,
}

fn check_text(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        Err(NameError::Empty)
    } else if text.len() > Name::BYTES_MAX {
        Err(NameError::TooLong { got: text.len() })
    } else if text.chars().any(char::is_control) {
        Err(NameError::ControlCharacter)
    } else {
        Ok(())
    }
}

/// A checked name: 1 to 256 bytes of UTF-8 without control characters. Short ones, which most are,
/// take no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(CompactString);

impl Name {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        check_text(text)?;
        Ok(Self(CompactString::new(text)))
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::try_from(text.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// As a text.
impl Encode for Name {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(CompactString::deserialize(deserializer)?.as_str())
            .map_err(de::Error::custom)
    }
}

/// An id that others gave: of a request, a document, a conversation. Canonical UUIDs, which most
/// are, take 16 bytes; everything else is kept as text. Prints what was read, to the letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum ExternalId {
    /// A UUID in its canonical lower-case form.
    Uuid([u8; 16]),
    /// Anything else, 1 to 256 bytes without control characters.
    Text(String),
}

impl TryFrom<&str> for ExternalId {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        if let Some(bytes) = canonical_uuid(text) {
            return Ok(Self::Uuid(bytes));
        }
        check_text(text)?;
        Ok(Self::Text(text.to_owned()))
    }
}

/// The bytes of a UUID whose canonical form is exactly `text`.
fn canonical_uuid(text: &str) -> Option<[u8; 16]> {
    if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    uuid::Uuid::try_parse(text).ok().map(uuid::Uuid::into_bytes)
}

impl fmt::Display for ExternalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).hyphenated().fmt(formatter),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

impl Serialize for ExternalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_prints_what_was_read() {
        for text in [
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
            "chatcmpl-42",
            "日本語",
        ] {
            let id = ExternalId::try_from(text).expect("valid");
            assert_eq!(id.to_string(), text);
        }
        assert!(matches!(
            ExternalId::try_from("550e8400-e29b-41d4-a716-446655440000"),
            Ok(ExternalId::Uuid(_))
        ));
    }

    #[test]
    fn a_name_is_short_printable_text() {
        assert_eq!(Name::try_from(""), Err(NameError::Empty));
        assert_eq!(Name::try_from("a\0b"), Err(NameError::ControlCharacter));
        assert_eq!(Name::try_from("x".repeat(257)), Err(NameError::TooLong { got: 257 }));
        assert!(Name::try_from("ü|ñ {}").is_ok());
    }
}
