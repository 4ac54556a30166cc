//! Alerts: raised once for each crossing, cleared when it is over, told to whom it concerns.

use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::{call, with};
use crate::support::receiver::Receiver;
use crate::support::service::{Service, Setup};

async fn adjust(service: &Service, amount: &str) {
    let body = json!({"amount": amount, "reason": "a test"});
    service.send("/api/v1/admin/wallets/acme/adjustments", &body).await.expect(201);
}

async fn alerts(service: &Service) -> Vec<Value> {
    // Everything that follows from what was recorded before is there then.
    service.head().await;
    let answer = service.get("/api/v1/alerts?organizationId=acme").await;
    answer["alerts"].as_array().expect("alerts").clone()
}

fn types(alerts: &[Value]) -> Vec<&str> {
    alerts.iter().map(|alert| alert["type"].as_str().expect("a type")).collect()
}

/// `type state` of everything that ever became of an alert, oldest first.
async fn history(service: &Service) -> Vec<String> {
    service.head().await;
    let answer = service.get("/api/v1/alerts?organizationId=acme&history=true").await;
    let entries = answer["alerts"].as_array().expect("alerts").iter().rev();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    entries.map(|entry| format!("{} {}", text(&entry["type"]), text(&entry["state"]))).collect()
}

#[tokio::test]
async fn a_low_balance_is_told_once_for_each_crossing() {
    let inbox = Receiver::start().await;
    let mut service = Setup::new()
        .manual_clock(NOON)
        .variable("TALLYBOOK__WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true")
        .start()
        .await;
    let types_told = ["wallet.low_balance", "wallet.balance_restored"];
    let draft = json!({"organizationId": "acme", "url": inbox.url("/"), "types": types_told});
    service.send("/api/v1/webhooks/endpoints", &draft).await.expect(201);
    // A wallet that nobody ever filled is no wallet.
    service.send("/api/v1/consumption", &call("first", 1000, 500)).await.expect(201);
    assert_eq!(alerts(&service).await, [] as [Value; 0]);

    for amount in ["20", "-9.94"] {
        adjust(&service, amount).await;
        assert_eq!(alerts(&service).await, [] as [Value; 0], "exactly $10 are enough");
    }
    // What is used counts, although it is not billed yet: 0.06.
    service.send("/api/v1/consumption", &call("second", 1000, 500)).await.expect(201);
    let raised = alerts(&service).await;
    assert_eq!(types(&raised), ["wallet.low_balance"]);
    let about = json!({
        "organizationId": "acme", "figures": {"available": 9.94, "threshold": 10},
    });
    assert_eq!((&raised[0]["about"], &raised[0]["at"]), (&about, &json!(NOON)));
    for amount in ["-1", "-5"] {
        adjust(&service, amount).await;
    }
    assert_eq!(alerts(&service).await, raised, "still the same");
    service.kill();
    service.start_again().await;
    assert_eq!(alerts(&service).await, raised);
    adjust(&service, "100").await;
    assert_eq!(alerts(&service).await, [] as [Value; 0]);
    adjust(&service, "-100").await;
    assert_eq!(types(&alerts(&service).await), ["wallet.low_balance"]);
    let (low, restored) = ("wallet.low_balance raised", "wallet.low_balance cleared");
    assert_eq!(history(&service).await, [low, restored, low]);

    let received = inbox.gets(3).await;
    let told: Vec<_> = received.iter().map(|one| one.json()["type"].clone()).collect();
    assert_eq!(told, ["wallet.low_balance", "wallet.balance_restored", "wallet.low_balance"]);
    assert_eq!(received[0].json()["data"], about);
}

