//! The gateway's counters follow the ledger, whatever happens to the requests in between.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::gateway::{Gateway, TIMEOUT_MS, follower_of, status};
use crate::support::http::call;
use crate::support::service::{Service, Setup};
use crate::support::{eventually, free_ports};

/// Records a call of `ann` that draws `tokens`.
async fn consume(service: &Service, id: &str, tokens: u64) {
    service.send("/api/v1/consumption", &call(id, tokens, 0)).await.expect(201);
}

async fn grant_until(service: &Service, amount: Value, expiry: &str) {
    let body = json!({"user_id": "ann", "amount": amount, "expiry_date": expiry, "reason": "r"});
    service.post("/api/v1/admin/quota/grants", &body).await;
}

/// Waits until the service says that somebody is out of step.
async fn is_out_of_step(service: &Service, users: Value) {
    eventually("somebody is out of step", async || {
        let status = status(service).await;
        if status["users_out_of_step"] == users { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

async fn readiness(service: &Service) -> Value {
    service.get("/health/ready").await["checks"]["gateway"].clone()
}

async fn metric(service: &Service, name: &str) -> Option<u64> {
    let text = service.read("/metrics").await.expect(200).text;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.next()?.parse().ok()
}

#[tokio::test]
async fn grants_and_consumption_show_up_in_whole_units() {
    let gateway = Gateway::start(&[]);
    let service = gateway.follower().manual_clock(NOON).start().await;
    gateway.is_in_step(&service, json!({})).await;
    assert_eq!(readiness(&service).await, "ok", "there was nothing to ask it yet");

    service.grant("ann", 1000).await;
    service.grant("bob", 7).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 0], "bob": [7, 0]})).await;
    assert_eq!(readiness(&service).await, "connected");
    consume(&service, "one", 60).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 60], "bob": [7, 0]})).await;
    consume(&service, "beyond", 1000).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 1060], "bob": [7, 0]})).await;
    // Half a unit is nothing to the gateway.
    grant_until(&service, json!(100.5), "2099-01-01T00:00:00Z").await;
    gateway.is_in_step(&service, json!({"ann": [1100, 1060], "bob": [7, 0]})).await;

    let status = status(&service).await;
    let head = service.head().await;
    assert_eq!((&status["configured"], &status["cursor"]), (&json!(true), &json!(head)));
    assert_eq!((&status["head"], &status["last_error"]), (&json!(head), &Value::Null));
    assert_eq!(status["last_reconciled_at"], NOON);
    assert_eq!(metric(&service, "gateway_corrections_total").await, Some(5));
    assert_eq!(metric(&service, "gateway_requests_failed_total").await, None);
    assert_eq!(metric(&service, "gateway_users_out_of_step").await, Some(0));
    assert_eq!(metric(&service, "gateway_lag_events").await, Some(0));
}

#[tokio::test]
async fn without_a_gateway_nothing_lags() {
    let service = Setup::new().start().await;
    service.grant("ann", 1).await;
    let status = status(&service).await;
    assert_eq!((&status["configured"], &status["lag_events"]), (&json!(false), &json!(0)));
    assert_eq!(readiness(&service).await, "off");
}

#[tokio::test]
async fn users_are_called_what_they_are_called() {
    let gateway = Gateway::start(&[]);
    let service = gateway.follower().start().await;
    let users = ["a b", "a&b=c", "a+b", "é—😀", "a|b", "50%25", "a/../b?c#d", "\"';--"];
    let mut expected = json!({});
    for (user, amount) in users.into_iter().zip(1..) {
        service.grant(user, amount).await;
        expected[user] = json!([amount, 0]);
    }
    gateway.is_in_step(&service, expected).await;
}

