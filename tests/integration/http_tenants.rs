//! Tenants: described by those who run the service, and never moved in what is not theirs to say.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const TENANTS: &str = "/api/v1/admin/tenants";
const ACME: &str = "/api/v1/admin/tenants/acme";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

async fn put(service: &Service, body: &Value) -> Value {
    let mut told = service.put(ACME, body).await.expect(200).json();
    assert_eq!(told["message"], "Tenant updated");
    told.as_object_mut().expect("an object").remove("message");
    assert_eq!(service.get(ACME).await, told);
    told
}

/// As a tenant is shown of which nobody has said more than its name.
fn plain() -> Value {
    json!({
        "id": "acme", "orgId": "acme", "name": "Acme", "contactEmail": null, "billingEmail": null,
        "walletBalance": 0, "creditLimit": null,
        "autoTopUp": {"enabled": false, "threshold": 0, "amount": 0, "paymentMethodId": null},
        "consumptionLimits": {"monthlyLimit": 0, "dailyLimit": 0, "perUserLimit": 0},
        "status": "active", "statusReason": null, "timeZone": "UTC", "markupPercent": 0,
        "suspendPastCreditLimit": false, "lowBalanceThreshold": null, "registered": true,
        "userCount": 0, "drawRule": "per_token", "createdAt": NOON, "updatedAt": NOON,
    })
}

/// Everything that can be said of one.
fn everything() -> Value {
    json!({
        "name": "Acme & Sons", "contactEmail": "zebedee@acme.example",
        "billingEmail": "bills-zebedee@acme.example", "creditLimit": 12.5,
        "autoTopUp": {
            "enabled": true, "threshold": 5, "amount": 20.25, "paymentMethodId": "pm_1",
        },
        "consumptionLimits": {"monthlyLimit": 3000, "dailyLimit": 200, "perUserLimit": 10},
        "status": "suspended", "timeZone": "Europe/Berlin", "markupPercent": 12.34,
        "suspendPastCreditLimit": true, "lowBalanceThreshold": 2,
    })
}

#[tokio::test]
async fn a_tenant_is_what_was_said_of_it_and_what_is_left_out_stays() {
    let mut service = service().await;
    let new = service.send(TENANTS, &json!({"orgId": "acme", "name": "Acme"})).await.expect(201);
    assert_eq!(new.json(), plain());
    let top_up = json!({"amount": 7, "reference": "r"});
    service.send(&format!("{}/top-ups", ACME.replace("tenants", "wallets")), &top_up).await;
    service.advance_clock_to("2025-03-02T12:00:00Z").await;
    let mut wanted = with(plain(), &everything());
    wanted = with(
        wanted,
        &json!({
            "walletBalance": 7, "statusReason": "by_hand", "updatedAt": "2025-03-02T12:00:00Z",
        }),
    );
    assert_eq!(put(&service, &everything()).await, wanted);
    let head = service.head().await;
    assert_eq!(put(&service, &everything()).await, wanted, "there was nothing to do");
    assert_eq!(service.head().await, head);
    service.advance_clock_to("2025-03-03T12:00:00Z").await;
    for (change, seen) in [
        (json!({"status": "active"}), json!({"status": "active", "statusReason": null})),
        (json!({"markupPercent": "-0.01"}), json!({"markupPercent": -0.01})),
        (json!({"contactEmail": null}), json!({"contactEmail": null})),
        (json!({"creditLimit": 0}), json!({"creditLimit": 0})),
        (json!({"creditLimit": null}), json!({"creditLimit": null})),
        (json!({"timeZone": null}), json!({"timeZone": "UTC"})),
        (json!({"lowBalanceThreshold": "0.000000000000000001"}), json!({})),
        (
            json!({"consumptionLimits": {"dailyLimit": null}}),
            json!({
                "consumptionLimits": {"monthlyLimit": 3000, "dailyLimit": 0, "perUserLimit": 10},
            }),
        ),
        (
            json!({"autoTopUp": {"enabled": false}}),
            json!({
                "autoTopUp": {
                    "enabled": false, "threshold": 5, "amount": 20.25, "paymentMethodId": "pm_1",
                },
            }),
        ),
    ] {
        wanted = with(wanted, &seen);
        wanted["updatedAt"] = json!("2025-03-03T12:00:00Z");
        let mut told = put(&service, &change).await;
        if change.get("lowBalanceThreshold").is_some() {
            let text = service.read(ACME).await;
            assert_eq!(text.number("lowBalanceThreshold"), "0.000000000000000001");
            wanted["lowBalanceThreshold"] = told["lowBalanceThreshold"].take();
            told["lowBalanceThreshold"] = wanted["lowBalanceThreshold"].clone();
        }
        assert_eq!(told, wanted, "{change}");
    }
    let listed = service.get(TENANTS).await;
    assert_eq!(listed, json!([wanted]));
    service.kill();
    service.start_again().await;
    assert_eq!(service.get(ACME).await, wanted);
}

