//! What is asked of Stripe, and what becomes of it when Stripe refuses, fails or is late.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CHECKOUT, JOB, TOP_UP, TOP_UPS, balance, events, of_acme, register, service, statuses, text,
    top_up,
};
use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::people::token;
use crate::support::service::Setup;
use crate::support::stripe::{Behaviour, SECRET_KEY, Stripe};
use crate::support::stripe_webhooks::{SECRET, tell};

#[tokio::test]
async fn a_page_says_on_itself_and_on_its_payment_whose_it_is() {
    let (stripe, service) = service().await;
    let answer = service.send(CHECKOUT, &of_acme(json!(25))).await.expect(200).json();
    let id = text(&answer, "sessionId");
    assert_eq!(answer["url"], format!("https://checkout.stripe.example/c/{id}"));

    let seen = stripe.seen();
    let [seen] = &seen[..] else { panic!("one request: {seen:?}") };
    let top_ups = service.get(TOP_UPS).await;
    assert_eq!(top_ups[0]["stripeCheckoutSessionId"], id);
    let top_up = text(&top_ups[0], "id");
    assert_eq!(seen.key, top_up, "asked for again, it is the same page");
    for (field, value) in [
        ("mode", "payment"),
        ("line_items[0][price_data][unit_amount]", "2500"),
        ("line_items[0][price_data][product_data][name]", "Tallybook Wallet Top-Up"),
        ("metadata[organizationId]", "acme"),
        ("metadata[topUpId]", top_up),
        ("payment_intent_data[metadata][organizationId]", "acme"),
        ("payment_intent_data[metadata][topUpId]", top_up),
        ("success_url", "https://tally.example/app/dashboard/billing?success=true"),
        ("cancel_url", "https://tally.example/app/dashboard/billing?canceled=true"),
    ] {
        assert_eq!(seen.form.get(field).map(String::as_str), Some(value), "{field}");
    }
    assert_eq!(balance(&service).await, "0", "nothing has come in");
    let (page, payment) = stripe.check_out(id);
    tell(&service, "payment_intent.succeeded", &payment).await.expect(200);
    tell(&service, "checkout.session.completed", &page).await.expect(200);
    assert_eq!(balance(&service).await, "25");
    let audit = service.read("/api/v1/billing/wallet/audit?organizationId=acme").await.json();
    assert_eq!(audit["records"][0]["operation"], "TOP_UP");
    assert_eq!(audit["records"][0]["reason"], payment["id"]);
}

#[tokio::test]
async fn amounts_are_exact_in_cents_and_within_their_bounds() {
    let (stripe, service) = service().await;
    let mut sum = 0;
    for (amount, cents) in [
        ("19.99", 1_999),
        ("10", 1_000),
        ("10000.00", 1_000_000),
        ("\"4321.10\"", 432_110),
        ("1128.9", 112_890),
        ("64.35e0", 6_435),
    ] {
        let answer = top_up(&service, amount, amount).await.expect(201).json();
        let seen = stripe.seen().pop().expect("a request");
        assert_eq!(seen.form["amount"], cents.to_string(), "{amount}");
        let payment = stripe.pay(text(&answer, "stripePaymentIntentId"));
        tell(&service, "payment_intent.succeeded", &payment).await.expect(200);
        sum += cents;
    }
    assert_eq!(balance(&service).await, format!("{}.{}", sum / 100, sum % 100));

    let head = service.head().await;
    for amount in ["9.99", "10000.01", "0", "-19.99", "1e9", "9.999", "10.001", "19.999", "1e-18"] {
        for path in [TOP_UP, CHECKOUT] {
            let answer = service.send(path, &of_acme(amount)).await.expect(400);
            let problem = answer.json();
            assert_eq!(problem["invalid_parameters"][0]["field"], "amount", "{amount}: {problem}");
        }
    }
    let answer = service.send(CHECKOUT, &of_acme(json!(9.99))).await.expect(400);
    assert_eq!(answer.json()["error"], "Amount must be between $10 and $10,000");
    assert_eq!((service.head().await, stripe.seen().len()), (head, 6), "nothing happened");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let (stripe, service) = service().await;
    let good = of_acme(json!(20));
    for (query, field) in [
        ("?success_url=javascript:alert(1)", "success_url"),
        ("?cancel_url=ftp://x/y", "cancel_url"),
        ("?success_url=nowhere", "success_url"),
        ("?colour=red", "colour"),
    ] {
        let answer = service.send(&format!("{CHECKOUT}{query}"), &good).await.expect(400);
        assert_eq!(answer.json()["invalid_parameters"][0]["field"], field, "{}", answer.text);
    }
    for path in [CHECKOUT, TOP_UP] {
        for (body, field) in [
            (json!({"organizationId": "acme"}), "amount"),
            (json!({"organizationId": "acme", "amount": true}), "amount"),
            (json!({"organizationId": "acme", "amount": 20, "currency": "eur"}), "currency"),
            (json!({"organizationId": 7, "amount": 20}), "organizationId"),
            (json!({"amount": 20}), "organizationId"),
        ] {
            let answer = service.send(path, &body).await.expect(400);
            assert_eq!(answer.json()["invalid_parameters"][0]["field"], field, "{}", answer.text);
        }
        let body = json!({"organizationId": "nobody", "amount": 20});
        let answer = service.send(path, &body).await.expect(404);
        assert_eq!(answer.json()["error"], "Organization not found");
    }
    assert!(stripe.seen().is_empty());
    let whole = "?success_url=https%3A%2F%2Fa.example%2Fok%3Fid%3D%7BCHECKOUT_SESSION_ID%7D";
    service.send(&format!("{CHECKOUT}{whole}&cancel_url=/no"), &good).await.expect(200);
    let form = stripe.seen().pop().expect("a request").form;
    assert_eq!(form["success_url"], "https://a.example/ok?id={CHECKOUT_SESSION_ID}");
    assert_eq!(form["cancel_url"], "https://tally.example/app/no");
}

