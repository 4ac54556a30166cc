//! Nobody becomes somebody else by lesser credentials, and what somebody was once let do ends with
//! what let them: a move, a promotion, a ban, an erasure.

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const USERS: &str = "/api/v1/organization/users";
const KEYS: &str = "/api/v1/organization/api-keys";
const PASSWORD: &str = "Correct-Horse-7-Battery";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

fn of(user: &str) -> String {
    format!("{USERS}/{user}")
}

fn password_of(user: &str) -> String {
    format!("{USERS}/{user}/password")
}

const fn put(path: &str) -> (Method, &str) {
    (Method::PUT, path)
}

fn code(answer: &Answer) -> Value {
    answer.json()["code"].clone()
}

/// Makes a user of `tenant`.
async fn make(service: &Service, user: &str, tenant: &str, role: &str, fields: &Value) {
    let body = json!({"userId": user, "organizationId": tenant, "role": role});
    service.send(USERS, &with(body, fields)).await.expect(201);
}

/// What whoever has a token that says so is answered.
async fn by(
    service: &Service,
    (user, role, tenant): (&str, &str, &str),
    (method, path): (Method, &str),
    body: &Value,
) -> Answer {
    let claims = json!({"id": user, "role": role, "organizationId": tenant});
    let request = service.ask_as_nobody(method, path).bearer_auth(token(&claims));
    Answer::to(if body.is_null() { request } else { request.json(body) }).await
}

async fn with_key(
    service: &Service,
    key: &str,
    (method, path): (Method, &str),
    body: &Value,
) -> Answer {
    let request = service.ask_as_nobody(method, path).header("X-API-Key", key);
    Answer::to(if body.is_null() { request } else { request.json(body) }).await
}

/// A key of `acme`'s.
async fn issue(service: &Service, role: &str, fields: &Value) -> String {
    let order = with(json!({"name": "k", "organizationId": "acme", "role": role}), fields);
    let issued = service.send(KEYS, &order).await.expect(201).json();
    issued["key"].as_str().expect("a key").to_owned()
}

async fn who(service: &Service, key: &str) -> Answer {
    with_key(service, key, (Method::GET, "/api/v1/auth/user"), &Value::Null).await
}

async fn sign_in(service: &Service, user: &str) -> Answer {
    let body = json!({"userId": user, "password": PASSWORD});
    Answer::to(service.ask_as_nobody(Method::POST, "/api/v1/auth/signin").json(&body)).await
}

/// The cookie of a new session, as it is sent back.
async fn enter(service: &Service, user: &str) -> String {
    let answer = sign_in(service, user).await.expect(200);
    answer.header("set-cookie").split(';').next().expect("a cookie").to_owned()
}

async fn by_cookie(service: &Service, cookie: &str) -> Answer {
    let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user");
    Answer::to(request.header("cookie", cookie)).await
}

#[tokio::test]
async fn lesser_credentials_set_no_first_password() {
    let service = service().await;
    make(&service, "root2", "acme", "developer", &json!({})).await;
    make(&service, "gboss", "globex", "tenant_admin", &json!({})).await;
    make(&service, "chief", "acme", "tenant_admin", &json!({})).await;
    let lesser = issue(&service, "tenant_admin", &json!({"userId": "root2"})).await;
    let (head, body) = (service.head().await, json!({"password": PASSWORD}));
    let refused = with_key(&service, &lesser, put(&password_of("root2")), &body).await;
    assert_eq!(code(&refused.expect(403)), "developers_only");
    let elsewhere = ("gboss", "tenant_admin", "acme");
    by(&service, elsewhere, put(&password_of("gboss")), &body).await.expect(404);
    let as_user = ("chief", "tenant_user", "acme");
    by(&service, as_user, put(&password_of("chief")), &body).await.expect(403);
    assert_eq!(service.head().await, head);
    for user in ["root2", "gboss", "chief"] {
        sign_in(&service, user).await.expect(401);
    }
    // Who may as much, where they are, does.
    let own = ("chief", "tenant_admin", "acme");
    by(&service, own, put(&password_of("chief")), &body).await.expect(200);
    let developer = ("root2", "developer", "acme");
    by(&service, developer, put(&password_of("root2")), &body).await.expect(200);
    enter(&service, "chief").await;
    enter(&service, "root2").await;
}

