//! What the routes of strategies and of users' attributes must not take.

use reqwest::Method;
use serde_json::json;

use super::{Route, no_amounts, no_moments, no_names, post, with_more};

pub(super) fn recharge_routes() -> Vec<Route> {
    let put = |path, body, wrong| Route { method: Method::PUT, ..post(path, body, &[], wrong) };
    let no_schedules = json!([
        7,
        "",
        "hourly",
        "* * * *",
        "0 * * * * *",
        "61 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "@sometimes",
        "@every",
        "@every 0s",
        "TZ=Nowhere/Land 0 * * * *"
    ]);
    let no_conditions = json!([
        7,
        true,
        "is-vip(",
        "is-vip(1)) garbage",
        "is-vip(\"1\")",
        "nobody()",
        "and(is-vip(1))",
        "IS-VIP(1)",
        "register-before(\"2025-02-30 00:00:00\")",
        "quota-le(\"gpt-4\")",
        "is-vip(1) x"
    ]);
    let no_caps = json!([-1, 1.5, "1", 4_294_967_296_u64, true]);
    let mut nothing = vec![("/colour", vec![json!(1)])];
    for field in ["/id", "/create_time", "/update_time", "/handled_until", "/executed", "/failed"] {
        nothing.push((field, vec![json!(1), json!(null), json!("2025-01-01T00:00:00Z")]));
    }
    let strategy = vec![
        ("/name", with_more(no_names(), json!(["", "  "]))),
        ("/title", no_names()),
        ("/type", vec![json!("weekly"), json!("Single"), json!(""), json!(7), json!([])]),
        ("/amount", with_more(no_amounts(), json!([-1, -0.5]))),
        ("/model", no_names()),
        ("/periodic_expr", with_more(vec![], no_schedules)),
        ("/condition", with_more(vec![], no_conditions)),
        ("/status", vec![json!("yes"), json!(1), json!([])]),
        ("/max_exec_per_user", with_more(vec![], no_caps)),
    ];
    let mut amendment = strategy.clone();
    for field in ["/name", "/title", "/type", "/amount", "/periodic_expr", "/condition", "/status"]
    {
        amendment.push((field, vec![json!(null)]));
    }
    let name = || with_more(no_names(), json!(["a\nb"]));
    vec![
        post(
            "/api/v1/strategies",
            json!({"name": "bad", "type": "periodic", "amount": 1, "periodic_expr": "0 * * * *"}),
            &["name", "type", "amount", "periodic_expr"],
            [strategy, nothing.clone()].concat(),
        ),
        put("/api/v1/strategies/1", json!({"title": "t"}), [amendment, nothing].concat()),
        put(
            "/api/v1/admin/users/ann",
            json!({"name": "Ann"}),
            vec![
                ("/name", name()),
                ("/email", name()),
                ("/phone", name()),
                ("/github_username", name()),
                ("/org", name()),
                ("/github_star", vec![json!(7), json!(true), json!({}), json!("a\u{0}b")]),
                ("/vip", vec![json!(1.5), json!("1"), json!(true), json!(1e30)]),
                ("/register_time", no_moments()),
                ("/access_time", no_moments()),
                ("/keys", vec![json!([1])]),
                ("/created_at", vec![json!("2025-01-01T00:00:00Z")]),
            ],
        ),
    ]
}