#[tokio::test]
async fn without_keys_the_routes_say_that_payments_are_off() {
    let service = Setup::new().manual_clock(NOON).start().await;
    register(&service, "acme").await;
    for (path, body, missing) in [
        (CHECKOUT, of_acme(json!(20)), "STRIPE_SECRET_KEY"),
        (TOP_UP, of_acme(json!(20)), "STRIPE_SECRET_KEY"),
        (JOB, Value::Null, "STRIPE_SECRET_KEY"),
        ("/api/v1/billing/stripe/webhook", json!({}), "STRIPE_WEBHOOK_SECRET"),
    ] {
        let answer = service.send(path, &body).await.expect(503);
        let problem = answer.json();
        assert_eq!(problem["code"], "payments_off", "{path}");
        assert!(text(&problem, "detail").contains(missing), "{problem}");
    }
    assert_eq!(service.get(TOP_UPS).await, json!([]));
}

#[tokio::test]
async fn the_same_key_gives_the_same_payment_and_the_same_page() {
    let (stripe, service) = service().await;
    let first = top_up(&service, "k", "20").await.expect(201);
    let second = top_up(&service, "k", "20").await.expect(200);
    assert_eq!(first.json(), second.json());
    assert_eq!(second.header("idempotency-hit"), "true");
    let payment = first.json();
    assert_eq!(
        payment["clientSecret"],
        format!("{}_secret_of_client", text(&payment, "stripePaymentIntentId"))
    );
    assert_eq!(
        (&payment["status"], &payment["amount"], &payment["completedAt"], &payment["createdAt"]),
        (&json!("pending"), &json!(20), &Value::Null, &json!(NOON))
    );
    top_up(&service, "k", "21").await.expect(422);
    let page = service.send_as("page", CHECKOUT, &of_acme(json!(20))).await.expect(200);
    let again = service.send_as("page", CHECKOUT, &of_acme(json!(20))).await.expect(200);
    assert_eq!(page.text, again.text);
    service.send_as("k", CHECKOUT, &of_acme(json!(20))).await.expect(422);
    assert_eq!((stripe.objects("pi_").len(), stripe.objects("cs_").len()), (1, 1));
    assert_eq!(statuses(&service).await, ["pending", "pending"]);
}

#[tokio::test]
async fn means_of_payment_go_with_the_payment() {
    let (stripe, service) = service().await;
    let mut body = of_acme(json!(20));
    body["paymentMethodId"] = json!("pm_card");
    body["customerId"] = json!("cus_1");
    service.send(TOP_UP, &body).await.expect(201);
    let form = stripe.seen().pop().expect("a request").form;
    assert_eq!((&*form["payment_method"], &*form["customer"]), ("pm_card", "cus_1"));
    assert!(!form.contains_key("confirm"), "a client completes it");
    stripe.behave(Behaviour::Refusing);
    body["paymentMethodId"] = json!("pm_none");
    let answer = service.send_as("r", TOP_UP, &body).await.expect(402);
    assert_eq!(answer.json()["code"], "payment_failed");
    assert!(answer.text.contains("No such PaymentMethod: 'pm_none'"), "{}", answer.text);
    let again = service.send_as("r", TOP_UP, &body).await.expect(402);
    assert_eq!(again.text, answer.text);
    let failed = &service.get(TOP_UPS).await[0];
    assert_eq!(failed["status"], "failed");
    assert!(text(failed, "failureReason").contains("pm_none"), "{failed}");
    assert_eq!(events(&service, "top_up_failed").await, 1);
}