#[tokio::test]
async fn neither_password_nor_session_survives_a_move_or_a_promotion() {
    let mut service = service().await;
    let secret = json!({"password": PASSWORD});
    for user in ["mover", "riser", "stayer"] {
        make(&service, user, "acme", "tenant_admin", &secret).await;
    }
    let cookies = [
        enter(&service, "mover").await,
        enter(&service, "riser").await,
        enter(&service, "stayer").await,
    ];
    let moved = service.put(&of("mover"), &json!({"organizationId": "globex"})).await.expect(200);
    let shown = moved.json();
    assert_eq!(
        (&shown["organizationId"], &shown["role"]),
        (&json!("globex"), &json!("tenant_user"))
    );
    service.put(&of("riser"), &json!({"role": "developer"})).await.expect(200);
    // What changes neither ends nothing.
    let same = json!({"organizationId": "acme", "role": "tenant_user"});
    service.put(&of("stayer"), &same).await.expect(200);
    let check = async |service: &Service| {
        for (user, cookie) in ["mover", "riser"].iter().zip(&cookies) {
            by_cookie(service, cookie).await.expect(401);
            assert_eq!(code(&sign_in(service, user).await.expect(401)), "wrong_credentials");
        }
        by_cookie(service, &cookies[2]).await.expect(200);
    };
    check(&service).await;
    assert_eq!(service.events_of("password_cleared").await.len(), 2);
    service.stop().await;
    verify(&service);
    service.start_again().await;
    check(&service).await;
    // A role that is named stays, and a new password lets in again.
    let back = json!({"organizationId": "acme", "role": "tenant_admin"});
    let back = service.put(&of("mover"), &back).await.expect(200).json();
    assert_eq!(back["role"], "tenant_admin");
    service.put(&password_of("mover"), &secret).await.expect(200);
    enter(&service, "mover").await;
    // A developer, over whom no tenant has a say, takes everything along.
    service.put(&password_of("riser"), &secret).await.expect(200);
    let cookie = enter(&service, "riser").await;
    service.put(&of("riser"), &json!({"organizationId": "globex"})).await.expect(200);
    let developer = by_cookie(&service, &cookie).await.expect(200).json();
    assert_eq!(developer["user"]["role"], "developer");
}

#[tokio::test]
async fn a_key_that_a_user_issues_ends_with_the_user() {
    let service = service().await;
    make(&service, "chief", "acme", "tenant_admin", &json!({})).await;
    let chief = ("chief", "tenant_admin", "acme");
    let order = json!({"name": "own", "role": "tenant_admin"});
    let issued = by(&service, chief, (Method::POST, KEYS), &order).await.expect(201).json();
    assert_eq!(issued["userId"], "chief");
    assert_eq!(issued["createdBy"], "user:chief");
    let key = issued["key"].as_str().expect("a key");
    // And so does a key that is issued with it.
    let order = json!({"name": "next", "role": "tenant_admin"});
    let next = with_key(&service, key, (Method::POST, KEYS), &order).await.expect(201).json();
    assert_eq!((&next["userId"], &next["createdBy"]), (&json!("chief"), &json!("key:own#0")));
    let next = next["key"].as_str().expect("a key");
    let loose = issue(&service, "tenant_admin", &json!({})).await;
    service.put(&of("chief"), &json!({"status": "inactive"})).await.expect(200);
    for key in [key, next] {
        assert_eq!(code(&who(&service, key).await.expect(403)), "account_inactive");
    }
    who(&service, &loose).await.expect(200);
}

#[tokio::test]
async fn a_tenant_lifts_no_ban_of_a_developers() {
    let service = service().await;
    make(&service, "ann", "acme", "tenant_user", &json!({"password": PASSWORD})).await;
    let by_chief = async |body: Value| {
        let chief = ("chief", "tenant_admin", "acme");
        by(&service, chief, (Method::PUT, &of("ann")), &body).await
    };
    let (active, inactive) = (json!({"status": "active"}), json!({"status": "inactive"}));
    // Its own it lifts.
    by_chief(inactive.clone()).await.expect(200);
    by_chief(active.clone()).await.expect(200);
    service.put(&of("ann"), &inactive).await.expect(200);
    assert_eq!(code(&by_chief(active.clone()).await.expect(403)), "deactivated_by_developer");
    // Nor by making it its own first.
    by_chief(inactive.clone()).await.expect(200);
    by_chief(json!({"role": "tenant_admin"})).await.expect(200);
    assert_eq!(code(&by_chief(active.clone()).await.expect(403)), "deactivated_by_developer");
    sign_in(&service, "ann").await.expect(403);
    service.put(&of("ann"), &active).await.expect(200);
    enter(&service, "ann").await;
    // A developer may ban whom the tenant has deactivated; who merely changes the role has not.
    by_chief(inactive.clone()).await.expect(200);
    service.put(&of("ann"), &json!({"role": "tenant_user"})).await.expect(200);
    by_chief(active.clone()).await.expect(200);
    by_chief(inactive.clone()).await.expect(200);
    service.put(&of("ann"), &inactive).await.expect(200);
    assert_eq!(code(&by_chief(active).await.expect(403)), "deactivated_by_developer");
}

#[tokio::test]
async fn a_repeated_change_does_not_show_who_has_moved_away() {
    let service = service().await;
    make(&service, "ann", "acme", "tenant_user", &json!({})).await;
    let change = async || {
        let claims = json!({"id": "chief", "role": "tenant_admin", "organizationId": "acme"});
        let request = service.ask_as_nobody(Method::PUT, &of("ann")).bearer_auth(token(&claims));
        let request = request.header("Idempotency-Key", "k").json(&json!({"name": "Ann"}));
        Answer::to(request).await
    };
    change().await.expect(200);
    change().await.expect(200);
    let away = json!({"organizationId": "globex", "email": "ann@globex.example"});
    service.put(&of("ann"), &away).await.expect(200);
    let refused = change().await.expect(404);
    assert!(!refused.text.contains("globex"), "{}", refused.text);
}

