//! What is asked of each route, and who is answered how.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{call, with};

/// The statuses for: a developer; an administrator and a user of the tenant concerned; an
/// administrator and a user of another tenant. The user of the tenant is the one concerned.
pub(super) type Statuses = [u16; 5];

const EVERYONE: Statuses = [200; 5];
const DEVELOPERS: Statuses = [200, 403, 403, 403, 403];
const ADMINISTRATORS: Statuses = [200, 200, 403, 403, 403];
const NO_SUCH_BILL: Statuses = [404, 404, 403, 404, 403];
const THE_USER: Statuses = [200, 200, 200, 403, 403];
const OWN_USERS: Statuses = [200, 200, 403, 404, 403];

/// Of administrators, where no payment provider is configured.
const PAYMENTS_OFF: Statuses = [503, 503, 403, 403, 403];

/// Of an endpoint of webhooks that is not there for those who may have some.
const NO_ENDPOINT: Statuses = [404, 404, 403, 404, 403];

/// Of developers, whose success has another status.
const fn developers(status: u16) -> Statuses {
    [status, 403, 403, 403, 403]
}

/// What is asked of a route, and who is answered how.
pub(super) struct Expectation {
    pub(super) query: &'static str,
    pub(super) media_type: &'static str,
    pub(super) body: Value,
    pub(super) statuses: Statuses,
    pub(super) is_open: bool,
}

fn reads(query: &'static str, statuses: Statuses) -> Expectation {
    let media_type = "application/json";
    Expectation { query, media_type, body: Value::Null, statuses, is_open: false }
}

/// Of routes that ask for no credentials.
fn open() -> Expectation {
    open_with(200)
}

fn open_with(status: u16) -> Expectation {
    Expectation { is_open: true, ..reads("", [status; 5]) }
}

fn writes(body: Value, statuses: Statuses) -> Expectation {
    Expectation { body, ..reads("", statuses) }
}

const OF_ANN: &str = "?organizationId=acme-secret&userId=ann-secret";
const OF_ACME: &str = "?organizationId=acme-secret";
/// The first hold.
pub(super) const HOLD: &str = "4";
const DAYS_OF_ACME: &str = "?organizationId=acme-secret&startDate=2025-03-01&endDate=2025-03-31";
const MONTH_OF_ACME: &str = "?organizationId=acme-secret&month=2025-03";
const QUOTA_OF_ANN: &str = "?user_id=ann-secret";

pub(super) fn table() -> BTreeMap<&'static str, Expectation> {
    let mut table = general_table();
    table.extend(alerts_table());
    table
}

