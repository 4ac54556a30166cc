//! Consumption limits: what is used and held counts towards them, in the days and months of the
//! tenant's own clocks.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const LIMITS: &str = "/api/v1/organization/acme/consumption-limits";

async fn service() -> Service {
    let service = Setup::new().manual_clock(NOON).start().await;
    let tenant = json!({"orgId": "acme", "name": "Acme"});
    service.send("/api/v1/admin/tenants", &tenant).await.expect(201);
    service
}

async fn limit(service: &Service, limits: &Value) {
    let told = service.put(LIMITS, limits).await.expect(200).json();
    assert_eq!(told, json!({"message": "Consumption limits updated"}));
}

async fn hold(service: &Service, user: &str, id: &str, tokens: u64) -> Answer {
    let body = json!({
        "organizationId": "acme", "userId": user, "requestId": id, "promptTokens": tokens,
        "maxTokens": 0, "ttlSeconds": 86400,
    });
    service.send("/api/v1/holds", &body).await
}

/// Uses tokens at a moment.
async fn used(service: &Service, user: &str, id: &str, tokens: u64, moment: &str) {
    let body = with(call(id, tokens, 0), &json!({"userId": user, "timestamp": moment}));
    service.send("/api/v1/consumption", &body).await.expect(201);
}

/// `monthlyUsed dailyUsed held month day`
async fn now(service: &Service) -> String {
    let limits = service.get(LIMITS).await;
    let numbers = ["monthlyUsed", "dailyUsed", "held"].map(|name| limits[name].to_string());
    let days = ["month", "day"].map(|name| limits[name].as_str().expect("a day").to_owned());
    [numbers.join(" "), days.join(" ")].join(" ")
}

fn exceeded(answer: &Answer, field: &str, words: &[&str]) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["code"], "limit_exceeded", "{problem}");
    assert_eq!(problem["invalid_parameters"][0]["field"], field, "{problem}");
    for word in words {
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(word)), "{problem}");
    }
}

#[tokio::test]
async fn holds_keep_to_each_limit_with_what_is_used_and_held() {
    let service = service().await;
    limit(&service, &json!({"monthlyLimit": 1000, "dailyLimit": 600, "perUserLimit": 400})).await;
    used(&service, "ann", "a", 300, "2025-03-01T11:00:00Z").await;
    let ann = hold(&service, "ann", "b", 101).await;
    exceeded(&ann, "perUserLimit", &["per-user", "of 400", "300 are used", "0 are held", "101"]);
    assert_eq!(ann.header("retry-after"), "2635200", "the month is over");
    hold(&service, "ann", "b", 100).await.expect(201);
    exceeded(&hold(&service, "ann", "c", 1).await, "perUserLimit", &["100 are held"]);
    let ben = hold(&service, "ben", "d", 201).await;
    exceeded(&ben, "dailyLimit", &["daily", "of 600", "300 are used", "100 are held", "201"]);
    assert_eq!(ben.header("retry-after"), "43200", "the day is over");
    hold(&service, "ben", "d", 200).await.expect(201);
    assert_eq!(now(&service).await, "300 0 300 2025-03-01 2025-03-01".replace("0 300", "300 300"));
    // What was used instead of what was held.
    used(&service, "ben", "d", 50, "2025-03-01T11:30:00Z").await;
    assert_eq!(now(&service).await, "350 350 100 2025-03-01 2025-03-01");
    let of_ben = service.get(&format!("{LIMITS}?userId=ben")).await;
    assert_eq!(of_ben["user"], json!({"userId": "ben", "monthlyUsed": 50, "held": 0}));
    // The next day begins anew; the month does not.
    service.advance_clock_to("2025-03-02T12:00:00Z").await;
    hold(&service, "ben", "e", 350).await.expect(201);
    exceeded(&hold(&service, "carl", "f", 301).await, "monthlyLimit", &["350 are used"]);
    exceeded(&hold(&service, "carl", "f", 300).await, "dailyLimit", &["0 are used"]);
    limit(&service, &json!({"dailyLimit": 0})).await;
    let limits = service.get(LIMITS).await;
    assert_eq!(
        ["monthlyLimit", "dailyLimit", "perUserLimit"].map(|name| limits[name].clone()),
        [json!(1000), json!(0), json!(400)],
        "what is left out stays"
    );
    hold(&service, "carl", "f", 300).await.expect(201);
    // Usage that has happened is recorded whatever the limit.
    used(&service, "carl", "g", 5000, "2025-03-02T11:00:00Z").await;
    exceeded(&hold(&service, "carl", "h", 1).await, "monthlyLimit", &["5350 are used"]);
    limit(&service, &json!({"monthlyLimit": null, "perUserLimit": null})).await;
    hold(&service, "carl", "h", 1_000_000).await.expect(201);
}

