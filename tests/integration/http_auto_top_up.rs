//! Wallets that fill themselves: charged once when they run low, and left alone for a while after.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::{Answer, call};
use crate::support::service::Service;
use crate::support::stripe::{Behaviour, Stripe};
use crate::support::stripe_webhooks::{NOON_SECONDS, SECRET, signed_at, tell};

const SETTINGS: &str = "/api/v1/organization/acme/auto-top-up";
const TOP_UPS: &str = "/api/v1/billing/top-ups?organizationId=acme";
const WALLET: &str = "/api/v1/billing/wallet?organizationId=acme";
const JOB: &str = "/api/v1/admin/jobs/auto-top-up";

/// A stand-in, and a service at noon that pays through it, with 10 USD in the wallet of `acme`.
async fn service() -> (Stripe, Service) {
    let stripe = Stripe::start().await;
    let service = stripe.customer(SECRET).manual_clock(NOON).start().await;
    adjust(&service, "10").await;
    (stripe, service)
}

async fn adjust(service: &Service, amount: &str) {
    let body = json!({"amount": amount, "reason": "a test"});
    service.send("/api/v1/admin/wallets/acme/adjustments", &body).await.expect(201);
}

fn settings(threshold: &str, amount: &str) -> Value {
    json!({
        "enabled": true, "threshold": threshold, "amount": amount, "paymentMethodId": "pm_card",
        "customerId": "cus_1",
    })
}

async fn set(service: &Service, settings: &Value) -> Answer {
    Answer::to(service.ask(Method::PUT, SETTINGS).json(settings)).await
}

/// `[amount, status]` of everything that the job asks for now.
async fn run(service: &Service) -> Value {
    let report = service.post(JOB, &Value::Null).await;
    assert_eq!(report["job"], "auto-top-up");
    let top_ups = report["topUps"].as_array().expect("a list");
    top_ups.iter().map(|it| json!([it["amount"], it["status"]])).collect()
}

async fn balance(service: &Service) -> String {
    service.read(WALLET).await.expect(200).number("balance").to_owned()
}

#[tokio::test]
async fn a_wallet_that_runs_low_is_filled_once() {
    let (stripe, service) = service().await;
    let answer = set(&service, &settings("10", "19.99")).await.expect(200);
    assert_eq!(answer.json()["message"], "Auto-top-up settings updated");
    assert_eq!(run(&service).await, json!([]), "at the threshold, not below it");
    // What is used and not billed yet is not available.
    service.send("/api/v1/consumption", &call("a", 1000, 500)).await.expect(201);
    assert_eq!(run(&service).await, json!([[19.99, "succeeded"]]));
    assert_eq!(balance(&service).await, "29.99");

    let seen = stripe.seen();
    let [seen] = &seen[..] else { panic!("one request: {seen:?}") };
    let top_up = service.get(TOP_UPS).await[0].clone();
    assert_eq!((&top_up["kind"], &top_up["id"]), (&json!("auto"), &json!(seen.key)));
    assert_eq!(seen.path, "/v1/payment_intents");
    for (field, value) in [
        ("amount", "1999"),
        ("payment_method", "pm_card"),
        ("customer", "cus_1"),
        ("confirm", "true"),
        ("off_session", "true"),
        ("metadata[organizationId]", "acme"),
    ] {
        assert_eq!(seen.form.get(field).map(String::as_str), Some(value), "{field}");
    }
    // The answer has credited it; the webhook tells the same once more.
    let payment = stripe.objects("pi_").remove(0);
    tell(&service, "payment_intent.succeeded", &payment).await.expect(200);
    tell(&service, "payment_intent.payment_failed", &payment).await.expect(200);
    assert_eq!(balance(&service).await, "29.99");
    assert_eq!(run(&service).await, json!([]));
    assert_eq!(stripe.objects("pi_").len(), 1);
}

#[tokio::test]
async fn after_each_attempt_a_wallet_is_left_alone_for_a_while() {
    let (stripe, service) = service().await;
    set(&service, &settings("100", "20")).await.expect(200);
    assert_eq!(run(&service).await, json!([[20, "succeeded"]]));
    assert_eq!(run(&service).await, json!([]), "still below the threshold");
    service.advance_clock_to("2025-03-01T12:59:59Z").await;
    assert_eq!(run(&service).await, json!([]));
    stripe.behave(Behaviour::Declining);
    service.advance_clock_to("2025-03-01T13:00:00Z").await;
    assert_eq!(run(&service).await, json!([[20, "failed"]]));
    let failed = service.get(TOP_UPS).await[0].clone();
    assert!(failed["failureReason"].as_str().is_some_and(|it| it.contains("insufficient funds")));
    let declined = stripe.objects("pi_").pop().expect("a payment");
    assert_eq!(failed["stripePaymentIntentId"], declined["id"]);
    stripe.behave(Behaviour::RequiringAction);
    service.advance_clock_to("2025-03-01T13:30:00Z").await;
    assert_eq!(run(&service).await, json!([]), "a failure counts as an attempt");
    service.advance_clock_to("2025-03-01T14:00:00Z").await;
    assert_eq!(run(&service).await, json!([[20, "failed"]]), "nobody is there to do anything");
    assert_eq!(balance(&service).await, "30");
    // Whoever pays it after all is credited.
    let paid = stripe.pay(declined["id"].as_str().expect("an id"));
    let later = NOON_SECONDS + 2 * 3600;
    Answer::to(signed_at(&service, later, "payment_intent.succeeded", &paid)).await.expect(200);
    assert_eq!(balance(&service).await, "50");
}

