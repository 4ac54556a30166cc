//! Holds: whether a call may go ahead, with however many others at once; and what is kept free for
//! it, until it is made, let go or too late.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const HOLDS: &str = "/api/v1/holds";
const OPEN: &str = "/api/v1/holds?organizationId=acme";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// Room for a call of gpt-4 with 1000 input and 500 output tokens: 0.06 USD.
fn hold(id: &str) -> Value {
    json!({
        "organizationId": "acme", "userId": "ann", "model": "gpt-4", "requestId": id,
        "promptTokens": 1000, "maxTokens": 500,
    })
}

async fn place(service: &Service, hold: &Value) -> Answer {
    service.send(HOLDS, hold).await
}

async fn top_up(service: &Service, amount: &str) {
    let body = json!({"amount": amount, "reference": "r"});
    service.send("/api/v1/admin/wallets/acme/top-ups", &body).await.expect(201);
}

/// The id of a hold that must be placed.
async fn placed(service: &Service, hold: &Value) -> u64 {
    let answer = place(service, hold).await.expect(201);
    answer.json()["holdId"].as_u64().expect("a number")
}

async fn status(service: &Service, hold: u64) -> String {
    let found = service.read(&format!("{HOLDS}/{hold}")).await.expect(200).json();
    found["status"].as_str().expect("a text").to_owned()
}

async fn release(service: &Service, hold: u64) -> Value {
    let path = format!("{HOLDS}/{hold}/release");
    Answer::to(service.ask(Method::POST, &path)).await.expect(200).json()
}

/// One half of a call of no tokens.
async fn half(service: &Service, kind: &str, id: &str) {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/g", "type": format!("llm.{kind}"),
        "time": NOON, "subject": "ann", "organizationid": "acme",
        "data": {"model": "gpt-4", "tokenCount": 0},
    });
    let request = service.ask(Method::POST, "/api/v1/events");
    let request = request.header("content-type", "application/cloudevents+json");
    Answer::to(request.body(event.to_string())).await.expect(202);
}

/// Refused with this status, code, and these words in the detail.
fn refused(answer: &Answer, status: u16, code: &str, words: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    for word in words {
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(word)), "{problem}");
    }
}

#[tokio::test]
async fn of_a_hundred_at_once_as_many_pass_as_the_wallet_has_room_for() {
    let mut service = service().await;
    top_up(&service, "0.6").await;
    let holds: Vec<Value> = (0..100).map(|number| hold(&format!("call-{number}"))).collect();
    let answers = join_all(holds.iter().map(|hold| place(&service, hold))).await;
    let passed = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(passed, 10);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        refused(answer, 402, "insufficient_funds", &["0 USD available", "needs 0.06 USD"]);
    }
    let open = service.read(OPEN).await.expect(200);
    service.kill();
    service.start_again().await;
    let again = service.read(OPEN).await.expect(200);
    assert_eq!(again.text, open.text, "what is held survives");
    let open = again.json();
    assert_eq!(open.as_array().map(Vec::len), Some(10));
    refused(&place(&service, &hold("one-more")).await, 402, "insufficient_funds", &[]);
    // A call that costs half of what was held for it leaves the other half to others, exactly.
    let id = open[0]["requestId"].as_str().expect("a text");
    service.send("/api/v1/consumption", &call(id, 500, 250)).await.expect(201);
    assert_eq!(status(&service, open[0]["holdId"].as_u64().expect("a number")).await, "settled");
    let exactly = |id: &str, amount: &str| with(hold(id), &json!({"amount": amount}));
    let over = place(&service, &exactly("over", "0.030000000000000001")).await;
    refused(&over, 402, "insufficient_funds", &["0.03 USD available"]);
    place(&service, &exactly("fits", "0.03")).await.expect(201);
}