#[tokio::test]
async fn one_that_is_made_known_again_keeps_what_is_not_said_anew() {
    let service = service().await;
    service.send("/api/v1/consumption", &call("a", 1, 1)).await.expect(201);
    let seen = service.get(ACME).await;
    assert_eq!((&seen["name"], &seen["registered"]), (&json!("acme"), &json!(false)));
    let all = with(everything(), &json!({"orgId": "acme"}));
    let first = service.send_as("key", TENANTS, &all).await.expect(201);
    let again = service.send_as("key", TENANTS, &all).await.expect(200);
    assert_eq!(again.text, first.text);
    let renamed = json!({"orgId": "acme", "name": "Acme"});
    let told = service.send(TENANTS, &renamed).await.expect(201).json();
    assert_eq!(told, with(first.json(), &json!({"name": "Acme"})), "suspended as it was");
    for missing in [json!({"name": "X"}), json!({"orgId": "x"})] {
        service.send(TENANTS, &missing).await.expect(400);
    }
    let refused = service.send(TENANTS, &with(all, &json!({"walletBalance": 5}))).await.expect(400);
    assert_eq!(refused.json()["invalid_parameters"][0]["field"], "walletBalance");
}

#[tokio::test]
async fn who_leaves_is_inactive_and_who_is_not_there_is_not_found() {
    let service = service().await;
    service.send(TENANTS, &json!({"orgId": "acme", "name": "Acme"})).await.expect(201);
    for _ in 0..2 {
        let answer = Answer::to(service.ask(Method::DELETE, ACME)).await.expect(200);
        assert_eq!(answer.json(), json!({"message": "Tenant deactivated"}));
        assert_eq!(service.get(ACME).await["status"], "inactive");
    }
    let nobody = "/api/v1/admin/tenants/nobody";
    for request in [
        service.ask(Method::GET, nobody),
        service.ask(Method::GET, &format!("{nobody}/details")),
        service.ask(Method::DELETE, nobody),
        service.ask(Method::PUT, nobody).json(&json!({"status": "active"})),
        service.ask(Method::PUT, nobody).json(&json!({"contactEmail": "a@b.example"})),
    ] {
        let answer = Answer::to(request).await.expect(404);
        assert_eq!(answer.json()["error"], "Tenant not found");
    }
}

#[tokio::test]
async fn details_tell_the_month_on_the_tenants_clocks_to_the_last_decimal() {
    let service = service().await;
    let tenant = json!({"orgId": "acme", "name": "Acme", "timeZone": "America/New_York"});
    service.send(TENANTS, &tenant).await.expect(201);
    let details = format!("{ACME}/details");
    for (id, moment) in [
        // The last moment of February there, the first of March, and now.
        ("a", "2025-03-01T04:59:59.999999Z"),
        ("b", "2025-03-01T05:00:00Z"),
        ("c", "2025-03-01T12:00:00Z"),
    ] {
        let call =
            with(call(id, 308, 142), &json!({"timestamp": moment, "model": "gpt-3.5-turbo"}));
        service.send("/api/v1/consumption", &call).await.expect(201);
    }
    let unrated = with(call("d", 3, 4), &json!({"model": "odd", "userId": "ben"}));
    service.send("/api/v1/consumption", &unrated).await.expect(201);
    let answer = service.read(&details).await.expect(200);
    assert_eq!(answer.number("totalCost"), "0.001492");
    let told = answer.json();
    assert_eq!(told["tenant"], service.get(ACME).await);
    assert_eq!(told["billingHistory"], json!([]));
    assert_eq!(
        (&told["stats"]["userCount"], &told["stats"]["totalTokens"]),
        (&json!(2), &json!(907))
    );
    let price = json!({"odd": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-18}});
    service.send("/api/v1/admin/prices", &price).await.expect(201);
    crate::support::eventually("it is rated", async || {
        let answer = service.read(&details).await;
        let cost = answer.number("totalCost").to_owned();
        if cost == "0.001495000000000004" { Ok(()) } else { Err(cost) }
    })
    .await;
    service.advance_clock_to("2025-04-01T03:59:59Z").await;
    assert_eq!(service.get(&details).await["stats"]["totalTokens"], 907);
    service.advance_clock_to("2025-04-01T04:00:00Z").await;
    assert_eq!(service.get(&details).await["stats"]["totalTokens"], 0);
}

