//! What the routes of payments must not take.

use reqwest::Method;
use serde_json::json;

use super::{Route, no_amounts, no_names, post, with_more};

pub(super) fn payment_routes() -> Vec<Route> {
    let no_payments = || {
        let beyond =
            json!([9.99, "9.99", 10_000.01, "19.999", -20, 1e-18, "10.000000000000000001"]);
        with_more(no_amounts(), beyond)
    };
    let paid = json!({"organizationId": "acme", "amount": 55, "paymentMethodId": "pm_1"});
    vec![
        post(
            "/api/v1/billing/top-up",
            paid,
            &["organizationId", "amount"],
            vec![
                ("/organizationId", no_names()),
                ("/amount", no_payments()),
                ("/paymentMethodId", with_more(no_names(), json!([""]))),
                ("/customerId", with_more(no_names(), json!([""]))),
                ("/currency", vec![json!("usd")]),
            ],
        ),
        post(
            "/api/v1/billing/stripe/checkout",
            json!({"organizationId": "acme", "amount": 55}),
            &["organizationId", "amount"],
            vec![("/organizationId", no_names()), ("/amount", no_payments())],
        ),
        Route {
            method: Method::PUT,
            ..post(
                "/api/v1/organization/acme/auto-top-up",
                json!({"enabled": true, "threshold": 5, "amount": 55, "paymentMethodId": "pm_1"}),
                &["enabled", "amount", "paymentMethodId"],
                vec![
                    ("/enabled", vec![json!("yes"), json!(1), json!(null)]),
                    ("/threshold", vec![json!(true), json!("x"), json!([]), json!(1e-30)]),
                    ("/amount", no_payments()),
                    ("/paymentMethodId", with_more(no_names(), json!(["", null]))),
                    ("/customerId", with_more(no_names(), json!([""]))),
                ],
            )
        },
    ]
}
