//! Quota: lots are drawn soonest expiry first, what they do not cover is paid by the next recharge,
//! and time takes the rest.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const CONSUMPTION: &str = "/api/v1/consumption";
const GRANTS: &str = "/api/v1/admin/quota/grants";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// Gives `ann` quota, and tells the lot.
async fn grant(service: &Service, amount: &Value, expiry: &str) -> u64 {
    let body =
        json!({"user_id": "ann", "amount": amount, "expiry_date": expiry, "reason": "a test"});
    let answer = service.send(GRANTS, &body).await.expect(201);
    assert_eq!(answer.json()["sequence"], answer.sequence());
    answer.sequence()
}

/// `total used available overdraft` and the amounts of the lots, of `ann`.
async fn balance(service: &Service) -> String {
    let answer = service.read("/api/v1/quota?user_id=ann").await.expect(200);
    let lots = answer.json()["quota_list"].clone();
    let lots: Vec<String> =
        lots.as_array().expect("lots").iter().map(|lot| lot["amount"].to_string()).collect();
    let numbers = ["total_quota", "used_quota", "available_quota", "overdraft"]
        .map(|name| answer.number(name).to_owned());
    format!("{} [{}]", numbers.join(" "), lots.join(" "))
}

async fn audit(service: &Service) -> Vec<String> {
    let audit = service.read("/api/v1/quota/audit?user_id=ann&page_size=100").await.expect(200);
    let audit = audit.json();
    let records = audit["records"].as_array().expect("records");
    assert_eq!(audit["total"], records.len());
    let line = |record: &Value| {
        let [amount, paid, lot] = ["amount", "overdraft_paid", "lot"].map(|name| &record[name]);
        format!("{} {amount} {paid} of {lot}", record["operation"].as_str().expect("a text"))
    };
    records.iter().map(line).collect()
}

#[tokio::test]
async fn tokens_are_drawn_from_the_lot_that_expires_soonest_and_then_from_the_oldest() {
    let service = service().await;
    let last = grant(&service, &json!(100), "2025-05-01T00:00:00Z").await;
    let first = grant(&service, &json!(50), "2025-04-01T02:00:00+02:00").await;
    let second = grant(&service, &json!(30), "2025-04-01T00:00:00Z").await;
    // What expires at the same moment is told together, with the lots it lies in.
    assert_eq!(balance(&service).await, "180 0 180 0 [80 100]");
    let quota = service.read("/api/v1/quota?user_id=ann").await.json();
    assert_eq!(
        quota["quota_list"],
        json!([
            {"amount": 80, "expiry_date": "2025-04-01T00:00:00Z", "lots": [first, second]},
            {"amount": 100, "expiry_date": "2025-05-01T00:00:00Z", "lots": [last]},
        ])
    );

    let answer = service.send(CONSUMPTION, &call("one", 40, 20)).await.expect(201);
    assert_eq!(answer.number("quotaDrawn"), "60");
    assert_eq!(
        answer.json()["quotaLots"],
        json!([{"lot": first, "amount": 50}, {"lot": second, "amount": 10}])
    );
    assert_eq!(balance(&service).await, "180 60 120 0 [20 100]");

    let answer = service.send(CONSUMPTION, &call("two", 150, 0)).await.expect(201);
    assert_eq!(
        answer.json()["quotaLots"],
        json!([{"lot": second, "amount": 20}, {"lot": last, "amount": 100}])
    );
    assert_eq!((answer.number("quotaDrawn"), answer.number("quotaOverdraft")), ("150", "30"));
    assert_eq!(balance(&service).await, "180 210 -30 30 []");
}

#[tokio::test]
async fn a_recharge_pays_the_overdraft_first() {
    let service = service().await;
    let first = grant(&service, &json!(10), "2025-06-01T00:00:00Z").await;
    service.send(CONSUMPTION, &call("over", 60, 50)).await.expect(201);
    assert_eq!(balance(&service).await, "10 110 -100 100 []");
    let second = grant(&service, &json!(40), "2025-06-01T00:00:00Z").await;
    assert_eq!(balance(&service).await, "50 110 -60 60 []");
    let third = grant(&service, &json!(60.5), "2025-06-01T00:00:00Z").await;
    assert_eq!(balance(&service).await, "110.5 110 0.5 0 [0.5]");
    assert_eq!(
        audit(&service).await,
        [
            format!("RECHARGE 60.5 60 of {third}"),
            format!("RECHARGE 40 40 of {second}"),
            format!("RECHARGE 10 0 of {first}"),
        ]
    );
}

