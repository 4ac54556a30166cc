//! Revenue is what bills took, by the day that was billed, less what was given back.

use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::{call, with};
use crate::support::service::{Service, Setup};

/// Two tenants with bills: of 1 March both, of 2 March only `acme`.
async fn billed() -> Service {
    let service = Setup::new().manual_clock(NOON).start().await;
    for (id, prompt, fields) in [
        ("a", 1000, json!({})),
        ("b", 1, json!({"userId": "bob"})),
        ("c", 10_000, json!({"organizationId": "umbrella"})),
    ] {
        service.send("/api/v1/consumption", &with(call(id, prompt, 0), &fields)).await.expect(201);
    }
    service.advance_clock_to("2025-03-02T12:00:00Z").await;
    let body = with(call("d", 50, 0), &json!({"timestamp": "2025-03-02T11:00:00Z"}));
    service.send("/api/v1/consumption", &body).await.expect(201);
    service.advance_clock_to("2025-03-03T00:00:00Z").await;
    eventually("the bills are posted", async || {
        let bills = service.read(DEDUCTIONS).await.expect(200).json();
        if bills.as_array().map(Vec::len) == Some(2) { Ok(()) } else { Err(bills.to_string()) }
    })
    .await;
    service
}

const DEDUCTIONS: &str = "/api/v1/analytics/revenue/billing-deductions";
const TENANTS: &str = "/api/v1/analytics/revenue/by-tenant";
const TRENDS: &str = "/api/v1/analytics/revenue-trends?startDate=2025-03-01&endDate=2025-03-31";

async fn read(service: &Service, path: &str) -> String {
    service.read(path).await.expect(200).text
}

#[tokio::test]
async fn revenue_is_what_bills_took() {
    let service = billed().await;
    assert_eq!(
        read(&service, DEDUCTIONS).await,
        r#"[{"_id":"2025-03-01","totalDeductions":0.33003,"totalTokens":11001,"count":2},"#
            .to_owned()
            + r#"{"_id":"2025-03-02","totalDeductions":0.0015,"totalTokens":50,"count":1}]"#
    );
    assert_eq!(
        read(&service, TRENDS).await,
        r#"[{"_id":"2025-03-01","revenue":0.33003},{"_id":"2025-03-02","revenue":0.0015}]"#
    );
    let umbrella = r#"{"_id":"umbrella","totalRevenue":0.3,"totalTokens":10000,"billingCount":1}"#;
    let acme = r#"{"_id":"acme","totalRevenue":0.03153,"totalTokens":1051,"billingCount":2}"#;
    assert_eq!(read(&service, TENANTS).await, format!("[{umbrella},{acme}]"));
    for (path, wanted) in [
        (
            format!("{DEDUCTIONS}?organizationId=umbrella"),
            r#"[{"_id":"2025-03-01","totalDeductions":0.3,"totalTokens":10000,"count":1}]"#,
        ),
        (
            format!("{TRENDS}&organizationId=acme"),
            r#"[{"_id":"2025-03-01","revenue":0.03003},{"_id":"2025-03-02","revenue":0.0015}]"#,
        ),
        (
            format!("{TENANTS}?startDate=2025-03-02&endDate=2025-03-02"),
            r#"[{"_id":"acme","totalRevenue":0.0015,"totalTokens":50,"billingCount":1}]"#,
        ),
        (format!("{TENANTS}?startDate=2025-03-03&endDate=2025-03-03"), "[]"),
    ] {
        assert_eq!(read(&service, &path).await, wanted, "{path}");
    }
}

#[tokio::test]
async fn what_is_given_back_is_no_revenue_and_stays_deducted() {
    let service = billed().await;
    let path = "/api/v1/billing/history?organizationId=umbrella";
    let bills = service.read(path).await.expect(200).json();
    let bill: &Value = &bills[0]["id"];
    let refund = json!({"amount": "0.1", "reason": "an outage", "billId": bill});
    service.send("/api/v1/admin/wallets/umbrella/refunds", &refund).await.expect(201);
    let path = format!("{TRENDS}&organizationId=umbrella");
    assert_eq!(read(&service, &path).await, r#"[{"_id":"2025-03-01","revenue":0.2}]"#);
    let path = format!("{DEDUCTIONS}?organizationId=umbrella");
    assert!(read(&service, &path).await.contains(r#""totalDeductions":0.3,"#));
    assert!(read(&service, TENANTS).await.contains(r#""_id":"umbrella","totalRevenue":0.2,"#));
}

#[tokio::test]
async fn a_refund_without_a_bill_is_less_revenue_on_the_day_it_is_given() {
    let service = billed().await;
    let give = async |tenant: &str, path: &str, amount: &str| {
        let body = json!({"amount": amount, "reason": "an outage"});
        let path = format!("/api/v1/admin/wallets/{tenant}/{path}");
        service.send(&path, &body).await.expect(201);
    };
    give("acme", "refunds", "0.01").await;
    give("acme", "refunds", "0.000000000000000001").await;
    // A present was never revenue.
    give("acme", "credits", "5").await;
    service.advance_clock_to("2025-03-04T12:00:00Z").await;
    give("umbrella", "refunds", "0.1").await;
    assert_eq!(
        read(&service, TRENDS).await,
        r#"[{"_id":"2025-03-01","revenue":0.33003},{"_id":"2025-03-02","revenue":0.0015},"#
            .to_owned()
            + r#"{"_id":"2025-03-03","revenue":-0.010000000000000001},"#
            + r#"{"_id":"2025-03-04","revenue":-0.1}]"#
    );
    assert_eq!(
        read(&service, TENANTS).await,
        r#"[{"_id":"umbrella","totalRevenue":0.2,"totalTokens":10000,"billingCount":1},"#
            .to_owned()
            + r#"{"_id":"acme","totalRevenue":0.021529999999999999,"totalTokens":1051,"billingCount":2}]"#
    );
    let path = format!("{TENANTS}?startDate=2025-03-04&endDate=2025-03-05");
    let umbrella = r#"[{"_id":"umbrella","totalRevenue":-0.1,"totalTokens":0,"billingCount":0}]"#;
    assert_eq!(read(&service, &path).await, umbrella);
    let deductions = service.read(DEDUCTIONS).await.expect(200).json();
    assert_eq!(deductions.as_array().map(Vec::len), Some(2), "nothing was deducted since");
}
