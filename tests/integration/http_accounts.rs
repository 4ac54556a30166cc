//! A tenant's users: what is named changes, an administrator has a say over their own tenant's users
//! alone, and what says who somebody is, and the hash of the password, can be erased.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const USERS: &str = "/api/v1/organization/users";
const PASSWORD: &str = "Correct-Horse-7-Battery";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// What an administrator of `tenant` is answered.
async fn by(service: &Service, tenant: &str, method: Method, path: &str, body: &Value) -> Answer {
    let id = format!("{tenant}-chief");
    let claims = json!({"id": id, "role": "tenant_admin", "organizationId": tenant});
    let request = service.ask_as_nobody(method, path).bearer_auth(token(&claims));
    Answer::to(if body.is_null() { request } else { request.json(body) }).await
}

fn of(user: &str) -> String {
    format!("{USERS}/{user}")
}

fn code(answer: &Answer) -> Value {
    answer.json()["code"].clone()
}

async fn sign_in(service: &Service, user: &str) -> Answer {
    let body = json!({"userId": user, "password": PASSWORD});
    Answer::to(service.ask_as_nobody(Method::POST, "/api/v1/auth/signin").json(&body)).await
}

#[tokio::test]
async fn a_user_is_made_changed_and_deactivated() {
    let service = service().await;
    let body = json!({
        "userId": "ann", "organizationId": "acme", "email": "ann@example.org", "name": "Ann",
        "role": "tenant_admin", "status": "active", "password": PASSWORD,
    });
    let mut user = json!({
        "id": "ann", "userId": "ann", "organizationId": "acme", "email": "ann@example.org",
        "name": "Ann", "role": "tenant_admin", "status": "active", "registered": true,
        "createdAt": NOON, "updatedAt": NOON,
    });
    assert_eq!(service.send(USERS, &body).await.expect(201).json(), user);
    assert_eq!(service.get(&of("ann")).await, user);
    assert_eq!(service.get(&format!("{USERS}?organizationId=acme")).await, json!([user]));
    // The old body, with the defaults.
    let bob = service.send(USERS, &json!({"userId": "bob", "organizationId": "acme"})).await;
    let bob = bob.expect(201).json();
    let shown = (&bob["role"], &bob["status"], &bob["email"]);
    assert_eq!(shown, (&json!("tenant_user"), &json!("active"), &Value::Null));

    service.advance_clock_to("2025-03-01T13:00:00Z").await;
    let changed = service.put(&of("ann"), &json!({"name": "Ann Q.", "email": null})).await;
    user =
        with(user, &json!({"name": "Ann Q.", "email": null, "updatedAt": "2025-03-01T13:00:00Z"}));
    let answer = with(user.clone(), &json!({"message": "User updated"}));
    assert_eq!(changed.expect(200).json(), answer);
    let changed = service.put(&of("ann"), &json!({"role": "tenant_user"})).await.expect(200);
    assert_eq!(changed.json()["role"], "tenant_user");
    assert_eq!(changed.json()["name"], "Ann Q.");

    let gone = Answer::to(service.ask(Method::DELETE, &of("ann"))).await.expect(200).json();
    assert_eq!(
        (&gone["message"], &gone["status"]),
        (&json!("User deactivated"), &json!("inactive"))
    );
    let head = service.head().await;
    Answer::to(service.ask(Method::DELETE, &of("ann"))).await.expect(200);
    assert_eq!(service.head().await, head, "once is enough");
    sign_in(&service, "ann").await.expect(403);
    service.put(&of("ann"), &json!({"status": "active"})).await.expect(200);
    sign_in(&service, "ann").await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let service = service().await;
    let ann = json!({"userId": "ann", "organizationId": "acme"});
    service.send(USERS, &ann).await.expect(201);
    let head = service.head().await;
    for (fields, field) in [
        (json!({"email": "no address"}), "email"),
        (json!({"email": "@example.org"}), "email"),
        (json!({"role": "root"}), "role"),
        (json!({"role": ["developer"]}), "role"),
        (json!({"status": "suspended"}), "status"),
        (json!({"password": "eleven char"}), "password"),
        (json!({"password": "x".repeat(1025)}), "password"),
        (json!({"walletBalance": 5}), "walletBalance"),
        (json!({"organizationId": null}), "organizationId"),
        (json!({"organizationId": null, "role": "tenant_admin"}), "organizationId"),
    ] {
        let body = with(json!({"userId": "eve", "organizationId": "acme"}), &fields);
        let refused = service.send(USERS, &body).await.expect(400);
        assert_eq!(refused.json()["invalid_parameters"][0]["field"], field, "{}", refused.text);
    }
    for (body, field) in [
        (json!({}), "body"),
        (json!({"email": "no address"}), "email"),
        (json!({"userId": "other"}), "userId"),
        (json!({"password": PASSWORD}), "password"),
        (json!({"createdAt": NOON}), "createdAt"),
    ] {
        let refused = service.put(&of("ann"), &body).await.expect(400);
        assert_eq!(refused.json()["invalid_parameters"][0]["field"], field, "{}", refused.text);
    }
    let refused = service.put(&of("nobody"), &json!({"name": "N"})).await.expect(404);
    assert_eq!(refused.json()["error"], "User not found");
    let refused = Answer::to(service.ask(Method::DELETE, &of("nobody"))).await.expect(404);
    assert_eq!(refused.json()["error"], "User not found");
    let refused = service.read(&of("nobody")).await.expect(404);
    assert_eq!(refused.json()["error"], "User not found");
    let path = format!("{}/password", of("nobody"));
    service.put(&path, &json!({"password": PASSWORD})).await.expect(404);
    // Who has an account is not made again; the same once more is nothing new.
    service.send(USERS, &ann).await.expect(200);
    for fields in [json!({"name": "A"}), json!({"organizationId": "umbrella"})] {
        let refused = service.send(USERS, &with(ann.clone(), &fields)).await.expect(409);
        assert_eq!(code(&refused), "user_exists");
    }
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn under_one_key_a_user_is_made_once() {
    let mut service = service().await;
    let body = json!({
        "userId": "ann", "organizationId": "acme", "email": "ann@example.org", "password": PASSWORD,
    });
    let first = service.send_as("k", USERS, &body).await.expect(201);
    let again = service.send_as("k", USERS, &body).await.expect(200);
    assert_eq!((again.header("idempotency-hit"), &again.text), ("true", &first.text));
    service.stop().await;
    service.start_again().await;
    service.send_as("k", USERS, &body).await.expect(200);
    for fields in [json!({"password": "Another-Horse-8-Battery"}), json!({"name": "A"})] {
        let refused = service.send_as("k", USERS, &with(body.clone(), &fields)).await.expect(422);
        assert_eq!(code(&refused), "idempotency_key_reused");
    }
    assert_eq!(service.events_of("password_set").await.len(), 1);
    sign_in(&service, "ann").await.expect(200);
}

#[tokio::test]
async fn an_administrator_has_a_say_over_their_own_tenants_users_alone() {
    let service = service().await;
    for (user, tenant, role) in [
        ("ann", "acme", "tenant_user"),
        ("dev", "acme", "developer"),
        ("eve", "umbrella", "tenant_user"),
    ] {
        let body = json!({
            "userId": user, "organizationId": tenant, "role": role, "password": PASSWORD,
        });
        service.send(USERS, &body).await.expect(201);
    }
    // Only quota was ever given to this one, who is nobody's.
    service.grant("stray", 5).await;
    let head = service.head().await;
    let name = json!({"name": "N"});
    let password = json!({"password": "Another-Horse-8-Battery"});
    let nothing = Value::Null;
    for user in ["eve", "stray", "nobody"] {
        for (method, path, body) in [
            (Method::GET, of(user), &nothing),
            (Method::PUT, of(user), &name),
            (Method::DELETE, of(user), &nothing),
            (Method::PUT, format!("{}/password", of(user)), &password),
        ] {
            let refused = by(&service, "acme", method, &path, body).await.expect(404);
            assert_eq!(refused.json()["error"], "User not found", "{path}");
        }
    }
    for user in ["eve", "stray"] {
        let body = json!({"userId": user});
        let refused = by(&service, "acme", Method::POST, USERS, &body).await.expect(409);
        assert_eq!(code(&refused), "user_taken");
    }
    let of_another = json!({"userId": "new", "organizationId": "umbrella"});
    by(&service, "acme", Method::POST, USERS, &of_another).await.expect(403);
    let list = format!("{USERS}?organizationId=umbrella");
    by(&service, "acme", Method::GET, &list, &nothing).await.expect(403);
    // Nor may they make developers, change them, or move anyone.
    for (method, path, body) in [
        (Method::POST, USERS.to_owned(), json!({"userId": "new", "role": "developer"})),
        (Method::PUT, of("ann"), json!({"role": "developer"})),
        (Method::PUT, of("dev"), json!({"role": "tenant_user"})),
        (Method::PUT, of("dev"), name.clone()),
        (Method::DELETE, of("dev"), Value::Null),
        (Method::PUT, format!("{}/password", of("dev")), password.clone()),
    ] {
        let refused = by(&service, "acme", method, &path, &body).await.expect(403);
        assert_eq!(code(&refused), "developers_only", "{path} {body}");
    }
    let away = json!({"organizationId": "umbrella"});
    by(&service, "acme", Method::PUT, &of("ann"), &away).await.expect(403);
    let own = json!({"userId": "acme-chief", "role": "tenant_admin"});
    assert_eq!(service.head().await, head);
    by(&service, "acme", Method::POST, USERS, &own).await.expect(201);
    let head = service.head().await;
    let chief = of("acme-chief");
    by(&service, "acme", Method::DELETE, &chief, &nothing).await.expect(403);
    by(&service, "acme", Method::PUT, &chief, &json!({"status": "inactive"})).await.expect(403);
    assert_eq!(service.head().await, head);

    // Of their own they may all that.
    let made = by(&service, "acme", Method::POST, USERS, &json!({"userId": "new"})).await;
    assert_eq!(made.expect(201).json()["organizationId"], "acme");
    let raise = json!({"role": "tenant_admin", "organizationId": "acme"});
    let raised = by(&service, "acme", Method::PUT, &of("new"), &raise).await.expect(200);
    assert_eq!(raised.json()["role"], "tenant_admin");
    by(&service, "acme", Method::PUT, &format!("{}/password", of("new")), &password)
        .await
        .expect(200);
    by(&service, "acme", Method::DELETE, &of("new"), &nothing).await.expect(200);
    // Who was only seen in messages of theirs is theirs too.
    service.send("/api/v1/consumption", &with(call("1", 1, 1), &json!({"userId": "seen"}))).await;
    by(&service, "acme", Method::POST, USERS, &json!({"userId": "seen"})).await.expect(201);

    // A developer may all, and moves people.
    let moved = service.put(&of("ann"), &away).await.expect(200).json();
    assert_eq!(moved["organizationId"], "umbrella");
    by(&service, "acme", Method::GET, &of("ann"), &nothing).await.expect(404);
    by(&service, "umbrella", Method::GET, &of("ann"), &nothing).await.expect(200);
    service.put(&of("eve"), &json!({"role": "developer"})).await.expect(200);
    service.put(&of("eve"), &json!({"status": "inactive"})).await.expect(200);
}

#[tokio::test]
async fn an_administrator_shuts_out_nobody_who_is_known_from_elsewhere() {
    let service = service().await;
    // Ids that the book does not know, whose holders have tokens.
    for user in ["root", "umbrella-chief", "worker"] {
        let body = json!({"userId": user, "status": "inactive"});
        by(&service, "acme", Method::POST, USERS, &body).await.expect(201);
    }
    let who = async |id: &str, role: &str, tenant: &str| {
        let claims = json!({"id": id, "role": role, "organizationId": tenant});
        let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user");
        Answer::to(request.bearer_auth(token(&claims))).await
    };
    who("root", "developer", "acme").await.expect(200);
    who("umbrella-chief", "tenant_admin", "umbrella").await.expect(200);
    // But those of their own tenant.
    let refused = who("worker", "tenant_user", "acme").await.expect(403);
    assert_eq!(code(&refused), "account_inactive");
    for user in ["root", "umbrella-chief"] {
        service.put(&of(user), &json!({"status": "active"})).await.expect(200);
        Answer::to(service.ask(Method::DELETE, &of(user))).await.expect(200);
    }
    who("root", "developer", "acme").await.expect(403);
    who("umbrella-chief", "tenant_admin", "umbrella").await.expect(403);
}

#[tokio::test]
async fn a_user_sets_no_password_but_their_own_and_not_the_first() {
    let service = service().await;
    for user in ["ann", "bob"] {
        service.send(USERS, &json!({"userId": user, "organizationId": "acme"})).await.expect(201);
    }
    let head = service.head().await;
    let set = async |user: &str, body: &Value| {
        let path = format!("{}/password", of(user));
        Answer::to(service.ask_as("ann", Method::PUT, &path).json(body)).await
    };
    set("bob", &json!({"password": PASSWORD})).await.expect(403);
    set("nobody", &json!({"password": PASSWORD})).await.expect(403);
    set("ann", &json!({"password": PASSWORD})).await.expect(403);
    set("ann", &json!({"password": PASSWORD, "currentPassword": ""})).await.expect(403);
    assert_eq!(service.head().await, head);
    let path = format!("{}/password", of("ann"));
    service.put(&path, &json!({"password": PASSWORD})).await.expect(200);
    // The present one cannot be found out this way either.
    let guess = json!({"password": "Another-Horse-8-Battery", "currentPassword": "guess"});
    for _ in 0..5 {
        assert_eq!(code(&set("ann", &guess).await.expect(403)), "wrong_password");
    }
    set("ann", &with(guess, &json!({"currentPassword": PASSWORD}))).await.expect(429);
    sign_in(&service, "ann").await.expect(429);
}

/// Whether some file below `directory` holds `text`.
fn is_on_disk(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, text);
        }
        let bytes = fs::read(&path).expect("a file");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn an_erasure_leaves_neither_address_nor_password_nor_session() {
    let mut service = service().await;
    let body = json!({
        "userId": "ann", "organizationId": "acme", "email": "ann.quincy@example.org",
        "name": "Ann Quincy-Zebedee", "password": PASSWORD,
    });
    service.send(USERS, &body).await.expect(201);
    // Without anything but a password.
    service
        .send(USERS, &json!({"userId": "bob", "organizationId": "acme", "password": PASSWORD}))
        .await
        .expect(201);
    let entered = sign_in(&service, "ann").await.expect(200);
    let cookie = entered.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let (_, secret) = cookie.split_once('=').expect("a secret");
    let assert_nowhere = async |service: &Service| {
        let events = service.read("/api/v1/events?limit=1000").await.expect(200).text;
        for text in ["ann.quincy@", "Quincy-Zebedee", PASSWORD, "$argon2", "m=19456", secret] {
            assert!(!is_on_disk(&service.data_dir(), text), "`{text}` is on disk");
            assert!(!events.contains(text), "`{text}` is in the events");
            assert!(!service.log().contains(text), "`{text}` is in what the operator reads");
        }
        assert!(is_on_disk(&service.data_dir(), "acme"), "what is on disk is found");
        assert!(!events.contains("hash") && !events.contains("digest"), "{events}");
    };
    assert_nowhere(&service).await;
    service.stop().await;
    service.start_again().await;
    assert_nowhere(&service).await;
    let keys = service.data_dir().join("personal.keys");
    let secrets = fs::read(&keys).expect("keys");

    for user in ["ann", "bob"] {
        let path = format!("/api/v1/admin/users/{user}/personal-data");
        let erased = Answer::to(service.ask(Method::DELETE, &path)).await.expect(200).json();
        assert_eq!(erased["keys"], 1, "{erased}");
        sign_in(&service, user).await.expect(401);
    }
    let left = fs::read(&keys).expect("keys");
    for secret in [&secrets[..32], &secrets[36..68]] {
        assert!(!left.windows(32).any(|window| window == secret), "overwritten");
    }
    let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user");
    Answer::to(request.header("cookie", &cookie)).await.expect(401);
    let user = service.get(&of("ann")).await;
    assert_eq!((&user["email"], &user["name"]), (&Value::Null, &Value::Null));
    service.kill();
    verify(&service);
    service.start_again().await;
    assert_nowhere(&service).await;
    sign_in(&service, "ann").await.expect(401);
    // Who comes back gets a new key.
    let path = format!("{}/password", of("ann"));
    service.put(&path, &json!({"password": PASSWORD})).await.expect(200);
    sign_in(&service, "ann").await.expect(200);
}
