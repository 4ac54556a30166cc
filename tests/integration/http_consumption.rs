//! Calls over REST: recorded once, costed to the last decimal, read back, filtered and added up.

use std::collections::BTreeSet;

use reqwest::Method;
use schemas::Money;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, number_of, with};
use crate::support::service::{Service, Setup};

const CONSUMPTION: &str = "/api/v1/consumption";
const BATCH: &str = "/api/v1/consumption/batch";
const HISTORY: &str = "/api/v1/consumption/history";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

#[tokio::test]
async fn a_call_costs_what_the_price_table_says_to_the_last_decimal() {
    let service = service().await;
    for (place, (model, prompt, completion, cost)) in [
        ("gpt-4", 1000, 500, "0.06"),
        ("gpt-4-turbo", 1000, 1000, "0.04"),
        ("gpt-4-turbo-preview", 1, 0, "0.00001"),
        ("gpt-3.5-turbo", 1000, 1000, "0.0035"),
        ("gpt-3.5-turbo-16k", 308, 142, "0.000746"),
        ("gpt-4", 0, 0, "0"),
        ("gpt-4", 999_999_999_999, 1, "30000000.00003"),
        ("google/gemini-2.5-pro", 308, 142, "null"),
        ("GPT-4", 1000, 500, "null"),
        ("gpt-4-0613", 1000, 500, "null"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = with(call(&format!("c{place}"), prompt, completion), &json!({"model": model}));
        let answer = service.send(CONSUMPTION, &body).await.expect(201);
        assert_eq!(answer.number("cost"), cost, "{model}: {}", answer.text);
        let version = if cost == "null" { "null" } else { "0" };
        assert_eq!(answer.number("priceVersion"), version, "{model}");
        assert_eq!(answer.number("sequence"), answer.header("x-ledger-sequence"));
    }
}

#[tokio::test]
async fn every_field_of_the_message_is_on_record_and_the_answer_is_shown_nowhere() {
    let service = service().await;
    let body = json!({
        "requestId": "550e8400-e29b-41d4-a716-446655440000", "organizationId": "acme",
        "userId": "ann", "model": "gpt-4", "timestamp": "2025-03-01T12:59:00.25+01:00",
        "response": "a-prompt-that-nobody-may-keep", "characterCount": 567, "tokenCount": 142,
        "finishReason": "stop", "serviceTier": "priority", "responseTimeMs": 5234,
        "hasToolCalls": true, "toolCallCount": 2, "assistantType": "word", "documentId": "doc-1",
        "conversationId": "talk-1", "requestTimestamp": "2025-03-01T11:58:00Z",
        "requestCharacterCount": 1234, "requestTokenCount": 308, "requestType": "stream",
        "toolCount": 3, "messageCount": 5,
        "usage": {
            "promptTokens": 308, "completionTokens": 142, "totalTokens": 450,
            "cacheReadTokens": 100, "cacheWriteTokens": 8, "reasoningTokens": 42,
        },
    });
    let answer = service.send(CONSUMPTION, &body).await.expect(201);
    let mut record = answer.json();
    let sequence = answer.sequence();
    for field in ["id", "sequence"] {
        assert!(record.as_object_mut().expect("an object").remove(field).is_some());
    }
    assert_eq!(
        record,
        json!({
            "requestId": "550e8400-e29b-41d4-a716-446655440000", "organizationId": "acme",
            "userId": "ann", "model": "gpt-4", "timestamp": "2025-03-01T11:59:00.250Z",
            "assistantType": "word", "documentId": "doc-1", "conversationId": "talk-1",
            "projectId": "doc-1", "requestTimestamp": "2025-03-01T11:58:00Z",
            "requestCharacterCount": 1234, "requestTokenCount": 308, "requestType": "stream",
            "toolCount": 3, "messageCount": 5, "responseTimestamp": "2025-03-01T11:59:00.250Z",
            "responseCharacterCount": 567, "responseTokenCount": 142, "promptTokens": 308,
            "completionTokens": 142, "totalTokens": 450, "cacheReadTokens": 100,
            "cacheWriteTokens": 8, "cacheWrite1hTokens": 0, "reasoningTokens": 42,
            "audioInputTokens": 0, "audioOutputTokens": 0, "usageOrigin": "reported",
            "serviceTier": "priority", "finishReason": "stop", "responseTimeMs": 5234,
            "hasToolCalls": true, "toolCallCount": 2, "cost": 0.01776, "priceVersion": 0,
            "status": "complete", "quotaDrawn": 0, "quotaLots": [], "quotaOverdraft": 0,
            "createdAt": NOON,
        })
    );
    let listed = service.read(&format!("{HISTORY}?organizationId=acme")).await.expect(200);
    assert_eq!(listed.text, format!("[{}]", answer.text));
    let log = service.read("/api/v1/events").await.expect(200);
    assert!(!log.text.contains("a-prompt-that-nobody-may-keep"));
    assert_eq!(log.sequence(), sequence);
}

#[tokio::test]
async fn a_call_is_recorded_once_and_a_repeat_gets_the_same_answer() {
    let service = service().await;
    let body = call("once", 10, 5);
    let first = service.send(CONSUMPTION, &body).await.expect(201);
    assert_eq!(first.header("idempotency-hit"), "");
    service.send(CONSUMPTION, &call("between", 1, 1)).await.expect(201);
    let head = service.head().await;
    // The order of the fields and the spelling of the moment are not its content.
    let respelled = r#"{"usage": {"totalTokens": 15, "completionTokens": 5, "promptTokens": 10},
        "timestamp": "2025-03-01T13:59:00.000+02:00", "model": "gpt-4", "userId": "ann",
        "organizationId": "acme", "requestId": "\u006fnce", "assistantType": null}"#;
    let request = service.ask(Method::POST, CONSUMPTION).header("content-type", "application/json");
    for again in [service.send(CONSUMPTION, &body).await, Answer::to(request.body(respelled)).await]
    {
        let again = again.expect(200);
        assert_eq!(again.text, first.text);
        assert_eq!(again.sequence(), first.sequence());
        assert_eq!(again.header("idempotency-hit"), "true");
    }
    let other = call("once", 10, 6);
    let refused = service.send(CONSUMPTION, &other).await.expect(422);
    assert_eq!(refused.json()["code"], "call_conflict");
    assert_eq!(refused.json()["invalid_parameters"][0]["field"], "requestId");
    assert_eq!(service.head().await, head);
    // The id is the tenant's own.
    let of_another = with(call("once", 10, 6), &json!({"organizationId": "umbrella"}));
    service.send(CONSUMPTION, &of_another).await.expect(201);
}

