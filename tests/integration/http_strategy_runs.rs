//! What strategies give: to each user exactly once ever, or once at each tick, whoever scans, however
//! often, and wherever the service was killed; by conditions that ask what is so.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const NOON: &str = "2025-05-15T12:00:00Z";
const STRATEGIES: &str = "/api/v1/strategies";

async fn service() -> Service {
    Setup::new().start_unscheduled(NOON).await
}

fn hourly(fields: &Value) -> Value {
    with(json!({"type": "periodic", "periodic_expr": "0 * * * *"}), fields)
}

/// Everything is there, and nothing twice.
fn assert_each_once(gifts: &[String], wanted: usize) {
    let different: BTreeSet<&String> = gifts.iter().collect();
    assert_eq!((gifts.len(), different.len()), (wanted, wanted), "{gifts:?}");
}

async fn balance(service: &Service, user: &str) -> Value {
    service.get(&format!("/api/v1/quota?user_id={user}")).await["available_quota"].clone()
}

#[tokio::test]
async fn a_single_strategy_gives_once_ever() {
    let mut service = service().await;
    service.know(["ann", "bob"].map(str::to_owned)).await;
    let id = service.strategy("welcome", &json!({})).await;
    service.scan().await;
    service.scan().await;
    service.know(["late".to_owned()]).await;
    service.advance_clock_to("2025-07-01T00:00:00Z").await;
    service.scan().await;
    service.stop().await;
    service.start_again().await;
    service.advance_clock_to("2025-09-01T00:00:00Z").await;
    let report = service.scan().await;
    assert_eq!((&report["executed"], &report["strategies"][0]["executed"]), (&json!(0), &json!(0)));
    let mut gifted = service.gifted(id).await;
    gifted.sort();
    assert_eq!(gifted, ["ann", "bob", "late"]);
    assert_eq!(service.get(&format!("{STRATEGIES}/{id}")).await["executed"], 3);
}

#[tokio::test]
async fn a_tick_gives_once_however_often_and_by_whomever_it_is_scanned() {
    // By schedule, every hour, as well.
    let service = Setup::new().manual_clock(NOON).start().await;
    service.know((0..20).map(|user| format!("user-{user}"))).await;
    let id = service.strategy("hourly", &hourly(&json!({"amount": 3}))).await;
    for hour in 13..16 {
        let time = format!("2025-05-15T{hour}:00:00Z");
        let scans = (0..4).map(|_| service.press("/api/v1/admin/jobs/strategy-scan"));
        let triggers = (0..4).map(|_| service.press("/api/v1/strategies/scan"));
        let (answers, triggered, ()) = tokio::join!(
            futures_util::future::join_all(scans),
            futures_util::future::join_all(triggers),
            service.advance_clock_to(&time),
        );
        for answer in answers {
            answer.expect(200);
        }
        for answer in triggered {
            let answer = answer.expect(200);
            assert_eq!(answer.text, "{\"message\":\"strategy scan triggered\"}");
        }
        service.scan().await;
        assert_eq!(service.scan().await["executed"], 0);
        assert_each_once(&service.gifts().await, 20 * (hour - 12));
    }
    assert_eq!(balance(&service, "user-7").await, 10);
    let ticks = service.events_of("strategy_tick_handled").await;
    assert_eq!(ticks.len(), 3, "{ticks:?}");
    let rows = service.get(&format!("{STRATEGIES}/{id}/executions?user_id=user-7")).await;
    let batches: Vec<&Value> = rows["executions"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["batch_number"])
        .collect();
    assert_eq!(json!(batches), json!(["2025051515", "2025051514", "2025051513"]));
}