#[tokio::test]
async fn quota_warns_is_exhausted_and_is_armed_again() {
    let service = Setup::new().manual_clock(NOON).start().await;
    let use_up = async |id: &str, tokens: u64| {
        service.send("/api/v1/consumption", &call(id, tokens, 0)).await.expect(201);
        alerts(&service).await
    };
    assert_eq!(use_up("nobody gave any", 5).await, [] as [Value; 0]);
    service.give("ann", &json!(1000), "2025-03-10T00:00:00Z").await;
    assert_eq!(use_up("to 79.9 %", 799).await, [] as [Value; 0]);
    let warned = use_up("to 80 %", 1).await;
    assert_eq!(types(&warned), ["quota.warning"]);
    let about = json!({
        "organizationId": "acme", "userId": "ann",
        "figures": {"usedQuota": 800, "totalQuota": 1000},
    });
    assert_eq!(warned[0]["about"], about);
    assert_eq!(use_up("to 99.9 %", 199).await, warned);
    assert_eq!(types(&use_up("to all of it", 1).await), ["quota.warning", "quota.exhausted"]);
    assert_eq!(use_up("beyond", 100).await.len(), 2);
    service.give("ann", &json!(10_000), "2025-03-20T00:00:00Z").await;
    assert_eq!(alerts(&service).await, [] as [Value; 0]);
    // Time alone takes quota away: no event says so.
    service.advance_clock_to("2025-03-20T00:00:01Z").await;
    eventually("it is noticed", async || {
        let alerts = alerts(&service).await;
        if types(&alerts) == ["quota.exhausted"] { Ok(()) } else { Err(format!("{alerts:?}")) }
    })
    .await;
    let (warning, exhausted) = ("quota.warning", "quota.exhausted");
    let wanted = [
        format!("{warning} raised"),
        format!("{exhausted} raised"),
        format!("{warning} cleared"),
        format!("{exhausted} cleared"),
        format!("{exhausted} raised"),
    ];
    assert_eq!(history(&service).await, wanted);
}

#[tokio::test]
async fn the_tenants_own_threshold_and_credit_limit_count() {
    let service = Setup::new().manual_clock(NOON).start().await;
    adjust(&service, "50").await;
    assert_eq!(alerts(&service).await, [] as [Value; 0]);
    let terms = json!({"lowBalanceThreshold": 100, "creditLimit": 5});
    service.call(reqwest::Method::PUT, "/api/v1/admin/tenants/acme", Some(&terms)).await;
    let raised = alerts(&service).await;
    assert_eq!(types(&raised), ["wallet.low_balance"]);
    assert_eq!(raised[0]["about"]["figures"], json!({"available": 50, "threshold": 100}));
    for (amount, passed) in [("-55", false), ("-0.000000000000000001", true), ("1", false)] {
        adjust(&service, amount).await;
        let alerts = alerts(&service).await;
        let has_passed = types(&alerts).contains(&"wallet.credit_limit_passed");
        assert_eq!(has_passed, passed, "after {amount}: {alerts:?}");
    }
}

#[tokio::test]
async fn users_of_a_tenant_are_told_of_to_it_and_no_other() {
    let service = Setup::new().manual_clock(NOON).start().await;
    for (user, tenant) in [("ann", "acme"), ("bob", "umbrella"), ("cid", "acme")] {
        let names = json!({"userId": user, "organizationId": tenant});
        service.give(user, &json!(100), "2025-06-01T00:00:00Z").await;
        service.send("/api/v1/consumption", &with(call(user, 90, 0), &names)).await.expect(201);
    }
    let raised = alerts(&service).await;
    let users: Vec<_> = raised.iter().map(|alert| alert["about"]["userId"].clone()).collect();
    assert_eq!(users, ["ann", "cid"]);
    // Whoever moves takes it along.
    let body = json!({"userId": "ann", "organizationId": "umbrella"});
    service.send("/api/v1/organization/users", &body).await.expect(201);
    let raised = alerts(&service).await;
    assert_eq!((raised.len(), &raised[0]["about"]["userId"]), (1, &json!("cid")));
    let others = service.get("/api/v1/alerts?organizationId=umbrella").await;
    assert_eq!(others["alerts"].as_array().map(Vec::len), Some(2), "{others}");
}