#[tokio::test]
async fn days_and_months_are_the_tenants_own_and_late_calls_count_where_they_belong() {
    let mut service = service().await;
    let tokyo = json!({"timeZone": "Asia/Tokyo"});
    service.put("/api/v1/admin/tenants/acme", &tokyo).await.expect(200);
    // It is 21:00 there.
    used(&service, "ann", "a", 1, "2025-03-01T14:59:59.999999Z").await;
    used(&service, "ann", "b", 10, "2025-03-01T15:00:00Z").await;
    used(&service, "ann", "c", 100, "2025-02-28T15:00:00Z").await;
    used(&service, "ann", "d", 1000, "2025-02-28T14:59:59Z").await;
    assert_eq!(now(&service).await, "111 101 0 2025-03-01 2025-03-01");
    service.advance_clock_to("2025-03-01T15:00:00Z").await;
    assert_eq!(now(&service).await, "111 10 0 2025-03-01 2025-03-02");
    // Late: of yesterday, of last month, and of a time that no limit looks back to.
    used(&service, "ann", "e", 2, "2025-03-01T03:00:00Z").await;
    used(&service, "ann", "f", 20, "2025-02-01T03:00:00Z").await;
    used(&service, "ann", "g", 200, "2024-06-01T03:00:00Z").await;
    assert_eq!(now(&service).await, "113 10 0 2025-03-01 2025-03-02");
    limit(&service, &json!({"dailyLimit": 30, "monthlyLimit": 134, "perUserLimit": 134})).await;
    exceeded(&hold(&service, "ann", "h", 21).await, "dailyLimit", &["10 are used"]);
    hold(&service, "ann", "h", 20).await.expect(201);
    service.kill();
    service.start_again().await;
    service.advance_clock_to("2025-03-31T14:59:59Z").await;
    assert_eq!(now(&service).await, "113 0 0 2025-03-01 2025-03-31");
    exceeded(&hold(&service, "ann", "i", 22).await, "monthlyLimit", &["113 are used"]);
    service.advance_clock_to("2025-03-31T15:00:00Z").await;
    assert_eq!(now(&service).await, "0 0 0 2025-04-01 2025-04-01");
    hold(&service, "ann", "i", 22).await.expect(201);
    let of_ann = service.get(&format!("{LIMITS}?userId=ann")).await;
    assert_eq!(of_ann["user"], json!({"userId": "ann", "monthlyUsed": 0, "held": 22}));
}

#[tokio::test]
async fn limits_are_set_by_the_tenants_administrators_alone() {
    let service = service().await;
    let far = 32_503_680_000_u64;
    let admin = |tenant: &str, role: &str| {
        token(&json!({"id": "x", "role": role, "organizationId": tenant, "exp": far}))
    };
    let limits = json!({"monthlyLimit": 7});
    for (tenant, role, status) in [
        ("umbrella", "tenant_admin", 403),
        ("acme", "tenant_user", 403),
        ("acme", "tenant_admin", 200),
    ] {
        for method in [Method::PUT, Method::GET] {
            let request = service.ask_as_nobody(method.clone(), LIMITS);
            let request = request.bearer_auth(admin(tenant, role));
            let request = if method == Method::PUT { request.json(&limits) } else { request };
            Answer::to(request).await.expect(status);
        }
    }
    assert_eq!(service.get(LIMITS).await["monthlyLimit"], 7);
    let nobody = LIMITS.replace("acme", "nobody");
    let answer = service.put(&nobody, &limits).await.expect(404);
    assert_eq!(answer.json()["error"], "Organization not found");
    service.read(&nobody).await.expect(404);
    service.put(LIMITS, &json!({})).await.expect(400);
}
