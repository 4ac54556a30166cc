//! A producer that is not ours sends a day's disorder; the book shows exactly what it sent.

use std::collections::BTreeMap;

use crate::support::broker::{Amqp, Names, header, shared_url};
use crate::support::calls::{NOON, settle};
use crate::support::producer::{self, Traffic};
use crate::support::service::Setup;
use crate::support::unique;

#[tokio::test]
async fn what_pika_sends_in_disorder_is_booked_exactly() {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let mut service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    let organization = unique("org");
    let traffic = Traffic {
        pairs: 300,
        users: 7,
        duplicates: 120,
        delayed: 40,
        requests_only: 10,
        malformed: 12,
        seed: 20_250_301,
    };
    for number in 0..traffic.users {
        service.grant(&format!("{organization}-user-{number}"), 100_000_000).await;
    }
    let sent = producer::send(&shared_url(), &names, &organization, traffic).await;
    assert_eq!((sent.pairs.len(), sent.requests_only.len()), (300, 10));
    service.stop().await;
    service.start_again().await;
    settle(&amqp, &service).await;

    service.advance_clock_to("2025-03-01T14:00:00Z").await;
    let records = service.history_of(&organization, 310).await;
    let mut lone = Vec::new();
    let mut booked = BTreeMap::new();
    for record in &records {
        let id = record["requestId"].as_str().expect("an id").to_owned();
        if record["status"] == "request-only" {
            lone.push(id);
            continue;
        }
        assert_eq!(record["status"], "complete", "{record}");
        let number = |field: &str| record[field].as_u64().expect("a number");
        let text = |field: &str| record[field].as_str().expect("a text").to_owned();
        let pair = producer::Pair {
            user: text("userId"),
            model: text("model"),
            prompt: number("promptTokens"),
            completion: number("completionTokens"),
            total: number("totalTokens"),
        };
        assert_eq!(booked.insert(id, pair), None, "one record a call");
    }
    assert_eq!(booked, sent.pairs);
    let mut requests_only = sent.requests_only.clone();
    requests_only.sort();
    lone.sort();
    assert_eq!(lone, requests_only);

    for (user, total) in sent.totals() {
        assert_eq!(service.used_quota(&user).await, total, "{user}");
    }

    let letters = amqp.dead_letters(sent.malformed.len()).await;
    let mut dead: Vec<(String, String)> = letters
        .iter()
        .map(|letter| {
            let body = String::from_utf8_lossy(&letter.data).into_owned();
            (body, header(letter, "x-tallybook-field"))
        })
        .collect();
    let mut malformed = sent.malformed.clone();
    dead.sort();
    malformed.sort();
    assert_eq!(dead, malformed);
}
