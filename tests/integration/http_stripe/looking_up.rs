//! What payers complete at Stripe comes in even if Stripe's webhook never does.

use serde_json::{Value, json};

use super::{CHECKOUT, JOB, TOP_UPS, balance, events, of_acme, service, statuses, text, top_up};
use crate::support::service::Service;
use crate::support::stripe::{Behaviour, Stripe};
use crate::support::stripe_webhooks::tell;

const FAILED: &str = "payment_intent.payment_failed";

/// How many payments are looked up or asked for at a time of the first days of March.
async fn looks_at(service: &Service, time: &str) -> usize {
    service.advance_clock_to(&format!("2025-03-{time}Z")).await;
    let report = service.post(JOB, &Value::Null).await;
    report["topUps"].as_array().expect("a list").len()
}

async fn page(service: &Service) -> String {
    let answer = service.send(CHECKOUT, &of_acme(json!("25"))).await.expect(200).json();
    text(&answer, "sessionId").to_owned()
}

/// A payment of 20 USD that a client is to complete.
async fn payment(service: &Service) -> String {
    let begun = top_up(service, "k", "20").await.expect(201).json();
    text(&begun, "stripePaymentIntentId").to_owned()
}

#[tokio::test]
async fn what_was_paid_is_credited_without_a_webhook() {
    let (stripe, mut service) = service().await;
    let (page, payment) = (page(&service).await, payment(&service).await);
    assert_eq!(looks_at(&service, "01T12:00:59").await, 0, "a payer takes a minute");
    assert_eq!(looks_at(&service, "01T12:01:00").await, 2);
    assert_eq!(statuses(&service).await, ["pending", "pending"]);
    let (_, of_page) = stripe.check_out(&page);
    stripe.pay(&payment);
    assert_eq!(looks_at(&service, "01T12:01:59").await, 0);
    assert_eq!(looks_at(&service, "01T12:02:00").await, 2);
    assert_eq!(balance(&service).await, "45");
    assert_eq!(statuses(&service).await, ["succeeded", "succeeded"]);
    assert_eq!(service.get(TOP_UPS).await[1]["stripePaymentIntentId"], of_page["id"]);
    // The webhook comes after all.
    tell(&service, "payment_intent.succeeded", &of_page).await.expect(200);
    service.kill();
    service.start_again().await;
    assert_eq!(looks_at(&service, "03T12:00:00").await, 0, "nothing is open");
    assert_eq!(balance(&service).await, "45");
}

#[tokio::test]
async fn what_is_open_is_looked_up_ever_more_rarely_and_then_given_up() {
    let (stripe, service) = service().await;
    let id = payment(&service).await;
    for (time, looks) in [
        ("01T12:01:00", 1),
        ("01T12:02:00", 1),
        ("01T12:03:00", 0),
        ("01T12:04:00", 1),
        ("01T12:08:00", 1),
        ("01T12:30:00", 1),
        ("01T12:59:59", 0),
        ("01T13:00:00", 1),
        ("01T13:59:59", 0),
        ("01T14:00:00", 1),
        ("01T14:59:59", 0),
        ("04T11:00:00", 1),
    ] {
        assert_eq!(looks_at(&service, time).await, looks, "{time}");
    }
    assert_eq!(statuses(&service).await, ["pending"]);
    assert_eq!((stripe.looks(&id), stripe.seen().len()), (8, 1), "nothing is asked for twice");

    // While Stripe does not answer, nothing is given up.
    stripe.behave(Behaviour::Failing);
    assert_eq!(looks_at(&service, "04T12:00:00").await, 1);
    assert_eq!(statuses(&service).await, ["pending"]);
    stripe.behave(Behaviour::Good);
    assert_eq!(looks_at(&service, "04T13:00:00").await, 1);
    assert_eq!(service.get(TOP_UPS).await[0]["failureReason"], "nobody paid it in time");
    assert_eq!(looks_at(&service, "05T13:00:00").await, 0);
}

#[tokio::test]
async fn a_page_that_expired_fails_and_is_left_alone() {
    let (stripe, service) = service().await;
    let page = page(&service).await;
    stripe.expire(&page);
    assert_eq!(looks_at(&service, "02T12:00:00").await, 1);
    let failed = service.get(TOP_UPS).await[0].clone();
    assert_eq!(
        (&failed["status"], &failed["failureReason"]),
        (&json!("failed"), &json!("the page expired before it was paid"))
    );
    assert_eq!(looks_at(&service, "02T18:00:00").await, 0);
    assert_eq!(events(&service, "top_up_failed").await, 1);
}

#[tokio::test]
async fn a_payer_who_tries_another_card_is_credited_without_a_webhook() {
    let (stripe, service) = service().await;
    let id = payment(&service).await;
    let declined = stripe.fail(&id, "Your card was declined.");
    tell(&service, FAILED, &declined).await.expect(200);
    assert_eq!(looks_at(&service, "01T12:01:00").await, 1);
    assert_eq!(statuses(&service).await, ["failed"]);
    stripe.pay(&id);
    assert_eq!(looks_at(&service, "01T12:02:00").await, 1);
    assert_eq!(
        (balance(&service).await, statuses(&service).await),
        ("20".to_owned(), vec!["succeeded".to_owned()])
    );
    assert_eq!(looks_at(&service, "01T15:00:00").await, 0);
}

#[tokio::test]
async fn what_failed_days_ago_is_not_looked_up() {
    let (stripe, service) = service().await;
    let id = payment(&service).await;
    tell(&service, FAILED, &stripe.fail(&id, "Your card was declined.")).await.expect(200);
    assert_eq!(looks_at(&service, "04T12:00:00").await, 1);
    assert_eq!(looks_at(&service, "04T13:00:00").await, 0);
}

#[tokio::test]
async fn only_so_many_are_looked_up_at_once_and_all_in_turn() {
    let stripe = Stripe::start().await;
    let setup = stripe.customer(crate::support::stripe_webhooks::SECRET);
    let service = setup.manual_clock(crate::support::calls::NOON).start().await;
    super::register(&service, "acme").await;
    for number in 0..60 {
        top_up(&service, &format!("k{number}"), "20").await.expect(201);
    }
    assert_eq!(looks_at(&service, "01T12:01:00").await, 50);
    assert_eq!(looks_at(&service, "01T12:01:00").await, 10);
    assert_eq!(looks_at(&service, "01T12:01:00").await, 0);
    assert!(stripe.objects("pi_").iter().all(|it| stripe.looks(text(it, "id")) == 1));
}
