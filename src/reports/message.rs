//! The messages' fields, once, and how an object with them is read. A `STRICT` message refuses
//! fields that are not listed, the others ignore them; no message takes a field twice.

use std::fmt;

use schemas::{ExternalId, Name, RequestType, ServiceTier, Timestamp};
use serde::de::{
    self, Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor,
};
use serde_json::value::RawValue;

use super::error::{ReportError, TWICE, UNKNOWN};
use super::field::{Count, Field, Key, Refusal, SmallCount};

/// Reads `body` as a whole; looks for the place of a fault only when there is one.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ReportError> {
    std::str::from_utf8(body)
        .ok()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| ReportError::locate::<T>(body))
}

/// What every message can tell.
pub(super) trait Message {
    /// The name of a field that is there.
    fn first_field(&self) -> Option<&'static str>;
}

macro_rules! message {
    (
        $(#[$doc:meta])* $message:ident {
            $($key:literal => $field:ident: $type:ty,)+
            $(skipped: $($skipped:literal)|+,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $message<const STRICT: bool> {
            $(pub(super) $field: Option<$type>,)+
        }

        impl<const STRICT: bool> Message for $message<STRICT> {
            fn first_field(&self) -> Option<&'static str> {
                $(if self.$field.is_some() {
                    return Some($key);
                })+
                None
            }
        }

        impl<'de, const STRICT: bool> Deserialize<'de> for $message<STRICT> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<const STRICT: bool>;
                impl<'de, const STRICT: bool> Visitor<'de> for Fields<STRICT> {
                    type Value = $message<STRICT>;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(
                        self,
                        mut fields: A,
                    ) -> Result<Self::Value, A::Error> {
                        $(let mut $field: Option<Option<$type>> = None;)+
                        while let Some(key) = fields.next_key::<Key<'de>>()? {
                            match &*key.0 {
                                $($key => match $field {
                                    None => $field = Some(fields.next_value::<Field<_>>()?.0),
                                    Some(_) => match fields.next_value_seed(Refusal(TWICE))? {},
                                },)+
                                $($($skipped)|+ => drop(fields.next_value::<IgnoredAny>()?),)?
                                _ if STRICT => match fields.next_value_seed(Refusal(UNKNOWN))? {},
                                _ => drop(fields.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok($message { $($field: $field.flatten(),)+ })
                    }
                }
                deserializer.deserialize_map(Fields::<STRICT>)
            }
        }

        impl<'de, const STRICT: bool> Deserialize<'de> for Field<$message<STRICT>> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Option::deserialize(deserializer).map(Field)
            }
        }
    };
}

message! {
    /// What a provider says a call used. Cached and audio input is part of the prompt, reasoning
    /// and audio output is part of the completion; the two kinds of cache writes are apart.
    UsageMessage {
        "promptTokens" => prompt: Count,
        "completionTokens" => completion: Count,
        "totalTokens" => total: Count,
        "cacheReadTokens" => cache_read: Count,
        "cacheWriteTokens" => cache_write: Count,
        "cacheWrite1hTokens" => cache_write_1h: Count,
        "reasoningTokens" => reasoning: Count,
        "audioInputTokens" => audio_input: Count,
        "audioOutputTokens" => audio_output: Count,
    }
}

message! {
    /// The request half, routing key `llm.request`.
    RequestMessage {
        "requestId" => request_id: ExternalId,
        "timestamp" => timestamp: Timestamp,
        "userId" => user: Name,
        "organizationId" => tenant: Name,
        "model" => model: Name,
        "characterCount" => character_count: Count,
        "tokenCount" => token_count: Count,
        "requestType" => request_type: RequestType,
        "toolCount" => tool_count: SmallCount,
        "messageCount" => message_count: SmallCount,
        "assistantType" => assistant: Name,
        "documentId" => document: ExternalId,
        "conversationId" => conversation: ExternalId,
        skipped: "messages" | "systemPrompt" | "tools" | "temperature" | "maxTokens" | "topP",
    }
}

message! {
    /// The response half, routing key `llm.response`.
    ResponseMessage {
        "requestId" => request_id: ExternalId,
        "timestamp" => timestamp: Timestamp,
        "userId" => user: Name,
        "organizationId" => tenant: Name,
        "model" => model: Name,
        "characterCount" => character_count: Count,
        "tokenCount" => token_count: Count,
        "finishReason" => finish_reason: Name,
        "usage" => usage: UsageMessage<STRICT>,
        "serviceTier" => tier: ServiceTier,
        "responseTimeMs" => response_time_ms: Count,
        "hasToolCalls" => has_tool_calls: bool,
        "toolCallCount" => tool_call_count: SmallCount,
        "assistantType" => assistant: Name,
        "documentId" => document: ExternalId,
        "conversationId" => conversation: ExternalId,
        skipped: "response",
    }
}

message! {
    /// A whole call: a response message with fields of its request beside it, or both messages
    /// under their own names.
    ConsumptionMessage {
        "requestId" => request_id: ExternalId,
        "timestamp" => timestamp: Timestamp,
        "userId" => user: Name,
        "organizationId" => tenant: Name,
        "model" => model: Name,
        "characterCount" => character_count: Count,
        "responseCharacterCount" => response_character_count: Count,
        "tokenCount" => token_count: Count,
        "responseTokenCount" => response_token_count: Count,
        "finishReason" => finish_reason: Name,
        "usage" => usage: UsageMessage<STRICT>,
        "serviceTier" => tier: ServiceTier,
        "responseTimeMs" => response_time_ms: Count,
        "hasToolCalls" => has_tool_calls: bool,
        "toolCallCount" => tool_call_count: SmallCount,
        "assistantType" => assistant: Name,
        "documentId" => document: ExternalId,
        "conversationId" => conversation: ExternalId,
        "requestTimestamp" => request_timestamp: Timestamp,
        "requestCharacterCount" => request_character_count: Count,
        "requestTokenCount" => request_token_count: Count,
        "requestType" => request_type: RequestType,
        "toolCount" => tool_count: SmallCount,
        "messageCount" => message_count: SmallCount,
        "request" => nested_request: RequestMessage<STRICT>,
        "response" => nested_response: ResponseField<STRICT>,
    }
}

message! {
    /// A `CloudEvents` event in JSON. Extensions that are not listed are ignored.
    EventMessage {
        "specversion" => specversion: String,
        "id" => id: String,
        "source" => source: String,
        "type" => kind: String,
        "subject" => subject: String,
        "time" => time: String,
        "datacontenttype" => content_type: String,
        "organizationid" => organization_id: String,
        "data" => data: Box<RawValue>,
        "data_base64" => data_base64: String,
    }
}

/// `response` is the answer's text in a response message, and the message itself in a whole call.
pub(super) enum ResponseField<const STRICT: bool> {
    Text,
    Message(Box<ResponseMessage<STRICT>>),
}

impl<'de, const STRICT: bool> Deserialize<'de> for Field<ResponseField<STRICT>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<const STRICT: bool>;
        impl<'de, const STRICT: bool> Visitor<'de> for Either<STRICT> {
            type Value = Field<ResponseField<STRICT>>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or a response message")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Field(Some(ResponseField::Text)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Field(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                let message = de::value::MapAccessDeserializer::new(fields);
                let message = ResponseMessage::deserialize(message)?;
                Ok(Field(Some(ResponseField::Message(Box::new(message)))))
            }
        }
        deserializer.deserialize_any(Either::<STRICT>)
    }
}