#[tokio::test]
async fn the_past_is_read_page_by_page_and_bad_questions_are_refused() {
    let service = Setup::new().manual_clock(NOON).start().await;
    for amount in ["5", "10", "-10", "10", "-10"] {
        adjust(&service, amount).await;
        service.head().await;
    }
    let all = service.get("/api/v1/alerts?organizationId=acme&history=true").await;
    let all: Vec<_> = all["alerts"].as_array().expect("alerts").clone();
    assert_eq!(all.len(), 5);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/alerts?organizationId=acme&history=true&limit=2{cursor}");
        let page = service.read(&path).await.expect(200);
        seen.extend(page.json()["alerts"].as_array().expect("alerts").clone());
        match page.header("x-next-cursor") {
            "" => break,
            next => cursor = format!("&cursor={next}"),
        }
    }
    assert_eq!(seen, all);
    for (query, field) in [
        ("organizationId=acme&limit=2", "limit"),
        ("organizationId=acme&cursor=2", "cursor"),
        ("organizationId=acme&history=true&limit=0", "limit"),
        ("organizationId=acme&history=true&limit=1001", "limit"),
        ("organizationId=acme&history=maybe", "history"),
        ("organizationId=acme&colour=red", "colour"),
        ("", "organizationId"),
    ] {
        let problem = service.read(&format!("/api/v1/alerts?{query}")).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{query}: {problem}");
    }
    service.read("/api/v1/alerts?organizationId=nobody").await.expect(404);
}

#[tokio::test]
async fn what_holds_keep_comes_and_goes_without_an_alert() {
    let service = Setup::new().manual_clock(NOON).start().await;
    adjust(&service, "10.02").await;
    for id in ["one", "two", "three"] {
        let hold = json!({
            "organizationId": "acme", "requestId": id, "promptTokens": 1, "maxTokens": 1,
            "amount": 5,
        });
        let placed = service.send("/api/v1/holds", &hold).await.expect(201).json();
        assert_eq!(alerts(&service).await, [] as [Value; 0]);
        let release = format!("/api/v1/holds/{}/release", placed["holdId"]);
        service.post(&release, &Value::Null).await;
    }
    assert_eq!(history(&service).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_limit_is_told_at_80_and_100_percent_once_a_period() {
    let service = Setup::new().manual_clock(NOON).start().await;
    let registration = json!({"orgId": "acme", "name": "Acme"});
    service.send("/api/v1/admin/tenants", &registration).await.expect(201);
    let limits = json!({"monthlyLimit": 10_000, "dailyLimit": 1_000});
    let path = "/api/v1/organization/acme/consumption-limits";
    service.call(reqwest::Method::PUT, path, Some(&limits)).await;
    let consume = async |id: &str, tokens: u64, at: &str| {
        let call = with(call(id, tokens, 0), &json!({"timestamp": at}));
        service.send("/api/v1/consumption", &call).await.expect(201);
    };
    consume("a", 799, NOON).await;
    assert_eq!(alerts(&service).await, [] as [Value; 0]);
    consume("b", 1, NOON).await;
    assert_eq!(types(&alerts(&service).await), ["limit.warning"]);
    consume("c", 199, NOON).await;
    assert_eq!(types(&alerts(&service).await), ["limit.warning"]);
    consume("d", 1, NOON).await;
    consume("e", 500, NOON).await;
    assert_eq!(types(&alerts(&service).await), ["limit.warning", "limit.reached"]);
    let told = history(&service).await;
    assert_eq!(told, ["limit.warning raised", "limit.reached raised"]);

    // Another day, another limit; what comes late is of the day before.
    service.advance_clock_to("2025-03-02T09:00:00Z").await;
    assert_eq!(alerts(&service).await, [] as [Value; 0]);
    consume("late", 5_000, NOON).await;
    assert_eq!(alerts(&service).await, [] as [Value; 0]);
    consume("f", 800, "2025-03-02T08:00:00Z").await;
    let now = alerts(&service).await;
    assert_eq!(types(&now), ["limit.warning"], "of the day");
    assert_eq!(now[0]["about"]["figures"], json!({"usedTokens": 800, "limitTokens": 1_000}));
}
