//! The audit tells everything that moved a user's quota, in the words of the first quota manager, each
//! movement with what it consists of.

use reqwest::Method;
use serde_json::{Value, json};

use crate::http_vouchers::{JULY, JUNE, MORNING, OUT, issued, order, redeem, service};
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::service::Service;

async fn audit(service: &Service, user: &str) -> Vec<Value> {
    let path = "/api/v1/quota/audit?page_size=100";
    let answer = service.read_as(user, path).await.expect(200).json();
    let records = answer["records"].as_array().expect("records").clone();
    assert_eq!(answer["total"], records.len());
    records
}

/// The record without the fields that the first quota manager does not know.
fn of_old(record: &Value) -> Value {
    let mut record = record.clone();
    let fields = record.as_object_mut().expect("a record");
    for addition in ["overdraft_paid", "actor", "lot", "voucher_id", "sequence", "reason"] {
        fields.remove(addition);
    }
    record
}

#[tokio::test]
async fn both_sides_of_a_transfer_are_told_part_by_part() {
    let service = service().await;
    let code = issued(&service, &[(json!(10), JULY), (json!(20), JUNE)]).await;
    assert_eq!(
        of_old(&audit(&service, "ann").await[0]),
        json!({
            "amount": -30, "operation": "TRANSFER_OUT", "voucher_code": code,
            "related_user": "bob", "expiry_date": JUNE, "create_time": MORNING,
            "details": {
                "operation": "TRANSFER_OUT",
                "summary": {
                    "total_amount": 30, "total_items": 2, "successful_items": 2,
                    "earliest_expiry_date": JUNE,
                },
                "items": [
                    {"amount": 10, "expiry_date": JULY, "status": "SUCCESS",
                     "original_quota": 50, "new_quota": 40},
                    {"amount": 20, "expiry_date": JUNE, "status": "SUCCESS",
                     "original_quota": 100, "new_quota": 80},
                ],
            },
        })
    );
    service.give("bob", &json!(5), JULY).await;
    let later = "2025-07-01T00:00:00Z";
    service.advance_clock_to(later).await;
    redeem(&service, "bob", &code).await;
    assert_eq!(
        of_old(&audit(&service, "bob").await[0]),
        json!({
            "amount": 10, "operation": "TRANSFER_IN", "voucher_code": code,
            "related_user": "ann", "expiry_date": JULY, "create_time": later,
            "details": {
                "operation": "TRANSFER_IN",
                "summary": {
                    "total_amount": 10, "total_items": 2, "successful_items": 1,
                    "expired_items": 1, "earliest_expiry_date": JULY,
                },
                "items": [
                    {"amount": 10, "expiry_date": JULY, "status": "SUCCESS",
                     "original_quota": 5, "new_quota": 15},
                    {"amount": 20, "expiry_date": JUNE, "status": "EXPIRED",
                     "failure_reason": "Quota expired"},
                ],
            },
        })
    );
}

#[tokio::test]
async fn the_fields_of_a_record_come_in_the_order_that_old_clients_print() {
    let service = service().await;
    issued(&service, &[(json!(10), JULY)]).await;
    let text = service.read_as("ann", "/api/v1/quota/audit?page_size=1").await.expect(200).text;
    let fields = [
        "\"amount\":-10",
        "operation",
        "voucher_code",
        "related_user",
        "expiry_date",
        "details",
        "summary",
        "total_amount",
        "total_items",
        "successful_items",
        "earliest_expiry_date",
        "items",
        "status",
        "original_quota",
        "new_quota",
        "create_time",
        "overdraft_paid",
        "actor",
        "voucher_id",
        "sequence",
    ];
    let mut rest = text.as_str();
    for field in fields {
        let (_, after) = rest.split_once(field).unwrap_or_else(|| panic!("{field} in {text}"));
        rest = after;
    }
}

