//! No tenant reads or changes another's data: every route that the service describes, with every
//! kind of caller. A route that is not in the table below fails the test.

mod table;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{JWT_SECRET, Service, Setup};
use table::{Expectation, HOLD, hold, strategy, table};

fn token_with(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

fn token(claims: &Value) -> String {
    token_with(Algorithm::HS256, JWT_SECRET, claims)
}

/// A token of someone with this role.
fn holder(id: &str, role: &str, organization: &str) -> String {
    let far = 32_503_680_000_u64;
    token(&json!({"id": id, "role": role, "organizationId": organization, "exp": far}))
}

/// The five kinds of callers, in the order of [`Statuses`].
const CALLERS: [(&str, &str, &str); 5] = [
    ("root", "developer", "acme-secret"),
    ("chief", "tenant_admin", "acme-secret"),
    ("ann-secret", "tenant_user", "acme-secret"),
    ("other-chief", "tenant_admin", "umbrella"),
    ("mallory", "tenant_user", "umbrella"),
];

/// Their tokens.
fn callers() -> [String; 5] {
    CALLERS.map(|(id, role, organization)| holder(id, role, organization))
}

/// By what callers are known.
#[derive(Debug, Clone, Copy)]
enum Means {
    Token,
    Session,
    IssuedKey,
}

/// The header by which each of the five is known.
async fn credentials(service: &Service, means: Means) -> Vec<(&'static str, String)> {
    let mut credentials = Vec::new();
    for (id, role, organization) in CALLERS {
        if let Means::Token = means {
            let token = holder(id, role, organization);
            credentials.push(("authorization", format!("Bearer {token}")));
            continue;
        }
        let password = "a password of some length";
        let user = json!({"userId": id, "organizationId": organization, "role": role, "password": password});
        service.send("/api/v1/organization/users", &user).await.expect(201);
        credentials.push(if let Means::Session = means {
            let body = json!({"userId": id, "password": password});
            let request = service.ask_as_nobody(Method::POST, "/api/v1/auth/signin").json(&body);
            let answer = Answer::to(request).await.expect(200);
            let cookie = answer.header("set-cookie").split(';').next().expect("a cookie");
            ("cookie", cookie.to_owned())
        } else {
            let key =
                json!({"name": id, "role": role, "organizationId": organization, "userId": id});
            let answer = service.send("/api/v1/organization/api-keys", &key).await.expect(201);
            ("x-api-key", answer.json()["key"].as_str().expect("a key").to_owned())
        });
    }
    credentials
}

/// A service with two tenants; everything of the first one is called `…-secret`.
async fn service() -> Service {
    let key = "a-key-of-at-least-thirty-two-bytes-for-vouchers";
    let service =
        Setup::new().manual_clock(NOON).variable("VOUCHER_SIGNING_KEY", key).start().await;
    let held = service.send("/api/v1/holds", &hold("held-secret")).await.expect(201);
    assert_eq!(held.json()["holdId"].to_string(), HOLD, "after the names in it");
    for (id, organization, user) in [
        ("a", "acme-secret", "ann-secret"),
        ("b", "acme-secret", "bob-secret"),
        ("e", "umbrella", "mallory"),
    ] {
        let id = if organization == "umbrella" { id.to_owned() } else { format!("{id}-secret") };
        let names = json!({"organizationId": organization, "userId": user});
        service.send("/api/v1/consumption", &with(call(&id, 5, 5), &names)).await.expect(201);
        let grant = json!({"user_id": user, "amount": 9, "expiry_date": "2025-06-01T00:00:00Z", "reason": user});
        service.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
        let path = format!("/api/v1/admin/wallets/{organization}/top-ups");
        service.send(&path, &json!({"amount": 7, "reference": user})).await.expect(201);
    }
    let key = json!({"name": "k", "role": "tenant_admin", "organizationId": "acme-secret"});
    service.send("/api/v1/organization/api-keys", &key).await.expect(201);
    for name in ["one", "two"] {
        service.send("/api/v1/strategies", &strategy(name)).await.expect(201);
    }
    service
}

/// All routes, as the service describes them.
async fn described(service: &Service) -> Vec<(Method, String)> {
    let document = service.read("/api/v1/openapi.json").await.expect(200).json();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let method = method.to_uppercase();
            if ["GET", "PUT", "POST", "DELETE", "PATCH"].contains(&&*method) {
                routes
                    .push((Method::from_bytes(method.as_bytes()).expect("a method"), path.clone()));
            }
        }
    }
    routes
}