#[tokio::test]
async fn a_scan_that_is_killed_is_finished_by_the_next_and_gives_nothing_twice() {
    const USERS: usize = 1100;
    let mut service = Setup::new().manual_clock(NOON).start().await;
    service.know((0..USERS).map(|user| format!("user-{user}"))).await;
    service.strategy("welcome", &json!({})).await;
    service.strategy("hourly", &hourly(&json!({}))).await;
    let mut was_cut = false;
    for (time, ticks) in [("2025-05-15T22:00:00Z", 10), ("2025-05-16T08:00:00Z", 20)] {
        let before = service.head().await;
        let clock = service.ask(Method::POST, "/api/v1/admin/clock").json(&json!({"now": time}));
        let advance = tokio::spawn(Answer::try_to(clock));
        while service.head_now().await == before {}
        service.kill();
        drop(advance.await);
        service.start_again().await;
        // Its clock starts over, and nothing is owed at noon.
        let given = service.gifted(2).await.len();
        was_cut |= given < USERS * ticks;
        service.advance_clock_to(time).await;
        assert_each_once(&service.gifts().await, USERS * (1 + ticks));
    }
    assert!(was_cut, "no kill fell into the middle of a scan");
    service.stop().await;
    verify(&service);
}

#[tokio::test]
async fn missed_ticks_are_caught_up_as_many_as_may_be_and_the_rest_is_reported() {
    let setup = Setup::new().variable("TALLYBOOK__STRATEGIES__CATCH_UP_TICKS_MAX", "3");
    let mut service = setup.start_unscheduled(NOON).await;
    service.know(["ann".to_owned()]).await;
    let id = service.strategy("hourly", &hourly(&json!({}))).await;
    service.advance_clock_to("2025-05-15T13:10:00Z").await;
    assert_eq!(service.scan().await["executed"], 1);
    service.stop().await;
    service.start_again().await;
    service.advance_clock_to(NOON).await;
    service.advance_clock_to("2025-05-15T18:30:00Z").await;
    let report = service.scan().await;
    let hours = ["2025-05-15T16:00:00Z", "2025-05-15T17:00:00Z", "2025-05-15T18:00:00Z"];
    let wanted = json!({
        "job": "strategy-scan", "started_at": "2025-05-15T18:30:00Z", "executed": 3, "failed": 0,
        "skipped_ticks": 2,
        "strategies": [{
            "strategy_id": id, "name": "hourly", "ticks": hours, "skipped_ticks": 2, "executed": 3,
            "failed": 0,
        }],
    });
    assert_eq!(report, wanted);
    let strategy = service.get(&format!("{STRATEGIES}/{id}")).await;
    assert_eq!(strategy["skipped_ticks"], 2);
    assert_eq!((&strategy["executed"], &strategy["handled_until"]), (&json!(4), &json!(hours[2])));
    assert_eq!(service.scan().await["skipped_ticks"], 0);
    assert_each_once(&service.gifts().await, 4);
}

#[tokio::test]
async fn what_is_switched_off_gives_nothing_and_owes_nothing_for_the_time() {
    let service = service().await;
    service.know(["ann".to_owned()]).await;
    let off = service.strategy("off", &hourly(&json!({"status": false}))).await;
    let never = service.strategy("never", &json!({"status": false})).await;
    let paused = service.strategy("paused", &hourly(&json!({}))).await;
    service.press(&format!("{STRATEGIES}/{paused}/disable")).await.expect(200);
    service.advance_clock_to("2025-05-15T15:30:00Z").await;
    service.scan().await;
    assert!(service.gifts().await.is_empty());
    for id in [off, paused] {
        service.press(&format!("{STRATEGIES}/{id}/enable")).await.expect(200);
    }
    service.scan().await;
    assert!(service.gifts().await.is_empty(), "the ticks of the time before are not owed");
    service.advance_clock_to("2025-05-15T16:00:00Z").await;
    service.scan().await;
    let tick = "2025-05-15T16:00:00Z";
    assert_eq!(
        service.gifts().await,
        [format!("{off} ann {tick}"), format!("{paused} ann {tick}")]
    );
    service.press(&format!("{STRATEGIES}/{never}/enable")).await.expect(200);
    service.scan().await;
    assert_eq!(service.gifted(never).await, ["ann"]);
}

#[tokio::test]
async fn nobody_gets_more_than_the_cap() {
    let service = service().await;
    service.know(["ann", "bob"].map(str::to_owned)).await;
    let id = service.strategy("twice", &hourly(&json!({"max_exec_per_user": 2}))).await;
    service.advance_clock_to("2025-05-15T17:30:00Z").await;
    assert_eq!(service.scan().await["executed"], 4);
    assert_eq!(balance(&service, "ann").await, 21);
    service.put(&format!("{STRATEGIES}/{id}"), &json!({"max_exec_per_user": 3})).await.expect(200);
    service.advance_clock_to("2025-05-15T19:30:00Z").await;
    assert_eq!(service.scan().await["executed"], 2);
    assert_eq!(balance(&service, "bob").await, 31);
}

