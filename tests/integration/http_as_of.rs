//! The past stays what it was: every answer that the service gave, it gives again when it is asked as
//! of then, while more happens, after a stop and after a kill.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

/// Everything that can be asked as of a moment.
const READS: [&str; 15] = [
    "/api/v1/quota?user_id=ann",
    "/api/v1/quota?user_id=bob",
    "/api/v1/quota/audit?user_id=ann&page_size=1000",
    "/api/v1/billing/wallet?organizationId=acme",
    "/api/v1/billing/wallet/audit?organizationId=acme",
    "/api/v1/holds?organizationId=acme",
    "/api/v1/consumption/history?limit=10000",
    "/api/v1/consumption/history?organizationId=acme&model=gpt-4",
    "/api/v1/consumption/by-assistant?organizationId=acme",
    "/api/v1/consumption/by-user?userId=ann",
    "/api/v1/consumption/by-model?startDate=2025-03-02&endDate=2025-03-04",
    "/api/v1/consumption/by-project?startDate=2025-03-02T10:00:00Z",
    "/api/v1/consumption/aggregates?groupBy=model",
    "/api/v1/consumption/aggregates?period=month&groupBy=user&organizationId=acme",
    "/api/v1/consumption/aggregates?groupBy=project&userId=bob",
];

/// What was answered at a moment.
struct Moment {
    sequence: u64,
    time: String,
    answers: Vec<String>,
}

async fn answers(service: &Service, suffix: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for path in READS {
        let answer = service.read(&format!("{path}{suffix}")).await.expect(200);
        answers.push(answer.text);
    }
    answers
}

/// Something of every kind, at `time`; `number` makes it differ.
async fn happen(service: &Service, number: u64, time: &str) {
    let id = |kind: &str| format!("{kind}-{number}");
    match number % 6 {
        0 => {
            let expiry = format!("2025-03-{:02}T12:30:00Z", 2 + number / 2);
            let grant = json!({"user_id": "ann", "amount": 40 + number, "expiry_date": expiry});
            service.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
        }
        1 => {
            let path = "/api/v1/admin/wallets/acme/adjustments";
            let body = json!({"amount": "0.000000000000000001", "reason": id("adjust")});
            service.send(path, &body).await.expect(201);
        }
        2 => {
            let rule = ["per_token", "per_cost", "per_request"]
                [usize::try_from(number / 6 % 3).expect("small")];
            let path = "/api/v1/admin/tenants/acme/draw-rule";
            let request = service.ask(Method::PUT, path).json(&json!({"rule": rule}));
            Answer::to(request).await.expect(201);
        }
        3 => {
            let map = json!({"model-x": {"input_cost_per_token": format!("{number}e-7")}});
            if number > 6 {
                service.send("/api/v1/admin/prices", &map).await.expect(201);
            }
        }
        _ => {}
    }
    for (kind, user, model, extra) in [
        ("a", "ann", "gpt-4", json!({"assistantType": "word"})),
        ("b", "bob", "model-x", json!({"documentId": format!("doc-{}", number % 3)})),
        ("c", "ann", "model-x", json!({"organizationId": "umbrella", "conversationId": "talk"})),
    ] {
        let body = with(
            call(&id(kind), 5 + number, 2),
            &json!({"userId": user, "model": model, "timestamp": time}),
        );
        service.send("/api/v1/consumption", &with(body, &extra)).await.expect(201);
    }
    // One hold that the next call settles, one that runs out before it, and one that is let go.
    let mut hold = json!({
        "organizationId": "acme", "userId": "bob", "promptTokens": 1, "maxTokens": number,
        "amount": "0.000000000000000001", "ttlSeconds": 86_400,
    });
    if number == 0 {
        let terms = json!({"creditLimit": 1_000_000});
        service.put("/api/v1/admin/tenants/acme", &terms).await.expect(200);
    }
    hold["requestId"] = json!(format!("a-{}", number + 1));
    service.send("/api/v1/holds", &hold).await.expect(201);
    hold["requestId"] = json!(id("let-go"));
    let released = service.send("/api/v1/holds", &hold).await.expect(201);
    if number % 2 == 1 {
        let path = format!("/api/v1/holds/{}/release", released.number("holdId"));
        Answer::to(service.ask(Method::POST, &path)).await.expect(200);
    }
    hold["requestId"] = json!(id("lost"));
    hold["ttlSeconds"] = json!(1800 * (number + 1));
    service.send("/api/v1/holds", &hold).await.expect(201);
    // A lone half, which times out an hour later.
    let half = json!({
        "specversion": "1.0", "id": id("half"), "source": "/g", "type": "llm.request",
        "time": time, "subject": "bob", "organizationid": "acme",
        "data": {"model": "gpt-4", "tokenCount": 9},
    });
    let request = service.ask(Method::POST, "/api/v1/events");
    let request = request.header("content-type", "application/cloudevents+json");
    Answer::to(request.body(half.to_string())).await.expect(202);
}