#[tokio::test]
async fn who_was_never_given_quota_draws_none() {
    let service = service().await;
    let answer = service.send(CONSUMPTION, &call("free", 60, 50)).await.expect(201);
    assert_eq!((answer.number("quotaDrawn"), answer.number("cost")), ("0", "0.0048"));
    assert_eq!(balance(&service).await, "0 0 0 0 []");
    grant(&service, &json!(10), "2025-06-01T00:00:00Z").await;
    assert_eq!(balance(&service).await, "10 0 10 0 [10]");
}

#[tokio::test]
async fn a_lot_is_good_to_the_end_of_the_second_of_its_expiry_and_written_off_with_the_month() {
    let service = service().await;
    let soon = grant(&service, &json!(50), "2025-03-02T00:00:00Z").await;
    let late = grant(&service, &json!(7), "2025-03-03T00:00:00Z").await;
    service.send(CONSUMPTION, &call("before", 8, 0)).await.expect(201);

    service.advance_clock_to("2025-03-02T00:00:00.999999Z").await;
    assert_eq!(balance(&service).await, "57 8 49 0 [42 7]");

    service.advance_clock_to("2025-03-02T00:00:01Z").await;
    assert_eq!(balance(&service).await, "7 0 7 0 [7]");
    let drawn = service.send(CONSUMPTION, &call("after", 10, 0)).await.expect(201);
    assert_eq!(drawn.json()["quotaLots"], json!([{"lot": late, "amount": 7}]));
    assert_eq!(drawn.number("quotaOverdraft"), "3");

    service.advance_clock_to("2025-04-01T00:00:59Z").await;
    assert_eq!(balance(&service).await, "0 3 -3 3 []");
    assert_eq!(audit(&service).await.len(), 2);
    // A lot that is used up lapses without a word.
    service.advance_clock_to("2025-04-01T00:01:00Z").await;
    assert_eq!(audit(&service).await.first(), Some(&format!("EXPIRED -42 0 of {soon}")));
    let page = service.read("/api/v1/quota/audit?user_id=ann&page=2&page_size=1").await.expect(200);
    let page = page.json();
    let (total, operation) = (&page["total"], &page["records"][0]["operation"]);
    assert_eq!((total, operation), (&json!(3), &json!("RECHARGE")));
    assert_eq!(balance(&service).await, "0 3 -3 3 []");
}

#[tokio::test]
async fn what_is_granted_too_late_never_counts_and_is_written_off() {
    let service = service().await;
    let late = grant(&service, &json!(50), "2025-03-01T11:59:59Z").await;
    assert_eq!(balance(&service).await, "0 0 0 0 []");
    service.advance_clock_to("2025-04-01T00:01:00Z").await;
    assert_eq!(
        audit(&service).await,
        [format!("EXPIRED -50 0 of {late}"), format!("RECHARGE 50 0 of {late}")]
    );
}

#[tokio::test]
async fn a_call_draws_by_the_rule_of_its_tenant() {
    let service = service().await;
    grant(&service, &json!(1000), "2025-06-01T00:00:00Z").await;
    for (place, (rule, drawn)) in [
        (json!({"rule": "per_token"}), "15"),
        (json!({"rule": "per_token", "weights": {"gpt-4": 0.5, "other": 9}}), "7.5"),
        (json!({"rule": "per_token", "weights": {"gpt-4": 0}}), "0"),
        (json!({"rule": "per_request", "weights": {"gpt-4": 2.5}}), "2.5"),
        (json!({"rule": "per_request"}), "1"),
        (json!({"rule": "per_cost"}), "0.0006"),
        (json!({"rule": "none"}), "0"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = "/api/v1/admin/tenants/acme/draw-rule";
        let set = Answer::to(service.ask(Method::PUT, path).json(&rule)).await.expect(201);
        assert_eq!(set.json()["rule"], rule["rule"]);
        let body = call(&format!("r{place}"), 10, 5);
        let answer = service.send(CONSUMPTION, &body).await.expect(201);
        assert_eq!(answer.number("quotaDrawn"), drawn, "{rule}");
        let of_another =
            with(call(&format!("r{place}"), 10, 5), &json!({"organizationId": "umbrella"}));
        let answer = service.send(CONSUMPTION, &of_another).await.expect(201);
        assert_eq!(answer.number("quotaDrawn"), "15", "the rule is another tenant's");
    }
}
