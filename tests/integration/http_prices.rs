//! Prices: unknown is not free, a price that comes late rates once, and every class of tokens, tier
//! and length of context has its own.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const CONSUMPTION: &str = "/api/v1/consumption";
const PRICES: &str = "/api/v1/admin/prices";
const HISTORY: &str = "/api/v1/consumption/history?organizationId=acme";
const WALLET: &str = "/api/v1/billing/wallet?organizationId=acme";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

async fn rated_events(service: &Service) -> usize {
    let log = service.read("/api/v1/events?limit=1000").await.expect(200).json();
    let events = log["events"].as_array().expect("events");
    events.iter().filter(|event| event["type"] == "consumption_rated").count()
}

#[tokio::test]
async fn usage_of_an_unknown_model_is_unrated_until_its_price_comes_and_then_rated_once() {
    let mut service = service().await;
    let grant = json!({"user_id": "ann", "amount": 100, "expiry_date": "2025-06-01T00:00:00Z"});
    service.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
    let rule = service.ask(Method::PUT, "/api/v1/admin/tenants/acme/draw-rule");
    Answer::to(rule.json(&json!({"rule": "per_cost"}))).await.expect(201);

    let body = with(call("new", 1_000_000, 500_000), &json!({"model": "model-x"}));
    let answer = service.send(CONSUMPTION, &body).await.expect(201);
    assert_eq!((answer.number("cost"), answer.number("quotaDrawn")), ("null", "0"));
    let unrated_at = service.head().await;
    let other = with(call("other", 1, 1), &json!({"model": "model-y"}));
    service.send(CONSUMPTION, &other).await.expect(201);
    let wallet = service.read(WALLET).await.expect(200);
    assert_eq!(wallet.number("accrued"), "0");
    let totals = service.read("/api/v1/consumption/by-model").await.expect(200).json();
    assert_eq!((&totals[0]["_id"], &totals[0]["unrated"]), (&json!("model-x"), &json!(1)));

    let map = json!({"model-x": {
        "litellm_provider": "x", "mode": "chat",
        "input_cost_per_token": "0.000001", "output_cost_per_token": 2e-6,
    }});
    let published = service.send_as("book-1", PRICES, &map).await.expect(201).json();
    assert_eq!(
        (&published["version"], &published["models"], &published["effective_at"]),
        (&json!(1), &json!(1), &json!(NOON))
    );
    for round in 0..3 {
        let wallet = service.read(WALLET).await.expect(200);
        assert_eq!(wallet.number("available"), "-2", "accrued, or billed; round {round}");
        let again = service.send(CONSUMPTION, &body).await.expect(200);
        assert_eq!((again.number("cost"), again.number("priceVersion")), ("2", "1"));
        assert_eq!(again.number("quotaDrawn"), "2", "what goes by cost is drawn when it is rated");
        let records = service.read(HISTORY).await.expect(200).json();
        assert_eq!((&records[0]["cost"], &records[1]["cost"]), (&Value::Null, &json!(2)));
        let before = service.read(&format!("{HISTORY}&as_of={unrated_at}")).await.expect(200);
        assert_eq!(before.number("cost"), "null");
        assert_eq!(rated_events(&service).await, 1);
        let quota = service.read("/api/v1/quota?user_id=ann").await.expect(200);
        assert_eq!(quota.number("available_quota"), "98");
        let by_model = service.read("/api/v1/consumption/by-model").await.expect(200).json();
        assert_eq!((&by_model[0]["cost"], &by_model[0]["unrated"]), (&json!(2), &json!(0)));
        // Neither the same book again, nor a later one, nor a restart rates it a second time.
        match round {
            0 => {
                service.send_as("book-1", PRICES, &map).await.expect(200);
                let dearer = json!({"model-x": {"input_cost_per_token": 1}});
                service.send(PRICES, &dearer).await.expect(201);
            }
            1 => {
                service.kill();
                service.start_again().await;
                service.advance_clock_to("2025-03-02T00:00:00Z").await;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_class_of_tokens_tier_and_length_of_context_has_its_price() {
    let service = service().await;
    let map = json!({
        "long": {
            "input_cost_per_token": 2e-6, "output_cost_per_token": 10e-6,
            "input_cost_per_token_above_200k_tokens": 4e-6,
            "output_cost_per_token_above_200k_tokens": 15e-6,
            "cache_read_input_token_cost": 2e-7,
            "cache_creation_input_token_cost": 2.5e-6,
            "cache_creation_input_token_cost_above_1hr": 5e-6,
            "output_cost_per_reasoning_token": 20e-6,
            "input_cost_per_token_priority": 3e-6, "output_cost_per_token_priority": 12e-6,
            "input_cost_per_token_batches": 1e-6, "output_cost_per_token_batches": 5e-6,
        },
        "tiny": {"input_cost_per_token": "1.87500001e-10", "output_cost_per_token": 1e-18},
        "image": {"output_cost_per_image": 0.04},
    });
    let published = service.send(PRICES, &map).await.expect(201).json();
    assert_eq!((&published["models"], &published["unpriced"]), (&json!(2), &json!(1)));
    for (place, (model, tier, usage, cost)) in [
        ("long", "standard", json!({"promptTokens": 200_000, "completionTokens": 1000}), "0.41"),
        (
            "long",
            "standard",
            json!({"promptTokens": 200_001, "completionTokens": 1000}),
            "0.815004",
        ),
        (
            "long",
            "default",
            json!({
                "promptTokens": 1000, "completionTokens": 100, "cacheReadTokens": 400,
                "cacheWriteTokens": 100, "cacheWrite1hTokens": 50, "reasoningTokens": 60,
            }),
            // 450 × 2e-6 + 400 × 2e-7 + 100 × 2.5e-6 + 50 × 5e-6 + 40 × 10e-6 + 60 × 20e-6
            "0.00308",
        ),
        ("long", "priority", json!({"promptTokens": 1000, "completionTokens": 100}), "0.0042"),
        ("long", "batch", json!({"promptTokens": 1000, "completionTokens": 100}), "0.0015"),
        ("long", "flex", json!({"promptTokens": 1000, "completionTokens": 100}), "0.003"),
        ("long", "balanced", json!({"promptTokens": 1000, "completionTokens": 100}), "0.003"),
        (
            "tiny",
            "standard",
            json!({"promptTokens": 1, "completionTokens": 1}),
            "0.000000000187500002",
        ),
        ("image", "standard", json!({"promptTokens": 1, "completionTokens": 1}), "null"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = with(
            call(&format!("c{place}"), 0, 0),
            &json!({"model": model, "serviceTier": tier, "usage": usage}),
        );
        let answer = service.send(CONSUMPTION, &body).await.expect(201);
        assert_eq!(answer.number("cost"), cost, "{model} {tier} {usage}");
        let known = ["standard", "priority", "batch", "flex", "balanced"];
        let kept = if known.contains(&tier) { tier } else { "standard" };
        assert_eq!(answer.json()["serviceTier"], kept);
    }
}

#[tokio::test]
async fn a_call_is_rated_by_the_prices_of_its_time() {
    let service = service().await;
    let publish = async |effective: &str, price: &str| {
        let path = format!("{PRICES}?effective_at={effective}&source=a%20test");
        let map = json!({"gpt-4": {"input_cost_per_token": price}});
        service.send(&path, &map).await.expect(201).json()
    };
    let book = publish("2025-03-01T11:00:00Z", "0.5").await;
    assert_eq!((&book["version"], &book["source"]), (&json!(1), &json!("a test")));
    publish("2025-03-01T11:30:00Z", "0.25").await;
    for (id, moment, cost, version) in [
        ("a", "2025-03-01T10:59:59.999999Z", "0.0003", "0"),
        ("b", "2025-03-01T11:00:00Z", "5", "1"),
        ("c", "2025-03-01T11:29:59Z", "5", "1"),
        ("d", "2025-03-01T11:30:00Z", "2.5", "2"),
    ] {
        let body = with(call(id, 10, 0), &json!({"timestamp": moment}));
        let answer = service.send(CONSUMPTION, &body).await.expect(201);
        assert_eq!((answer.number("cost"), answer.number("priceVersion")), (cost, version), "{id}");
    }
    let books = service.read(PRICES).await.expect(200).json();
    assert_eq!(books.as_array().map(Vec::len), Some(2));
    let prices = service.read(&format!("{PRICES}/models?model=gpt-4")).await.expect(200).json();
    let versions: Vec<_> =
        prices.as_array().expect("prices").iter().map(|p| &p["version"]).collect();
    assert_eq!(json!(versions), json!([0, 1, 2]));
    service.read(&format!("{PRICES}/models?model=never-seen")).await.expect(404);
}