#[tokio::test]
async fn a_call_whose_halves_came_as_events_is_known_over_rest() {
    let service = service().await;
    let halves = service.ask(Method::POST, "/api/v1/events");
    let event = |kind: &str, data: &Value| {
        json!({
            "specversion": "1.0", "id": data["requestId"], "source": "/gateway", "type": kind,
            "data": data
        })
    };
    let request = json!({
        "requestId": "paired", "timestamp": "2025-03-01T11:58:00Z", "userId": "ann",
        "organizationId": "acme", "model": "gpt-4", "tokenCount": 7
    });
    let response = call("paired", 10, 5);
    let batch = json!([event("llm.request", &request), event("llm.response", &response)]);
    let request = halves.header("content-type", "application/cloudevents-batch+json");
    Answer::to(request.body(batch.to_string())).await.expect(202);
    let head = service.head().await;
    let again = service.send(CONSUMPTION, &response).await.expect(200);
    assert_eq!(again.json()["requestTokenCount"], 7);
    assert_eq!(again.json()["status"], "complete");
    service.send(CONSUMPTION, &call("paired", 10, 6)).await.expect(422);
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn each_call_of_a_batch_has_its_own_outcome() {
    let service = service().await;
    service.send(CONSUMPTION, &call("before", 1, 2)).await.expect(201);
    let mut faulty = call("faulty", 1, 1);
    faulty["usage"]["promptTokens"] = json!(-1);
    let items = json!([
        call("new", 1000, 500),
        faulty,
        call("before", 1, 2),
        call("new", 1000, 500),
        call("new", 1, 1),
        "text",
        with(call("unrated", 1, 1), &json!({"model": "unknown-model"})),
    ]);
    let answer = service.send(BATCH, &items).await.expect(200);
    let report = answer.json();
    let counts = ["recorded", "alreadyRecorded", "rejected"].map(|name| report[name].as_u64());
    assert_eq!(counts, [Some(2), Some(2), Some(3)], "{}", answer.text);
    let results = report["results"].as_array().expect("results");
    let column = |name: &str| results.iter().map(|item| item[name].clone()).collect::<Vec<_>>();
    assert_eq!(Value::from(column("index")), json!([0, 1, 2, 3, 4, 5, 6]));
    assert_eq!(Value::from(column("status")), json!([201, 400, 200, 200, 422, 400, 201]));
    assert_eq!(results[1]["error"]["field"], "usage.promptTokens");
    assert_eq!(results[4]["error"]["code"], "call_conflict");
    assert_eq!(results[5]["error"]["field"], "item");
    assert_eq!(results[5]["error"]["detail"], "`item` must be an object, not string \"text\"");
    assert_eq!(results[0]["sequence"], results[3]["sequence"]);
    assert_eq!(results[0]["cost"], json!(0.06));
    assert_eq!(results[6]["cost"], Value::Null);
    let mut ids: Vec<_> = service.history("acme").await;
    ids.sort_by_key(|record| record["requestId"].to_string());
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(service.send(BATCH, &json!([])).await.expect(200).json()["results"], json!([]));
}

#[tokio::test]
async fn ten_thousand_calls_fit_in_a_batch_and_not_one_more() {
    let service = service().await;
    let items: Vec<_> = (0..10_001).map(|number| call(&format!("n{number}"), 1, 1)).collect();
    let refused = service.send(BATCH, &Value::from(items.clone())).await.expect(400);
    assert_eq!(refused.json()["invalid_parameters"][0]["field"], "body");
    assert_eq!(service.head().await, 0);
    let answer = service.send(BATCH, &Value::from(&items[1..])).await.expect(200);
    assert_eq!(answer.json()["recorded"], 10_000);
    let wallet = service.read("/api/v1/billing/wallet?organizationId=acme").await.expect(200);
    assert_eq!(wallet.number("accrued"), "0.9");
    let again = service.send(BATCH, &Value::from(&items[1..])).await.expect(200);
    assert_eq!(again.json()["alreadyRecorded"], 10_000);
    assert_eq!(again.sequence(), answer.sequence());
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    requests: u64,
    unrated: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    cost: Money,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    period: String,
    key: String,
    requests: u64,
    unrated: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    cost: Money,
}

#[derive(Debug, Deserialize)]
struct Aggregates {
    data: Vec<Line>,
    totals: Totals,
}

impl Totals {
    fn plus(self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            unrated: self.unrated + other.unrated,
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            completion_tokens: self.completion_tokens + other.completion_tokens,
            total_tokens: self.total_tokens + other.total_tokens,
            cost: self.cost.checked_add(other.cost).expect("in range"),
        }
    }
}