#[tokio::test]
async fn the_first_developers_id_is_nobody_elses() {
    let service = service().await;
    let chief = ("chief", "tenant_admin", "acme");
    let body = json!({"userId": "super-admin"});
    let refused = by(&service, chief, (Method::POST, USERS), &body).await.expect(409);
    assert_eq!(code(&refused), "user_taken");
    let path = "/api/v1/consumption";
    let seen = with(call("1", 1, 1), &json!({"userId": "super-admin"}));
    service.send(path, &seen).await.expect(201);
    by(&service, chief, (Method::GET, &of("super-admin")), &Value::Null).await.expect(200);
    let name = json!({"name": "S"});
    by(&service, chief, (Method::PUT, &of("super-admin")), &name).await.expect(404);
    let body = json!({"password": PASSWORD});
    by(&service, chief, (Method::PUT, &password_of("super-admin")), &body).await.expect(404);
}

#[tokio::test]
async fn a_name_that_was_only_named_is_nobodys() {
    let service = service().await;
    let hold = json!({
        "organizationId": "globex", "userId": "named", "requestId": "1", "promptTokens": 1,
        "maxTokens": 1,
    });
    service.send("/api/v1/holds", &hold).await.expect(201);
    let chief = ("chief", "tenant_admin", "acme");
    let body = json!({"userId": "named"});
    by(&service, chief, put(&of("named")), &json!({"name": "N"})).await.expect(404);
    let made = by(&service, chief, (Method::POST, USERS), &body).await.expect(201).json();
    assert_eq!(made["organizationId"], "acme");
    let globex = ("gboss", "tenant_admin", "globex");
    let refused = by(&service, globex, (Method::POST, USERS), &body).await.expect(409);
    assert_eq!(code(&refused), "user_taken");
}

#[tokio::test]
async fn a_demoted_developers_key_ends_at_home() {
    let service = service().await;
    make(&service, "dev", "globex", "developer", &json!({})).await;
    make(&service, "ann", "acme", "tenant_user", &json!({})).await;
    let key = issue(&service, "developer", &json!({"userId": "dev"})).await;
    who(&service, &key).await.expect(200);
    service.put(&of("dev"), &json!({"role": "tenant_admin"})).await.expect(200);
    assert_eq!(code(&who(&service, &key).await.expect(401)), "unknown_api_key");
}

#[tokio::test]
async fn an_erasure_revokes_the_keys_of_the_erased() {
    let mut service = service().await;
    make(&service, "ann", "acme", "tenant_user", &json!({"name": "Ann"})).await;
    let fields = json!({"name": "ann-laptop", "userId": "ann"});
    let key = issue(&service, "tenant_user", &fields).await;
    let other = issue(&service, "tenant_admin", &json!({"name": "other"})).await;
    let path = "/api/v1/admin/users/ann/personal-data";
    Answer::to(service.ask(Method::DELETE, path)).await.expect(200);
    let check = async |service: &Service| {
        assert_eq!(code(&who(service, &key).await.expect(401)), "unknown_api_key");
        who(service, &other).await.expect(200);
        let listed = service.get(KEYS).await;
        assert_eq!((&listed[0]["name"], &listed[0]["revokedAt"]), (&Value::Null, &json!(NOON)));
        assert_eq!((&listed[1]["name"], &listed[1]["revokedAt"]), (&json!("other"), &Value::Null));
    };
    check(&service).await;
    service.stop().await;
    verify(&service);
    service.start_again().await;
    check(&service).await;
}

#[tokio::test]
async fn an_address_that_signs_in_elsewhere_is_taken() {
    let service = service().await;
    let fields = json!({"email": "Ann@example.org", "password": PASSWORD});
    make(&service, "ann", "globex", "tenant_admin", &fields).await;
    make(&service, "bob", "globex", "tenant_user", &json!({"email": "bob@example.org"})).await;
    make(&service, "eve", "acme", "tenant_user", &json!({})).await;
    let head = service.head().await;
    let chief = ("chief", "tenant_admin", "acme");
    let taken = json!({"email": "ann@EXAMPLE.org"});
    let made = with(json!({"userId": "new"}), &taken);
    for (method, path, body) in
        [(Method::PUT, of("eve"), &taken), (Method::POST, USERS.to_owned(), &made)]
    {
        let refused = by(&service, chief, (method, &path), body).await.expect(409);
        assert_eq!(code(&refused), "email_taken");
    }
    assert_eq!(service.head().await, head);
    // One that nobody signs in with is free, and so is one of the same tenant.
    let free = json!({"email": "bob@example.org"});
    by(&service, chief, (Method::PUT, &of("eve")), &free).await.expect(200);
    let own = ("ann", "tenant_admin", "globex");
    by(&service, own, (Method::PUT, &of("ann")), &taken).await.expect(200);
    by(&service, own, (Method::PUT, &of("bob")), &taken).await.expect(200);
}
