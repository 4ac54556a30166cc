//! API keys that the book issues: shown once, kept hashed, and good for as long as they are said to
//! be and for no more than whom they stand for.

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const KEYS: &str = "/api/v1/organization/api-keys";
const USERS: &str = "/api/v1/organization/users";

async fn service() -> Service {
    let service = Setup::new().manual_clock(NOON).start().await;
    for (user, tenant, role) in [
        ("ann", "acme", "tenant_user"),
        ("chief", "acme", "tenant_admin"),
        ("dev", "acme", "developer"),
        ("eve", "umbrella", "tenant_user"),
    ] {
        let body = json!({"userId": user, "organizationId": tenant, "role": role});
        service.send(USERS, &body).await.expect(201);
    }
    service
}

fn order(role: &str, fields: &Value) -> Value {
    with(json!({"name": "ci", "organizationId": "acme", "role": role}), fields)
}

/// What the administrator of `acme` is answered.
async fn by_chief(service: &Service, method: Method, path: &str, body: &Value) -> Answer {
    let claims = json!({"id": "chief", "role": "tenant_admin", "organizationId": "acme"});
    let request = service.ask_as_nobody(method, path).bearer_auth(token(&claims));
    Answer::to(if body.is_null() { request } else { request.json(body) }).await
}

/// Who calls with `key`.
async fn who(service: &Service, key: &str) -> Answer {
    let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user");
    Answer::to(request.header("X-API-Key", key)).await
}

fn code(answer: &Answer) -> Value {
    answer.json()["code"].clone()
}

