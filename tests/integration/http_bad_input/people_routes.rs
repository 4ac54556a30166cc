//! What the routes of users and API keys must not take.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Route, no_moments, no_names, post, with_more};

fn no_roles() -> Vec<Value> {
    vec![json!("root"), json!("Developer"), json!(""), json!(7), json!([]), json!({})]
}

fn no_addresses() -> Vec<Value> {
    with_more(no_names(), json!(["ann", "@example.org", "ann@", "a b@example.org", "a@b@c"]))
}

fn no_passwords() -> Vec<Value> {
    vec![json!(7), json!([]), json!({}), json!("eleven char"), json!(""), json!("x".repeat(1025))]
}

pub(super) fn people_routes() -> Vec<Route> {
    let put = |path, body, required, wrong| Route {
        method: Method::PUT,
        ..post(path, body, required, wrong)
    };
    let no_statuses = || vec![json!("suspended"), json!("Active"), json!(""), json!(7), json!([])];
    let person = || {
        vec![
            ("/organizationId", with_more(no_names(), json!([""]))),
            ("/email", no_addresses()),
            ("/name", no_names()),
            ("/role", no_roles()),
            ("/status", no_statuses()),
            ("/createdAt", vec![json!("2025-01-01T00:00:00Z")]),
            ("/lastActive", vec![json!(null)]),
        ]
    };
    let new = vec![
        ("/userId", with_more(no_names(), json!([null, ""]))),
        ("/organizationId", vec![json!(null)]),
        ("/password", no_passwords()),
    ];
    vec![
        post(
            "/api/v1/organization/users",
            json!({"userId": "eve", "organizationId": "acme"}),
            &["userId", "organizationId"],
            [new, person()].concat(),
        ),
        put("/api/v1/organization/users/ann", json!({"name": "Ann"}), &[], person()),
        put(
            "/api/v1/organization/users/ann/password",
            json!({"password": "a password of some length"}),
            &["password"],
            vec![
                ("/password", with_more(no_passwords(), json!([null]))),
                ("/currentPassword", vec![json!(7), json!([]), json!({})]),
            ],
        ),
        post(
            "/api/v1/organization/api-keys",
            json!({"name": "k", "organizationId": "acme", "role": "tenant_admin"}),
            &["name", "organizationId", "role"],
            vec![
                ("/name", with_more(no_names(), json!([null, "", "x".repeat(129)]))),
                ("/organizationId", with_more(no_names(), json!([null, "", "nowhere"]))),
                ("/role", with_more(no_roles(), json!([null]))),
                ("/userId", with_more(no_names(), json!(["", "nobody"]))),
                ("/expiresAt", with_more(no_moments(), json!(["2025-03-01T11:59:59Z"]))),
                ("/key", vec![json!("tbk_mine")]),
            ],
        ),
    ]
}
