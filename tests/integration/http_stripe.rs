//! Payments through Stripe: exact to the cent, and credited once, in whatever order and however often
//! Stripe tells of them.

mod asking;
mod looking_up;
mod webhooks;

use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::Answer;
use crate::support::service::Service;
use crate::support::stripe::Stripe;
use crate::support::stripe_webhooks::SECRET;

const CHECKOUT: &str = "/api/v1/billing/stripe/checkout";
const TOP_UP: &str = "/api/v1/billing/top-up";
const TOP_UPS: &str = "/api/v1/billing/top-ups?organizationId=acme";
const WALLET: &str = "/api/v1/billing/wallet?organizationId=acme";
const JOB: &str = "/api/v1/admin/jobs/auto-top-up";

/// A stand-in, and a service at noon that pays through it, with the tenant `acme`.
async fn service() -> (Stripe, Service) {
    let stripe = Stripe::start().await;
    let service = stripe.customer(SECRET).manual_clock(NOON).start().await;
    register(&service, "acme").await;
    (stripe, service)
}

async fn register(service: &Service, tenant: &str) {
    let registration = json!({"orgId": tenant, "name": tenant});
    service.send("/api/v1/admin/tenants", &registration).await.expect(201);
}

/// Asks for a payment of an amount that is written exactly like this.
async fn top_up(service: &Service, key: &str, amount: &str) -> Answer {
    let body = format!(r#"{{"organizationId": "acme", "amount": {amount}}}"#);
    let request = service.ask(reqwest::Method::POST, TOP_UP).header("Idempotency-Key", key);
    Answer::to(request.header("content-type", "application/json").body(body)).await
}

fn of_acme(amount: impl Into<Value>) -> Value {
    json!({"organizationId": "acme", "amount": amount.into()})
}

/// A text of an answer.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {value}"))
}

async fn balance(service: &Service) -> String {
    service.read(WALLET).await.expect(200).number("balance").to_owned()
}

/// How many events of a type there are.
async fn events(service: &Service, kind: &str) -> usize {
    let events = service.get("/api/v1/events?limit=1000").await;
    let events = events["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter(|event| event["type"] == kind).count()
}

/// `status` of every payment of the tenant, newest first.
async fn statuses(service: &Service) -> Vec<String> {
    let all = service.get(TOP_UPS).await;
    let all = all.as_array().expect("a list");
    all.iter().map(|top_up| text(top_up, "status").to_owned()).collect()
}