fn ask(
    service: &Service,
    method: &Method,
    path: &str,
    expectation: &Expectation,
) -> RequestBuilder {
    // What is deleted is not needed by the other routes.
    let is_deleted = method == Method::DELETE;
    let strategy = if is_deleted { "2" } else { "1" };
    let shuts_out = is_deleted || path.ends_with("/password");
    let user = if shuts_out { "bob-secret" } else { "ann-secret" };
    let path = path
        .replace("{tenant}", if is_deleted { "umbrella" } else { "acme-secret" })
        .replace("{hold}", HOLD)
        .replace("{user}", user)
        .replace("{project}", "any")
        .replace("{key}", "0")
        .replace("{job}", "quota-expiry")
        .replace("{bill}", "1")
        .replace("{strategy}", strategy)
        .replace("{topUp}", &"0".repeat(32))
        .replace("{voucher}", &"0".repeat(32))
        .replace("{endpoint}", &"0".repeat(32))
        .replace("{event}", "1");
    let request = service.ask_as_nobody(method.clone(), &format!("{path}{}", expectation.query));
    if expectation.body.is_null() {
        return request;
    }
    request.header("content-type", expectation.media_type).body(expectation.body.to_string())
}

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    walk(Means::Token).await;
}

#[tokio::test]
async fn every_route_answers_whoever_has_signed_in_as_the_table_says() {
    walk(Means::Session).await;
}

#[tokio::test]
async fn every_route_answers_holders_of_issued_keys_as_the_table_says() {
    walk(Means::IssuedKey).await;
}