#[tokio::test]
async fn while_the_bank_takes_its_time_nothing_more_is_asked_for() {
    let (stripe, service) = service().await;
    set(&service, &settings("100", "20")).await.expect(200);
    stripe.behave(Behaviour::Processing);
    assert_eq!(run(&service).await, json!([[20, "pending"]]));
    stripe.behave(Behaviour::Good);
    service.advance_clock_to("2025-03-04T12:00:00Z").await;
    assert_eq!(run(&service).await, json!([[20, "pending"]]), "looked at, not asked for");
    let id = stripe.objects("pi_")[0]["id"].as_str().expect("an id").to_owned();
    stripe.pay(&id);
    // Even if the webhook never comes.
    assert_eq!(run(&service).await, json!([[20, "succeeded"]]));
    assert_eq!(balance(&service).await, "30");
    assert_eq!(stripe.objects("pi_").len(), 1);
}

#[tokio::test]
async fn a_payment_whose_answer_was_lost_is_taken_up_with_the_same_key() {
    let stripe = Stripe::start().await;
    let setup = stripe.customer(SECRET).variable("TALLYBOOK__STRIPE__TIMEOUT_MS", "60000");
    let setup = setup.variable("TALLYBOOK__BILLING__AUTO_TOP_UP_EVERY_SECONDS", "1");
    let mut service = setup.manual_clock(NOON).start().await;
    adjust(&service, "10").await;
    stripe.behave(Behaviour::Late);
    set(&service, &settings("10.01", "50")).await.expect(200);
    eventually("the wallet fills itself", async || {
        if stripe.objects("pi_").len() == 1 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    service.kill();
    assert_eq!(stripe.seen().len(), 1);

    stripe.behave(Behaviour::Good);
    service.start_again().await;
    // Other settings since: what was asked for is asked for again as it was.
    set(&service, &settings("10.01", "75")).await.expect(200);
    eventually("the payment is taken up", async || {
        let balance = balance(&service).await;
        if balance == "60" { Ok(()) } else { Err(balance) }
    })
    .await;
    let keys: Vec<String> = stripe.seen().into_iter().map(|seen| seen.key).collect();
    assert!(keys.len() > 1 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(stripe.objects("pi_").len(), 1, "the card was charged once");
    // Killed once more, now that all is known.
    service.kill();
    service.start_again().await;
    let payment = stripe.objects("pi_").remove(0);
    tell(&service, "payment_intent.succeeded", &payment).await.expect(200);
    assert_eq!(balance(&service).await, "60");
}

#[tokio::test]
async fn jobs_and_calls_go_on_while_stripe_takes_its_time() {
    let stripe = Stripe::start().await;
    let setup = stripe.customer(SECRET).variable("TALLYBOOK__STRIPE__TIMEOUT_MS", "60000");
    let setup = setup.variable("TALLYBOOK__BILLING__AUTO_TOP_UP_EVERY_SECONDS", "1");
    let service = setup.manual_clock(NOON).start().await;
    adjust(&service, "10").await;
    stripe.behave(Behaviour::Late);
    set(&service, &settings("100", "50")).await.expect(200);
    eventually("Stripe is asked", async || {
        if stripe.objects("pi_").len() == 1 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let grant = json!({
        "user_id": "ann", "amount": 5, "expiry_date": "2025-03-01T13:00:00Z", "reason": "r",
    });
    service.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
    service.send("/api/v1/consumption", &call("a", 10, 5)).await.expect(201);
    let expired = service.post("/api/v1/admin/jobs/quota-expiry", &Value::Null).await;
    assert_eq!(expired["lots"], 0);
    // By hand, it is left to whoever is at it already.
    assert_eq!(run(&service).await, json!([]));
}

#[tokio::test]
async fn a_tenant_that_has_not_asked_for_it_is_not_charged() {
    let (stripe, service) = service().await;
    let off = json!({"enabled": false, "threshold": 100, "amount": 20, "paymentMethodId": "pm_c"});
    set(&service, &off).await.expect(200);
    assert_eq!(run(&service).await, json!([]));
    let read = service.get(SETTINGS).await;
    assert_eq!(
        read,
        json!({
            "enabled": false, "threshold": 100, "amount": 20, "paymentMethodId": "pm_c",
            "customerId": null,
        })
    );
    let head = service.head().await;
    set(&service, &off).await.expect(200);
    assert_eq!(service.head().await, head, "the same again is nothing new");
    assert!(stripe.seen().is_empty());
}

#[tokio::test]
async fn settings_by_which_nothing_can_be_paid_are_refused() {
    let (_stripe, service) = service().await;
    let head = service.head().await;
    for (change, field) in [
        (json!({"amount": "9.99"}), "amount"),
        (json!({"amount": "10000.01"}), "amount"),
        (json!({"amount": "10.001"}), "amount"),
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -10}), "amount"),
        (json!({"amount": "x"}), "amount"),
        (json!({"threshold": true}), "threshold"),
        (json!({"paymentMethodId": null}), "paymentMethodId"),
        (json!({"paymentMethodId": ""}), "paymentMethodId"),
        (json!({"paymentMethodId": 7}), "paymentMethodId"),
        (json!({"customerId": "a\u{0}b"}), "customerId"),
        (json!({"enabled": "yes"}), "enabled"),
        (json!({"enabled": null}), "enabled"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let mut body = settings("5", "20");
        for (name, value) in change.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let answer = set(&service, &body).await.expect(400);
        let problem = answer.json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{body}: {problem}");
    }
    let nobody = "/api/v1/organization/nobody/auto-top-up";
    let request = service.ask(Method::PUT, nobody).json(&settings("5", "20"));
    assert_eq!(Answer::to(request).await.expect(404).json()["error"], "Organization not found");
    service.read(nobody).await.expect(404);
    assert_eq!(service.head().await, head, "nothing changed");
}

#[tokio::test]
async fn no_tenant_pays_with_what_is_another_tenants() {
    let (stripe, service) = service().await;
    for tenant in ["globex", "initech"] {
        let registration = json!({"orgId": tenant, "name": tenant});
        service.send("/api/v1/admin/tenants", &registration).await.expect(201);
    }
    let theirs = SETTINGS.replace("acme", "globex");
    let request = service.ask(Method::PUT, &theirs).json(&settings("5", "20"));
    Answer::to(request).await.expect(200);
    // What is not set any more stays theirs.
    let off = json!({"enabled": false});
    Answer::to(service.ask(Method::PUT, &theirs).json(&off)).await.expect(200);
    let paid = json!({"organizationId": "globex", "amount": 20, "customerId": "cus_2"});
    service.send("/api/v1/billing/top-up", &paid).await.expect(201);
    let (head, asked) = (service.head().await, stripe.seen().len());
    for (fields, field) in [
        (json!({"paymentMethodId": "pm_card", "customerId": null}), "paymentMethodId"),
        (json!({"paymentMethodId": "pm_own", "customerId": "cus_1"}), "customerId"),
        (json!({"paymentMethodId": "pm_own", "customerId": "cus_2"}), "customerId"),
    ] {
        let mut setting = settings("100", "20");
        let mut payment = json!({"organizationId": "acme", "amount": 20});
        for (name, value) in fields.as_object().expect("fields") {
            setting[name] = value.clone();
            payment[name] = value.clone();
        }
        for answer in
            [set(&service, &setting).await, service.send("/api/v1/billing/top-up", &payment).await]
        {
            let problem = answer.expect(409).json();
            assert_eq!(problem["code"], "payment_method_taken", "{problem}");
            assert_eq!(problem["invalid_parameters"][0]["field"], field, "{problem}");
        }
    }
    let of_tenant = json!({"autoTopUp": {"paymentMethodId": "pm_card"}});
    let answer = service.put("/api/v1/admin/tenants/acme", &of_tenant).await.expect(409);
    let field = &answer.json()["invalid_parameters"][0]["field"];
    assert_eq!(field, "autoTopUp.paymentMethodId");
    assert_eq!((service.head().await, stripe.seen().len()), (head, asked));
    assert_eq!(run(&service).await, json!([]));
    // The provider's cards for trying things out are nobody's.
    let mut own = settings("5", "20");
    own["paymentMethodId"] = json!("pm_card_visa");
    own["customerId"] = json!("cus_3");
    for tenant in ["acme", "initech"] {
        let path = SETTINGS.replace("acme", tenant);
        Answer::to(service.ask(Method::PUT, &path).json(&own)).await.expect(200);
        own["customerId"] = json!("cus_4");
    }
}
