//! Strategies over HTTP: the shapes of the first quota manager, without its silence about what is
//! wrong, and what it did not have: executions and previews.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Answer, with};
use crate::support::service::{Service, Setup};

const NOON: &str = "2025-05-15T12:00:00Z";
const STRATEGIES: &str = "/api/v1/strategies";

async fn service() -> Service {
    Setup::new().start_unscheduled(NOON).await
}

async fn delete(service: &Service, path: &str) -> Answer {
    Answer::to(service.ask(Method::DELETE, path)).await
}

/// The messages that a client of the first quota manager shows.
fn error(answer: &Answer) -> String {
    answer.json()["error"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn a_strategy_has_the_fields_of_the_first_quota_manager_in_their_order() {
    let service = service().await;
    let body = json!({
        "name": "vip-monthly", "title": "VIP", "type": "periodic", "amount": 12.5,
        "model": "gpt-4", "periodic_expr": "0 8 1 * *", "condition": "is-vip(1)", "status": false,
        "max_exec_per_user": 3,
    });
    let made = service.send(STRATEGIES, &body).await.expect(201);
    let want = format!(
        "{{\"id\":1,\"name\":\"vip-monthly\",\"title\":\"VIP\",\"type\":\"periodic\",\
         \"amount\":12.5,\"model\":\"gpt-4\",\"periodic_expr\":\"0 8 1 * *\",\
         \"condition\":\"is-vip(1)\",\"status\":false,\"create_time\":\"{NOON}\",\
         \"update_time\":\"{NOON}\",\"max_exec_per_user\":3,\"handled_until\":\"{NOON}\",\
         \"executed\":0,\"failed\":0,\"skipped_ticks\":0}}"
    );
    assert_eq!(made.text, want);
    assert_eq!(service.read("/api/v1/strategies/1").await.expect(200).text, want);
    // Everything that can be left out.
    let least = json!({"name": "welcome", "type": "single", "amount": 5});
    let made = service.send(STRATEGIES, &least).await.expect(201).json();
    for (field, value) in [
        ("id", json!(2)),
        ("title", json!("welcome")),
        ("model", json!("")),
        ("periodic_expr", json!("")),
        ("condition", json!("")),
        ("status", json!(true)),
        ("max_exec_per_user", json!(0)),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert!(made.get("handled_until").is_none(), "{made}");
    let all = service.read(STRATEGIES).await.expect(200);
    assert!(all.text.starts_with("{\"strategies\":[{\"id\":1,"), "{}", all.text);
    assert_eq!(all.json()["total"], 2);
    for (status, ids) in [
        ("enabled", json!([2])),
        ("true", json!([2])),
        ("disabled", json!([1])),
        ("false", json!([1])),
    ] {
        let some = service.read(&format!("{STRATEGIES}?status={status}")).await.expect(200).json();
        let strategies = some["strategies"].as_array().expect("a list");
        let found: Vec<&Value> = strategies.iter().map(|strategy| &strategy["id"]).collect();
        assert_eq!((json!(found), &some["total"]), (ids, &json!(1)), "{status}");
    }
    for status in ["", "on", "Enabled", "1"] {
        let refused = service.read(&format!("{STRATEGIES}?status={status}")).await.expect(400);
        assert_eq!(refused.json()["invalid_parameters"][0]["field"], "status", "{status}");
    }
}

#[tokio::test]
async fn a_strategy_that_is_sent_twice_under_one_key_is_made_once() {
    let service = service().await;
    let body = json!({"name": "welcome", "type": "single", "amount": 5, "model": "gpt-4"});
    let first = service.send_as("k", STRATEGIES, &body).await.expect(201);
    let again = service.send_as("k", STRATEGIES, &body).await.expect(200);
    assert_eq!((again.text.as_str(), again.header("idempotency-hit")), (&*first.text, "true"));
    service.send_as("k", STRATEGIES, &with(body.clone(), &json!({"amount": 6}))).await.expect(422);
    let taken = service.send(STRATEGIES, &body).await.expect(409);
    assert_eq!(taken.json()["code"], "strategy_name_taken");
    assert_eq!(taken.json()["invalid_parameters"][0]["field"], "name");
    let path = format!("{STRATEGIES}/1");
    service.strategy("other", &json!({})).await;
    service.put(&format!("{STRATEGIES}/2"), &json!({"name": "welcome"})).await.expect(409);
    delete(&service, &path).await.expect(200);
    service.send(STRATEGIES, &body).await.expect(201);
}

#[tokio::test]
async fn only_what_is_named_changes_and_what_never_changes_is_refused_by_name() {
    let service = service().await;
    let id =
        service.strategy("welcome", &json!({"model": "gpt-4", "condition": "is-vip(1)"})).await;
    let path = format!("{STRATEGIES}/{id}");
    service.advance_clock_to("2025-05-15T12:30:00Z").await;
    let before = service.get(&path).await;
    let done = service.put(&path, &json!({"amount": 7, "model": null})).await.expect(200);
    assert_eq!(done.text, "{\"message\":\"strategy updated successfully\"}");
    let wanted = json!({"amount": 7, "model": "", "update_time": "2025-05-15T12:30:00Z"});
    assert_eq!(service.get(&path).await, with(before, &wanted));

    let before = (service.head().await, service.get(&path).await);
    for (field, value) in [
        ("id", json!(9)),
        ("create_time", json!(NOON)),
        ("update_time", json!(NOON)),
        ("executed", json!(0)),
        ("colour", json!("red")),
    ] {
        let body = with(json!({"amount": 8}), &json!({field: value}));
        let refused = service.put(&path, &body).await.expect(400);
        let problem = refused.json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{problem}");
        assert!(error(&refused).contains(field), "{problem}");
    }
    assert_eq!((service.head().await, service.get(&path).await), before);
}

#[tokio::test]
async fn a_strategy_that_is_not_there_is_missed_by_every_route() {
    let service = service().await;
    service.strategy("deleted", &json!({})).await;
    let deleted = delete(&service, "/api/v1/strategies/1").await.expect(200);
    assert_eq!(deleted.text, "{\"message\":\"strategy deleted successfully\"}");
    let head = service.head().await;
    let ids = [
        ("1", 404),
        ("2", 404),
        ("99999999999999999999", 404),
        ("0", 400),
        ("-1", 400),
        ("x", 400),
        ("1.5", 400),
    ];
    for (id, status) in ids {
        let path = format!("{STRATEGIES}/{id}");
        let answers = [
            service.read(&path).await,
            service.put(&path, &json!({"amount": 1})).await,
            delete(&service, &path).await,
            service.press(&format!("{path}/enable")).await,
            service.press(&format!("{path}/disable")).await,
            service.press(&format!("{path}/preview")).await,
        ];
        let text = if status == 404 { "strategy not found" } else { "invalid strategy id" };
        for answer in answers {
            assert_eq!((answer.status, error(&answer).as_str()), (status, text), "{id}");
        }
    }
    // What a deleted one gave can still be read.
    service.read("/api/v1/strategies/1/executions").await.expect(200);
    service.read("/api/v1/strategies/2/executions").await.expect(404);
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn a_strategy_is_switched_off_and_on() {
    let service = service().await;
    let id = service.strategy("welcome", &json!({})).await;
    let path = format!("{STRATEGIES}/{id}");
    for (switch, status) in [("disable", false), ("disable", false), ("enable", true)] {
        let done = service.press(&format!("{path}/{switch}")).await.expect(200);
        assert_eq!(done.text, format!("{{\"message\":\"strategy {switch}d successfully\"}}"));
        assert_eq!(service.get(&path).await["status"], status);
    }
}

#[tokio::test]
async fn what_a_condition_or_a_schedule_cannot_mean_is_told_with_its_place() {
    let service = service().await;
    for (fields, field, places) in [
        (json!({"condition": "is-vip(1)) garbage"}), "condition", ["at character 10", "expected"]),
        (
            json!({"condition": "and(is-vip(1), nobody(2))"}),
            "condition",
            ["at character 16", "nobody"],
        ),
        (
            json!({"type": "periodic", "periodic_expr": "0 25 * * *"}),
            "periodic_expr",
            ["field 2 (hour)", "0 to 23"],
        ),
        (json!({"type": "weekly"}), "type", ["`single`", "`periodic`"]),
        (json!({"type": "periodic"}), "periodic_expr", ["required", "periodic"]),
        (json!({"amount": -5}), "amount", ["above zero", "amount"]),
    ] {
        let body = with(json!({"name": "bad", "type": "single", "amount": 1}), &fields);
        let refused = service.send(STRATEGIES, &body).await.expect(400);
        assert_eq!(refused.json()["invalid_parameters"][0]["field"], field, "{fields}");
        for place in places {
            assert!(error(&refused).contains(place), "{fields}: {}", error(&refused));
        }
    }
    assert_eq!(service.get(STRATEGIES).await["total"], 0);
}

#[tokio::test]
async fn executions_are_told_newest_first_and_paged_both_ways() {
    let setup = Setup::new().variable("TALLYBOOK__QUOTA__TIME_ZONE", "Asia/Shanghai");
    let service = setup.start_unscheduled(NOON).await;
    service.know(["ann", "bob", "eve"].map(str::to_owned)).await;
    // The most that there can be: what eve is given on top of it cannot be kept.
    service.grant("eve", 9_223_372_036_853).await;
    let id = service
        .strategy("hourly", &json!({"type": "periodic", "periodic_expr": "0 * * * *", "amount": 2}))
        .await;
    service.advance_clock_to("2025-05-15T16:30:00Z").await;
    let report = service.scan().await;
    assert_eq!((&report["executed"], &report["failed"]), (&json!(8), &json!(4)), "{report}");
    let path = format!("{STRATEGIES}/{id}/executions");
    let all = service.get(&format!("{path}?page_size=100")).await;
    let rows = all["executions"].as_array().expect("rows").clone();
    assert_eq!((all["total"].as_u64(), rows.len()), (Some(12), 12));
    assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row["id"].as_u64())));
    let newest = rows.iter().find(|row| row["user"] == "ann").expect("ann's last");
    let mut wanted = json!({
        "id": newest["id"], "strategy_id": id, "user": "ann", "batch_number": "2025051600",
        "status": "completed", "expiry_date": "2025-06-30T15:59:59Z", "amount": 2,
        "tick": "2025-05-15T16:00:00Z", "create_time": "2025-05-15T16:30:00Z",
        "update_time": "2025-05-15T16:30:00Z",
    });
    assert_eq!(*newest, wanted);
    let failed = rows.iter().find(|row| row["user"] == "eve").expect("eve's last");
    wanted = with(
        wanted,
        &json!({
            "id": failed["id"], "user": "eve", "status": "failed", "expiry_date": null, "amount": 0,
            "failure_reason": "amount is too large",
        }),
    );
    assert_eq!(*failed, wanted);

    let of = |query: &str| {
        let (service, path) = (&service, format!("{path}?{query}"));
        async move { service.read(&path).await.expect(200) }
    };
    let ids = |answer: &Answer| answer.json()["executions"].as_array().expect("rows").clone();
    for query in ["", "status=completed&", "status=failed&", "user_id=bob&", "user_id=nobody&"] {
        let passes = |row: &&Value| match query {
            "status=completed&" => row["status"] == "completed",
            "status=failed&" => row["status"] == "failed",
            "user_id=bob&" => row["user"] == "bob",
            "user_id=nobody&" => false,
            _ => true,
        };
        let wanted: Vec<Value> = rows.iter().filter(passes).cloned().collect();
        let whole = of(&format!("{query}page_size=100")).await;
        assert_eq!(ids(&whole), wanted, "{query}");
        let total = whole.json().get("total").cloned();
        let counted = (!query.starts_with("user_id")).then(|| json!(wanted.len()));
        assert_eq!(total, counted, "{query}");
        let (mut by_number, mut by_cursor) = (Vec::new(), Vec::new());
        for page in 1..=5 {
            by_number.extend(ids(&of(&format!("{query}page_size=3&page={page}")).await));
        }
        let mut cursor = String::new();
        loop {
            let page = of(&format!("{query}page_size=3{cursor}")).await;
            by_cursor.extend(ids(&page));
            match page.header("x-next-cursor") {
                "" => break,
                next => cursor = format!("&before={next}"),
            }
        }
        assert_eq!((&by_number, &by_cursor), (&wanted, &wanted), "{query}");
    }
    for query in ["status=done", "user_id=", "before=x", "page=x", "colour=red"] {
        service.read(&format!("{path}?{query}")).await.expect(400);
    }
}

/// `user verdict amount times` of everyone in a preview.
fn verdicts(preview: &Value) -> Vec<String> {
    let line = |user: &Value| {
        let [id, verdict] = ["user_id", "verdict"].map(|name| user[name].as_str().expect("a text"));
        format!("{id} {verdict} {} {}", user["amount"], user["times"])
    };
    preview["users"].as_array().expect("users").iter().map(line).collect()
}

#[tokio::test]
async fn a_preview_tells_what_a_scan_then_does_and_does_nothing() {
    let service = service().await;
    service.know(["ann", "bob", "eve"].map(str::to_owned)).await;
    let seen = json!({
        "requestId": "r", "organizationId": "acme", "userId": "only-seen", "model": "gpt-4",
        "timestamp": NOON, "usage": {"promptTokens": 1, "completionTokens": 1, "totalTokens": 2},
    });
    service.send("/api/v1/consumption", &seen).await.expect(201);
    let fields = json!({
        "type": "periodic", "periodic_expr": "0 * * * *", "max_exec_per_user": 4, "amount": 10,
        "condition": "and(not(match-user(bob)), quota-le(\"gpt-4\", 21))",
    });
    let id = service.strategy("hourly", &fields).await;
    let path = format!("{STRATEGIES}/{id}/preview");

    // Nothing is owed yet: the next tick is judged.
    let preview = service.press(&path).await.expect(200).json();
    assert_eq!(
        (&preview["ticks"], &preview["next_tick"]),
        (&json!([]), &json!("2025-05-15T13:00:00Z"))
    );
    assert_eq!(preview["at"], "2025-05-15T13:00:00Z");
    assert_eq!((&preview["would_execute"], &preview["total_amount"]), (&json!(2), &json!(20)));

    // Each gift counts at the next tick: 1, 11 and 21 are at most 21.
    let head = service.head().await;
    let preview = service.send(&path, &json!({"at": "2025-05-15T17:30:00Z"})).await.expect(200);
    let preview = preview.json();
    let wanted = [
        "ann gives 30 3",
        "bob condition_false 0 0",
        "eve gives 30 3",
        "only-seen unknown_user 0 0",
    ];
    let mut found = verdicts(&preview);
    found.sort();
    assert_eq!(found, wanted);
    assert_eq!(preview["ticks"].as_array().map(Vec::len), Some(5));
    assert_eq!((&preview["would_execute"], &preview["total_amount"]), (&json!(2), &json!(60)));
    assert_eq!((&preview["enabled"], preview.get("next_tick")), (&json!(true), None));
    assert_eq!(service.head().await, head, "nothing is recorded");

    service.advance_clock_to("2025-05-15T17:30:00Z").await;
    assert_eq!(service.scan().await["executed"], 6);
    service.put(&format!("{STRATEGIES}/{id}"), &json!({"condition": ""})).await.expect(200);
    let question = json!({"at": "2025-05-15T19:30:00Z", "user_id": "ann"});
    let preview = service.send(&path, &question).await.expect(200).json();
    assert_eq!(verdicts(&preview), ["ann gives 10 1"], "the fourth and last");
    service.advance_clock_to("2025-05-15T18:30:00Z").await;
    service.scan().await;
    let preview = service.send(&path, &json!({"user_id": "ann"})).await.expect(200).json();
    assert_eq!(verdicts(&preview), ["ann cap_reached 0 0"]);
    let preview = service.send(&path, &json!({"user_id": "nobody"})).await.expect(200).json();
    assert_eq!(verdicts(&preview), ["nobody unknown_user 0 0"]);

    let single = service.strategy("once", &json!({"amount": 0.5, "status": false})).await;
    let path = format!("{STRATEGIES}/{single}/preview");
    let preview = service.press(&path).await.expect(200).json();
    assert_eq!((&preview["enabled"], &preview["total_amount"]), (&json!(false), &json!(1.5)));
    service.press(&format!("{STRATEGIES}/{single}/enable")).await.expect(200);
    service.scan().await;
    let preview = service.send(&path, &json!({"limit": 1})).await.expect(200).json();
    assert_eq!(preview["would_execute"], 0);
    assert!(verdicts(&preview)[0].ends_with(" already_executed 0 0"), "{preview}");
    let mut listed = verdicts(&preview);
    let mut cursor = preview["next_cursor"].clone();
    while !cursor.is_null() {
        let page = service.send(&path, &json!({"limit": 1, "cursor": cursor})).await.expect(200);
        listed.extend(verdicts(&page.json()));
        cursor = page.json()["next_cursor"].clone();
    }
    assert_eq!(listed.len(), 4, "{listed:?}");
    for (question, field) in [
        (json!({"at": "2025-05-15T18:29:59Z"}), "at"),
        (json!({"at": "2026-05-17T18:30:00Z"}), "at"),
        (json!({"at": "noon"}), "at"),
        (json!({"limit": 0}), "limit"),
        (json!({"limit": 1001}), "limit"),
        (json!({"cursor": -1}), "cursor"),
        (json!({"user_id": ""}), "user_id"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let refused = service.send(&path, &question).await.expect(400).json();
        assert_eq!(refused["invalid_parameters"][0]["field"], field, "{question}");
    }
}
