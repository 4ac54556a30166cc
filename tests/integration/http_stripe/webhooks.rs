//! What Stripe tells: known to be its own, and counted once.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CHECKOUT, TOP_UP, TOP_UPS, balance, events, of_acme, service, statuses, text, top_up};
use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::service::Service;
use crate::support::stripe::{Behaviour, Stripe};
use crate::support::stripe_webhooks::{NOON_SECONDS, SECRET, ask, event, signature, signed, tell};

const SUCCEEDED: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";

/// A payment of 19.99 that was asked for, as it stands once it is paid.
async fn paid(stripe: &Stripe, service: &Service) -> Value {
    let begun = top_up(service, "k", "19.99").await.expect(201).json();
    stripe.pay(text(&begun, "stripePaymentIntentId"))
}

/// A payment that was not asked for here.
fn foreign(id: &str, fields: &Value) -> Value {
    let mut payment = json!({
        "id": id, "object": "payment_intent", "amount": 5_000, "amount_received": 5_000,
        "currency": "usd", "status": "succeeded", "metadata": {"organizationId": "acme"},
    });
    for (name, value) in fields.as_object().expect("fields") {
        payment[name] = value.clone();
    }
    payment
}

#[tokio::test]
async fn a_webhook_that_is_not_stripes_is_refused() {
    let (stripe, service) = service().await;
    let payment = paid(&stripe, &service).await;
    let body = event(SUCCEEDED, &payment);
    let good = signature(SECRET, NOON_SECONDS, &body);
    let stale = NOON_SECONDS - 301;
    let early = NOON_SECONDS + 301;
    let head = service.head().await;
    for header in [
        String::new(),
        "garbage".to_owned(),
        format!("t={NOON_SECONDS}"),
        format!("v1={good}"),
        format!("t={NOON_SECONDS},v0={good}"),
        format!("t={NOON_SECONDS},v1={}", signature("whsec_another", NOON_SECONDS, &body)),
        format!("t={NOON_SECONDS},v1={}", signature("", NOON_SECONDS, &body)),
        format!("t={NOON_SECONDS},v1={}", signature(SECRET, NOON_SECONDS, "{}")),
        format!("t={},v1={good}", NOON_SECONDS + 1),
        format!("t={stale},v1={}", signature(SECRET, stale, &body)),
        format!("t={early},v1={}", signature(SECRET, early, &body)),
    ] {
        let answer = Answer::to(ask(&service, &header, body.clone())).await.expect(400);
        assert_eq!(answer.json()["error"], "Invalid signature", "{header}");
    }
    let header = format!("t={NOON_SECONDS},v1={good}");
    let changed = body.replace("1999", "9999");
    Answer::to(ask(&service, &header, changed)).await.expect(400);
    let without = service.ask_as_nobody(Method::POST, crate::support::stripe_webhooks::PATH);
    Answer::to(without.body(body.clone())).await.expect(400);
    assert_eq!(service.head().await, head, "nothing happened");

    // While a secret is being changed, Stripe signs with both.
    let other = signature("whsec_another", NOON_SECONDS, &body);
    let header = format!("t={NOON_SECONDS},v1={other},v1={good},v0={other}");
    let answer = Answer::to(ask(&service, &header, body.clone())).await.expect(200);
    assert_eq!(answer.text, r#"{"received":true}"#);
    // Five minutes later it is still Stripe's, and counts no second time.
    service.advance_clock_to("2025-03-01T12:05:00Z").await;
    Answer::to(ask(&service, &header, body.clone())).await.expect(200);
    service.advance_clock_to("2025-03-01T12:05:01Z").await;
    Answer::to(ask(&service, &header, body)).await.expect(400);
    assert_eq!(balance(&service).await, "19.99");
}

#[tokio::test]
async fn a_body_that_is_too_long_or_no_event_is_refused() {
    let stripe = Stripe::start().await;
    let setup = stripe.customer(SECRET).manual_clock(NOON);
    let service = setup.variable("TALLYBOOK__LIMITS__BODY_BYTES_MAX", "10000").start().await;
    let of = |body: String| {
        let header = format!("t={NOON_SECONDS},v1={}", signature(SECRET, NOON_SECONDS, &body));
        ask(&service, &header, body)
    };
    for body in ["", "{}", "[]", "x", r#"{"type":"payment_intent.succeeded"}"#] {
        Answer::to(of(body.to_owned())).await.expect(400);
    }
    Answer::to(signed(&service, SUCCEEDED, &json!({"id": 7}))).await.expect(400);
    Answer::to(of("x".repeat(10_001))).await.expect(413);
    for kind in ["charge.succeeded", "customer.created", "payment_intent.created"] {
        let answer = tell(&service, kind, &json!({"id": "x"})).await.expect(200);
        assert_eq!(answer.json(), json!({"received": true}), "{kind}");
    }
}

#[tokio::test]
async fn twenty_webhooks_at_once_and_then_more_count_once() {
    let (stripe, mut service) = service().await;
    let payment = paid(&stripe, &service).await;
    let requests = (0..20).map(|_| Answer::to(signed(&service, SUCCEEDED, &payment)));
    for answer in futures_util::future::join_all(requests).await {
        answer.expect(200);
    }
    assert_eq!(balance(&service).await, "19.99");
    service.kill();
    service.start_again().await;
    tell(&service, SUCCEEDED, &payment).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
    assert_eq!(events(&service, "top_up_succeeded").await, 1);
    let top_up = &service.get(TOP_UPS).await[0];
    assert_eq!(
        (&top_up["status"], &top_up["completedAt"]),
        (&json!("succeeded"), &json!(crate::support::calls::NOON))
    );
}

#[tokio::test]
async fn the_order_in_which_stripe_tells_does_not_matter() {
    let (stripe, service) = service().await;
    let begun = top_up(&service, "k", "19.99").await.expect(201).json();
    let id = text(&begun, "stripePaymentIntentId");
    let failed = stripe.fail(id, "Your card was declined.");
    let paid = stripe.pay(id);

    tell(&service, FAILED, &failed).await.expect(200);
    tell(&service, FAILED, &failed).await.expect(200);
    let top_up = service.get(TOP_UPS).await[0].clone();
    assert_eq!(top_up["status"], "failed");
    assert_eq!(top_up["failureReason"], "Your card was declined.");
    assert_eq!(events(&service, "top_up_failed").await, 1);

    tell(&service, SUCCEEDED, &paid).await.expect(200);
    assert_eq!(
        (balance(&service).await.as_str(), statuses(&service).await),
        ("19.99", vec!["succeeded".to_owned()])
    );
    for kind in [FAILED, "payment_intent.canceled", SUCCEEDED] {
        tell(&service, kind, &failed.clone()).await;
        tell(&service, kind, &paid).await.expect(200);
        assert_eq!(statuses(&service).await, ["succeeded"], "after {kind}");
    }
    assert_eq!(balance(&service).await, "19.99");
}

#[tokio::test]
async fn a_page_is_credited_once_whoever_tells_first() {
    for page_first in [true, false] {
        let (stripe, service) = service().await;
        let answer = service.send(CHECKOUT, &of_acme(json!("1234.56"))).await.expect(200).json();
        let (page, payment) = stripe.check_out(text(&answer, "sessionId"));
        let told = [("checkout.session.completed", &page), (SUCCEEDED, &payment)];
        let order = if page_first { [0, 1, 0, 1] } else { [1, 0, 1, 0] };
        for place in order {
            tell(&service, told[place].0, told[place].1).await.expect(200);
            assert_eq!(balance(&service).await, "1234.56");
        }
        tell(&service, "checkout.session.expired", &page).await.expect(200);
        let top_up = &service.get(TOP_UPS).await[0];
        assert_eq!(
            (&top_up["status"], &top_up["stripePaymentIntentId"]),
            (&json!("succeeded"), &payment["id"])
        );
    }
}

#[tokio::test]
async fn a_page_that_nobody_pays_on_fails() {
    let (stripe, service) = service().await;
    let answer = service.send(CHECKOUT, &of_acme(json!(50))).await.expect(200).json();
    let mut page = stripe.objects(text(&answer, "sessionId")).remove(0);
    // Gone through, but the money comes later.
    page["status"] = json!("complete");
    tell(&service, "checkout.session.completed", &page).await.expect(200);
    assert_eq!(statuses(&service).await, ["pending"]);
    page["status"] = json!("expired");
    tell(&service, "checkout.session.expired", &page).await.expect(200);
    assert_eq!(statuses(&service).await, ["failed"]);
    assert_eq!(balance(&service).await, "0");
}

#[tokio::test]
async fn a_webhook_may_come_before_we_know_what_stripe_calls_the_payment() {
    let (stripe, service) = service().await;
    stripe.behave(Behaviour::Late);
    let request = service.ask(Method::POST, TOP_UP).header("Idempotency-Key", "k");
    let waiting = tokio::spawn(Answer::to(request.json(&of_acme(json!("19.99")))));
    let id = eventually("Stripe is asked", async || {
        let payments = stripe.objects("pi_");
        payments.first().map(|it| text(it, "id").to_owned()).ok_or_else(String::new)
    })
    .await;
    stripe.behave(Behaviour::Good);
    let payment = stripe.pay(&id);
    tell(&service, SUCCEEDED, &payment).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
    waiting.await.expect("ends").expect(503);
    let asked = top_up(&service, "k", "\"19.99\"").await.expect(200).json();
    assert_eq!(
        (&asked["status"], &asked["stripePaymentIntentId"]),
        (&json!("succeeded"), &payment["id"])
    );
    tell(&service, SUCCEEDED, &payment).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
    assert_eq!(statuses(&service).await, ["succeeded"]);
}

#[tokio::test]
async fn a_payment_that_nobody_asked_for_is_credited_to_whom_it_names() {
    let (_stripe, service) = service().await;
    let unknown = "0123456789abcdef0123456789abcdef";
    for (id, fields) in [
        ("pi_a", json!({"amount_received": 4_999})),
        ("pi_b", json!({"metadata": {"organizationId": "acme", "topUpId": unknown}})),
        ("pi_c", json!({"metadata": {"organizationId": "acme", "topUpId": unknown}})),
        ("pi_d", json!({"metadata": {"organizationId": "acme", "topUpId": "x"}})),
    ] {
        let payment = foreign(id, &fields);
        tell(&service, SUCCEEDED, &payment).await.expect(200);
        tell(&service, SUCCEEDED, &payment).await.expect(200);
    }
    assert_eq!(balance(&service).await, "199.99");
    let all = service.get(TOP_UPS).await;
    for (place, id) in ["pi_d", "pi_c", "pi_b", "pi_a"].into_iter().enumerate() {
        assert_eq!(
            (&all[place]["kind"], &all[place]["stripePaymentIntentId"]),
            (&json!("unannounced"), &json!(id))
        );
    }
    assert_eq!(all[2]["id"], unknown, "the name that it has at Stripe");
    // Nothing came in, and nothing was asked for: there is nothing to say.
    tell(&service, FAILED, &foreign("pi_e", &json!({"metadata": {}}))).await.expect(200);
    assert_eq!(events(&service, "top_up_started").await, 4);
}

#[tokio::test]
async fn what_cannot_be_credited_is_refused_and_credited_once_it_can() {
    let (stripe, service) = service().await;
    let begun = top_up(&service, "k", "19.99").await.expect(201).json();
    super::register(&service, "umbrella").await;
    let head = service.head().await;
    let of = |tenant: &str| json!({"metadata": {"organizationId": tenant}});
    let mut in_euros = stripe.pay(text(&begun, "stripePaymentIntentId"));
    in_euros["currency"] = json!("eur");
    for (payment, code) in [
        (in_euros, "currency_unsupported"),
        (foreign("pi_a", &json!({"currency": "jpy"})), "currency_unsupported"),
        (foreign("pi_b", &json!({"currency": null})), "currency_unsupported"),
        (
            foreign("pi_c", &json!({"metadata": {"topUpId": "0".repeat(32)}})),
            "payment_organization_unknown",
        ),
        (foreign("pi_e", &of("later")), "payment_organization_unknown"),
        (foreign("pi_f", &of("")), "payment_organization_unknown"),
        (foreign("pi_g", &json!({"amount_received": 0})), "amount_invalid"),
    ] {
        let answer = tell(&service, SUCCEEDED, &payment).await.expect(422);
        assert_eq!(answer.json()["code"], code, "{payment}");
    }
    assert_eq!(service.head().await, head, "nothing was credited");
    super::register(&service, "later").await;
    tell(&service, SUCCEEDED, &foreign("pi_e", &of("later"))).await.expect(200);
    let wallet = service.read("/api/v1/billing/wallet?organizationId=later").await;
    assert_eq!(wallet.number("balance"), "50");

    // A payment that was asked for belongs to whom it was asked for, whatever it says since.
    let mut payment = stripe.pay(text(&begun, "stripePaymentIntentId"));
    payment["metadata"]["organizationId"] = json!("umbrella");
    tell(&service, SUCCEEDED, &payment).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
}

#[tokio::test]
async fn what_another_product_is_paid_on_the_same_account_is_passed_over() {
    let (stripe, service) = service().await;
    let begun = top_up(&service, "k", "19.99").await.expect(201).json();
    let head = service.head().await;
    let mut passed_over = 0;
    for metadata in [json!({}), Value::Null, json!({"order": "7"})] {
        let payment = foreign("pi_z", &json!({"metadata": metadata, "currency": "eur"}));
        let page = json!({
            "id": "cs_z", "object": "checkout.session", "amount_total": 5_000, "currency": "eur",
            "status": "complete", "payment_status": "paid", "payment_intent": "pi_z", "url": null,
            "metadata": metadata,
        });
        for (kind, object) in [
            (SUCCEEDED, &payment),
            (FAILED, &payment),
            ("checkout.session.completed", &page),
            ("checkout.session.expired", &page),
        ] {
            let answer = tell(&service, kind, object).await.expect(200);
            assert_eq!(answer.json(), json!({"received": true}), "{kind}");
            passed_over += 1;
        }
    }
    assert_eq!(service.head().await, head, "nothing was credited");
    let counted = async || service.read("/metrics").await.expect(200).text;
    let line = format!(r#"stripe_webhooks_total{{outcome="foreign"}} {passed_over}"#);
    assert!(counted().await.contains(&line), "no `{line}`");

    // What is known here is ours, whatever it says.
    let mut payment = stripe.pay(text(&begun, "stripePaymentIntentId"));
    payment["metadata"] = json!({});
    tell(&service, SUCCEEDED, &payment).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
    assert!(counted().await.contains(&line), "counted as foreign");
}