#[tokio::test]
async fn addresses_are_in_no_file_in_clear() {
    let mut service = service().await;
    let all = with(everything(), &json!({"orgId": "acme"}));
    service.send(TENANTS, &all).await.expect(201);
    put(&service, &json!({"contactEmail": "other-zebedee@acme.example"})).await;
    let events = service.read("/api/v1/events?limit=100").await.expect(200).text;
    assert!(events.contains("tenant_updated") && !events.contains("zebedee"), "{events}");
    service.stop().await;
    let found = files_with(&service.data_dir(), b"zebedee");
    assert_eq!(found, Vec::<String>::new());
    assert_ne!(files_with(&service.data_dir(), b"Acme & Sons"), Vec::<String>::new());
}

fn files_with(directory: &Path, text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).expect("a file").windows(text.len()).any(|part| part == text)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn addresses_can_be_erased_while_the_log_stays_whole() {
    let mut service = service().await;
    let erase = format!("{ACME}/personal-data");
    let all = with(everything(), &json!({"orgId": "acme"}));
    let gone = |service: &Service| Answer::to(service.ask(Method::DELETE, &erase));
    gone(&service).await.expect(404);
    service.send(TENANTS, &all).await.expect(201);
    let told = gone(&service).await.expect(200).json();
    assert_eq!(
        told,
        json!({"organizationId": "acme", "erased": ["contactEmail", "billingEmail"], "keys": 1})
    );
    let none = json!({"contactEmail": null, "billingEmail": null});
    let bare = service.get(ACME).await;
    assert_eq!(bare, with(bare.clone(), &none));
    assert_eq!(bare["name"], "Acme & Sons", "what is no person's stays");
    let (head, again) = (service.head().await, gone(&service).await.expect(200).json());
    assert_eq!(again, json!({"organizationId": "acme", "erased": [], "keys": 0}));
    assert_eq!(service.head().await, head);
    // A later address has a key of its own, and one key at that.
    put(&service, &json!({"contactEmail": "new@acme.example"})).await;
    put(&service, &json!({"billingEmail": "bills@acme.example"})).await;
    service.stop().await;
    service.start_again().await;
    assert_eq!(service.get(ACME).await["contactEmail"], "new@acme.example");
    let told = gone(&service).await.expect(200).json();
    assert_eq!((&told["keys"], told["erased"].as_array().map(Vec::len)), (&json!(1), Some(2)));
    let events = service.read("/api/v1/events?limit=100").await.expect(200).text;
    assert!(!events.contains("zebedee") && !events.contains("@acme.example"), "{events}");
}

#[tokio::test]
async fn nobody_keeps_an_answer_or_takes_it_for_something_else() {
    let service = service().await;
    service.send(TENANTS, &json!({"orgId": "acme", "name": "Acme"})).await.expect(201);
    for (path, status) in [
        (ACME, 200),
        ("/api/v1/admin/tenants/nobody", 404),
        ("/api/v1/export/consumption/csv?organizationId=acme", 200),
    ] {
        let answer = service.read(path).await.expect(status);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    let nobody = Answer::to(service.ask_as_nobody(Method::GET, ACME)).await.expect(401);
    assert_eq!(nobody.header("x-content-type-options"), "nosniff");
}