#[tokio::test]
async fn a_gateway_that_is_down_fails_or_dawdles_catches_up() {
    let gateway = Gateway::start(&["--dialect", "no-used-refresh"]);
    let service = gateway.follower().start().await;
    let (mut granted, mut used) = (0, 0);
    for mode in ["down", "error"] {
        gateway.is_in_step(&service, of_ann(granted, used)).await;
        gateway.behave(json!({"mode": mode})).await;
        service.grant("ann", 1000).await;
        consume(&service, mode, 60).await;
        is_out_of_step(&service, json!(["ann"])).await;
        eventually("the service has noticed", async || match readiness(&service).await {
            Value::String(check) if check == "reconnecting" => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
        gateway.behave(json!({"mode": "ok"})).await;
        (granted, used) = (granted + 1000, used + 60);
        gateway.is_in_step(&service, of_ann(granted, used)).await;
        assert_eq!(readiness(&service).await, "connected");
    }
    let failed = metric(&service, "gateway_requests_failed_total").await;
    assert!(failed.is_some_and(|failed| failed >= 2), "{failed:?}");
    let error = status(&service).await["last_error"].to_string();
    assert!(error.contains("500 Internal Server Error"), "{error}");

    gateway.behave(json!({"mode": "slow", "delay_ms": TIMEOUT_MS / 3})).await;
    consume(&service, "slow", 40).await;
    gateway.is_in_step(&service, of_ann(granted, used + 40)).await;
    // Too slow: nothing is done before the service hangs up.
    gateway.behave(json!({"mode": "slow", "delay_ms": TIMEOUT_MS * 3, "times": 3})).await;
    consume(&service, "too slow", 5).await;
    gateway.is_in_step(&service, of_ann(granted, used + 45)).await;
}

/// What the gateway is to count when only `ann` has quota.
fn of_ann(granted: u64, used: u64) -> Value {
    if granted == 0 { json!({}) } else { json!({"ann": [granted, used]}) }
}

#[tokio::test]
async fn what_was_done_and_not_answered_in_time_is_not_done_again() {
    let gateway = Gateway::start(&["--dialect", "no-used-refresh"]);
    let service = gateway.follower().start().await;
    let behaviour = json!({"mode": "answer-after-timeout", "delay_ms": TIMEOUT_MS * 3, "times": 2});
    gateway.behave(behaviour).await;
    service.grant("ann", 1000).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
    consume(&service, "one", 60).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 60]})).await;
    assert_eq!(gateway.book().await["changes"], 2, "each of them once");
    assert_eq!(metric(&service, "gateway_requests_failed_total").await, Some(2));
}

#[tokio::test]
async fn what_is_done_too_late_is_undone() {
    let gateway = Gateway::start(&["--dialect", "no-used-refresh"]);
    let service = gateway.follower().start().await;
    service.grant("ann", 1000).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
    let delay = Duration::from_millis(TIMEOUT_MS * 2);
    let behaviour = json!({"mode": "apply-late", "delay_ms": TIMEOUT_MS * 2, "times": 1});
    gateway.behave(behaviour).await;
    let sent = Instant::now();
    consume(&service, "one", 60).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 60]})).await;
    assert!(sent.elapsed() > delay, "nobody knows before the request is done");
}

#[tokio::test]
async fn a_kill_loses_no_change() {
    let gateway = Gateway::start(&[]);
    let mut service = gateway.follower().start().await;
    service.grant("ann", 1000).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
    let before = service.head().await;
    gateway.behave(json!({"mode": "down"})).await;
    consume(&service, "one", 60).await;
    service.grant("bob", 7).await;
    is_out_of_step(&service, json!(["ann", "bob"])).await;
    service.kill();
    let cursor = std::fs::read_to_string(service.data_dir().join("gateway.cursor"));
    let cursor: u64 = cursor.expect("a cursor").trim_end().parse().expect("a number");
    assert!(cursor >= before, "the grant was in step");
    service.start_again().await;
    assert!(cursor < service.head().await, "the others are not");
    is_out_of_step(&service, json!(["ann", "bob"])).await;
    gateway.behave(json!({"mode": "ok"})).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 60], "bob": [7, 0]})).await;
}

#[tokio::test]
async fn a_request_that_outlives_its_sender_is_undone() {
    let gateway = Gateway::start(&["--dialect", "no-used-refresh"]);
    let timeout = Duration::from_millis(1500);
    let mut service = gateway
        .follower()
        .variable("TALLYBOOK__GATEWAY__TIMEOUT_MS", &timeout.as_millis().to_string())
        .start()
        .await;
    service.grant("ann", 1000).await;
    gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
    let before = gateway.book().await["requests"].as_u64().expect("a number");
    let delay = timeout * 3 / 2;
    let behaviour = json!({"mode": "apply-late", "delay_ms": delay.as_millis(), "times": 1});
    gateway.behave(behaviour).await;
    let sent = Instant::now();
    consume(&service, "one", 60).await;
    eventually("two counters are read and one is to be changed", async || {
        let requests = gateway.book().await["requests"].as_u64();
        if requests >= Some(before + 3) { Ok(()) } else { Err(format!("{requests:?}")) }
    })
    .await;
    service.kill();
    service.start_again().await;
    gateway.is_in_step(&service, json!({"ann": [1000, 60]})).await;
    assert!(sent.elapsed() > delay, "nobody knows before the request is done");
}

