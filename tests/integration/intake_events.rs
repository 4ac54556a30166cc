//! `CloudEvents` are taken in as well, in either of the two forms.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use crate::support::broker::{Amqp, Names, header, shared_url};
use crate::support::calls::{Call, NOON, record_of};
use crate::support::service::Setup;
use crate::support::unique;

#[tokio::test]
async fn structured_events_and_events_in_headers_pair_with_bare_messages() {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    let organization = unique("org");
    let bare = Call::new("bare", &organization);
    let whole = Call::new("whole", &organization);

    let event = json!({
        "specversion": "1.0", "id": "bare", "source": "/gateway", "type": "llm.request",
        "data": bare.request()
    });
    let structured =
        BasicProperties::default().with_content_type("application/cloudevents+json".into());
    amqp.publish("llm.request", event.to_string().as_bytes(), structured.clone()).await;
    amqp.response(&bare.response()).await;

    let mut headers = FieldTable::default();
    for (name, value) in [
        ("cloudEvents_specversion", "1.0"),
        ("cloudEvents_id", "whole"),
        ("cloudEvents:source", "/gateway"),
        ("cloudEvents_type", "llm.consumption"),
        ("cloudEvents_time", "2025-03-01T11:00:00Z"),
        ("cloudEvents_subject", whole.user.as_str()),
    ] {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let data = json!({
        "organizationId": organization, "model": "gpt-4",
        "usage": {"promptTokens": 300, "completionTokens": 150, "totalTokens": 450},
    });
    let in_headers = BasicProperties::default()
        .with_headers(headers)
        .with_content_type("application/json".into());
    amqp.publish("llm.response", data.to_string().as_bytes(), in_headers).await;

    let records = service.history_of(&organization, 2).await;
    for call in [&bare, &whole] {
        let record = record_of(&records, call);
        assert_eq!(record["status"], "complete", "{record}");
        assert_eq!(record["userId"], call.user.as_str());
        assert_eq!(record["totalTokens"], call.total());
    }

    let mut faulty = event;
    faulty["specversion"] = "0.3".into();
    amqp.publish("llm.request", faulty.to_string().as_bytes(), structured).await;
    let letters = amqp.dead_letters(1).await;
    assert_eq!(header(&letters[0], "x-tallybook-field"), "specversion");
}