async fn walk(means: Means) {
    let service = service().await;
    let credentials = credentials(&service, means).await;
    let mut table = table();
    for (method, path) in described(&service).await {
        let route = format!("{method} {path}");
        let expectation =
            table.remove(&*route).unwrap_or_else(|| panic!("`{route}` is not in the table"));
        // The developer last: what is refused is refused although nothing else is wrong.
        for ((header, value), wanted) in credentials.iter().zip(expectation.statuses).rev() {
            let before = service.head().await;
            let mut request = ask(&service, &method, &path, &expectation);
            // Else the first to sign out would be the last to be known.
            if !expectation.is_open {
                request = request.header(*header, value);
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            assert_eq!(status, wanted, "{route} by {means:?}");
            if status >= 400 {
                let text = answer.text().await.expect("a body");
                assert!(!text.contains("secret") || path.contains('{'), "{route}: {text}");
                assert_eq!(service.head().await, before, "{route} was recorded");
            }
        }
    }
    assert!(table.is_empty(), "no longer there: {:?}", table.keys());
}

#[tokio::test]
async fn who_names_nobody_sees_what_is_their_own() {
    let service = service().await;
    for (method, path) in described(&service).await {
        // What describes the routes speaks of secrets, and is the same for everyone.
        let is_left_out = ["/api/v1/events/stream", "/api/v1/openapi.json"].contains(&&*path);
        if method != Method::GET || is_left_out || path.contains('{') {
            continue;
        }
        let [_, chief, ann, other_chief, mallory] = callers();
        for (caller, must_not_see) in
            [(chief, "mallory"), (ann, "bob-secret"), (other_chief, "secret"), (mallory, "secret")]
        {
            let request = service.ask_as_nobody(Method::GET, &path).bearer_auth(caller);
            let answer = Answer::to(request).await;
            assert!(!answer.text.contains(must_not_see), "{path}: {}", answer.text);
        }
    }
    let [_, chief, ann, ..] = callers();
    for (caller, path, seen) in [
        (&chief, "/api/v1/consumption/history", 2),
        (&ann, "/api/v1/consumption/history", 1),
        (&chief, "/api/v1/consumption/by-user", 2),
        (&ann, "/api/v1/consumption/by-user", 1),
        (&chief, "/api/v1/organization/users", 2),
        (&chief, "/api/v1/analytics/top-tenants", 1),
        (&ann, "/api/v1/analytics/top-tenants", 1),
        (&chief, "/api/v1/analytics/usage-patterns/user-activity", 2),
        (&ann, "/api/v1/analytics/usage-patterns/user-activity", 1),
        (&chief, "/api/v1/export/consumption/json", 2),
        (&ann, "/api/v1/export/consumption/json", 1),
    ] {
        let request = service.ask_as_nobody(Method::GET, path).bearer_auth(caller);
        let answer = Answer::to(request).await.expect(200);
        assert_eq!(answer.json().as_array().map(Vec::len), Some(seen), "{path}: {}", answer.text);
    }
    // Neither by naming another user of the same tenant, nor by having no tenant at all.
    for (claims, path) in [
        (json!({"id": "ann-secret"}), "/api/v1/consumption/history?userId=bob-secret"),
        (json!({"id": "ann-secret"}), "/api/v1/consumption/history?organizationId=acme-secret"),
        (json!({"id": "ann-secret"}), "/api/v1/quota?user_id=bob-secret"),
        (json!({"id": "ann-secret"}), "/api/v1/quota/audit?user_id=nobody"),
        (
            json!({"id": "x", "role": "tenant_admin", "organizationId": "umbrella"}),
            "/api/v1/quota?user_id=nobody",
        ),
        (
            json!({"id": "x", "role": "tenant_admin", "organizationId": "umbrella"}),
            "/api/v1/consumption/by-user?userId=mallory&organizationId=acme-secret",
        ),
    ] {
        let request = service.ask_as_nobody(Method::GET, path).bearer_auth(token(&claims));
        Answer::to(request).await.expect(403);
    }
    let admin = json!({"id": "x", "role": "tenant_admin", "organizationId": "umbrella"});
    let path = "/api/v1/consumption/history?userId=ann-secret";
    let request = service.ask_as_nobody(Method::GET, path).bearer_auth(token(&admin));
    assert_eq!(Answer::to(request).await.expect(200).text, "[]");
}

/// Credentials that stand for nobody.
fn impostors() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let good = json!({"id": "root", "role": "developer"});
    let valid = token(&good);
    let parts: Vec<&str> = valid.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let bearer = |token: String| vec![("authorization", format!("Bearer {token}"))];
    let of = |claims: Value| bearer(token(&claims));
    vec![
        ("nothing", vec![]),
        ("an unknown key", vec![("x-api-key", "guessed".to_owned())]),
        ("an empty key", vec![("x-api-key", String::new())]),
        (
            "an unknown key beside a good token",
            vec![("x-api-key", "guessed".to_owned()), ("authorization", format!("Bearer {valid}"))],
        ),
        ("garbage", bearer("x.y.z".to_owned())),
        ("no token", bearer(String::new())),
        ("another scheme", vec![("authorization", "Basic cm9vdDpyb290".to_owned())]),
        ("a token without signature", bearer(format!("{}.{}.", parts[0], parts[1]))),
        ("no algorithm", bearer(format!("{none}.{}.", parts[1]))),
        ("no algorithm, but a signature", bearer(format!("{none}.{}.{}", parts[1], parts[2]))),
        ("a token cut short", bearer(valid[..valid.len() - 2].to_owned())),
        (
            "another's signature",
            bearer(token_with(Algorithm::HS256, "another-secret-of-thirty-two-bytes!", &good)),
        ),
        ("another algorithm", bearer(token_with(Algorithm::HS512, JWT_SECRET, &good))),
        ("an expired token", of(json!({"id": "root", "role": "developer", "exp": 1_700_000_000}))),
        (
            "a token of the future",
            of(json!({"id": "root", "role": "developer", "nbf": 32_503_680_000_u64})),
        ),
        ("a role that is none", of(json!({"id": "root", "role": "root"}))),
        ("a role that is no text", of(json!({"id": "root", "role": ["developer"]}))),
        ("nobody", of(json!({"role": "developer"}))),
        ("a number", of(json!({"id": 7, "role": "developer"}))),
        ("a control character", of(json!({"id": "ro\u{0}ot", "role": "developer"}))),
        ("an administrator of nothing", of(json!({"id": "root", "role": "tenant_admin"}))),
    ]
}

#[tokio::test]
async fn nobody_passes_without_good_credentials() {
    let service = service().await;
    let (head, table) = (service.head().await, table());
    for (method, path) in described(&service).await {
        let expectation = &table[&*format!("{method} {path}")];
        for (what, headers) in impostors() {
            let mut request = ask(&service, &method, &path, expectation);
            for (name, value) in &headers {
                request = request.header(*name, value);
            }
            let answer = Answer::to(request).await;
            let wanted = if expectation.is_open { expectation.statuses[0] } else { 401 };
            assert_eq!(answer.status, wanted, "{method} {path} with {what}: {}", answer.text);
            if !expectation.is_open {
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
                assert_eq!(answer.header("content-type"), "application/problem+json");
                assert!(!answer.text.contains(JWT_SECRET), "{what}");
            }
        }
    }
    assert_eq!(service.head().await, head);
    for path in ["/docs", "/docs/init.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"] {
        let request = service.ask_as_nobody(Method::GET, path);
        assert_eq!(Answer::to(request).await.status, 200, "{path}");
    }
    let nowhere = service.ask_as_nobody(Method::GET, "/api/v1/nothing");
    Answer::to(nowhere).await.expect(404);
}
