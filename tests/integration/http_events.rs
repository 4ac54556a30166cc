//! The log from outside: pages and a stream that miss nothing, and usage that comes in as
//! `CloudEvents`.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const EVENTS: &str = "/api/v1/events";
const STREAM: &str = "/api/v1/events/stream";
const CONSUMPTION: &str = "/api/v1/consumption";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// The log from `after` on, read by pages of `limit`.
async fn log(service: &Service, limit: u64) -> Vec<Value> {
    let mut events = Vec::new();
    let mut path = format!("{EVENTS}?limit={limit}");
    loop {
        let page = service.read(&path).await.expect(200).json();
        let some = page["events"].as_array().expect("events");
        assert!(u64::try_from(some.len()).expect("few") <= limit);
        events.extend(some.iter().cloned());
        assert_eq!(page["next"], some.last().map_or(json!(0), |last| last["sequence"].clone()));
        if page["has_more"] == false {
            return events;
        }
        path = format!("{EVENTS}?limit={limit}&cursor={}", page["next"]);
    }
}

#[tokio::test]
async fn the_log_is_gapless_whatever_the_size_of_the_page() {
    let service = service().await;
    assert_eq!(log(&service, 10).await, Vec::<Value>::new());
    for number in 0..7 {
        service.send(CONSUMPTION, &call(&format!("c{number}"), 1, 1)).await.expect(201);
    }
    let grant = json!({"user_id": "ann", "amount": 5, "expiry_date": "2025-06-01T00:00:00Z"});
    service.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
    let all = log(&service, 1000).await;
    let sequences: Vec<_> = all.iter().filter_map(|event| event["sequence"].as_u64()).collect();
    assert!(sequences.iter().copied().eq(1..=service.head().await), "{sequences:?}");
    for limit in [1, 2, 3, 100] {
        assert_eq!(log(&service, limit).await, all, "pages of {limit}");
    }
    for event in &all {
        let cause = event["cause"].as_u64().expect("a cause");
        let first = &all[usize::try_from(cause - 1).expect("small")];
        assert_eq!(first["actor"], "key:x-api-key");
        assert_eq!(event["recorded_at"], NOON);
    }
    let kinds: Vec<_> = all.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "consumption_recorded").count(), 7);
    assert_eq!(kinds.last(), Some(&"quota_recharged"));
    for query in ["limit=0", "limit=1001", "limit=x", "after=-1", "cursor=x", "colour=red"] {
        let answer = service.read(&format!("{EVENTS}?{query}")).await.expect(400);
        let (name, _) = query.split_once('=').expect("a pair");
        assert_eq!(answer.json()["invalid_parameters"][0]["field"], name);
    }
}

/// A stream of server-sent events, read one by one.
struct Stream {
    response: Response,
    read: String,
}

impl Stream {
    async fn open(service: &Service, query: &str, last_event_id: Option<u64>) -> Self {
        let mut request = service.ask(Method::GET, &format!("{STREAM}{query}"));
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, read: String::new() }
    }

    /// The next event: its id, its name and its data.
    async fn next(&mut self) -> (u64, String, Value) {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines().filter_map(|line| line.strip_prefix(name));
                    lines.next().map(|text| text.trim_start_matches(": ").to_owned())
                };
                let event = field("id").map(|id| {
                    let data = field("data").expect("data");
                    let id = id.parse().expect("a sequence");
                    (
                        id,
                        field("event").expect("a name"),
                        serde_json::from_str(&data).expect("JSON"),
                    )
                });
                let rest = rest.to_owned();
                self.read = rest;
                if let Some(event) = event {
                    return event;
                }
                continue;
            }
            let more = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let more = more.expect("in time").expect("a stream").expect("no end");
            self.read.push_str(std::str::from_utf8(&more).expect("UTF-8"));
        }
    }

    async fn ends(mut self) {
        let end = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        tokio::time::timeout(Duration::from_secs(20), end).await.expect("the stream ends");
    }
}

#[tokio::test]
async fn a_stream_that_is_resumed_after_a_kill_misses_and_repeats_nothing() {
    let mut service = service().await;
    service.send(CONSUMPTION, &call("old", 1, 1)).await.expect(201);
    let old = service.head().await;
    let mut fresh = Stream::open(&service, "", None).await;
    let mut whole = Stream::open(&service, "?after=0", None).await;
    for sequence in 1..=old {
        assert_eq!(whole.next().await.0, sequence);
    }
    service.send(CONSUMPTION, &call("new", 1, 1)).await.expect(201);
    for stream in [&mut fresh, &mut whole] {
        let (id, name, data) = stream.next().await;
        assert_eq!((id, name.as_str()), (old + 1, "consumption_recorded"));
        assert_eq!(data["data"]["requestId"], "new");
        assert_eq!(data["sequence"], id);
    }
    service.kill();
    service.start_again().await;
    let calls: Vec<_> = (0..500).map(|number| call(&format!("s{number}"), 1, 1)).collect();
    service.send("/api/v1/consumption/batch", &Value::from(calls)).await.expect(200);
    // The header goes before the parameter, as browsers keep the address when they reconnect.
    let mut resumed = Stream::open(&service, "?after=0", Some(old + 1)).await;
    for sequence in old + 2..old + 502 {
        assert_eq!(resumed.next().await.0, sequence);
    }
    let wrong = service.ask(Method::GET, STREAM).header("Last-Event-ID", "one");
    let problem = Answer::to(wrong).await.expect(400).json();
    assert_eq!(problem["invalid_parameters"][0]["field"], "Last-Event-ID");
}