/// Users of whom different things are so.
async fn describe_users(service: &Service) {
    for (user, attributes) in [
        (
            "ann",
            json!({
                "vip": 2, "org": "acme", "github_star": "zgsm, tally/book",
                "register_time": "2022-12-31T23:59:59Z", "access_time": "2025-05-01T00:00:01Z",
            }),
        ),
        (
            "bob",
            json!({
                "vip": 1, "org": "globex, inc", "github_star": ["zgsm2", "ZGSM"],
                "register_time": "2023-01-01T00:00:00Z", "access_time": "2025-05-01T00:00:00Z",
            }),
        ),
        ("eve", json!({"name": "Eve"})),
    ] {
        service.put(&format!("/api/v1/admin/users/{user}"), &attributes).await.expect(201);
    }
    // Who was only seen gets nothing.
    let seen = with(call("seen", 1, 1), &json!({"userId": "seen", "timestamp": NOON}));
    service.send("/api/v1/consumption", &seen).await.expect(201);
}

#[tokio::test]
async fn conditions_ask_what_is_known_of_a_user() {
    let service = service().await;
    describe_users(&service).await;
    for (condition, users) in [
        ("", "ann bob eve"),
        ("true()", "ann bob eve"),
        ("false()", ""),
        ("match-user(\"ann\")", "ann"),
        ("match-user(ann, eve)", "ann eve"),
        ("register-before(\"2023-01-01 00:00:00\")", "ann bob"),
        ("register-before(\"2022-12-31 23:59:59\")", "ann"),
        ("access-after(\"2025-05-01 00:00:00\")", "ann"),
        ("github-star(\"zgsm\")", "ann"),
        ("github-star(\"tally/book\")", "ann"),
        ("quota-le(\"gpt-4\", 0)", "ann bob eve"),
        ("quota-le(\"gpt-4\", -1)", ""),
        ("is-vip(1)", "ann bob"),
        ("is-vip(0)", "ann bob eve"),
        ("belong-to(\"globex, inc\")", "bob"),
        ("belong-to(\"\")", "eve"),
        ("and(is-vip(1), not(github-star(\"zgsm\")))", "bob"),
        ("or(is-vip(2), belong-to(\"\"))", "ann eve"),
        ("is-vip(2) or is-vip(1) and belong-to(acme)", "ann"),
    ] {
        // Without a label it would count for the conditions about quota.
        let fields = json!({"condition": condition, "model": "another"});
        let id = service.strategy(&format!("if {condition}"), &fields).await;
        let path = format!("{STRATEGIES}/{id}/preview");
        let foreseen = service.press(&path).await.expect(200).json();
        service.scan().await;
        let mut gifted = service.gifted(id).await;
        gifted.sort();
        assert_eq!(gifted.join(" "), users, "{condition}");
        assert_eq!(foreseen["would_execute"], gifted.len(), "{condition}");
    }
}

#[tokio::test]
async fn a_condition_about_quota_asks_what_remains_and_for_which_model() {
    let service = service().await;
    service.grant("ann", 100).await;
    let used = with(call("used", 60, 0), &json!({"timestamp": NOON}));
    service.send("/api/v1/consumption", &used).await.expect(201);
    let gives = async |name: &str, condition: &str, model: &str, amount: u64| {
        let fields = json!({"condition": condition, "model": model, "amount": amount});
        let id = service.strategy(name, &fields).await;
        service.scan().await;
        service.gifted(id).await.len()
    };
    // 40 remain of 100.
    assert_eq!(gives("much", "quota-le(\"gpt-4\", 39.999999)", "", 1).await, 0);
    assert_eq!(gives("little", "quota-le(\"gpt-4\", 40)", "claude", 500).await, 1);
    // 500 more for `claude` alone.
    assert_eq!(gives("of claude", "quota-le(\"claude\", 539)", "", 1).await, 0);
    assert_eq!(gives("of gpt", "quota-le(\"gpt-4\", 40)", "", 5).await, 1);
    assert_eq!(gives("of none", "quota-le(\"never-heard-of\", 45)", "", 5).await, 1);
}

