//! Wallets: exact to the eighteenth decimal, and moved once for each idempotency key.

use reqwest::Method;
use serde_json::json;

use crate::support::calls::NOON;
use crate::support::http::{Answer, call};
use crate::support::service::{Service, Setup};

const ADJUST: &str = "/api/v1/admin/wallets/acme/adjustments";
const TOP_UP: &str = "/api/v1/admin/wallets/acme/top-ups";
const WALLET: &str = "/api/v1/billing/wallet?organizationId=acme";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// Adjusts by an amount that is written exactly like this.
async fn adjust(service: &Service, amount: &str) -> Answer {
    let body = format!(r#"{{"amount": {amount}, "reason": "a test"}}"#);
    let request = service.ask(Method::POST, ADJUST).header("content-type", "application/json");
    Answer::to(request.body(body)).await
}

/// `balance accrued available`
async fn wallet(service: &Service) -> String {
    let answer = service.read(WALLET).await.expect(200);
    ["balance", "accrued", "available"].map(|name| answer.number(name).to_owned()).join(" ")
}

#[tokio::test]
async fn amounts_keep_every_decimal_from_the_request_to_the_answer() {
    let service = service().await;
    for (amount, written, balance) in [
        ("0.000000000000000001", "0.000000000000000001", "0.000000000000000001"),
        (
            "123456789.123456789012345678",
            "123456789.123456789012345678",
            "123456789.123456789012345679",
        ),
        ("-0.000000000000000001", "-0.000000000000000001", "123456789.123456789012345678"),
        ("1e-18", "0.000000000000000001", "123456789.123456789012345679"),
        ("\"0.1\"", "0.1", "123456789.223456789012345679"),
        ("-123456789.123456789012345679", "-123456789.123456789012345679", "0.1"),
        ("-0.30", "-0.3", "-0.2"),
        ("1000000000000", "1000000000000", "999999999999.8"),
    ] {
        let answer = adjust(&service, amount).await.expect(201);
        assert_eq!(answer.number("amount"), written);
        let read = service.read(WALLET).await.expect(200);
        assert_eq!(read.number("balance"), balance, "after {amount}");
        let audit = service.read("/api/v1/billing/wallet/audit?organizationId=acme").await;
        assert_eq!(audit.number("amount"), written, "newest first");
    }
    for (amount, why) in [
        ("0.0000000000000000001", "has more than 18 decimals"),
        ("0", "must be other than zero"),
        ("-0.0", "must be other than zero"),
        ("0.2000000000000001", "is too large"),
        ("1e300", "out of range"),
    ] {
        let answer = adjust(&service, amount).await.expect(400);
        let problem = answer.json();
        assert_eq!(problem["invalid_parameters"][0]["field"], "amount", "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(why)), "{problem}");
    }
    assert_eq!(wallet(&service).await, "999999999999.8 0 999999999999.8");
}

#[tokio::test]
async fn what_is_used_accrues_and_is_missing_from_what_is_available() {
    let service = service().await;
    let top_up = json!({"amount": 0.1, "reference": "invoice 7"});
    service.send(TOP_UP, &top_up).await.expect(201);
    service.send("/api/v1/consumption", &call("a", 1000, 500)).await.expect(201);
    assert_eq!(wallet(&service).await, "0.1 0.06 0.04");
    service.send("/api/v1/consumption", &call("b", 1000, 500)).await.expect(201);
    assert_eq!(wallet(&service).await, "0.1 0.12 -0.02");
    adjust(&service, "0.02").await.expect(201);
    assert_eq!(wallet(&service).await, "0.12 0.12 0");
    let audit = service.read("/api/v1/billing/wallet/audit?organizationId=acme").await.expect(200);
    let audit = audit.json();
    let operations = ["operation", "reason", "actor"]
        .map(|name| [0, 1].map(|place| audit["records"][place][name].clone()));
    assert_eq!(
        json!(operations),
        json!([
            ["ADJUSTMENT", "TOP_UP"],
            ["a test", "invoice 7"],
            ["key:x-api-key", "key:x-api-key"]
        ])
    );
    service.read("/api/v1/billing/wallet?organizationId=nobody").await.expect(404);
}

#[tokio::test]
async fn a_key_moves_money_once_for_ever_and_means_one_thing() {
    let mut service = service().await;
    let body = json!({"amount": 5, "reason": "a gift"});
    let first = service.send_as("key-1", ADJUST, &body).await.expect(201);
    assert_eq!(first.header("idempotency-hit"), "");
    service.send_as("key-2", ADJUST, &body).await.expect(201);
    service.send(ADJUST, &body).await.expect(201);
    service.send(ADJUST, &body).await.expect(201);
    assert_eq!(wallet(&service).await, "20 0 20");
    let head = service.head().await;
    for round in 0..3 {
        let again = service.send_as("key-1", ADJUST, &body).await.expect(200);
        assert_eq!((&again.text, again.sequence()), (&first.text, first.sequence()));
        assert_eq!(again.header("idempotency-hit"), "true");
        for (path, other) in [
            (ADJUST, json!({"amount": 6, "reason": "a gift"})),
            (ADJUST, json!({"amount": 5, "reason": "another gift"})),
            ("/api/v1/admin/wallets/umbrella/adjustments", body.clone()),
            (TOP_UP, json!({"amount": 5, "reference": "a gift"})),
            (
                "/api/v1/admin/quota/grants",
                json!({"user_id": "ann", "amount": 5, "expiry_date": "2025-06-01T00:00:00Z"}),
            ),
            ("/api/v1/admin/prices", json!({"m": {"input_cost_per_token": 1}})),
            ("/api/v1/admin/tenants", json!({"orgId": "acme", "name": "Acme"})),
            ("/api/v1/organization/users", json!({"userId": "ann", "organizationId": "acme"})),
        ] {
            let refused = service.send_as("key-1", path, &other).await.expect(422);
            let problem = refused.json();
            assert_eq!(problem["code"], "idempotency_key_reused", "{path}");
            assert_eq!(problem["invalid_parameters"][0]["field"], "Idempotency-Key");
        }
        assert_eq!(service.head().await, head);
        match round {
            0 => service.kill(),
            1 => service.stop().await,
            _ => break,
        }
        service.start_again().await;
    }
    assert_eq!(wallet(&service).await, "20 0 20");
}

#[tokio::test]
async fn of_many_at_once_under_one_key_one_is_new() {
    let service = service().await;
    let body = json!({"amount": 5, "reason": "a race"});
    let racers = (0..24).map(|_| service.send_as("race", ADJUST, &body));
    let answers = futures_util::future::join_all(racers).await;
    let new = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(new, 1);
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
    assert_eq!(wallet(&service).await, "5 0 5");
}