#[tokio::test]
async fn a_stream_ends_when_the_service_is_told_to_stop() {
    let mut service = service().await;
    let streams = [Stream::open(&service, "", None).await, Stream::open(&service, "", None).await];
    let started = std::time::Instant::now();
    service.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    for stream in streams {
        stream.ends().await;
    }
}

fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/gateway", "type": kind,
        "time": "2025-03-01T11:59:00Z", "subject": "ann", "organizationid": "acme",
        "datacontenttype": "application/json", "traceparent": "00-1", "data": data,
    })
}

async fn ingest(service: &Service, media_type: &str, body: &Value) -> Answer {
    let request = service.ask(Method::POST, EVENTS).header("content-type", media_type);
    Answer::to(request.body(body.to_string())).await
}

const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";

#[tokio::test]
async fn usage_comes_in_as_cloud_events_and_counts_once_however_it_comes() {
    let service = service().await;
    let data = json!({"model": "gpt-4", "usage": {"promptTokens": 1000, "completionTokens": 500}});
    let one = event("e1", "llm.consumption", &data);
    let answer = ingest(&service, ONE, &one).await.expect(202);
    let result = &answer.json()["results"][0];
    assert_eq!((&result["status"], &result["cost"]), (&json!(201), &json!(0.06)));
    let again = ingest(&service, ONE, &one).await.expect(202);
    assert_eq!(again.json()["results"][0]["outcome"], "already_recorded");
    assert_eq!(again.json()["results"][0]["sequence"], result["sequence"]);
    let record = &service.history("acme").await[0];
    assert_eq!((&record["requestId"], &record["userId"]), (&json!("e1"), &json!("ann")));

    // The same call over REST is the same call.
    let rest = with(call("e1", 1000, 500), &json!({"timestamp": "2025-03-01T11:59:00Z"}));
    service.send(CONSUMPTION, &rest).await.expect(200);

    let half = json!({"model": "gpt-4", "tokenCount": 3});
    let batch = json!([
        event("e2", "llm.response", &data),
        event("e2", "llm.request", &half),
        event("e2", "llm.response", &data),
        one,
        event("e3", "llm.request", &half),
    ]);
    let answer = ingest(&service, BATCH, &batch).await.expect(202).json();
    let statuses: Vec<_> =
        answer["results"].as_array().expect("results").iter().map(|item| &item["status"]).collect();
    assert_eq!(json!(statuses), json!([201, 201, 200, 200, 201]));
    assert_eq!(service.history("acme").await.len(), 2);
    // The lone half becomes visible when its time is over.
    service.advance_clock_to("2025-03-01T13:00:01Z").await;
    let lone = &service.history("acme").await[0];
    assert_eq!((&lone["requestId"], &lone["status"]), (&json!("e3"), &json!("request-only")));
    assert_eq!(lone["cost"], Value::Null);
}

#[tokio::test]
async fn a_faulty_event_is_refused_with_its_place_and_nothing_of_its_batch_is_recorded() {
    let service = service().await;
    let data = json!({"model": "gpt-4", "usage": {"promptTokens": 1}});
    let good = event("good", "llm.consumption", &data);
    for (fields, field) in [
        (json!({"specversion": "0.3"}), "specversion"),
        (json!({"specversion": null}), "specversion"),
        (json!({"id": null}), "id"),
        (json!({"source": ""}), "source"),
        (json!({"type": "llm.other"}), "type"),
        (json!({"type": 7}), "type"),
        (json!({"time": "noon"}), "time"),
        (json!({"subject": "a\u{7}b"}), "subject"),
        (json!({"organizationid": "x".repeat(257)}), "organizationid"),
        (json!({"datacontenttype": "text/xml"}), "datacontenttype"),
        (json!({"data_base64": "e30="}), "data_base64"),
        (json!({"data": {"model": "gpt-4"}}), "data.usage"),
        (
            json!({"data": {"model": "gpt-4", "usage": {"promptTokens": -1}}}),
            "data.usage.promptTokens",
        ),
        (json!({"data": {"colour": 1}}), "data.colour"),
        (json!({"data": []}), "data"),
    ] {
        let faulty = with(good.clone(), &fields);
        let alone = ingest(&service, ONE, &faulty).await.expect(400);
        let found = &alone.json()["invalid_parameters"][0]["field"];
        assert_eq!(found, field, "{fields}: {}", alone.text);
        let batch = json!([good, faulty]);
        let in_batch = ingest(&service, BATCH, &batch).await.expect(400);
        let found = &in_batch.json()["invalid_parameters"][0]["field"];
        assert_eq!(found, &format!("[1].{field}"), "{fields}: {}", in_batch.text);
    }
    for (media_type, body, status) in [
        ("text/plain", &good, 415),
        (ONE, &json!([good]), 400),
        (BATCH, &good, 400),
        (BATCH, &json!([good, 7]), 400),
    ] {
        ingest(&service, media_type, body).await.expect(status);
    }
    assert_eq!(service.head().await, 0);
}

#[tokio::test]
async fn an_event_that_contradicts_the_record_is_refused_alone_and_marked_in_a_batch() {
    let service = service().await;
    let data = |tokens: u64| json!({"model": "gpt-4", "usage": {"promptTokens": tokens}});
    ingest(&service, ONE, &event("e1", "llm.consumption", &data(1))).await.expect(202);
    let head = service.head().await;
    let other = event("e1", "llm.consumption", &data(2));
    let alone = ingest(&service, ONE, &other).await.expect(422);
    assert_eq!(alone.json()["code"], "call_conflict");
    let marked = ingest(&service, BATCH, &json!([other])).await.expect(202);
    assert_eq!(marked.json()["results"][0]["status"], 422);
    assert_eq!(service.head().await, head);
}
