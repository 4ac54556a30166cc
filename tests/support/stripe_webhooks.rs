//! Webhooks as Stripe sends them: events around objects, signed.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;

use super::http::Answer;
use super::service::Service;

/// The secret of the endpoint.
pub const SECRET: &str = "whsec_of_the_stand_in";
/// Where they go.
pub const PATH: &str = "/api/v1/billing/stripe/webhook";
/// Noon of 2025-03-01, in seconds since 1970.
pub const NOON_SECONDS: i64 = 1_740_830_400;

/// The body of an event.
pub fn event(kind: &str, object: &Value) -> String {
    json!({
        "id": format!("evt_{kind}"), "object": "event", "api_version": "2024-06-20",
        "created": NOON_SECONDS, "livemode": false, "pending_webhooks": 1, "type": kind,
        "data": {"object": object},
    })
    .to_string()
}

/// The `v1` of a body.
pub fn signature(secret: &str, seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// A webhook with a header of the sender's, not sent yet.
pub fn ask(service: &Service, header: &str, body: String) -> RequestBuilder {
    service
        .ask_as_nobody(Method::POST, PATH)
        .header("Stripe-Signature", header)
        .header("content-type", "application/json; charset=utf-8")
        .body(body)
}

/// A good webhook of noon, not sent yet.
pub fn signed(service: &Service, kind: &str, object: &Value) -> RequestBuilder {
    signed_at(service, NOON_SECONDS, kind, object)
}

/// A good webhook, not sent yet.
pub fn signed_at(service: &Service, seconds: i64, kind: &str, object: &Value) -> RequestBuilder {
    let body = event(kind, object);
    let header = format!("t={seconds},v1={}", signature(SECRET, seconds, &body));
    ask(service, &header, body)
}

/// Tells the service of something at noon.
pub async fn tell(service: &Service, kind: &str, object: &Value) -> Answer {
    Answer::to(signed(service, kind, object)).await
}
