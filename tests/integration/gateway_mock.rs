//! The mock gateway says what gateways say.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::gateway::Gateway;

const QUOTA: &str = "/v1/chat/completions/quota";

/// Asks without a body, or posts a form.
async fn ask(gateway: &Gateway, path: &str, form: Option<&str>) -> (u16, Value) {
    let method = if form.is_some() { Method::POST } else { Method::GET };
    let mut request = gateway.ask(method, &format!("{QUOTA}{path}")).header("x-admin-key", "a key");
    if let Some(form) = form {
        let kind = "application/x-www-form-urlencoded";
        request = request.header("content-type", kind).body(form.to_owned());
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn the_mock_answers_as_the_seeds_gateway_does_under_both_names_of_a_user() {
    let gateway = Gateway::start(&[]);
    for (path, form, status, expected) in [
        ("?consumer=ann", None, 200, json!({"quota": 0, "consumer": "ann", "user_id": "ann"})),
        ("", None, 400, json!({"error": "consumer is required"})),
        (
            "/refresh",
            Some("consumer=ann&quota=5"),
            200,
            json!({"message": "quota refreshed", "consumer": "ann", "user_id": "ann", "quota": 5}),
        ),
        (
            "/refresh",
            Some("consumer=ann"),
            400,
            json!({"error": "consumer and quota are required"}),
        ),
        ("/refresh", Some("quota=1"), 400, json!({"error": "consumer and quota are required"})),
        ("/refresh", Some("user_id=ann&quota=1.5"), 400, json!({"error": "invalid quota value"})),
        (
            "/delta",
            Some("user_id=ann&value=-2"),
            200,
            json!({
                "message": "quota updated", "consumer": "ann", "user_id": "ann", "delta": -2,
                "new_quota": 3,
            }),
        ),
        ("/delta", Some("user_id=ann"), 400, json!({"error": "consumer and value are required"})),
        ("/delta", Some("user_id=ann&value=x"), 400, json!({"error": "invalid value"})),
        (
            "/used/delta",
            Some("consumer=ann&value=4"),
            200,
            json!({
                "message": "used quota updated", "consumer": "ann", "user_id": "ann", "delta": 4,
                "new_used": 4,
            }),
        ),
        (
            "/used/refresh",
            Some("consumer=a%20%26%2B%7C&quota=9223372036854775807"),
            200,
            json!({
                "message": "used quota refreshed", "consumer": "a &+|", "user_id": "a &+|",
                "quota": i64::MAX,
            }),
        ),
        ("/used/delta", Some("consumer=a+%26%2B|&value=1"), 400, json!({"error": "invalid value"})),
        ("/used?user_id=ann", None, 200, json!({"quota": 4, "consumer": "ann", "user_id": "ann"})),
        ("?user_id=ann", None, 200, json!({"quota": 3, "consumer": "ann", "user_id": "ann"})),
        ("/unused", None, 404, json!({"error": "not found"})),
        ("/refresh", None, 405, json!({"error": "method not allowed"})),
    ] {
        assert_eq!(ask(&gateway, path, form).await, (status, expected), "{path} {form:?}");
    }
    let book = json!({
        "counters": {"ann": {"quota": 3, "used": 4}, "a &+|": {"quota": 0, "used": i64::MAX}},
        "requests": 14, "changes": 4,
    });
    assert_eq!(gateway.book().await, book);
}

#[tokio::test]
async fn the_mock_misbehaves_as_often_as_it_is_told_to() {
    let gateway = Gateway::start(&["--admin-key", "a key"]);
    gateway.behave(json!({"mode": "down", "times": 2})).await;
    for status in [503, 503, 200] {
        assert_eq!(ask(&gateway, "?user_id=ann", None).await.0, status);
    }
    gateway.behave(json!({"mode": "error"})).await;
    for status in [500, 500, 500] {
        assert_eq!(ask(&gateway, "/delta", Some("user_id=ann&value=1")).await.0, status);
    }
    gateway.behave(json!({"mode": "ok"})).await;
    assert_eq!(ask(&gateway, "/delta", Some("user_id=ann&value=1")).await.1["new_quota"], 1);
}

#[tokio::test]
async fn the_mock_knows_its_key_in_either_header() {
    let gateway = Gateway::start(&["--admin-key", "a key", "--header", "x-auth-key"]);
    let path = format!("{QUOTA}?user_id=ann");
    for (name, value, status) in [
        ("x-auth-key", "a key", 200),
        ("authorization", "Bearer a key", 200),
        ("x-auth-key", "another", 401),
        ("authorization", "a key", 401),
        ("x-admin-key", "a key", 401),
    ] {
        let request = gateway.ask(Method::GET, &path).header(name, value);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{name}: {value}");
        if status == 401 {
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!(body, json!({"error": "invalid authorization"}));
        }
    }
}
