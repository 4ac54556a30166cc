//! Usage and revenue from every side: the arithmetic is exact, the shapes are the ones that clients
//! know, and nobody sees what is not theirs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, number_of, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const ANALYTICS: &str = "/api/v1/analytics";
const FEBRUARY: &str = "startDate=2025-02-01&endDate=2025-02-28";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// Calls of two tenants, on two days of February and today.
async fn used() -> Service {
    let service = service().await;
    for (id, tokens, fields) in [
        ("a", (1000, 500), json!({"timestamp": "2025-02-02T23:59:59Z", "assistantType": "word"})),
        ("b", (10, 5), json!({"timestamp": "2025-02-03T00:00:00Z", "userId": "bob"})),
        ("c", (20, 0), json!({"timestamp": "2025-02-03T00:30:00Z", "assistantType": "excel"})),
        ("d", (7, 0), json!({"timestamp": "2025-02-03T07:00:00Z", "model": "no-price"})),
        ("e", (100, 0), json!({"organizationId": "umbrella", "userId": "eve"})),
        ("f", (30, 3), json!({"assistantType": "word"})),
    ] {
        let body = with(call(id, tokens.0, tokens.1), &fields);
        service.send("/api/v1/consumption", &body).await.expect(201);
    }
    service
}

async fn rows(service: &Service, path: &str) -> String {
    service.read(&format!("{ANALYTICS}/{path}")).await.expect(200).text
}

#[tokio::test]
async fn the_overview_counts_exactly_and_averages_to_the_last_decimal() {
    let service = used().await;
    assert_eq!(
        rows(&service, "overview").await,
        r#"{"tenants":{"total":2,"active":2},"users":{"total":3,"active":2},"#.to_owned()
            + r#""consumption":{"today":{"tokens":133,"cost":0.00408},"#
            + r#""thisMonth":{"tokens":133,"cost":0.00408},"#
            + r#""allTime":{"tokens":1675,"cost":0.06528}},"averageConsumptionPerTenant":837.5}"#
    );
    let body = with(call("g", 0, 0), &json!({"organizationId": "third"}));
    service.send("/api/v1/consumption", &body).await.expect(201);
    let answer = service.read(&format!("{ANALYTICS}/overview")).await.expect(200);
    assert_eq!(answer.number("averageConsumptionPerTenant"), "558.333333333333333333");
}

#[tokio::test]
async fn before_anything_happened_there_are_zeros_and_no_rows() {
    let service = service().await;
    assert_eq!(
        rows(&service, "overview").await,
        r#"{"tenants":{"total":0,"active":0},"users":{"total":0,"active":0},"#.to_owned()
            + r#""consumption":{"today":{"tokens":0,"cost":0},"thisMonth":{"tokens":0,"cost":0},"#
            + r#""allTime":{"tokens":0,"cost":0}},"averageConsumptionPerTenant":0}"#
    );
    for path in [
        "consumption-trends?organizationId=nobody&startDate=2025-01-01&endDate=2025-12-31",
        "top-tenants",
        "revenue-trends?startDate=2025-01-01&endDate=2025-12-31",
        "usage-patterns/peak-times",
        "usage-patterns/day-of-week?organizationId=nobody",
        "usage-patterns/assistant-type",
        "usage-patterns/user-activity",
        "revenue/top-up-frequency",
        "revenue/billing-deductions?organizationId=nobody",
        "revenue/by-tenant",
    ] {
        assert_eq!(rows(&service, path).await, "[]", "{path}");
    }
}