async fn same_as_then(service: &Service, moments: &[Moment]) {
    for Moment { sequence, time, answers: then } in moments {
        for suffix in [format!("&as_of={sequence}"), format!("&as_of={time}")] {
            let now = answers(service, &suffix).await;
            for ((path, then), now) in READS.iter().zip(then).zip(&now) {
                assert_eq!(now, then, "{path}{suffix}");
            }
        }
    }
}

#[tokio::test]
async fn every_answer_of_the_past_is_given_again_to_the_byte() {
    let mut service = Setup::new().manual_clock(NOON).start().await;
    let mut moments: Vec<Moment> = Vec::new();
    for number in 0..12 {
        let (day, hour) = (1 + number / 2, 13 + number % 2);
        let time = format!("2025-03-{day:02}T{hour}:00:00Z");
        service.advance_clock_to(&time).await;
        happen(&service, number, &time).await;
        let answers = answers(&service, "").await;
        moments.push(Moment { sequence: service.head().await, time, answers });
    }
    same_as_then(&service, &moments).await;

    let last = moments.last().expect("moments");
    service.stop().await;
    service.start_again().await;
    service.advance_clock_to(&last.time).await;
    assert_eq!(answers(&service, "").await, last.answers, "after a stop");
    assert_eq!(service.head().await, last.sequence);
    service.kill();
    service.start_again().await;
    service.advance_clock_to(&last.time).await;
    assert_eq!(answers(&service, "").await, last.answers, "after a kill");
    assert_eq!(service.head().await, last.sequence);
    same_as_then(&service, &moments).await;
}

#[tokio::test]
async fn before_the_first_event_there_is_nothing_and_the_future_is_not_told() {
    let service = Setup::new().manual_clock(NOON).start().await;
    service
        .send("/api/v1/admin/wallets/acme/top-ups", &json!({"amount": 5, "reference": "r"}))
        .await
        .expect(201);
    service.send("/api/v1/consumption", &call("a", 1, 1)).await.expect(201);
    let head = service.head().await;
    for as_of in ["0", "2025-03-01T11:59:59.999999Z", "1970-01-01T00:00:00Z"] {
        let path = format!("/api/v1/billing/wallet?organizationId=acme&as_of={as_of}");
        let wallet = service.read(&path).await.expect(200);
        assert_eq!((wallet.number("balance"), wallet.sequence()), ("0", 0), "{as_of}");
        let path = format!("/api/v1/consumption/history?as_of={as_of}");
        assert_eq!(service.read(&path).await.expect(200).text, "[]");
    }
    for path in READS {
        for as_of in
            ["2025-03-01T12:00:00.000001Z", &(head + 1).to_string(), "yesterday", "-1", "", "1.5"]
        {
            let answer = service.read(&format!("{path}&as_of={as_of}")).await.expect(400);
            assert_eq!(answer.json()["invalid_parameters"][0]["field"], "as_of", "{path} {as_of}");
        }
    }
}

/// While one writes, what another reads is exactly the state after the event that the answer names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_load_is_the_state_of_the_event_it_names() {
    let service = Setup::new().manual_clock(NOON).start().await;
    let grant =
        json!({"user_id": "ann", "amount": 1_000_000, "expiry_date": "2025-06-01T00:00:00Z"});
    service.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
    service.send("/api/v1/consumption", &call("first", 1, 1)).await.expect(201);
    let reads = [
        "/api/v1/quota?user_id=ann",
        "/api/v1/billing/wallet?organizationId=acme",
        "/api/v1/consumption/aggregates?groupBy=user",
        "/api/v1/consumption/history?limit=3",
    ];
    let writing = async {
        for number in 0..40 {
            let calls: Vec<Value> =
                (0..8).map(|place| call(&format!("w{number}-{place}"), 3, 1)).collect();
            service.send("/api/v1/consumption/batch", &Value::from(calls)).await.expect(200);
        }
    };
    let ((), seen, more) =
        tokio::join!(writing, read_often(&service, reads), read_often(&service, reads));
    for (path, sequence, then) in seen.into_iter().chain(more) {
        let again = service.read(&format!("{path}&as_of={sequence}")).await;
        assert_eq!(again.expect(200).text, then, "{path} as of {sequence}");
    }
}

/// What many reads are answered, and as of when.
async fn read_often(
    service: &Service,
    reads: [&'static str; 4],
) -> Vec<(&'static str, u64, String)> {
    let mut seen = Vec::new();
    for number in 0..80_usize {
        let path = reads[number % reads.len()];
        let answer = service.read(path).await.expect(200);
        seen.push((path, answer.sequence(), answer.text));
    }
    seen
}
