//! From a message as the broker delivers it to a command: a bare message of its queue's kind, or a
//! `CloudEvents` event, in structured JSON or with its attributes in headers.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use schemas::{Command, Timestamp};

use crate::reports::{
    EventAttributes, ReportError, parse_event, parse_event_parts, parse_request, parse_response,
};

use super::{IntakeConfig, IntakeStatus};

/// Which half of a call a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Request,
    Response,
}

impl Half {
    pub(super) fn queue(self, config: &IntakeConfig) -> &str {
        match self {
            Self::Request => &config.request_queue,
            Self::Response => &config.response_queue,
        }
    }

    pub(super) const fn routing_key(self) -> &'static str {
        match self {
            Self::Request => "llm.request",
            Self::Response => "llm.response",
        }
    }

    pub(super) const fn state(self, status: &mut IntakeStatus) -> &mut bool {
        match self {
            Self::Request => &mut status.requests,
            Self::Response => &mut status.responses,
        }
    }

    /// What the message asks for. An event says itself what it is, whatever queue it came by.
    pub(super) fn read(self, delivery: &Delivery, now: Timestamp) -> Result<Command, ReportError> {
        let body = &delivery.data;
        if is_structured_event(&delivery.properties) {
            return parse_event(body, now);
        }
        if let Some(attributes) = event_attributes(&delivery.properties) {
            return parse_event_parts(attributes, body, now);
        }
        match self {
            Self::Request => {
                parse_request(body, now).map(|report| Command::ReceiveRequest(Box::new(report)))
            }
            Self::Response => {
                parse_response(body, now).map(|report| Command::ReceiveResponse(Box::new(report)))
            }
        }
    }
}

fn is_structured_event(properties: &BasicProperties) -> bool {
    let content_type = properties.content_type().as_ref().map_or("", |text| text.as_str());
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/cloudevents+json")
}

/// The attributes in the headers `cloudEvents_…` or `cloudEvents:…`, when there are any.
fn event_attributes(properties: &BasicProperties) -> Option<EventAttributes> {
    let mut attributes: Option<EventAttributes> = None;
    for (name, value) in properties.headers().as_ref().map(FieldTable::inner)? {
        let name = name.as_str();
        let attribute =
            name.strip_prefix("cloudEvents_").or_else(|| name.strip_prefix("cloudEvents:"));
        if let Some(attribute) = attribute
            && let Some(text) = text_of(value)
        {
            attributes.get_or_insert_default().set(attribute, &text);
        }
    }
    if let Some(attributes) = &mut attributes
        && let Some(content_type) = properties.content_type()
    {
        attributes.set("datacontenttype", content_type.as_str());
    }
    attributes
}

fn text_of(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        AMQPValue::Timestamp(seconds) => i64::try_from(*seconds)
            .ok()
            .map(|seconds| Timestamp::EPOCH.plus_seconds(seconds).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use schemas::CallNames;
    use serde_json::json;

    use super::*;

    fn delivery(properties: BasicProperties, body: &serde_json::Value) -> Delivery {
        let body = body.to_string().into_bytes();
        let mut delivery = Delivery::mock(1, "llm-events".into(), "x".into(), false, body);
        delivery.properties = properties;
        delivery
    }

    fn headers(prefix: &str) -> FieldTable {
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("specversion", AMQPValue::LongString("1.0".into())),
            ("id", AMQPValue::LongString("call-1".into())),
            ("source", AMQPValue::ShortString("/gateway".into())),
            ("type", AMQPValue::LongString("llm.request".into())),
            ("time", AMQPValue::Timestamp(1_740_830_400)),
            ("odd", AMQPValue::Boolean(true)),
        ] {
            headers.insert(format!("{prefix}{name}").into(), value);
        }
        headers.insert("unrelated".into(), AMQPValue::Void);
        headers
    }

    fn read(half: Half, delivery: &Delivery) -> Result<Command, ReportError> {
        half.read(delivery, Timestamp::parse("2025-03-01T12:00:00Z").expect("a time"))
    }

    #[test]
    fn attributes_are_read_from_headers_of_either_spelling() {
        for prefix in ["cloudEvents_", "cloudEvents:"] {
            let properties = BasicProperties::default()
                .with_headers(headers(prefix))
                .with_content_type("application/json".into());
            let delivery = delivery(properties, &json!({"organizationId": "org"}));
            let Ok(Command::ReceiveRequest(report)) = read(Half::Response, &delivery) else {
                panic!("a request, whatever the queue");
            };
            let CallNames { tenant, request_id, .. } = report.call;
            assert_eq!((tenant.as_str(), request_id.to_string().as_str()), ("org", "call-1"));
            assert_eq!(report.details.timestamp.to_string(), "2025-03-01T12:00:00Z");
        }
    }

    #[test]
    fn the_content_type_tells_a_structured_event() {
        let event = json!({
            "specversion": "1.0", "id": "call-1", "source": "/gateway", "type": "llm.response",
            "time": "2025-03-01T12:00:00Z", "data": {"organizationId": "org", "tokenCount": 5}
        });
        let properties = BasicProperties::default()
            .with_content_type("Application/CloudEvents+JSON; charset=utf-8".into());
        let structured = delivery(properties, &event);
        assert!(matches!(read(Half::Request, &structured), Ok(Command::ReceiveResponse(_))));
        let bare = delivery(BasicProperties::default(), &event);
        assert_eq!(read(Half::Request, &bare).expect_err("no message").field, "organizationId");
    }
}