#[tokio::test]
async fn what_nobody_knows_of_is_asked_for_again_under_the_same_key() {
    let (stripe, service) = service().await;
    stripe.behave(Behaviour::Failing);
    let answer = top_up(&service, "k", "20").await.expect(503);
    assert_eq!(answer.json()["code"], "payment_outcome_unknown");
    stripe.behave(Behaviour::Locked);
    let answer = service.send(CHECKOUT, &of_acme(json!(30))).await.expect(503);
    assert!(!answer.text.contains(SECRET_KEY), "{}", answer.text);
    assert_eq!(statuses(&service).await, ["pending", "pending"]);
    let report = service.post(JOB, &Value::Null).await;
    assert_eq!(report["topUps"].as_array().map(Vec::len), Some(2), "{report}");
    assert!(stripe.objects("").is_empty());

    stripe.behave(Behaviour::Good);
    let report = service.post(JOB, &Value::Null).await;
    assert_eq!(report["topUps"].as_array().map(Vec::len), Some(2), "{report}");
    assert_eq!((stripe.objects("pi_").len(), stripe.objects("cs_").len()), (1, 1));
    let report = service.post(JOB, &Value::Null).await;
    assert_eq!(report, json!({"job": "auto-top-up", "topUps": []}), "each is known now");
    let asked = top_up(&service, "k", "20").await.expect(200).json();
    assert_eq!(asked["stripePaymentIntentId"], stripe.objects("pi_")[0]["id"]);
    assert!(!service.log().contains(SECRET_KEY), "the key is shown to nobody");
}

#[tokio::test]
async fn a_payment_that_was_never_asked_for_within_a_day_is_given_up() {
    let (stripe, service) = service().await;
    stripe.behave(Behaviour::Failing);
    top_up(&service, "k", "20").await.expect(503);
    stripe.behave(Behaviour::Good);
    service.advance_clock_to("2025-03-02T11:00:01Z").await;
    let report = service.post(JOB, &Value::Null).await;
    assert_eq!(report["topUps"][0]["status"], "failed", "Stripe may have forgotten the key");
    assert!(stripe.objects("").is_empty());
    top_up(&service, "k", "20").await.expect(402);
}