#[tokio::test]
async fn trends_and_patterns_add_up_what_they_say() {
    let service = used().await;
    for (path, wanted) in [
        (
            format!("consumption-trends?organizationId=acme&{FEBRUARY}"),
            r#"[{"_id":"2025-02-02","tokens":1500,"cost":0.06},{"_id":"2025-02-03","tokens":42,"cost":0.0012}]"#,
        ),
        (
            "consumption-trends?startDate=2025-02-03T00:00:00Z&endDate=2025-02-03T00:29:59Z".into(),
            r#"[{"_id":"2025-02-03","tokens":15,"cost":0.0006}]"#,
        ),
        (
            "top-tenants".into(),
            r#"[{"_id":"acme","totalTokens":1575,"totalCost":0.06228},{"_id":"umbrella","totalTokens":100,"totalCost":0.003}]"#,
        ),
        (
            "top-tenants?limit=1&startDate=2025-03-01&endDate=2025-03-01".into(),
            r#"[{"_id":"umbrella","totalTokens":100,"totalCost":0.003}]"#,
        ),
        (
            format!("usage-patterns/peak-times?organizationId=acme&{FEBRUARY}"),
            r#"[{"_id":0,"tokens":35,"cost":0.0012,"count":2},{"_id":7,"tokens":7,"cost":0,"count":1},{"_id":23,"tokens":1500,"cost":0.06,"count":1}]"#,
        ),
        (
            "usage-patterns/day-of-week?organizationId=acme".into(),
            r#"[{"_id":1,"tokens":1500,"cost":0.06,"count":1},{"_id":2,"tokens":42,"cost":0.0012,"count":3},{"_id":7,"tokens":33,"cost":0.00108,"count":1}]"#,
        ),
        (
            "usage-patterns/assistant-type?organizationId=acme".into(),
            r#"[{"_id":"word","tokens":1533,"cost":0.06108,"count":2},{"_id":"","tokens":22,"cost":0.0006,"count":2},{"_id":"excel","tokens":20,"cost":0.0006,"count":1}]"#,
        ),
        (
            format!("usage-patterns/user-activity?organizationId=acme&{FEBRUARY}"),
            r#"[{"_id":"ann","tokens":1527,"cost":0.0606,"count":3,"lastActive":"2025-02-03T07:00:00Z"},{"_id":"bob","tokens":15,"cost":0.0006,"count":1,"lastActive":"2025-02-03T00:00:00Z"}]"#,
        ),
    ] {
        assert_eq!(rows(&service, &path).await, wanted, "{path}");
    }
    let top = rows(&service, "usage-patterns/user-activity").await;
    assert!(top.contains(r#""lastActive":"2025-03-01T11:59:00Z""#), "{top}");
}

/// Of twenty-one users, the one who used least is left out.
#[tokio::test]
async fn user_activity_is_of_the_twenty_who_used_most() {
    let service = service().await;
    let users: Vec<Value> = (1..=21)
        .map(|number| {
            let user = json!({"userId": format!("u{number:02}")});
            with(call(&format!("c{number}"), number, 0), &user)
        })
        .collect();
    service.send("/api/v1/consumption/batch", &Value::from(users)).await.expect(200);
    let answer = service.read(&format!("{ANALYTICS}/usage-patterns/user-activity")).await;
    let users = answer.expect(200).json();
    let users: Vec<&str> =
        users.as_array().expect("rows").iter().filter_map(|user| user["_id"].as_str()).collect();
    assert_eq!((users.len(), users[0], users[19]), (20, "u21", "u02"));
}

#[tokio::test]
async fn top_ups_by_hand_are_counted_and_averaged_exactly() {
    let service = service().await;
    let top_up = async |tenant: &str, amount: &str| {
        let path = format!("/api/v1/admin/wallets/{tenant}/top-ups");
        service.send(&path, &json!({"amount": amount, "reference": "r"})).await.expect(201);
    };
    top_up("acme", "10").await;
    top_up("acme", "0.000000000000000001").await;
    top_up("acme", "10").await;
    top_up("umbrella", "5").await;
    let adjustment = json!({"amount": 99, "reason": "no top-up"});
    service.send("/api/v1/admin/wallets/acme/adjustments", &adjustment).await.expect(201);
    service.advance_clock_to("2025-03-02T00:00:00Z").await;
    top_up("acme", "0.3").await;
    let first = r#"{"_id":"2025-03-01","count":3,"totalAmount":20.000000000000000001,"averageAmount":6.666666666666666667}"#;
    let second = r#"{"_id":"2025-03-02","count":1,"totalAmount":0.3,"averageAmount":0.3}"#;
    let path = "revenue/top-up-frequency?organizationId=acme";
    assert_eq!(rows(&service, path).await, format!("[{first},{second}]"));
    for (dates, wanted) in [
        ("startDate=2025-03-01&endDate=2025-03-01", format!("[{first}]")),
        ("startDate=2025-03-02&endDate=2025-03-02", format!("[{second}]")),
        ("startDate=2025-03-01T12:00:00.000001Z&endDate=2025-03-02", format!("[{second}]")),
        ("startDate=2025-03-03&endDate=2025-03-04", "[]".to_owned()),
    ] {
        assert_eq!(rows(&service, &format!("{path}&{dates}")).await, wanted, "{dates}");
    }
    let all = rows(&service, "revenue/top-up-frequency").await;
    assert_eq!((number_of(&all, "count"), number_of(&all, "averageAmount")), ("4", "6.25"));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_the_words_that_clients_know() {
    let service = service().await;
    for path in ["consumption-trends", "revenue-trends"] {
        for (query, field) in [
            ("", "startDate"),
            ("?startDate=2025-03-01", "endDate"),
            ("?endDate=2025-03-01", "startDate"),
        ] {
            let answer = service.read(&format!("{ANALYTICS}/{path}{query}")).await.expect(400);
            let problem = answer.json();
            assert_eq!(problem["error"], "startDate and endDate are required", "{path}{query}");
            assert_eq!(problem["invalid_parameters"][0]["field"], field, "{path}{query}");
        }
    }
    for path in [
        "top-tenants",
        "usage-patterns/peak-times",
        "usage-patterns/day-of-week",
        "usage-patterns/assistant-type",
        "usage-patterns/user-activity",
        "revenue/top-up-frequency",
        "revenue/billing-deductions",
        "revenue/by-tenant",
    ] {
        for (query, field) in [
            ("startDate=2025-03-01", "endDate"),
            ("endDate=2025-03-01", "startDate"),
            ("startDate=2025-02-30&endDate=2025-03-01", "startDate"),
            ("startDate=2025-03-02&endDate=2025-03-01", "endDate"),
            ("startDate=2025-03-01&endDate=soon", "endDate"),
            ("colour=red", "colour"),
        ] {
            let answer = service.read(&format!("{ANALYTICS}/{path}?{query}")).await.expect(400);
            let problem = answer.json();
            assert_eq!(problem["invalid_parameters"][0]["field"], field, "{path}?{query}");
        }
    }
    for limit in ["0", "-1", "1001", "x", ""] {
        let answer = service.read(&format!("{ANALYTICS}/top-tenants?limit={limit}")).await;
        assert_eq!(answer.expect(400).json()["invalid_parameters"][0]["field"], "limit", "{limit}");
    }
}

async fn read_as(service: &Service, claims: &Value, path: &str) -> Answer {
    let request = service.ask_as_nobody(Method::GET, path).bearer_auth(token(claims));
    Answer::to(request).await
}

#[tokio::test]
async fn everybody_sees_what_is_their_own() {
    let service = used().await;
    let chief = json!({"id": "chief", "role": "tenant_admin", "organizationId": "acme"});
    let bob = json!({"id": "bob", "role": "tenant_user", "organizationId": "acme"});
    let overview = format!("{ANALYTICS}/overview");
    let seen = read_as(&service, &chief, &overview).await.expect(200);
    assert_eq!(
        seen.text,
        r#"{"tenants":{"total":1,"active":1},"users":{"total":2,"active":1},"#.to_owned()
            + r#""consumption":{"today":{"tokens":33,"cost":0.00108},"#
            + r#""thisMonth":{"tokens":33,"cost":0.00108},"#
            + r#""allTime":{"tokens":1575,"cost":0.06228}},"averageConsumptionPerTenant":1575}"#
    );
    let seen = read_as(&service, &bob, &overview).await.expect(200);
    assert_eq!(
        seen.text,
        r#"{"tenants":{"total":1,"active":1},"users":{"total":1,"active":0},"#.to_owned()
            + r#""consumption":{"today":{"tokens":0,"cost":0},"thisMonth":{"tokens":0,"cost":0},"#
            + r#""allTime":{"tokens":15,"cost":0.0006}},"averageConsumptionPerTenant":15}"#
    );
    for (claims, path, wanted) in [
        (&chief, "top-tenants", r#"[{"_id":"acme","totalTokens":1575,"totalCost":0.06228}]"#),
        (&bob, "top-tenants", r#"[{"_id":"acme","totalTokens":15,"totalCost":0.0006}]"#),
        (
            &bob,
            "consumption-trends?startDate=2025-01-01&endDate=2025-12-31",
            r#"[{"_id":"2025-02-03","tokens":15,"cost":0.0006}]"#,
        ),
        (&bob, "usage-patterns/peak-times", r#"[{"_id":0,"tokens":15,"cost":0.0006,"count":1}]"#),
    ] {
        let seen = read_as(&service, claims, &format!("{ANALYTICS}/{path}")).await.expect(200);
        assert_eq!(seen.text, wanted, "{path}");
    }
    // Who has no tenant sees what was paid for them.
    let eve = json!({"id": "eve"});
    let seen = read_as(&service, &eve, &overview).await.expect(200);
    assert!(
        seen.text
            .starts_with(r#"{"tenants":{"total":1,"active":1},"users":{"total":1,"active":1}"#)
    );
}

#[tokio::test]
async fn a_users_consumption_is_what_their_tenant_paid_for() {
    let service = used().await;
    let body = with(call("x", 50, 0), &json!({"organizationId": "umbrella"}));
    service.send("/api/v1/consumption", &body).await.expect(201);
    let path =
        |user: &str, dates: &str| format!("/api/v1/organization/users/{user}/consumption{dates}");
    let chief = json!({"id": "chief", "role": "tenant_admin", "organizationId": "umbrella"});
    for (user, dates, wanted) in [
        ("ann", "", r#"{"_id":"ann","totalTokens":1610,"totalCost":0.06318,"requestCount":5}"#),
        (
            "ann",
            "?startDate=2025-02-02&endDate=2025-02-02",
            r#"{"_id":"ann","totalTokens":1500,"totalCost":0.06,"requestCount":1}"#,
        ),
        ("nobody", "", r#"{"_id":"nobody","totalTokens":0,"totalCost":0,"requestCount":0}"#),
    ] {
        let seen = service.read(&path(user, dates)).await.expect(200);
        assert_eq!(seen.text, wanted, "{user} {dates}");
    }
    let seen = read_as(&service, &chief, &path("ann", "")).await.expect(200);
    assert_eq!(seen.text, r#"{"_id":"ann","totalTokens":50,"totalCost":0.0015,"requestCount":1}"#);
    let bob = json!({"id": "bob", "role": "tenant_user", "organizationId": "acme"});
    read_as(&service, &bob, &path("bob", "")).await.expect(200);
    read_as(&service, &bob, &path("ann", "")).await.expect(403);
}