fn key_of(answer: &Answer) -> String {
    answer.json()["key"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn a_key_is_shown_once_and_lets_in_until_it_is_revoked() {
    let mut service = service().await;
    let fields = json!({"userId": "ann"});
    let answer = service.send_as("k", KEYS, &order("tenant_user", &fields)).await.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let key = key_of(&answer);
    let secret = key.strip_prefix("tbk_").expect("its beginning");
    assert_eq!(secret.len(), 43, "256 bits");
    let view = json!({
        "id": 0, "prefix": &key[..12], "name": "ci", "role": "tenant_user",
        "organizationId": "acme", "userId": "ann", "createdBy": "key:x-api-key",
        "createdAt": NOON, "expiresAt": null,
        "revokedAt": null,
    });
    assert_eq!(answer.json(), with(view.clone(), &json!({"key": key})));
    // The same again does not show it again, nor makes another.
    let again = service.send_as("k", KEYS, &order("tenant_user", &fields)).await.expect(200);
    assert_eq!((again.json(), again.header("idempotency-hit")), (view.clone(), "true"));
    service.send_as("k", KEYS, &order("tenant_admin", &json!({}))).await.expect(422);
    assert_eq!(service.get(KEYS).await, json!([view]));
    let user = json!({
        "id": "ann", "email": null, "name": null, "role": "tenant_user", "organizationId": "acme",
    });
    assert_eq!(who(&service, &key).await.expect(200).json()["user"], user);
    service.read("/api/v1/quota?user_id=ann").await.expect(200);
    let request = service.ask_as_nobody(Method::GET, "/api/v1/quota?user_id=eve");
    Answer::to(request.header("X-API-Key", &key)).await.expect(403);
    for forged in [secret.to_owned(), format!("{key}x"), key.to_lowercase(), "tbk_".to_owned()] {
        assert_eq!(code(&who(&service, &forged).await.expect(401)), "unknown_api_key");
    }
    let events = service.read("/api/v1/events?limit=1000").await.expect(200).text;
    assert!(!events.contains(secret) && !service.log().contains(secret));
    let listed = service.read(KEYS).await.text;
    assert!(!listed.contains(secret), "{listed}");

    service.kill();
    service.start_again().await;
    who(&service, &key).await.expect(200);
    service.grant("ann", 1).await;
    service.stop().await;
    verify(&service);
    service.start_again().await;
    who(&service, &key).await.expect(200);
    let path = format!("{KEYS}/0");
    let revoked = Answer::to(service.ask(Method::DELETE, &path)).await.expect(200);
    assert_eq!(revoked.json(), json!({"message": "API key revoked"}));
    let head = service.head().await;
    Answer::to(service.ask(Method::DELETE, &path)).await.expect(200);
    assert_eq!(service.head().await, head);
    assert_eq!(code(&who(&service, &key).await.expect(401)), "unknown_api_key");
    assert_eq!(service.get(KEYS).await[0]["revokedAt"], NOON);
    service.kill();
    service.start_again().await;
    who(&service, &key).await.expect(401);
    for path in ["1", "x", "-1", "4294967296"] {
        let path = format!("{KEYS}/{path}");
        let refused = Answer::to(service.ask(Method::DELETE, &path)).await.expect(404);
        assert_eq!(code(&refused), "no_such_api_key");
    }
}

#[tokio::test]
async fn a_key_expires_when_it_says() {
    let service = service().await;
    let fields = json!({"expiresAt": "2025-03-01T13:00:00Z"});
    let key = key_of(&service.send(KEYS, &order("tenant_admin", &fields)).await.expect(201));
    who(&service, &key).await.expect(200);
    service.advance_clock_to("2025-03-01T12:59:59Z").await;
    who(&service, &key).await.expect(200);
    service.advance_clock_to("2025-03-01T13:00:01Z").await;
    assert_eq!(code(&who(&service, &key).await.expect(401)), "api_key_expired");
    let head = service.head().await;
    let refused = service.send(KEYS, &order("tenant_admin", &fields)).await.expect(400);
    assert_eq!(refused.json()["invalid_parameters"][0]["field"], "expiresAt");
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn an_administrator_issues_what_is_their_tenants() {
    let service = service().await;
    let head = service.head().await;
    for (body, status, told) in [
        (order("developer", &json!({})), 403, "developers_only"),
        (order("tenant_user", &json!({"userId": "dev"})), 403, "developers_only"),
        (order("tenant_admin", &json!({"organizationId": "umbrella"})), 403, "forbidden"),
        (order("tenant_user", &json!({"userId": "eve"})), 400, "user_of_another_organization"),
        (order("tenant_user", &json!({"userId": "nobody"})), 400, "user_of_another_organization"),
        (order("tenant_admin", &json!({"userId": "ann"})), 400, "role_above_user"),
        (order("tenant_user", &json!({})), 400, "user_needed"),
        (order("root", &json!({})), 400, "invalid_parameter"),
        (order("tenant_admin", &json!({"name": "x".repeat(129)})), 400, "invalid_parameter"),
        (order("tenant_admin", &json!({"scopes": []})), 400, "invalid_parameter"),
    ] {
        let refused = by_chief(&service, Method::POST, KEYS, &body).await.expect(status);
        assert_eq!(code(&refused), told, "{body}");
    }
    for (body, told) in [
        (json!({"name": "k", "role": "tenant_admin"}), "organization_needed"),
        (order("tenant_admin", &json!({"organizationId": "nowhere"})), "no_such_organization"),
    ] {
        assert_eq!(code(&service.send(KEYS, &body).await.expect(400)), told, "{body}");
    }
    assert_eq!(service.head().await, head);
    // Own by default; a developer's and another tenant's are not seen, nor withdrawn.
    let body = json!({"name": "own", "role": "tenant_admin"});
    let own = by_chief(&service, Method::POST, KEYS, &body).await.expect(201);
    assert_eq!(own.json()["organizationId"], "acme");
    let developers = service.send(KEYS, &order("developer", &json!({}))).await.expect(201);
    let body = order("tenant_admin", &json!({"organizationId": "umbrella"}));
    let others = service.send(KEYS, &body).await.expect(201);
    let seen = by_chief(&service, Method::GET, KEYS, &Value::Null).await.expect(200).json();
    assert_eq!(seen.as_array().map(Vec::len), Some(1), "{seen}");
    let path = format!("{KEYS}?organizationId=umbrella");
    by_chief(&service, Method::GET, &path, &Value::Null).await.expect(403);
    assert_eq!(service.get(KEYS).await.as_array().map(Vec::len), Some(3));
    assert_eq!(service.get(&path).await.as_array().map(Vec::len), Some(1));
    for answer in [&developers, &others] {
        let path = format!("{KEYS}/{}", answer.json()["id"]);
        by_chief(&service, Method::DELETE, &path, &Value::Null).await.expect(404);
        who(&service, &key_of(answer)).await.expect(200);
    }
    // The log says which key has done what.
    let key = key_of(&own);
    let request = service.ask_as_nobody(Method::POST, USERS).header("X-API-Key", &key);
    Answer::to(request.json(&json!({"userId": "made"}))).await.expect(201);
    let made = service.events_of("user_registered").await.pop().expect("an event");
    assert_eq!(made["cause"], made["sequence"].as_u64().expect("a number") - 2, "{made}");
    let events = service.read("/api/v1/events?limit=1000").await.expect(200).text;
    assert!(events.contains("\"key:own#0\""), "{events}");
    let path = format!("{KEYS}/{}", own.json()["id"]);
    by_chief(&service, Method::DELETE, &path, &Value::Null).await.expect(200);
    who(&service, &key).await.expect(401);
}

#[tokio::test]
async fn a_key_may_no_more_than_whom_it_stands_for() {
    let service = service().await;
    let chiefs = order("tenant_admin", &json!({"userId": "chief"}));
    let key = key_of(&service.send(KEYS, &chiefs).await.expect(201));
    let devs = order("developer", &json!({"userId": "dev"}));
    let devs = key_of(&service.send(KEYS, &devs).await.expect(201));
    let loose = json!({"name": "loose", "role": "developer"});
    let loose = key_of(&service.send(KEYS, &loose).await.expect(201));
    let role =
        async |key: &str| who(&service, key).await.expect(200).json()["user"]["role"].clone();
    assert_eq!([role(&key).await, role(&devs).await], ["tenant_admin", "developer"]);
    assert_eq!(role(&loose).await, "developer");
    let set = async |user: &str, fields: &Value| {
        service.put(&format!("{USERS}/{user}"), fields).await.expect(200);
    };
    set("chief", &json!({"role": "tenant_user"})).await;
    set("dev", &json!({"role": "tenant_admin"})).await;
    assert_eq!([role(&key).await, role(&devs).await], ["tenant_user", "tenant_admin"]);
    // Lowered, it reads one tenant.
    let request = service.ask_as_nobody(Method::GET, &format!("{USERS}?organizationId=umbrella"));
    Answer::to(request.header("X-API-Key", &devs)).await.expect(403);
    // Who has moved away takes no key along.
    set("chief", &json!({"organizationId": "umbrella"})).await;
    assert_eq!(code(&who(&service, &key).await.expect(401)), "unknown_api_key");
    set("chief", &json!({"organizationId": "acme"})).await;
    who(&service, &key).await.expect(200);
    // A gateway sends its key its own way.
    let path = "/v1/chat/completions/quota?user_id=ann";
    let request = service.ask_as_nobody(Method::GET, path).bearer_auth(&loose);
    Answer::to(request).await.expect(200);
    let request = service.ask_as_nobody(Method::POST, "/api/v1/consumption");
    let request = request.header("X-API-Key", &loose).json(&call("by-key", 1, 1));
    Answer::to(request).await.expect(201);
}