impl Line {
    fn totals(&self) -> Totals {
        let Self {
            requests, unrated, prompt_tokens, completion_tokens, total_tokens, cost, ..
        } = *self;
        Totals { requests, unrated, prompt_tokens, completion_tokens, total_tokens, cost }
    }
}

/// What `aggregates` must say of a call, reckoned here.
struct Expected {
    day: String,
    tenant: &'static str,
    user: &'static str,
    names: [String; 5],
    totals: Totals,
}

/// Calls over two months, by users of two tenants, some without assistant or project, some of a
/// model that nobody has priced.
async fn varied(service: &Service) -> Vec<Expected> {
    let mut items = Vec::new();
    let mut expected = Vec::new();
    for number in 0..120_u64 {
        let pick = |names: &[&'static str], stride: u64| {
            names[usize::try_from(number / stride).expect("small") % names.len()]
        };
        let day = pick(&["2025-01-31", "2025-02-01", "2025-02-28", "2025-03-01"], 1);
        let tenant = pick(&["acme", "umbrella"], 3);
        let user = pick(&["ann", "bob", "eve"], 2);
        let model = pick(&["gpt-4", "gpt-3.5-turbo", "no-price"], 5);
        let assistant = pick(&["word", "excel", ""], 4);
        let document = pick(&["doc-1", "", "doc-2", ""], 7);
        let conversation = pick(&["talk-1", ""], 11);
        let (prompt, completion) = (number * 7 + 1, number * 3);
        let body = with(
            call(&format!("v{number}"), prompt, completion),
            &json!({
                "organizationId": tenant, "userId": user, "model": model,
                "assistantType": assistant, "documentId": document,
                "conversationId": conversation, "timestamp": format!("{day}T00:00:00Z"),
            }),
        );
        items.push(body);
        let price = match model {
            "gpt-4" => Some((30_000, 60_000)),
            "gpt-3.5-turbo" => Some((1_500, 2_000)),
            _ => None,
        };
        let nano = price.map_or(0, |(input, output)| {
            i128::from(prompt) * input + i128::from(completion) * output
        });
        let project = if document.is_empty() { conversation } else { document };
        expected.push(Expected {
            day: day.to_owned(),
            tenant,
            user,
            names: [tenant, user, model, assistant, project].map(str::to_owned),
            totals: Totals {
                requests: 1,
                unrated: u64::from(price.is_none()),
                prompt_tokens: prompt,
                completion_tokens: completion,
                total_tokens: prompt + completion,
                cost: Money::from_units(nano * 1_000_000_000),
            },
        });
    }
    let answer = service.send(BATCH, &Value::from(items)).await.expect(200);
    assert_eq!(answer.json()["recorded"], 120, "{}", answer.text);
    expected
}

