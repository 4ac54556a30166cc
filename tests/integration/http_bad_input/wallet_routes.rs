//! What the routes of wallets must not take.

use serde_json::json;

use super::{Route, no_amounts, no_names, post, with_more};

pub(super) fn wallet_routes() -> Vec<Route> {
    vec![
        post(
            "/api/v1/admin/wallets/acme/adjustments",
            json!({"amount": -5, "reason": "r"}),
            &["amount", "reason"],
            vec![
                ("/amount", with_more(no_amounts(), json!(["1e-19", 1_000_000_000_001_u64]))),
                ("/reason", with_more(no_names(), json!([null, ""]))),
            ],
        ),
        post(
            "/api/v1/admin/wallets/acme/top-ups",
            json!({"amount": 5, "reference": "r"}),
            &["amount", "reference"],
            vec![
                ("/amount", with_more(no_amounts(), json!([-1, "-0.000000000000000001"]))),
                ("/reference", with_more(no_names(), json!([null, ""]))),
            ],
        ),
        post(
            "/api/v1/admin/wallets/acme/refunds",
            json!({"amount": 5, "reason": "r"}),
            &["amount", "reason"],
            vec![
                ("/amount", with_more(no_amounts(), json!([-1, "-0.000000000000000001"]))),
                ("/reason", with_more(no_names(), json!([null, ""]))),
                ("/billId", vec![json!("x"), json!(-1), json!(1.5), json!([]), json!({})]),
            ],
        ),
        post(
            "/api/v1/admin/wallets/acme/credits",
            json!({"amount": 5, "reason": "r"}),
            &["amount", "reason"],
            vec![
                ("/amount", with_more(no_amounts(), json!([-1, "-0.000000000000000001"]))),
                ("/reason", with_more(no_names(), json!([null, ""]))),
            ],
        ),
    ]
}
