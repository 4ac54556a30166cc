//! Messages that cannot be taken: published again, as they came, to the dead-letter exchange, with
//! headers that say why. The original is acknowledged only after the broker has confirmed.

use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, PublisherConfirm};

use crate::broker::{BrokerError, answer, short};
use crate::reports::ReportError;
use crate::writer::SubmitError;

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) field: String,
    pub(super) code: &'static str,
}

/// A message that is not taken.
pub(super) struct DeadLetter {
    pub(super) delivery: Delivery,
    pub(super) reason: Reason,
}

impl From<ReportError> for Reason {
    fn from(error: ReportError) -> Self {
        Self { text: error.to_string(), code: error.code.as_str(), field: error.field }
    }
}

impl Reason {
    /// A refusal of the writer; `None` when the writer could not say anything.
    pub(super) fn of_refusal(error: &SubmitError) -> Option<Self> {
        match error {
            SubmitError::Rejected(rejection) => Some(Self {
                text: rejection.to_string(),
                field: rejection.field().unwrap_or_default().into_owned(),
                code: rejection.code(),
            }),
            SubmitError::Busy | SubmitError::Stopped => None,
        }
    }
}

impl DeadLetter {
    /// Publishes it; it is safe once the confirmation has come.
    pub(super) async fn publish(
        self,
        channel: &Channel,
        exchange: &str,
        queue: &str,
    ) -> Result<PublisherConfirm, BrokerError> {
        let Self { delivery, reason } = self;
        tracing::warn!(
            queue,
            routing_key = %delivery.routing_key,
            field = reason.field,
            reason = reason.text,
            "a message goes to the dead-letter exchange"
        );
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = properties(&delivery, &reason, queue);
        let published = channel.basic_publish(
            exchange.into(),
            delivery.routing_key,
            options,
            &delivery.data,
            properties,
        );
        answer("publish a dead letter", published).await
    }
}

/// The message's own properties and the reason. An expiry would lose the message, and the broker
/// refuses a user id that is not ours: both are kept as headers.
fn properties(delivery: &Delivery, reason: &Reason, queue: &str) -> BasicProperties {
    let original = &delivery.properties;
    let mut headers = FieldTable::default();
    for (name, value) in original.headers().as_ref().into_iter().flatten() {
        headers.insert(name.clone(), value.clone());
    }
    let mut set = |name: &str, text: &str| {
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    };
    set("x-tallybook-reason", &reason.text);
    set("x-tallybook-field", &reason.field);
    set("x-tallybook-code", reason.code);
    set("x-tallybook-queue", queue);
    set("x-original-exchange", delivery.exchange.as_str());
    set("x-original-routing-key", delivery.routing_key.as_str());
    if let Some(expiration) = original.expiration() {
        set("x-original-expiration", expiration.as_str());
    }
    if let Some(user) = original.user_id() {
        set("x-original-user-id", user.as_str());
    }
    let mut properties = BasicProperties::default().with_headers(headers).with_delivery_mode(2);
    if let Some(text) = original.content_type() {
        properties = properties.with_content_type(text.clone());
    }
    if let Some(text) = original.content_encoding() {
        properties = properties.with_content_encoding(text.clone());
    }
    if let Some(priority) = original.priority() {
        properties = properties.with_priority(*priority);
    }
    if let Some(text) = original.correlation_id() {
        properties = properties.with_correlation_id(text.clone());
    }
    if let Some(text) = original.reply_to() {
        properties = properties.with_reply_to(text.clone());
    }
    if let Some(text) = original.message_id() {
        properties = properties.with_message_id(short(text.as_str()));
    }
    if let Some(timestamp) = original.timestamp() {
        properties = properties.with_timestamp(*timestamp);
    }
    if let Some(text) = original.kind() {
        properties = properties.with_type(text.clone());
    }
    if let Some(text) = original.app_id() {
        properties = properties.with_app_id(text.clone());
    }
    properties
}

#[cfg(test)]
mod tests {
    use lapin::types::ShortString;

    use super::*;

    #[test]
    fn a_dead_letter_keeps_its_properties_and_loses_its_expiry() {
        let mut delivery =
            Delivery::mock(7, "llm-events".into(), "llm.request".into(), false, b"{".to_vec());
        let mut headers = FieldTable::default();
        headers.insert("tenant".into(), AMQPValue::LongInt(4));
        delivery.properties = BasicProperties::default()
            .with_headers(headers)
            .with_message_id("m-1".into())
            .with_expiration("1000".into())
            .with_user_id("producer".into());
        let reason =
            Reason { text: "the body is not JSON".into(), field: String::new(), code: "not_json" };
        let properties = properties(&delivery, &reason, "q");

        assert_eq!(properties.message_id().as_ref().map(ShortString::as_str), Some("m-1"));
        assert_eq!((properties.expiration(), properties.user_id()), (&None, &None));
        let headers = properties.headers().clone().expect("headers");
        let text = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(headers.inner().get("tenant"), Some(&AMQPValue::LongInt(4)));
        assert_eq!(text("x-tallybook-reason"), "the body is not JSON");
        assert_eq!(text("x-tallybook-field"), "");
        assert_eq!(text("x-tallybook-code"), "not_json");
        assert_eq!(text("x-tallybook-queue"), "q");
        assert_eq!(text("x-original-routing-key"), "llm.request");
        assert_eq!(text("x-original-expiration"), "1000");
        assert_eq!(text("x-original-user-id"), "producer");
    }
}