#[tokio::test]
async fn time_takes_from_the_gateway_what_it_takes_from_the_ledger() {
    let gateway = Gateway::start(&[]);
    let service = gateway.follower().manual_clock(NOON).start().await;
    grant_until(&service, json!(50), "2025-03-02T00:00:00Z").await;
    grant_until(&service, json!(30), "2025-03-03T00:00:00Z").await;
    consume(&service, "one", 50).await;
    gateway.is_in_step(&service, json!({"ann": [80, 50]})).await;
    // A lot that is used up expires without an event.
    let head = service.head().await;
    service.advance_clock_to("2025-03-02T00:00:01Z").await;
    gateway.comes_to(json!({"ann": [30, 0]})).await;
    service.head().await;
    let since = service.get(&format!("/api/v1/events?after={head}")).await;
    let since = since["events"].as_array().expect("events");
    let of_quota = |event: &&Value| event["type"].to_string().contains("quota");
    assert_eq!(since.iter().find(of_quota), None);
    service.advance_clock_to("2025-03-03T00:00:01Z").await;
    gateway.comes_to(json!({"ann": [0, 0]})).await;
}

#[tokio::test]
async fn a_gateway_that_comes_later_or_forgets_is_told_everything() {
    let [port] = free_ports();
    let listen = ["--listen", &format!("127.0.0.1:{port}")];
    let service = follower_of(&format!("http://127.0.0.1:{port}"))
        .variable("TALLYBOOK__GATEWAY__RECONCILE_SECONDS", "1")
        .start()
        .await;
    service.grant("ann", 1000).await;
    is_out_of_step(&service, json!(["ann"])).await;
    assert_eq!(readiness(&service).await, "reconnecting");

    let gateway = Gateway::start(&listen);
    gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
    drop(gateway);
    let gateway = Gateway::start(&listen);
    gateway.comes_to(json!({"ann": [1000, 0]})).await;
    // Nor may anybody else set what the ledger says.
    let request = gateway.ask(Method::POST, "/v1/chat/completions/quota/used/delta");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body("user_id=ann&value=500").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    gateway.comes_to(json!({"ann": [1000, 0]})).await;
}

#[tokio::test]
async fn a_user_who_is_refused_holds_nobody_up() {
    let [port] = free_ports();
    let listen = ["--listen", &format!("127.0.0.1:{port}")];
    let gateway = Gateway::start(&[&listen[..], &["--admin-key", "another"]].concat());
    let service = follower_of(&format!("http://127.0.0.1:{port}"))
        .variable("AIGATEWAY_AUTH_VALUE", "the wrong key")
        .variable("TALLYBOOK__GATEWAY__RECONCILE_SECONDS", "1")
        .start()
        .await;
    service.grant("ann", 1000).await;
    eventually("the cursor moves on", async || {
        let status = status(&service).await;
        if status["lag_events"] == 0 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let seen = status(&service).await;
    assert_eq!(seen["users_out_of_step"], json!(["ann"]));
    let error = seen["last_error"].as_str().expect("an error");
    let expected = "GET /v1/chat/completions/quota/used: 401 Unauthorized: \
        `{\"error\":\"invalid authorization\"}`";
    assert_eq!(error, expected);
    assert_eq!(readiness(&service).await, "connected");
    drop(gateway);
    let gateway = Gateway::start(&listen);
    gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
    assert!(!service.log().contains("the wrong key"));
}

#[tokio::test]
async fn gateways_know_us_by_either_header_and_may_have_one_counter_only() {
    let key = ["--admin-key", "a key", "--header", "x-auth-key", "--dialect", "no-used"];
    let gateway = Gateway::start(&key);
    for setup in [
        gateway.follower().variable("AIGATEWAY_CREDENTIAL", "a key"),
        gateway
            .follower()
            .variable("AIGATEWAY_AUTH_VALUE", "a key")
            .variable("TALLYBOOK__GATEWAY__AUTH_HEADER", "X-Auth-Key"),
    ] {
        let service = setup.start().await;
        service.grant("ann", 1000).await;
        gateway.is_in_step(&service, json!({"ann": [1000, 0]})).await;
        // Such a counter goes down by use: it is to hold what is left.
        consume(&service, "one", 60).await;
        gateway.is_in_step(&service, json!({"ann": [940, 0]})).await;
        consume(&service, "two", 40).await;
        gateway.is_in_step(&service, json!({"ann": [900, 0]})).await;
    }
}