#[tokio::test]
async fn a_voucher_that_brings_nothing_is_told_as_expired_and_one_that_comes_back_as_such() {
    let service = service().await;
    let late = issued(&service, &[(json!(1), JUNE)]).await;
    let mut lapsing = order("bob", &[(json!(2), JULY)]);
    lapsing["voucher_expires_at"] = json!("2025-05-16T00:00:00Z");
    service.post_as("ann", OUT, &lapsing).await.expect(200);
    let taken_back = order("bob", &[(json!(3), JULY), (json!(4), JUNE)]);
    let id =
        service.post_as("ann", OUT, &taken_back).await.expect(200).json()["voucher_id"].clone();
    let path = format!("/api/v1/quota/vouchers/{}/cancel", id.as_str().expect("an id"));
    Answer::to(service.ask_as("ann", Method::POST, &path)).await.expect(200);
    service.advance_clock_to("2025-07-01T00:01:00Z").await;
    redeem(&service, "bob", &late).await;
    let gone = &audit(&service, "bob").await[0];
    assert_eq!((&gone["operation"], &gone["amount"]), (&json!("EXPIRED"), &json!(0)));
    assert_eq!(gone["details"]["items"][0]["failure_reason"], "Quota expired");
    assert_eq!((&gone["expiry_date"], &gone["related_user"]), (&json!(JUNE), &json!("ann")));

    let told = eventually("it has lapsed, and what expired is written off", async || {
        let audit = audit(&service, "ann").await;
        let line = |record: &Value| {
            let parts =
                ["operation", "amount", "expiry_date"].map(|field| record[field].to_string());
            parts.join(" ").replace('"', "")
        };
        let told: Vec<String> = audit.iter().map(line).collect();
        if told.len() == 9 { Ok(told) } else { Err(format!("{told:?}")) }
    })
    .await;
    let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
    let (first, rest) = told.split_at_mut(3);
    first.sort_unstable();
    let june = |text: &str| format!("{text} {JUNE}");
    let july = |text: &str| format!("{text} {JULY}");
    assert_eq!(first, [june("EXPIRED -4"), june("EXPIRED -95"), july("TRANSFER_LAPSED 2")]);
    assert_eq!(
        rest,
        [
            june("TRANSFER_CANCELLED 7"),
            june("TRANSFER_OUT -7"),
            july("TRANSFER_OUT -2"),
            june("TRANSFER_OUT -1"),
            july("RECHARGE 50"),
            june("RECHARGE 100"),
        ]
    );
}

#[tokio::test]
async fn audits_go_on_where_the_page_before_ended_although_more_comes() {
    let service = service().await;
    for amount in 1..=7 {
        issued(&service, &[(json!(amount), JUNE)]).await;
    }
    let amounts = |answer: &Answer| -> Vec<i64> {
        let answer = answer.json();
        let records = answer["records"].as_array().expect("records").iter();
        records.map(|record| record["amount"].as_i64().expect("whole")).collect()
    };
    let page = async |query: &str| {
        service
            .read_as("ann", &format!("/api/v1/quota/audit?page_size=3&{query}"))
            .await
            .expect(200)
    };
    let first = page("").await;
    assert_eq!((amounts(&first), &first.json()["total"]), (vec![-7, -6, -5], &json!(9)));
    issued(&service, &[(json!(8), JUNE)]).await;
    let second = page(&format!("before={}", first.header("x-next-cursor"))).await;
    assert_eq!(amounts(&second), [-4, -3, -2]);
    let third = page(&format!("before={}", second.header("x-next-cursor"))).await;
    assert_eq!((amounts(&third), third.header("x-next-cursor")), (vec![-1, 50, 100], ""));
    assert_eq!(amounts(&page("before=1").await), [0; 0]);
    assert_eq!(amounts(&page("page=2").await), [-5, -4, -3]);
    let path = "/api/v1/quota/audit?before=x";
    assert!(service.read_as("ann", path).await.expect(400).text.contains("before"));
}

/// What was recharged names no failure, and only failures have a reason.
#[tokio::test]
async fn a_recharge_is_told_without_a_failure() {
    let service = service().await;
    let records = audit(&service, "ann").await;
    assert_eq!(
        of_old(&records[1]),
        json!({
            "amount": 100, "operation": "RECHARGE", "expiry_date": JUNE, "create_time": MORNING,
            "details": {
                "operation": "RECHARGE",
                "summary": {
                    "total_amount": 100, "total_items": 1, "successful_items": 1,
                    "earliest_expiry_date": JUNE,
                },
                "items": [{"amount": 100, "expiry_date": JUNE, "status": "SUCCESS"}],
            },
        })
    );
}
