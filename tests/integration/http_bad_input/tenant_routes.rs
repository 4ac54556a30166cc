//! What the routes of tenants, their limits and their holds must not take.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Route, no_counts, no_names, post, with_more};

/// What no amount of zero or above may be.
fn no_sums() -> Vec<Value> {
    let wrong = json!([-1, "x", "", true, [], {}, 1e30, 1e300, 1e-30, "1,5", " 1", "0x10"]);
    with_more(vec![], wrong)
}

fn no_limits() -> Vec<Value> {
    with_more(vec![], json!([-1, 1.5, "7", true, [], {}, 1e30]))
}

pub(super) fn tenant_routes() -> Vec<Route> {
    let no_addresses =
        json!(["ann", "@acme.example", "ann@", "a b@acme.example", "a@b@c", "a\n@b.c"]);
    let addresses = with_more(no_names(), no_addresses);
    let no_percents = json!([-100.01, 1000.01, 0.001, "x", "", true, [], 1e30, "5%", -1e12]);
    let mut terms = vec![
        ("/name", with_more(no_names(), json!([null, ""]))),
        ("/contactEmail", addresses.clone()),
        ("/billingEmail", addresses),
        ("/creditLimit", no_sums()),
        ("/lowBalanceThreshold", no_sums()),
        ("/markupPercent", with_more(vec![], no_percents)),
        ("/timeZone", with_more(vec![], json!(["Nowhere/Land", "", "+01:00", 7, []]))),
        ("/suspendPastCreditLimit", with_more(vec![], json!(["yes", 1, []]))),
        ("/status", with_more(vec![], json!(["Active", "gone", "", null, 7]))),
        ("/consumptionLimits", with_more(vec![], json!([7, "x", true]))),
        ("/consumptionLimits/monthlyLimit", no_limits()),
        ("/consumptionLimits/yearlyLimit", vec![json!(1)]),
        ("/autoTopUp", with_more(vec![], json!([7, "x", true]))),
        ("/autoTopUp/threshold", no_sums()),
        ("/autoTopUp/amount", with_more(no_sums(), json!([0, 0.001]))),
        ("/autoTopUp/enabled", with_more(vec![], json!(["yes", 1]))),
        ("/autoTopUp/paymentMethodId", no_names()),
        ("/autoTopUp/customer", vec![json!("cus_1")]),
    ];
    for field in ["/walletBalance", "/createdAt", "/updatedAt", "/id", "/statusReason"] {
        terms.push((field, vec![json!(1), json!(null)]));
    }
    let mut changes = terms.clone();
    changes.push(("/orgId", vec![json!("acme"), json!("other"), json!(null)]));
    let body = json!({
        "name": "Acme", "creditLimit": 1000, "consumptionLimits": {"dailyLimit": 1_000_000},
        "autoTopUp": {"enabled": true, "amount": 10, "paymentMethodId": "pm_2"},
    });
    let mut new = body.clone();
    new["orgId"] = json!("new");
    new["autoTopUp"]["paymentMethodId"] = json!("pm_card_visa");
    let limits = "/api/v1/organization/acme/consumption-limits";
    let hold = json!({
        "organizationId": "acme", "userId": "gus", "model": "gpt-4", "requestId": "held",
        "promptTokens": 1, "maxTokens": 1,
    });
    vec![
        post("/api/v1/admin/tenants", new, &["orgId", "name"], terms),
        Route { method: Method::PUT, ..post("/api/v1/admin/tenants/acme", body, &[], changes) },
        Route {
            method: Method::PUT,
            ..post(
                limits,
                json!({"monthlyLimit": 5_000_000}),
                &[],
                vec![
                    ("/monthlyLimit", no_limits()),
                    ("/dailyLimit", no_limits()),
                    ("/perUserLimit", no_limits()),
                ],
            )
        },
        post(
            "/api/v1/holds",
            hold,
            &["organizationId", "requestId", "promptTokens", "maxTokens"],
            vec![
                ("/organizationId", no_names()),
                ("/userId", with_more(no_names(), json!([""]))),
                ("/model", with_more(no_names(), json!([""]))),
                ("/requestId", with_more(no_names(), json!([null, ""]))),
                ("/promptTokens", with_more(no_counts(), json!([null]))),
                ("/maxTokens", with_more(no_counts(), json!([null]))),
                ("/amount", no_sums()),
                ("/ttlSeconds", with_more(no_counts(), json!([0, 86_401]))),
            ],
        ),
    ]
}