/// Alerts and webhooks.
fn alerts_table() -> BTreeMap<&'static str, Expectation> {
    BTreeMap::from([
        ("GET /api/v1/alerts", reads(OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/webhooks/endpoints", reads(OF_ACME, ADMINISTRATORS)),
        (
            "POST /api/v1/webhooks/endpoints",
            writes(
                json!({"organizationId": "acme-secret", "url": "https://example.com/hook"}),
                [201, 201, 403, 403, 403],
            ),
        ),
        // Nobody has this one.
        ("GET /api/v1/webhooks/endpoints/{endpoint}", reads("", NO_ENDPOINT)),
        ("PUT /api/v1/webhooks/endpoints/{endpoint}", writes(json!({}), NO_ENDPOINT)),
        ("DELETE /api/v1/webhooks/endpoints/{endpoint}", reads("", NO_ENDPOINT)),
        ("POST /api/v1/webhooks/endpoints/{endpoint}/secret/rotate", reads("", NO_ENDPOINT)),
        ("POST /api/v1/webhooks/endpoints/{endpoint}/test", reads("", NO_ENDPOINT)),
        ("GET /api/v1/webhooks/endpoints/{endpoint}/deliveries", reads("", NO_ENDPOINT)),
        (
            "POST /api/v1/webhooks/endpoints/{endpoint}/deliveries/{event}/retry",
            reads("", NO_ENDPOINT),
        ),
    ])
}

fn general_table() -> BTreeMap<&'static str, Expectation> {
    let event = json!({
        "specversion": "1.0", "id": "by-event", "source": "/g", "type": "llm.consumption",
        "data": of_ann("by-event"),
    });
    let mut table = BTreeMap::from([
        ("GET /health", open()),
        ("GET /health/ready", open()),
        ("GET /api/v1/openapi.json", open()),
        ("GET /metrics", reads("", DEVELOPERS)),
        ("GET /api/v1/consumption/history", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/consumption/by-assistant", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/consumption/by-user", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/consumption/by-model", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/consumption/by-project", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/consumption/real-time", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/consumption/aggregates", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/quota", reads(QUOTA_OF_ANN, THE_USER)),
        ("GET /api/v1/quota/audit", reads(QUOTA_OF_ANN, THE_USER)),
        ("GET /api/v1/quota/vouchers", reads("", EVERYONE)),
        // Nobody has given this one.
        ("GET /api/v1/quota/vouchers/{voucher}", reads("", [404; 5])),
        ("POST /api/v1/quota/vouchers/{voucher}/cancel", reads("", [404; 5])),
        // Only two of them have something to give.
        ("POST /api/v1/quota/transfer-out", writes(to_bob(), [409, 409, 200, 409, 200])),
        ("POST /api/v1/quota/transfer-in", writes(json!({"voucher_code": "x"}), EVERYONE)),
        ("GET /api/v1/events", reads("", DEVELOPERS)),
        ("GET /api/v1/events/stream", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/clock", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/gateway", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/prices", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/prices/models", reads("?model=gpt-4", DEVELOPERS)),
        ("GET /api/v1/admin/tenants", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/tenants/{tenant}", reads("", DEVELOPERS)),
        ("POST /api/v1/consumption", writes(of_ann("by-post"), developers(201))),
        ("POST /api/v1/consumption/batch", writes(json!([of_ann("by-batch")]), DEVELOPERS)),
        (
            "POST /api/v1/events",
            Expectation {
                media_type: "application/cloudevents+json",
                ..writes(event, developers(202))
            },
        ),
        (
            "POST /api/v1/admin/quota/grants",
            writes(
                json!({"user_id": "ann-secret", "amount": 1, "expiry_date": "2025-06-01T00:00:00Z"}),
                developers(201),
            ),
        ),
        (
            "POST /api/v1/admin/prices",
            writes(json!({"m": {"input_cost_per_token": 1}}), developers(201)),
        ),
        (
            "POST /api/v1/admin/tenants",
            writes(json!({"orgId": "acme-secret", "name": "A"}), developers(201)),
        ),
        (
            "PUT /api/v1/admin/tenants/{tenant}/draw-rule",
            writes(json!({"rule": "none"}), developers(201)),
        ),
        ("GET /api/v1/strategies", reads("", DEVELOPERS)),
        ("GET /api/v1/strategies/{strategy}", reads("", DEVELOPERS)),
        ("GET /api/v1/strategies/{strategy}/executions", reads("", DEVELOPERS)),
        ("POST /api/v1/strategies", writes(strategy("by-role"), developers(201))),
        ("PUT /api/v1/strategies/{strategy}", writes(json!({"title": "t"}), DEVELOPERS)),
        ("DELETE /api/v1/strategies/{strategy}", reads("", DEVELOPERS)),
        ("POST /api/v1/strategies/{strategy}/enable", reads("", DEVELOPERS)),
        ("POST /api/v1/strategies/{strategy}/disable", reads("", DEVELOPERS)),
        ("POST /api/v1/strategies/{strategy}/preview", reads("", DEVELOPERS)),
        ("POST /api/v1/strategies/scan", reads("", DEVELOPERS)),
        ("POST /api/v1/admin/jobs/{job}", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/users", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/users/{user}", reads("", DEVELOPERS)),
        ("PUT /api/v1/admin/users/{user}", writes(json!({"name": "A"}), developers(201))),
        ("DELETE /api/v1/admin/users/{user}/personal-data", reads("", DEVELOPERS)),
        ("GET /v1/chat/completions/quota", reads(QUOTA_OF_ANN, DEVELOPERS)),
        ("GET /v1/chat/completions/quota/used", reads(QUOTA_OF_ANN, DEVELOPERS)),
        ("POST /v1/chat/completions/quota/refresh", writes(counter("quota"), DEVELOPERS)),
        ("POST /v1/chat/completions/quota/delta", writes(counter("value"), DEVELOPERS)),
        ("POST /v1/chat/completions/quota/used/refresh", writes(counter("quota"), DEVELOPERS)),
        ("POST /v1/chat/completions/quota/used/delta", writes(counter("value"), DEVELOPERS)),
        ("POST /api/v1/admin/clock", writes(json!({"now": NOON}), DEVELOPERS)),
    ]);
    table.extend(tenants_and_holds());
    table.extend(money());
    table.extend(people());
    table.extend(usage_and_reports());
    table
}

fn tenants_and_holds() -> [(&'static str, Expectation); 10] {
    [
        (
            "PUT /api/v1/admin/tenants/{tenant}",
            writes(json!({"contactEmail": "a@acme-secret.example"}), DEVELOPERS),
        ),
        ("DELETE /api/v1/admin/tenants/{tenant}", reads("", DEVELOPERS)),
        ("GET /api/v1/admin/tenants/{tenant}/details", reads("", DEVELOPERS)),
        ("DELETE /api/v1/admin/tenants/{tenant}/personal-data", reads("", DEVELOPERS)),
        ("GET /api/v1/organization/{tenant}/consumption-limits", reads("", ADMINISTRATORS)),
        (
            "PUT /api/v1/organization/{tenant}/consumption-limits",
            writes(json!({"monthlyLimit": 1_000_000}), ADMINISTRATORS),
        ),
        ("GET /api/v1/holds", reads(OF_ACME, ADMINISTRATORS)),
        // The administrator's, which the developer is told of.
        ("POST /api/v1/holds", writes(hold("by-role"), [200, 201, 403, 403, 403])),
        ("GET /api/v1/holds/{hold}", reads("", [200, 200, 403, 404, 403])),
        ("POST /api/v1/holds/{hold}/release", reads("", [200, 200, 403, 404, 403])),
    ]
}

/// Of wallets, bills and payments.
fn money() -> Vec<(&'static str, Expectation)> {
    vec![
        ("GET /api/v1/billing/history", reads(OF_ACME, ADMINISTRATORS)),
        // Nobody has this one; whose bills are whose is tested with the bills.
        ("GET /api/v1/billing/history/{bill}", reads("", NO_SUCH_BILL)),
        ("GET /api/v1/billing/history/{bill}/consumptions", reads("", NO_SUCH_BILL)),
        ("GET /api/v1/billing/wallet", reads(OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/billing/wallet/audit", reads(OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/billing/top-ups", reads(OF_ACME, ADMINISTRATORS)),
        // Nobody has begun this one.
        ("GET /api/v1/billing/top-ups/{topUp}", reads("", [404, 404, 403, 404, 403])),
        ("POST /api/v1/billing/top-up", writes(twenty_dollars(), PAYMENTS_OFF)),
        ("POST /api/v1/billing/stripe/checkout", writes(twenty_dollars(), PAYMENTS_OFF)),
        ("POST /api/v1/billing/stripe/webhook", Expectation { statuses: [503; 5], ..open() }),
        ("GET /api/v1/organization/{tenant}/auto-top-up", reads("", ADMINISTRATORS)),
        (
            "PUT /api/v1/organization/{tenant}/auto-top-up",
            writes(json!({"enabled": false}), ADMINISTRATORS),
        ),
        (
            "POST /api/v1/admin/wallets/{tenant}/adjustments",
            writes(json!({"amount": 1, "reason": "r"}), developers(201)),
        ),
        (
            "POST /api/v1/admin/wallets/{tenant}/refunds",
            writes(json!({"amount": 1, "reason": "r"}), developers(201)),
        ),
        (
            "POST /api/v1/admin/wallets/{tenant}/credits",
            writes(json!({"amount": 1, "reason": "r"}), developers(201)),
        ),
        (
            "POST /api/v1/admin/wallets/{tenant}/top-ups",
            writes(json!({"amount": 1, "reference": "r"}), developers(201)),
        ),
    ]
}

/// Of users, sessions and API keys.
fn people() -> Vec<(&'static str, Expectation)> {
    vec![
        ("GET /api/v1/organization/users", reads(OF_ACME, ADMINISTRATORS)),
        // Of another tenant's users an administrator knows nothing.
        ("GET /api/v1/organization/users/{user}", reads("", OWN_USERS)),
        ("PUT /api/v1/organization/users/{user}", writes(json!({"name": "Ann"}), OWN_USERS)),
        ("DELETE /api/v1/organization/users/{user}", reads("", OWN_USERS)),
        (
            "PUT /api/v1/organization/users/{user}/password",
            writes(json!({"password": "long enough for anyone"}), OWN_USERS),
        ),
        ("GET /api/v1/organization/api-keys", reads(OF_ACME, ADMINISTRATORS)),
        (
            "POST /api/v1/organization/api-keys",
            writes(
                json!({"name": "k", "role": "tenant_admin", "organizationId": "acme-secret"}),
                [201, 201, 403, 403, 403],
            ),
        ),
        ("DELETE /api/v1/organization/api-keys/{key}", reads("", OWN_USERS)),
        ("GET /api/v1/auth/user", reads("", EVERYONE)),
        ("POST /api/v1/auth/signin", Expectation { body: json!({}), ..open_with(400) }),
        ("POST /api/v1/auth/signout", open()),
        (
            "POST /api/v1/organization/users",
            writes(
                json!({"userId": "eve-secret", "organizationId": "acme-secret"}),
                // The administrator goes first.
                [200, 201, 403, 403, 403],
            ),
        ),
    ]
}

/// Of usage as it is shown, reported and exported.
fn usage_and_reports() -> Vec<(&'static str, Expectation)> {
    vec![
        ("GET /api/v1/organization/users/{user}/consumption", reads("", [200, 200, 200, 200, 403])),
        ("GET /api/v1/organization/projects", reads(OF_ACME, THE_USER)),
        ("GET /api/v1/organization/projects/{project}/consumption", reads(OF_ACME, THE_USER)),
        ("GET /api/v1/organization/projects/consumption/monthly", reads(MONTH_OF_ACME, THE_USER)),
        ("GET /api/v1/analytics/overview", reads("", EVERYONE)),
        ("GET /api/v1/analytics/consumption-trends", reads(DAYS_OF_ACME, THE_USER)),
        ("GET /api/v1/analytics/top-tenants", reads("", EVERYONE)),
        ("GET /api/v1/analytics/usage-patterns/peak-times", reads(OF_ACME, THE_USER)),
        ("GET /api/v1/analytics/usage-patterns/day-of-week", reads(OF_ACME, THE_USER)),
        ("GET /api/v1/analytics/usage-patterns/assistant-type", reads(OF_ACME, THE_USER)),
        ("GET /api/v1/analytics/usage-patterns/user-activity", reads(OF_ACME, THE_USER)),
        ("GET /api/v1/analytics/revenue-trends", reads(DAYS_OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/analytics/revenue/top-up-frequency", reads(OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/analytics/revenue/billing-deductions", reads(OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/analytics/revenue/by-tenant", reads("", [200, 200, 403, 200, 403])),
        ("GET /api/v1/reports/monthly", reads(MONTH_OF_ACME, THE_USER)),
        ("GET /api/v1/export/consumption/csv", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/export/consumption/json", reads(OF_ANN, THE_USER)),
        ("GET /api/v1/export/reports/monthly/csv", reads(MONTH_OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/export/reports/monthly/pdf", reads(MONTH_OF_ACME, ADMINISTRATORS)),
        ("GET /api/v1/export/focus/csv", reads(MONTH_OF_ACME, ADMINISTRATORS)),
    ]
}

/// A strategy that nobody gets anything of.
pub(super) fn strategy(name: &str) -> Value {
    json!({"name": name, "type": "single", "amount": 1, "condition": "false()"})
}

pub(super) fn hold(id: &str) -> Value {
    json!({
        "organizationId": "acme-secret", "userId": "ann-secret", "requestId": id,
        "promptTokens": 1, "maxTokens": 1, "amount": 0,
    })
}

fn twenty_dollars() -> Value {
    json!({"organizationId": "acme-secret", "amount": 20})
}

fn counter(field: &str) -> Value {
    json!({"user_id": "ann-secret", field: 5})
}

fn to_bob() -> Value {
    let part = json!({"amount": 1, "expiry_date": "2025-06-01T00:00:00Z"});
    json!({"receiver_id": "bob-secret", "quota_list": [part]})
}

pub(super) fn of_ann(id: &str) -> Value {
    let names = json!({"organizationId": "acme-secret", "userId": "ann-secret"});
    with(call(id, 1, 1), &names)
}