#[tokio::test]
async fn a_request_is_held_once_while_it_is_open_and_never_after_it_was_made() {
    let service = service().await;
    top_up(&service, "0.06").await;
    let first = place(&service, &hold("a")).await.expect(201);
    assert_eq!(first.number("amount"), "0.06");
    let told = first.json();
    assert_eq!(
        json!({
            "holdId": told["holdId"], "organizationId": "acme", "userId": "ann",
            "model": "gpt-4", "requestId": "a", "amount": 0.06, "credits": 0, "tokens": 1500,
            "expiresAt": "2025-03-01T12:10:00Z", "createdAt": NOON, "status": "open",
        }),
        told
    );
    let head = service.head().await;
    let again = place(&service, &hold("a")).await.expect(200);
    assert_eq!((&again.text, again.header("idempotency-hit")), (&first.text, "true"));
    for other in [json!({"maxTokens": 501}), json!({"userId": "ben"}), json!({"ttlSeconds": 9})] {
        let refusal = place(&service, &with(hold("a"), &other)).await;
        refused(&refusal, 422, "hold_conflict", &["`a`"]);
    }
    assert_eq!(service.head().await, head);
    let elsewhere = with(hold("a"), &json!({"organizationId": "umbrella"}));
    place(&service, &elsewhere).await.expect(201);
    // The request half alone is no call yet; the response half is one.
    for (kind, id, status, code) in
        [("request", "half", 201, ""), ("response", "other-half", 409, "call_recorded")]
    {
        half(&service, kind, id).await;
        let nothing = with(hold(id), &json!({"amount": 0}));
        let answer = place(&service, &nothing).await.expect(status);
        assert_eq!(answer.json()["code"].as_str().unwrap_or_default(), code);
    }
    half(&service, "response", "half").await;
    service.history_of("acme", 1).await;
    let open = service.get(OPEN).await;
    assert_eq!(open.as_array().map(Vec::len), Some(1), "settled by its two halves: {open}");
    service.send("/api/v1/consumption", &call("a", 1, 1)).await.expect(201);
    refused(&place(&service, &hold("a")).await, 409, "call_recorded", &["`a`"]);
    assert_eq!(service.read(OPEN).await.text, "[]");
    refused(&place(&service, &hold("b")).await, 402, "insufficient_funds", &["0.05991 USD"]);
    // By a key, what was answered first is answered for ever.
    let small = with(hold("c"), &json!({"amount": 0.01}));
    let kept = service.send_as("key", HOLDS, &small).await.expect(201).json();
    release(&service, kept["holdId"].as_u64().expect("a number")).await;
    let repeated = service.send_as("key", HOLDS, &small).await.expect(200).json();
    assert_eq!((&repeated["holdId"], &repeated["status"]), (&kept["holdId"], &json!("released")));
    let anew = placed(&service, &small).await;
    assert_ne!(kept["holdId"], anew, "what was let go may be asked for again");
}

#[tokio::test]
async fn what_is_let_go_or_runs_out_is_free_from_that_very_second() {
    let mut service = service().await;
    top_up(&service, "0.06").await;
    let released = placed(&service, &hold("a")).await;
    refused(&place(&service, &hold("b")).await, 402, "insufficient_funds", &[]);
    assert_eq!(release(&service, released).await["status"], "released");
    assert_eq!(release(&service, released).await["status"], "released", "once is enough");
    let short = placed(&service, &with(hold("b"), &json!({"ttlSeconds": 60}))).await;
    service.advance_clock_to("2025-03-01T12:00:59.999999Z").await;
    assert_eq!(status(&service, short).await, "open");
    refused(&place(&service, &hold("c")).await, 402, "insufficient_funds", &[]);
    service.advance_clock_to("2025-03-01T12:01:00Z").await;
    assert_eq!(status(&service, short).await, "expired");
    assert_eq!(release(&service, short).await["status"], "expired");
    assert_eq!(service.read(OPEN).await.text, "[]");
    let last = placed(&service, &with(hold("c"), &json!({"ttlSeconds": 60}))).await;
    // Down while its time runs out.
    service.kill();
    service.start_again().await;
    assert_eq!(status(&service, last).await, "open");
    service.advance_clock_to("2025-03-08T12:00:00Z").await;
    assert_eq!(status(&service, last).await, "expired");
    // A call that is made all the same is recorded, and settles nothing.
    service.send("/api/v1/consumption", &call("c", 1000, 500)).await.expect(201);
    assert_eq!(status(&service, last).await, "expired");
    for nothing in [0, 1, 99_999] {
        let answer = service.read(&format!("{HOLDS}/{nothing}")).await;
        refused(&answer, 404, "no_such_hold", &[]);
        let path = format!("{HOLDS}/{nothing}/release");
        refused(&Answer::to(service.ask(Method::POST, &path)).await, 404, "no_such_hold", &[]);
    }
}

