//! What becomes of a tenant's money and standing is told by webhook: bills, suspensions, credits and
//! payments, each once, with the figures that the API shows.

use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call};
use crate::support::receiver::{Received, Receiver};
use crate::support::service::Service;
use crate::support::stripe::Stripe;
use crate::support::stripe_webhooks::{NOON_SECONDS, SECRET, ask, event, signature};

const TOLD: [&str; 6] = [
    "bill.posted",
    "tenant.suspended",
    "tenant.reactivated",
    "top_up.succeeded",
    "top_up.failed",
    "wallet.credited",
];

async fn told(inbox: &Receiver, count: usize) -> Vec<Value> {
    let mut told: Vec<Value> = inbox.gets(count).await.iter().map(Received::json).collect();
    assert_eq!(told.len(), count, "{told:?}");
    told.sort_by_key(|one| one["type"].to_string());
    told
}

fn types(told: &[Value]) -> Vec<&str> {
    told.iter().map(|one| one["type"].as_str().expect("a type")).collect()
}

async fn status(service: &Service) -> Value {
    service.get("/api/v1/billing/wallet?organizationId=acme").await["status"].clone()
}

#[tokio::test]
async fn a_bill_a_suspension_a_credit_and_a_payment_are_told() {
    let inbox = Receiver::start().await;
    let stripe = Stripe::start().await;
    let setup = stripe.customer(SECRET).manual_clock(NOON);
    let service =
        setup.variable("TALLYBOOK__WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true").start().await;
    let tenant = json!({
        "orgId": "acme", "name": "Acme", "creditLimit": 0, "suspendPastCreditLimit": true,
    });
    service.send("/api/v1/admin/tenants", &tenant).await.expect(201);
    let draft = json!({"organizationId": "acme", "url": inbox.url("/"), "types": TOLD});
    service.send("/api/v1/webhooks/endpoints", &draft).await.expect(201);
    service.send("/api/v1/consumption", &call("one", 1000, 500)).await.expect(201);

    service.advance_clock_to("2025-03-02T00:00:01Z").await;
    let billed = told(&inbox, 2).await;
    assert_eq!(types(&billed), ["bill.posted", "tenant.suspended"]);
    let bill = &billed[0]["data"];
    assert_eq!(bill["organizationId"], "acme");
    let bills = service.get("/api/v1/billing/history?organizationId=acme").await;
    assert_eq!(bill["totalCost"], bills[0]["totalCost"], "{bill}");
    assert_eq!(status(&service).await, "suspended");

    let credit = json!({"amount": "0.01", "reason": "goodwill"});
    service.send("/api/v1/admin/wallets/acme/credits", &credit).await.expect(201);
    assert_eq!(
        types(&told(&inbox, 3).await),
        ["bill.posted", "tenant.suspended", "wallet.credited"]
    );
    assert_eq!(status(&service).await, "suspended", "0.05 are still owed");

    let order = json!({"organizationId": "acme", "amount": "19.99"});
    let begun = service.send("/api/v1/billing/top-up", &order).await.expect(201).json();
    let payment = stripe.pay(begun["stripePaymentIntentId"].as_str().expect("an id"));
    let body = event("payment_intent.succeeded", &payment);
    let now = NOON_SECONDS + 12 * 3600 + 1;
    let header = format!("t={now},v1={}", signature(SECRET, now, &body));
    for _ in 0..2 {
        Answer::to(ask(&service, &header, body.clone())).await.expect(200);
    }
    let all = told(&inbox, 5).await;
    assert_eq!(
        types(&all),
        [
            "bill.posted",
            "tenant.reactivated",
            "tenant.suspended",
            "top_up.succeeded",
            "wallet.credited"
        ]
    );
    assert_eq!(all[3]["data"]["amount"].to_string(), "19.99");
    assert_eq!(status(&service).await, "active");
    let wallet = service.get("/api/v1/billing/wallet?organizationId=acme").await;
    assert_eq!(wallet["balance"].to_string(), "19.94", "{wallet}");
}