#[tokio::test]
async fn every_breakdown_adds_up_to_the_same_totals() {
    let service = service().await;
    let expected = varied(&service).await;
    let head = service.head().await;
    for (filter, tenant, user, days) in [
        ("", None, None, None),
        ("&organizationId=acme", Some("acme"), None, None),
        ("&userId=bob", None, Some("bob"), None),
        ("&organizationId=umbrella&userId=eve", Some("umbrella"), Some("eve"), None),
        (
            "&startDate=2025-02-01&endDate=2025-02-28",
            None,
            None,
            Some(["2025-02-01", "2025-02-28"]),
        ),
        ("&organizationId=nobody", Some("nobody"), None, None),
    ] {
        let wanted: Vec<&Expected> = expected
            .iter()
            .filter(|call| tenant.is_none_or(|tenant| call.tenant == tenant))
            .filter(|call| user.is_none_or(|user| call.user == user))
            .filter(|call| days.is_none_or(|days| days.contains(&call.day.as_str())))
            .collect();
        let total = wanted.iter().fold(Totals::default(), |sum, call| sum.plus(&call.totals));
        for period in ["day", "month"] {
            for (place, group_by) in
                ["organization", "user", "model", "assistant", "project"].into_iter().enumerate()
            {
                let path = format!(
                    "/api/v1/consumption/aggregates?period={period}&groupBy={group_by}{filter}"
                );
                let answer = service.read(&path).await.expect(200);
                // What is at hand is what the log adds up to, but for what is closed by now.
                let added_up = service.read(&format!("{path}&as_of={head}")).await.expect(200);
                let told = answer.text.replace(r#""closed":true,"#, "");
                assert_eq!(told, added_up.text, "{path}");
                let found: Aggregates = serde_json::from_str(&answer.text).expect(&answer.text);
                assert_eq!(found.totals, total, "{path}");
                let mut keys = BTreeSet::new();
                for line in &found.data {
                    assert!(keys.insert((&line.period, &line.key)), "twice: {line:?}");
                    let of_line = wanted.iter().filter(|call| {
                        call.day.starts_with(&line.period) && call.names[place] == line.key
                    });
                    let sum = of_line.fold(Totals::default(), |sum, call| sum.plus(&call.totals));
                    assert_eq!(line.totals(), sum, "{path}: {line:?}");
                }
                let sum = found.data.iter().fold(Totals::default(), |a, b| a.plus(&b.totals()));
                assert_eq!(sum, total, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn shares_by_name_add_up_and_come_largest_first() {
    let service = service().await;
    let expected = varied(&service).await;
    for (path, place) in [("by-user", 1), ("by-model", 2), ("by-assistant", 3), ("by-project", 4)] {
        let path = format!("/api/v1/consumption/{path}?organizationId=acme");
        let answer = service.read(&path).await.expect(200);
        let shares = answer.json();
        let shares = shares.as_array().expect("shares");
        let tokens: Vec<_> = shares.iter().map(|share| share["tokens"].as_u64()).collect();
        assert!(tokens.is_sorted_by(|a, b| a >= b), "{path}: {tokens:?}");
        for share in shares {
            let of_it = expected
                .iter()
                .filter(|call| call.tenant == "acme" && share["_id"] == call.names[place].as_str());
            let sum = of_it.fold(Totals::default(), |sum, call| sum.plus(&call.totals));
            let found = ["tokens", "requests", "unrated"].map(|name| share[name].as_u64());
            let wanted = [sum.total_tokens, sum.requests, sum.unrated].map(Some);
            assert_eq!(found, wanted, "{path}: {share}");
        }
        let total: u64 = tokens.into_iter().flatten().sum();
        let all = expected.iter().filter(|call| call.tenant == "acme");
        assert_eq!(total, all.map(|call| call.totals.total_tokens).sum::<u64>(), "{path}");
    }
}

#[tokio::test]
async fn real_time_is_today_by_the_clock() {
    let service = service().await;
    service.send(CONSUMPTION, &call("today", 10, 5)).await.expect(201);
    let yesterday = with(call("old", 7, 0), &json!({"timestamp": "2025-02-28T23:59:59.999Z"}));
    service.send(CONSUMPTION, &yesterday).await.expect(201);
    let path = "/api/v1/consumption/real-time?organizationId=acme";
    let today = service.read(path).await.expect(200).json();
    assert_eq!((&today["tokens"], &today["day"]), (&json!(15), &json!("2025-03-01")));
    service.advance_clock_to("2025-03-02T00:00:00Z").await;
    let tomorrow = service.read(path).await.expect(200).json();
    assert_eq!((&tomorrow["tokens"], &tomorrow["requests"]), (&json!(0), &json!(0)));
    let missing = service.read("/api/v1/consumption/real-time").await.expect(400);
    assert_eq!(missing.json()["invalid_parameters"][0]["field"], "organizationId");
}

/// The request ids of the history at `path`, in its order.
async fn ids(service: &Service, path: &str) -> Vec<String> {
    let records = service.read(path).await.expect(200).json();
    let records = records.as_array().expect("records");
    records.iter().map(|record| record["requestId"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn the_history_is_newest_first_and_every_filter_narrows_it() {
    let service = service().await;
    for (id, prompt, fields) in [
        ("a", 10, json!({"assistantType": "word"})),
        ("b", 20, json!({"userId": "bob", "timestamp": "2025-02-01T00:00:00Z"})),
        ("c", 30, json!({"model": "gpt-4-turbo", "assistantType": "excel"})),
        ("d", 40, json!({"organizationId": "umbrella"})),
    ] {
        service.send(CONSUMPTION, &with(call(id, prompt, 0), &fields)).await.expect(201);
    }
    for (query, wanted) in [
        ("", "dcba"),
        ("organizationId=acme", "cba"),
        ("userId=ann", "dca"),
        ("userId=ann&organizationId=umbrella", "d"),
        ("userId=bob&organizationId=umbrella", ""),
        ("assistantType=word", "a"),
        ("assistantType=powerpoint", ""),
        ("model=gpt-4-turbo", "c"),
        ("model=never-seen", ""),
        ("minTokens=20", "dcb"),
        ("maxTokens=20", "ba"),
        ("minTokens=20&maxTokens=30", "cb"),
        ("startDate=2025-02-01T00:00:00Z&endDate=2025-02-01T00:00:00Z", "b"),
        ("startDate=2025-02-01T00:00:00.000001Z", "dca"),
        ("endDate=2025-03-01T12:58:59.999%2B01:00", "b"),
        ("limit=2", "dc"),
        ("organizationId=nobody", ""),
    ] {
        let found = ids(&service, &format!("{HISTORY}?{query}")).await.concat();
        assert_eq!(found, wanted, "{query}");
    }
}

#[tokio::test]
async fn a_page_of_the_history_stays_what_it_is_while_calls_arrive() {
    let service = service().await;
    let mut wanted = Vec::new();
    for number in 0..10 {
        service.send(CONSUMPTION, &call(&format!("p{number}"), 1, 0)).await.expect(201);
        wanted.insert(0, format!("p{number}"));
    }
    let mut found = Vec::new();
    let mut path = format!("{HISTORY}?organizationId=acme&limit=3");
    loop {
        let page = service.read(&path).await.expect(200);
        found.extend(ids(&service, &path).await);
        let later = call(&format!("later-{}", found.len()), 1, 0);
        service.send(CONSUMPTION, &later).await.expect(201);
        match page.header("x-next-cursor") {
            "" => break,
            cursor => path = format!("{HISTORY}?organizationId=acme&limit=3&cursor={cursor}"),
        }
    }
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_reader_sees_what_was_written_before_or_is_told_to_come_back() {
    let service = service().await;
    for number in 0..20_u64 {
        let written =
            service.send(CONSUMPTION, &call(&format!("w{number}"), 1, 0)).await.expect(201);
        for path in [
            "/api/v1/billing/wallet?organizationId=acme",
            "/api/v1/consumption/aggregates",
            HISTORY,
        ] {
            let request = service.ask(Method::GET, path);
            let request = request.header("x-ledger-min-sequence", written.sequence());
            let read = Answer::to(request).await.expect(200);
            assert!(read.sequence() >= written.sequence());
            if path.ends_with("aggregates") {
                assert_eq!(number_of(&read.text, "requests"), (number + 1).to_string());
            }
        }
    }
    let ahead = service.head().await + 1;
    let request = service.ask(Method::GET, HISTORY).header("x-ledger-min-sequence", ahead);
    let (early, ()) = tokio::join!(Answer::to(request), async {
        service.send(CONSUMPTION, &call("awaited", 1, 0)).await.expect(201);
    });
    assert_eq!(early.expect(200).json()[0]["requestId"], "awaited");
    let request = service.ask(Method::GET, HISTORY).header("x-ledger-min-sequence", ahead + 1);
    let never = Answer::to(request).await.expect(503);
    assert_eq!(
        (never.json()["code"].as_str(), never.header("retry-after")),
        (Some("not_reached"), "1")
    );
    let request = service.ask(Method::GET, HISTORY).header("x-ledger-min-sequence", "soon");
    let wrong = Answer::to(request).await.expect(400);
    assert_eq!(wrong.json()["invalid_parameters"][0]["field"], "x-ledger-min-sequence");
}