#[tokio::test]
async fn who_is_suspended_begins_nothing_new_and_what_was_used_is_recorded_all_the_same() {
    let service = service().await;
    let tenant = "/api/v1/admin/tenants/acme";
    let under_way = placed(&service, &hold("a")).await;
    for (status_now, code) in [("suspended", "tenant_suspended"), ("inactive", "tenant_inactive")] {
        service.put(tenant, &json!({"status": status_now})).await.expect(200);
        refused(&place(&service, &hold("b")).await, 403, code, &[status_now]);
        let late = call(&format!("late-{status_now}"), 10, 10);
        service.send("/api/v1/consumption", &late).await.expect(201);
    }
    service.send("/api/v1/consumption", &call("a", 10, 10)).await.expect(201);
    assert_eq!(status(&service, under_way).await, "settled");
    service.history_of("acme", 3).await;
    service.put(tenant, &json!({"status": "active"})).await.expect(200);
    place(&service, &hold("b")).await.expect(201);
}

#[tokio::test]
async fn what_nobody_can_price_passes_only_where_no_wallet_guards() {
    let service = service().await;
    let unpriced = |id: &str| with(hold(id), &json!({"model": "nobody-knows"}));
    let free = place(&service, &unpriced("a")).await.expect(201);
    assert_eq!(free.number("amount"), "0");
    top_up(&service, "1").await;
    refused(&place(&service, &unpriced("b")).await, 409, "model_unpriced", &["`amount`"]);
    let unnamed = json!({
        "organizationId": "acme", "requestId": "b", "promptTokens": 1, "maxTokens": 1,
    });
    refused(&place(&service, &unnamed).await, 409, "model_unpriced", &[]);
    place(&service, &with(unpriced("b"), &json!({"amount": "0.5"}))).await.expect(201);
    // What a tenant pays is the price with its markup; how far it may go, its credit limit.
    let terms = json!({"markupPercent": 50, "creditLimit": 0.4});
    service.put("/api/v1/admin/tenants/acme", &terms).await.expect(200);
    let marked_up = place(&service, &hold("c")).await.expect(201);
    assert_eq!(marked_up.number("amount"), "0.09");
    let rest = |id: &str, amount: &str| with(hold(id), &json!({"amount": amount}));
    let over = place(&service, &rest("d", "0.810000000000000001")).await;
    refused(&over, 402, "insufficient_funds", &["0.81 USD available"]);
    place(&service, &rest("d", "0.81")).await.expect(201);
    // Past its limit it begins nothing, not even for nothing.
    let limit = json!({"creditLimit": 0.3});
    service.put("/api/v1/admin/tenants/acme", &limit).await.expect(200);
    let nothing = place(&service, &rest("e", "0")).await;
    refused(&nothing, 402, "insufficient_funds", &["-0.1 USD available"]);
}

#[tokio::test]
async fn quota_is_promised_once_and_only_of_those_who_were_given_any() {
    let service = service().await;
    let of = |user: &str, id: &str, tokens: u64| {
        let fields = json!({"userId": user, "promptTokens": tokens, "maxTokens": 0});
        with(hold(id), &fields)
    };
    let nobody = place(&service, &of("ben", "z", 1_000_000)).await.expect(201);
    assert_eq!(nobody.number("credits"), "0");
    service.grant("ann", 100).await;
    let first = place(&service, &of("ann", "a", 60)).await.expect(201);
    assert_eq!(first.number("credits"), "60");
    let second = place(&service, &of("ann", "b", 41)).await;
    refused(&second, 402, "insufficient_quota", &["40 credits available", "needs 41"]);
    // Whichever tenant asks: users are known by one name everywhere.
    let elsewhere = with(of("ann", "b", 41), &json!({"organizationId": "umbrella"}));
    refused(&place(&service, &elsewhere).await, 402, "insufficient_quota", &[]);
    place(&service, &of("ann", "b", 40)).await.expect(201);
    service.send("/api/v1/consumption", &call("a", 20, 0)).await.expect(201);
    place(&service, &of("ann", "c", 41)).await.expect(402);
    place(&service, &of("ann", "c", 40)).await.expect(201);
    assert_eq!(service.used_quota("ann").await, 20);
    let rule = json!({"rule": "per_request"});
    service.put("/api/v1/admin/tenants/acme/draw-rule", &rule).await.expect(201);
    refused(&place(&service, &of("ann", "d", 9)).await, 402, "insufficient_quota", &["needs 1"]);
    let rule = json!({"rule": "none"});
    service.put("/api/v1/admin/tenants/acme/draw-rule", &rule).await.expect(201);
    place(&service, &of("ann", "d", 9)).await.expect(201);
}