#[tokio::test]
async fn a_payment_goes_on_where_the_process_was_killed() {
    let stripe = Stripe::start().await;
    // Longer than the test waits: the process is killed while it waits for the answer.
    let setup = stripe.customer(SECRET).variable("TALLYBOOK__STRIPE__TIMEOUT_MS", "60000");
    let mut service = setup.manual_clock(NOON).start().await;
    register(&service, "acme").await;
    stripe.behave(Behaviour::Late);
    let request = service
        .ask(Method::POST, TOP_UP)
        .header("Idempotency-Key", "k")
        .json(&of_acme(json!("19.99")));
    let waiting = tokio::spawn(Answer::try_to(request));
    eventually("Stripe is asked", async || {
        if stripe.objects("pi_").len() == 1 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let conflict = top_up(&service, "k", "\"19.99\"").await.expect(409);
    assert_eq!(conflict.json()["code"], "payment_under_way");
    service.kill();
    assert!(waiting.await.expect("ends").is_err(), "nobody was answered");

    stripe.behave(Behaviour::Good);
    service.start_again().await;
    assert_eq!(service.get(TOP_UPS).await[0]["stripePaymentIntentId"], Value::Null);
    let report = service.post(JOB, &Value::Null).await;
    assert_eq!(report["topUps"][0]["status"], "pending", "{report}");
    let [payment] = &stripe.objects("pi_")[..] else { panic!("one payment") };
    let asked = top_up(&service, "k", "\"19.99\"").await.expect(200).json();
    assert_eq!(asked["stripePaymentIntentId"], payment["id"]);
    let paid = stripe.pay(text(payment, "id"));
    tell(&service, "payment_intent.succeeded", &paid).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
    service.kill();
    service.start_again().await;
    tell(&service, "payment_intent.succeeded", &paid).await.expect(200);
    assert_eq!(balance(&service).await, "19.99");
}

#[tokio::test]
async fn payments_are_listed_newest_first_and_page_by_page() {
    let (_stripe, service) = service().await;
    for amount in 10..15 {
        top_up(&service, &format!("k{amount}"), &amount.to_string()).await.expect(201);
    }
    let mut amounts = Vec::new();
    let mut path = format!("{TOP_UPS}&limit=2");
    loop {
        let page = service.read(&path).await.expect(200);
        amounts
            .extend(page.json().as_array().expect("a list").iter().map(|it| it["amount"].clone()));
        let next = page.header("x-next-cursor").to_owned();
        if next.is_empty() {
            break;
        }
        // What begins in the meantime does not move a page.
        top_up(&service, &next, "99").await.expect(201);
        path = format!("{TOP_UPS}&limit=2&cursor={next}");
    }
    assert_eq!(Value::from(amounts), json!([14, 13, 12, 11, 10]));
    let newest = service.get(TOP_UPS).await[0].clone();
    let one = service.get(&format!("/api/v1/billing/top-ups/{}", text(&newest, "id"))).await;
    assert_eq!(one, newest);
    service.read("/api/v1/billing/top-ups/xyz").await.expect(400);
    service.read(&format!("/api/v1/billing/top-ups/{}", "0".repeat(32))).await.expect(404);
    service.read(&format!("{TOP_UPS}&limit=0")).await.expect(400);
    service.read("/api/v1/billing/top-ups?organizationId=nobody").await.expect(404);
}

#[tokio::test]
async fn an_administrator_pays_for_their_own_tenant_and_sees_no_other() {
    let (_stripe, service) = service().await;
    register(&service, "umbrella").await;
    let of = |tenant: &str| {
        token(&json!({"id": "chief", "role": "tenant_admin", "organizationId": tenant}))
    };
    let pay = |tenant: &str, body: Value| {
        let request = service.ask_as_nobody(Method::POST, TOP_UP).bearer_auth(of(tenant));
        Answer::to(request.header("Idempotency-Key", "k").json(&body))
    };
    let theirs = pay("umbrella", json!({"amount": 30})).await.expect(201).json();
    let ours = pay("acme", json!({"amount": 20})).await.expect(201).json();
    assert_ne!(theirs["id"], ours["id"], "the same key of another");
    pay("umbrella", of_acme(json!(20))).await.expect(403);

    let read = |tenant: &str, path: String| {
        Answer::to(service.ask_as_nobody(Method::GET, &path).bearer_auth(of(tenant)))
    };
    let path = |top_up: &Value| format!("/api/v1/billing/top-ups/{}", text(top_up, "id"));
    let list = "/api/v1/billing/top-ups".to_owned();
    let seen = read("acme", list.clone()).await.expect(200).json();
    assert_eq!((seen.as_array().map(Vec::len), &seen[0]["id"]), (Some(1), &ours["id"]));
    read("acme", path(&ours)).await.expect(200);
    read("acme", path(&theirs)).await.expect(404);
    read("umbrella", path(&ours)).await.expect(404);
    read("umbrella", format!("{list}?organizationId=acme")).await.expect(403);
}

#[tokio::test]
async fn what_becomes_of_payments_is_counted() {
    let (stripe, service) = service().await;
    let begun = top_up(&service, "k", "20").await.expect(201).json();
    let payment = stripe.pay(text(&begun, "stripePaymentIntentId"));
    tell(&service, "payment_intent.succeeded", &payment).await.expect(200);
    tell(&service, "payment_intent.succeeded", &payment).await.expect(200);
    let metrics = service.read("/metrics").await.expect(200).text;
    for line in [
        r#"stripe_requests_total{outcome="done"} 1"#,
        r#"stripe_webhooks_total{outcome="taken"} 2"#,
        r#"top_ups_total{outcome="succeeded"} 1"#,
    ] {
        assert!(metrics.contains(line), "no `{line}` in {metrics}");
    }
}

#[tokio::test]
async fn an_administrators_page_leads_back_to_us_alone() {
    let (stripe, service) = service().await;
    let admin = token(&json!({"id": "chief", "role": "tenant_admin", "organizationId": "acme"}));
    let check_out = |service: &crate::support::service::Service, address: &str| {
        let path = format!("{CHECKOUT}?success_url={address}");
        let request = service.ask_as_nobody(Method::POST, &path).bearer_auth(&admin);
        Answer::to(request.json(&json!({"amount": 20})))
    };
    for address in [
        "https://evil.example/",
        "https://tally.example/elsewhere",
        "https://tally.example/application",
        "https://tally.example/app/../elsewhere",
        "http://tally.example/app/done",
        "https://tally.example:8443/app/done",
        "https://tally.example@evil.example/app/done",
        "https://x@tally.example/app/done",
        "/../elsewhere",
    ] {
        let problem = check_out(&service, address).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], "success_url", "{address}");
    }
    assert!(stripe.seen().is_empty());
    for address in ["/done", "https://tally.example/app/done?x=1"] {
        check_out(&service, address).await.expect(200);
    }
    let anywhere = format!("{CHECKOUT}?success_url=https://elsewhere.example/");
    service.send(&anywhere, &of_acme(json!(20))).await.expect(200);
}
