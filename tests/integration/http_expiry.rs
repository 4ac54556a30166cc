//! Quota that has expired is written off by schedule, on the first of the month, what was not used
//! of it and once; and whatever can be started by hand can be waited for.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const MIDMONTH: &str = "2025-01-15T12:00:00Z";
const JOBS: &str = "/api/v1/admin/jobs";

async fn grant(service: &Service, user: &str, amount: u64, expiry: &str) {
    let body = json!({"user_id": user, "amount": amount, "expiry_date": expiry, "reason": "r"});
    service.send("/api/v1/admin/quota/grants", &body).await.expect(201);
}

async fn draw(service: &Service, user: &str, amount: u64) {
    let fields = json!({"userId": user, "timestamp": MIDMONTH});
    let body = with(call(&format!("{user}-draws"), amount, 0), &fields);
    service.send("/api/v1/consumption", &body).await.expect(201);
}

/// `total used available` of a user.
async fn balance(service: &Service, user: &str) -> String {
    let quota = service.get(&format!("/api/v1/quota?user_id={user}")).await;
    ["total_quota", "used_quota", "available_quota"].map(|name| quota[name].to_string()).join(" ")
}

/// `user amount` of every write-off.
async fn written_off(service: &Service) -> Vec<String> {
    let events = service.events_of("quota_expired").await;
    let line = |event: &Value| {
        let data = &event["data"];
        format!("{} {}", data["user_id"].as_str().expect("a text"), data["amount"])
    };
    events.iter().map(line).collect()
}

#[tokio::test]
async fn what_was_not_used_is_written_off_one_minute_into_the_month_and_once() {
    let mut service = Setup::new().manual_clock(MIDMONTH).start().await;
    let (january, march) = ("2025-01-31T23:59:59Z", "2025-03-31T23:59:59Z");
    grant(&service, "ann", 100, january).await;
    grant(&service, "ann", 50, march).await;
    draw(&service, "ann", 30).await;
    grant(&service, "bob", 40, january).await;
    draw(&service, "bob", 40).await;
    grant(&service, "eve", 100, january).await;
    grant(&service, "eve", 50, march).await;
    draw(&service, "eve", 110).await;

    // Worth nothing from midnight on, but not written off yet.
    service.advance_clock_to("2025-02-01T00:00:59Z").await;
    assert_eq!(balance(&service, "ann").await, "50 0 50");
    assert!(written_off(&service).await.is_empty());

    service.advance_clock_to("2025-02-01T00:01:00Z").await;
    assert_eq!(
        written_off(&service).await,
        ["ann 70"],
        "neither what was used nor what is nothing"
    );
    assert_eq!(balance(&service, "ann").await, "50 0 50");
    assert_eq!(balance(&service, "bob").await, "0 0 0");
    assert_eq!(balance(&service, "eve").await, "50 10 40", "what was used is not forgiven");
    let audit = service.get("/api/v1/quota/audit?user_id=ann").await;
    let newest = &audit["records"][0];
    assert_eq!((&newest["operation"], &newest["amount"]), (&json!("EXPIRED"), &json!(-70)));
    assert_eq!(newest["expiry_date"], january);

    service.advance_clock_to("2025-02-01T00:05:00Z").await;
    let report = service.press(&format!("{JOBS}/quota-expiry")).await.expect(200).json();
    let nothing = json!({
        "job": "quota-expiry", "expired_by": "2025-02-01T00:05:00Z", "lots": 0, "users": 0,
        "amount": 0,
    });
    assert_eq!(report, nothing);
    service.stop().await;
    service.start_again().await;
    service.advance_clock_to("2025-02-02T00:00:00Z").await;
    service.run_job("quota-expiry").await;
    assert_eq!(written_off(&service).await, ["ann 70"], "twice changes nothing");
    service.stop().await;
    verify(&service);
}

#[tokio::test]
async fn a_write_off_by_hand_says_what_it_did() {
    let service = Setup::new().start_unscheduled(MIDMONTH).await;
    for (user, amount, expiry) in [
        ("ann", 100, "2025-01-20T00:00:00Z"),
        ("ann", 10, "2025-01-20T00:00:01Z"),
        ("bob", 7, "2025-01-19T23:59:59Z"),
    ] {
        grant(&service, user, amount, expiry).await;
    }
    draw(&service, "ann", 1).await;
    service.advance_clock_to("2025-01-20T00:00:01Z").await;
    let report = service.press(&format!("{JOBS}/quota-expiry")).await.expect(200).json();
    let wanted = json!({
        "job": "quota-expiry", "expired_by": "2025-01-20T00:00:01Z", "lots": 2, "users": 2,
        "amount": 106,
    });
    assert_eq!(report, wanted, "a lot is good to the end of its second");
    assert_eq!(written_off(&service).await, ["bob 7", "ann 99"]);
}

#[tokio::test]
async fn a_month_begins_where_the_book_is_kept() {
    let setup = Setup::new().variable("TALLYBOOK__QUOTA__TIME_ZONE", "Asia/Shanghai");
    let service = setup.variable("TZ", "UTC").manual_clock(MIDMONTH).start().await;
    grant(&service, "ann", 5, "2025-01-31T15:59:59Z").await;
    service.advance_clock_to("2025-01-31T16:00:59Z").await;
    assert!(written_off(&service).await.is_empty());
    service.advance_clock_to("2025-01-31T16:01:00Z").await;
    assert_eq!(written_off(&service).await, ["ann 5"]);
}

#[tokio::test]
async fn a_write_off_that_is_killed_is_finished_by_the_next_and_takes_nothing_twice() {
    const USERS: usize = 3200;
    let mut service = Setup::new().start_unscheduled(MIDMONTH).await;
    let grants = (0..USERS).map(|user| {
        let service = &service;
        async move { grant(service, &format!("user-{user}"), 5, "2025-01-31T23:59:59Z").await }
    });
    stream::iter(grants).buffer_unordered(64).collect::<Vec<()>>().await;
    service.advance_clock_to("2025-02-01T00:01:00Z").await;
    let before = service.head().await;
    let path = format!("{JOBS}/quota-expiry");
    let running = tokio::spawn(Answer::try_to(service.ask(Method::POST, &path)));
    while service.head_now().await == before {}
    service.kill();
    drop(running.await);
    service.start_again().await;
    let first = written_off(&service).await.len();
    assert!(first < USERS, "the kill fell into the middle of it");
    service.advance_clock_to("2025-02-01T00:01:00Z").await;
    let report = service.press(&path).await.expect(200).json();
    assert_eq!(report["lots"], USERS - first, "{report}");
    let all = written_off(&service).await;
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (USERS, USERS));
    service.stop().await;
    verify(&service);
}

#[tokio::test]
async fn a_job_that_is_not_there_is_told_with_those_that_are() {
    let service = Setup::new().start_unscheduled(MIDMONTH).await;
    let report = service.press(&format!("{JOBS}/strategy-scan")).await.expect(200).json();
    let wanted = json!({
        "job": "strategy-scan", "started_at": MIDMONTH, "strategies": [], "executed": 0,
        "failed": 0, "skipped_ticks": 0,
    });
    assert_eq!(report, wanted);
    let missing = service.press(&format!("{JOBS}/colour")).await.expect(404).json();
    let detail = missing["detail"].as_str().expect("a text");
    assert!(detail.contains("`strategy-scan`") && detail.contains("`quota-expiry`"), "{detail}");
}