#[tokio::test]
async fn open_holds_are_listed_page_by_page_and_only_to_whom_they_concern() {
    let service = service().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(placed(&service, &hold(&number.to_string())).await);
    }
    release(&service, ids.remove(1)).await;
    let mut seen = Vec::new();
    let mut path = format!("{OPEN}&limit=3");
    loop {
        let page = service.read(&path).await.expect(200);
        let holds = page.json();
        let page_ids = holds.as_array().expect("a list").iter();
        seen.extend(page_ids.map(|hold| hold["holdId"].as_u64().expect("a number")));
        match page.header("x-next-cursor") {
            "" => break,
            next => path = format!("{OPEN}&limit=3&after={next}"),
        }
    }
    assert_eq!(seen, ids);
    let far = 32_503_680_000_u64;
    let admin = |tenant: &str| {
        token(&json!({
            "id": "x", "role": "tenant_admin", "organizationId": tenant, "exp": far,
        }))
    };
    let ask = |tenant: &str, method, path: &str| {
        service.ask_as_nobody(method, path).bearer_auth(admin(tenant))
    };
    let own = Answer::to(ask("acme", Method::GET, HOLDS)).await.expect(200);
    assert_eq!(own.json().as_array().map(Vec::len), Some(4));
    Answer::to(ask("umbrella", Method::GET, OPEN)).await.expect(403);
    let one = format!("{HOLDS}/{}", ids[0]);
    Answer::to(ask("umbrella", Method::GET, &one)).await.expect(404);
    Answer::to(ask("umbrella", Method::POST, &format!("{one}/release"))).await.expect(404);
    Answer::to(ask("umbrella", Method::POST, HOLDS).json(&hold("x"))).await.expect(403);
    assert_eq!(status(&service, ids[0]).await, "open");
}

#[tokio::test]
async fn an_administrator_holds_for_users_of_their_own_tenant_alone() {
    let service = service().await;
    for (user, tenant) in [("ann", "acme"), ("bob", "globex")] {
        service.grant(user, 100).await;
        let first = json!({"userId": user, "organizationId": tenant});
        let first = with(call(&format!("first of {user}"), 0, 0), &first);
        service.send("/api/v1/consumption", &first).await.expect(201);
    }
    service.grant("new", 100).await;
    let admin = token(&json!({
        "id": "chief", "role": "tenant_admin", "organizationId": "acme",
        "exp": 32_503_680_000_u64,
    }));
    let ask = |user: &str, id: &str| {
        let fields = json!({"userId": user, "promptTokens": 101, "maxTokens": 0});
        let request = service.ask_as_nobody(Method::POST, HOLDS).bearer_auth(&admin);
        Answer::to(request.json(&with(hold(id), &fields)))
    };
    let head = service.head().await;
    let foreign = ask("bob", "a").await.expect(403);
    assert!(!foreign.text.contains("100"), "{}", foreign.text);
    assert_eq!(service.head().await, head);
    refused(&ask("ann", "a").await, 402, "insufficient_quota", &["100 credits available"]);
    // Who has called for nobody yet may call, and neither the quota nor the name is touched.
    for (user, id) in [("new", "b"), ("unheard-of", "c")] {
        let answer = ask(user, id).await.expect(201);
        assert_eq!((answer.number("credits"), &answer.json()["userId"]), ("0", &Value::Null));
        ask(user, id).await.expect(200);
    }
    let users = service.get("/api/v1/admin/users").await;
    assert!(!users.to_string().contains("unheard-of"), "{users}");
    let of_new = with(hold("d"), &json!({"userId": "new", "promptTokens": 100, "maxTokens": 0}));
    assert_eq!(place(&service, &of_new).await.expect(201).number("credits"), "100");
    assert_eq!(service.metric("holds_open").await, Some(3));
}
