//! The values that fields of a message hold, each checked as it is read. `null` is the same as
//! absent everywhere; so is an empty text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemas::{ExternalId, Name, RequestType, ServiceTier, Timestamp, Usage};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde_json::value::RawValue;

/// What a field holds; nothing when it is `null` or an empty text.
pub(super) struct Field<T>(pub(super) Option<T>);

/// A field's name as it stands in the body.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

/// A value that is written as text.
pub(super) trait FromText: Sized {
    /// The value, or what is wrong with `text`, to be read after the field's name.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl FromText for Name {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::try_from(text).map_err(|error| error.to_string())
    }
}

impl FromText for ExternalId {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::try_from(text).map_err(|error| error.to_string())
    }
}

impl FromText for Timestamp {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|_| "must be an RFC 3339 time".to_owned())
    }
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl FromText for ServiceTier {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::deserialize(text.into_deserializer()).map_err(|_: de::value::Error| {
            "must be one of `standard`, `priority`, `flex`, `batch`, `balanced`, `ultrafast`"
                .to_owned()
        })
    }
}

impl FromText for RequestType {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "stream" => Ok(Self::Stream),
            "non-stream" => Ok(Self::NonStream),
            _ => Err("must be `stream` or `non-stream`".to_owned()),
        }
    }
}

struct Text<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for Text<T> {
    type Value = Field<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Field<T>, E> {
        if text.is_empty() {
            return Ok(Field(None));
        }
        T::from_text(text).map(|value| Field(Some(value))).map_err(E::custom)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Field<T>, E> {
        Ok(Field(None))
    }
}

macro_rules! text_fields {
    ($($type:ty),+) => {$(
        impl<'de> Deserialize<'de> for Field<$type> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text::<$type>(PhantomData))
            }
        }
    )+};
}
text_fields!(Name, ExternalId, Timestamp, String, ServiceTier, RequestType);

/// A count of at most [`Usage::TOKENS_MAX`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u64);

/// A count that fits 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct SmallCount(pub(super) u32);

struct Whole<const MAX: u64>;

impl<const MAX: u64> Visitor<'_> for Whole<MAX> {
    type Value = Field<u64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Field<u64>, E> {
        if number <= MAX {
            Ok(Field(Some(number)))
        } else {
            Err(E::custom(format_args!("must not be more than {MAX}, got {number}")))
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Field<u64>, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format_args!("must not be negative, got {number}"))),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Field<u64>, E> {
        Ok(Field(None))
    }
}

impl<'de> Deserialize<'de> for Field<Count> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let field = deserializer.deserialize_any(Whole::<{ Usage::TOKENS_MAX }>)?;
        Ok(Self(field.0.map(Count)))
    }
}

impl<'de> Deserialize<'de> for Field<SmallCount> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let field = deserializer.deserialize_any(Whole::<0xffff_ffff>)?;
        Ok(Self(field.0.and_then(|number| u32::try_from(number).ok()).map(SmallCount)))
    }
}

impl<'de> Deserialize<'de> for Field<bool> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Field<Box<RawValue>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self((raw.get() != "null").then_some(raw)))
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a field's name")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Fails with its text where the value would be read, so that the error is about this field.
pub(super) struct Refusal(pub(super) &'static str);

impl<'de> de::DeserializeSeed<'de> for Refusal {
    type Value = std::convert::Infallible;

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<Self::Value, D::Error> {
        Err(de::Error::custom(self.0))
    }
}