#[tokio::test]
async fn recharges_of_one_user_and_expiry_at_the_same_time_all_count() {
    let service = service().await;
    service.know(["ann".to_owned()]).await;
    for number in 0..8 {
        service.strategy(&format!("gift {number}"), &json!({"amount": 10})).await;
    }
    let expiry = "2025-06-30T23:59:59Z";
    let grant = json!({"user_id": "ann", "amount": 1, "expiry_date": expiry, "reason": "r"});
    let grants = (0..40).map(|_| service.send("/api/v1/admin/quota/grants", &grant));
    let scans = (0..4).map(|_| service.press("/api/v1/admin/jobs/strategy-scan"));
    let (granted, scanned) = tokio::join!(
        futures_util::future::join_all(grants),
        futures_util::future::join_all(scans),
    );
    for answer in granted {
        answer.expect(201);
    }
    for answer in scanned {
        answer.expect(200);
    }
    // One until the end of the century.
    assert_eq!(balance(&service, "ann").await, 1 + 40 + 80);
}

/// The expiry of what is given at each of these moments, in their order.
async fn check_expiries(setup: Setup, cases: &[(&str, &str)]) {
    let (first, _) = cases[0];
    let service = setup.start_unscheduled(first).await;
    service.know(["ann".to_owned()]).await;
    for (now, want) in cases {
        service.advance_clock_to(now).await;
        let id = service.strategy(now, &json!({})).await;
        service.scan().await;
        let rows = service.get(&format!("{STRATEGIES}/{id}/executions")).await;
        assert_eq!(rows["executions"][0]["expiry_date"], *want, "given at {now}");
        let quota = service.get("/api/v1/quota?user_id=ann").await;
        let lots = quota["quota_list"].as_array().expect("lots");
        assert!(lots.iter().any(|lot| lot["expiry_date"] == *want), "{now}: {quota}");
    }
}

#[tokio::test]
async fn what_is_given_expires_with_this_month_or_the_next_as_in_the_first_quota_manager() {
    // Whatever the zone of the process.
    let setup = Setup::new().variable("TZ", "Asia/Tokyo");
    let cases = [
        ("2024-01-31T12:00:00Z", "2024-02-29T23:59:59Z"),
        ("2025-01-01T00:00:00Z", "2025-01-31T23:59:59Z"),
        ("2025-01-01T23:59:59Z", "2025-01-31T23:59:59Z"),
        ("2025-01-02T00:00:00Z", "2025-02-28T23:59:59Z"),
        ("2025-01-31T12:00:00Z", "2025-02-28T23:59:59Z"),
        ("2025-02-01T00:00:00Z", "2025-03-31T23:59:59Z"),
        ("2025-04-01T00:00:00Z", "2025-05-31T23:59:59Z"),
        ("2025-05-15T10:00:00Z", "2025-06-30T23:59:59Z"),
        ("2025-12-15T00:00:00Z", "2026-01-31T23:59:59Z"),
    ];
    check_expiries(setup, &cases).await;
}

#[tokio::test]
async fn another_rule_or_another_zone_gives_another_expiry() {
    let shanghai = || Setup::new().variable("TALLYBOOK__QUOTA__TIME_ZONE", "Asia/Shanghai");
    let cases = [
        ("2024-12-31T15:59:59Z", "2025-01-31T15:59:59Z"),
        ("2024-12-31T16:00:00Z", "2025-01-31T15:59:59Z"),
        ("2025-01-01T16:00:00Z", "2025-02-28T15:59:59Z"),
    ];
    check_expiries(shanghai(), &cases).await;
    let setup = shanghai().variable("TALLYBOOK__QUOTA__EXPIRY", "month-end");
    let cases = [
        ("2025-01-31T15:59:58Z", "2025-01-31T15:59:59Z"),
        ("2025-01-31T16:00:00Z", "2025-02-28T15:59:59Z"),
    ];
    check_expiries(setup, &cases).await;
    let setup = Setup::new().variable("TALLYBOOK__QUOTA__EXPIRY", "days:30");
    check_expiries(setup, &[("2025-01-15T10:00:00.750Z", "2025-02-14T10:00:00Z")]).await;
}
