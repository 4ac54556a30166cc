//! Signing in and out: who gets a session, how it is kept from others, and when it ends.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::http::{Answer, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const NOON: &str = "2025-03-01T12:00:00Z";
const PASSWORD: &str = "Correct-Horse-7-Battery";
const COOKIE: &str = "__Host-tallybook-session";
const USERS: &str = "/api/v1/organization/users";

fn setup() -> Setup {
    // So that a test can be many clients.
    Setup::new()
        .manual_clock(NOON)
        .variable("TALLYBOOK__ACCOUNTS__CLIENT_ADDRESS_HEADER", "x-forwarded-for")
}

fn ann() -> Value {
    json!({
        "userId": "ann", "organizationId": "acme", "email": "Ann.Quincy@example.org",
        "name": "Ann Quincy", "role": "tenant_admin", "password": PASSWORD,
    })
}

async fn service() -> Service {
    let service = setup().start().await;
    service.send(USERS, &ann()).await.expect(201);
    service
}

fn post(service: &Service, path: &str) -> RequestBuilder {
    service.ask_as_nobody(Method::POST, path)
}

/// What somebody at `address` is answered.
async fn try_at(service: &Service, address: &str, credentials: &Value) -> Answer {
    let request = post(service, "/api/v1/auth/signin").header("x-forwarded-for", address);
    Answer::to(request.json(credentials)).await
}

async fn try_in(service: &Service, credentials: &Value) -> Answer {
    Answer::to(post(service, "/api/v1/auth/signin").json(credentials)).await
}

/// The cookie of a new session, as it is sent back.
async fn enter(service: &Service, user: &str, password: &str) -> String {
    let answer = try_in(service, &json!({"userId": user, "password": password})).await.expect(200);
    let cookie = answer.header("set-cookie").split(';').next().expect("a cookie");
    cookie.to_owned()
}

async fn who(service: &Service, cookie: &str) -> Answer {
    let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user").header("cookie", cookie);
    Answer::to(request).await
}

fn code(answer: &Answer) -> Value {
    answer.json()["code"].clone()
}

#[tokio::test]
async fn whoever_knows_the_password_gets_a_session() {
    let service = service().await;
    let user = json!({
        "id": "ann", "email": "Ann.Quincy@example.org", "name": "Ann Quincy",
        "role": "tenant_admin", "organizationId": "acme",
    });
    for credentials in [
        json!({"userId": "ann", "password": PASSWORD}),
        json!({"email": "ann.quincy@EXAMPLE.org", "password": PASSWORD}),
    ] {
        let answer = try_in(&service, &credentials).await.expect(200);
        assert_eq!(answer.json(), json!({"status": "OK", "user": user}));
        assert_eq!(answer.header("cache-control"), "no-store");
        let set = answer.header("set-cookie").to_owned();
        let (cookie, attributes) = set.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure");
        let secret = cookie.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('='));
        assert_eq!(secret.map(str::len), Some(43), "256 bits");
        assert_eq!(who(&service, cookie).await.expect(200).json(), json!({"user": user}));
        let among = format!("theme=dark; {cookie}; x=y");
        assert_eq!(who(&service, &among).await.expect(200).json(), json!({"user": user}));
        let request = service.ask_as_nobody(Method::GET, USERS).header("cookie", cookie);
        assert_eq!(Answer::to(request).await.expect(200).json()[0]["userId"], "ann");
    }
    let shown = service.get(&format!("{USERS}/ann")).await;
    assert_eq!(shown["lastActive"], NOON);
    let sessions = service.events_of("session_opened").await;
    assert_eq!(sessions.len(), 2);
    let data = json!({"user_id": "ann", "expires_at": "2025-03-02T00:00:00Z"});
    assert_eq!(sessions[0]["data"], data);
    assert_eq!(sessions[1]["actor"], "user:ann");
    // An API key and a token say who calls as well.
    let request = service.ask(Method::GET, "/api/v1/auth/user");
    assert_eq!(Answer::to(request).await.expect(200).json()["user"]["role"], "developer");
    let token = token(&json!({"id": "zed", "name": "Zed"}));
    let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user").bearer_auth(token);
    let user = json!({
        "id": "zed", "email": null, "name": "Zed", "role": "tenant_user", "organizationId": null,
    });
    assert_eq!(Answer::to(request).await.expect(200).json(), json!({"user": user}));
}

#[tokio::test]
async fn who_does_not_know_the_password_learns_nothing() {
    let service = service().await;
    service.send(USERS, &json!({"userId": "bob", "organizationId": "acme"})).await.expect(201);
    let head = service.head().await;
    let mut answers = Vec::new();
    for (place, credentials) in [
        json!({"userId": "ann", "password": "correct-horse-7-battery"}),
        json!({"email": "ann.quincy@example.org", "password": ""}),
        json!({"email": "nobody@example.org", "password": PASSWORD}),
        json!({"userId": "nobody", "password": PASSWORD}),
        json!({"userId": "bob", "password": ""}),
    ]
    .iter()
    .enumerate()
    {
        let answer = try_at(&service, &format!("192.0.2.{place}"), credentials).await.expect(401);
        assert_eq!(answer.header("set-cookie"), "");
        answers.push(answer.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains("Incorrect e-mail address or password"), "{answers:?}");
    for (credentials, field) in [
        (json!({"password": PASSWORD}), "body"),
        (json!({"email": "a@b", "userId": "ann", "password": PASSWORD}), "body"),
        (json!({"userId": "ann"}), "password"),
        (json!({"userId": "ann", "password": 7}), "password"),
        (json!({"userId": "", "password": PASSWORD}), "userId"),
        (json!({"userId": "ann", "password": PASSWORD, "remember": true}), "remember"),
    ] {
        let refused = try_in(&service, &credentials).await.expect(400).json();
        assert_eq!(refused["invalid_parameters"][0]["field"], field, "{refused}");
    }
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_takes_the_cookie_back() {
    let service = service().await;
    let (one, other) =
        (enter(&service, "ann", PASSWORD).await, enter(&service, "ann", PASSWORD).await);
    let out = async |cookie: &str| {
        let request = post(&service, "/api/v1/auth/signout").header("cookie", cookie);
        let answer = Answer::to(request).await.expect(200);
        assert_eq!(answer.json(), json!({"message": "Signed out successfully"}));
        let cleared = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(answer.header("set-cookie"), cleared);
    };
    out(&one).await;
    let refused = who(&service, &one).await.expect(401);
    assert_eq!(code(&refused), "unknown_session");
    who(&service, &other).await.expect(200);
    // Once is enough, and whoever has no session is out already.
    let head = service.head().await;
    out(&one).await;
    out("").await;
    assert_eq!(service.head().await, head);
    for forged in [format!("{COOKIE}="), format!("{COOKIE}=guess"), other.replacen(COOKIE, "x", 1)]
    {
        let wanted = if forged.starts_with(COOKIE) { "unknown_session" } else { "no_credentials" };
        assert_eq!(code(&who(&service, &forged).await.expect(401)), wanted, "{forged}");
    }
}

#[tokio::test]
async fn sessions_survive_a_kill_and_end_by_themselves() {
    let mut service = service().await;
    let (kept, closed) =
        (enter(&service, "ann", PASSWORD).await, enter(&service, "ann", PASSWORD).await);
    let request = post(&service, "/api/v1/auth/signout").header("cookie", &closed);
    Answer::to(request).await.expect(200);
    service.kill();
    service.start_again().await;
    who(&service, &kept).await.expect(200);
    who(&service, &closed).await.expect(401);
    // And a checkpoint, which is taken of what is new.
    enter(&service, "ann", PASSWORD).await;
    service.stop().await;
    verify(&service);
    service.start_again().await;
    who(&service, &kept).await.expect(200);
    who(&service, &closed).await.expect(401);
    service.advance_clock_to("2025-03-01T23:59:59Z").await;
    who(&service, &kept).await.expect(200);
    service.advance_clock_to("2025-03-02T00:00:01Z").await;
    assert_eq!(code(&who(&service, &kept).await.expect(401)), "unknown_session");
}

#[tokio::test]
async fn what_another_site_makes_a_browser_send_is_refused() {
    let service = service().await;
    let cookie = enter(&service, "ann", PASSWORD).await;
    let host = service.url("");
    let head = service.head().await;
    let evil: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://other.example.org")],
        &[("origin", "https://evil.example.org")],
        &[("origin", "null")],
    ];
    let good: [&[(&str, &str)]; 4] = [
        &[],
        &[("sec-fetch-site", "same-origin"), ("origin", &host)],
        &[("sec-fetch-site", "none")],
        &[("origin", &host)],
    ];
    let change = |headers: &[(&str, &str)], credentials: (&str, &str)| {
        let request = service.ask_as_nobody(Method::PUT, &format!("{USERS}/ann"));
        let request = request.header(credentials.0, credentials.1).json(&json!({"name": "A"}));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for headers in evil {
        let refused = Answer::to(change(headers, ("cookie", &cookie))).await.expect(403);
        assert_eq!(code(&refused), "cross_site", "{headers:?}");
        for path in ["/api/v1/auth/signin", "/api/v1/auth/signout"] {
            let request = post(&service, path).header("cookie", &cookie);
            let request = request.json(&json!({"userId": "ann", "password": PASSWORD}));
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value));
            let refused = Answer::to(request).await.expect(403);
            assert_eq!(code(&refused), "cross_site", "{path} {headers:?}");
        }
        // What is only read, is read; the browser keeps it from the other site.
        let request = service.ask_as_nobody(Method::GET, USERS).header("cookie", &cookie);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::to(request).await.expect(200);
    }
    assert_eq!(service.head().await, head);
    for headers in good {
        Answer::to(change(headers, ("cookie", &cookie))).await.expect(200);
    }
    // A browser sends neither keys nor tokens by itself.
    let claims = json!({"id": "chief", "role": "tenant_admin", "organizationId": "acme"});
    let bearer = format!("Bearer {}", token(&claims));
    let key = crate::support::service::API_KEY;
    for credentials in [("authorization", bearer.as_str()), ("x-api-key", key)] {
        for headers in evil {
            Answer::to(change(headers, credentials)).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_deactivated_account_is_refused_whatever_it_presents() {
    let service = service().await;
    let cookie = enter(&service, "ann", PASSWORD).await;
    let order = json!({
        "name": "k", "organizationId": "acme", "role": "tenant_user", "userId": "ann",
    });
    let issued = service.send("/api/v1/organization/api-keys", &order).await.expect(201).json();
    let key = issued["key"].as_str().expect("a key").to_owned();
    let token = format!("Bearer {}", token(&json!({"id": "ann", "organizationId": "acme"})));
    let means = [("cookie", cookie), ("x-api-key", key), ("authorization", token)];
    let ask = async |(name, value): &(&str, String)| {
        let request = service.ask_as_nobody(Method::GET, "/api/v1/auth/user");
        Answer::to(request.header(*name, value)).await
    };
    for means in &means {
        ask(means).await.expect(200);
    }
    let gone = Answer::to(service.ask(Method::DELETE, &format!("{USERS}/ann"))).await.expect(200);
    assert_eq!(gone.json()["message"], "User deactivated");
    assert_eq!(gone.json()["status"], "inactive");
    for means in &means[1..] {
        assert_eq!(code(&ask(means).await.expect(403)), "account_inactive", "{means:?}");
    }
    ask(&means[0]).await.expect(401);
    let right = json!({"userId": "ann", "password": PASSWORD});
    assert_eq!(code(&try_in(&service, &right).await.expect(403)), "account_inactive");
    let wrong = json!({"userId": "ann", "password": "wrong"});
    assert_eq!(code(&try_in(&service, &wrong).await.expect(401)), "wrong_credentials");

    // Whoever comes back signs in anew.
    service.put(&format!("{USERS}/ann"), &json!({"status": "active"})).await.expect(200);
    for means in &means[1..] {
        ask(means).await.expect(200);
    }
    ask(&means[0]).await.expect(401);
    who(&service, &enter(&service, "ann", PASSWORD).await).await.expect(200);
}

#[tokio::test]
async fn guessing_passwords_becomes_slow() {
    let service = service().await;
    let wrong = json!({"userId": "ann", "password": "wrong"});
    let right = json!({"userId": "ann", "password": PASSWORD});
    let by_mail = json!({"email": "ann.quincy@example.org", "password": "wrong"});
    let (here, there) = ("192.0.2.9", "192.0.2.10");
    for place in 0..5 {
        let credentials = if place % 2 == 0 { &wrong } else { &by_mail };
        try_at(&service, here, credentials).await.expect(401);
    }
    let refused = try_at(&service, here, &right).await.expect(429);
    assert_eq!((code(&refused), refused.header("retry-after")), (json!("too_many_attempts"), "2"));
    service.advance_clock_to("2025-03-01T12:00:01Z").await;
    assert_eq!(try_at(&service, here, &wrong).await.expect(429).header("retry-after"), "1");
    service.advance_clock_to("2025-03-01T12:00:02Z").await;
    try_at(&service, here, &wrong).await.expect(401);
    assert_eq!(try_at(&service, here, &right).await.expect(429).header("retry-after"), "4");
    // That shuts nobody out who comes from elsewhere.
    try_at(&service, there, &right).await.expect(200);
    service.advance_clock_to("2025-03-01T12:00:06Z").await;
    try_at(&service, here, &right).await.expect(200);

    // By address, whoever is tried; what others say of theirs does not count, nor does the port.
    for place in 0..5 {
        let credentials = json!({"userId": format!("guess-{place}"), "password": "wrong"});
        let address = format!("203.0.113.{place}, 198.51.100.7:{}", 4000 + place);
        try_at(&service, &address, &credentials).await.expect(401);
        let address = format!("[2001:db8::{place}]:{}", 4000 + place);
        try_at(&service, &address, &credentials).await.expect(401);
    }
    for address in ["198.51.100.7", "198.51.100.7:1", "2001:db8::9", "[2001:db8::9]:1"] {
        try_at(&service, address, &right).await.expect(429);
    }
    try_at(&service, "198.51.100.8", &right).await.expect(200);
}

#[tokio::test]
async fn guesses_from_many_addresses_become_slow_too() {
    let service = service().await;
    let right = json!({"userId": "ann", "password": PASSWORD});
    // By account or by e-mail address, whether there is one or not.
    for (round, wrong) in [
        json!({"email": "ann.quincy@example.org", "password": "wrong"}),
        json!({"email": "nobody@example.org", "password": "wrong"}),
        json!({"userId": "nobody", "password": "wrong"}),
    ]
    .iter()
    .enumerate()
    {
        for place in 0..50 {
            let address = format!("10.{round}.0.{place}");
            try_at(&service, &address, wrong).await.expect(401);
        }
        let refused = try_at(&service, "192.0.2.9", wrong).await.expect(429);
        let told = (code(&refused), refused.header("retry-after"));
        assert_eq!(told, (json!("too_many_attempts"), "2"), "{wrong}");
    }
    try_at(&service, "192.0.2.9", &right).await.expect(429);
    service.advance_clock_to("2025-03-01T12:00:02Z").await;
    try_at(&service, "192.0.2.9", &right).await.expect(200);
}

#[tokio::test]
async fn who_shares_an_address_forgives_nobody_elses_failures() {
    let service = service().await;
    let own = "Another-Horse-8-Battery";
    let eve = json!({
        "userId": "eve", "organizationId": "umbrella", "email": "ann.quincy@example.org",
        "password": own,
    });
    service.send(USERS, &eve).await.expect(201);
    let shared = json!({"email": "ann.quincy@example.org", "password": own});
    for place in 0..50 {
        let answer = try_at(&service, &format!("10.0.0.{place}"), &shared).await;
        assert_eq!(answer.expect(200).json()["user"]["id"], "eve");
    }
    let guess = json!({"userId": "ann", "password": "wrong"});
    try_at(&service, "192.0.2.9", &guess).await.expect(429);
    let eves = json!({"userId": "eve", "password": own});
    try_at(&service, "192.0.2.9", &eves).await.expect(200);
}

#[tokio::test]
async fn a_burst_of_guesses_gains_nothing() {
    let service = service().await;
    let wrong = json!({"userId": "ann", "password": "wrong"});
    let guesses = (0..20).map(|_| try_at(&service, "192.0.2.1", &wrong));
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(looked_at, 5);
    assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status)));
}

#[tokio::test]
async fn the_operator_is_told_of_a_proxy_and_of_a_short_key() {
    let told = |service: &Service, text: &str| service.log().matches(text).count();
    let (proxy, short) = ("client_address_header", "so short that it can be guessed");
    let service = Setup::new().manual_clock(NOON).variable("X_API_KEY", "change-me").start().await;
    let nobody = json!({"userId": "nobody", "password": "wrong"});
    try_in(&service, &nobody).await.expect(401);
    assert_eq!((told(&service, proxy), told(&service, short)), (0, 1));
    for place in 0..2 {
        try_at(&service, &format!("192.0.2.{place}"), &nobody).await.expect(401);
    }
    assert_eq!((told(&service, proxy), told(&service, "change-me")), (1, 0));
    let service = setup().start().await;
    try_at(&service, "192.0.2.1", &nobody).await.expect(401);
    assert_eq!((told(&service, proxy), told(&service, short)), (0, 0));
}

#[tokio::test]
async fn a_password_that_is_set_ends_the_other_sessions() {
    let service = service().await;
    let path = format!("{USERS}/ann/password");
    let (here, there) =
        (enter(&service, "ann", PASSWORD).await, enter(&service, "ann", PASSWORD).await);
    let set = async |cookie: &str, body: &Value, key: &str| {
        let request = service.ask_as_nobody(Method::PUT, &path).header("cookie", cookie);
        Answer::to(request.header("Idempotency-Key", key).json(body)).await
    };
    let new = "Another-Horse-8-Battery";
    let body = |current: &str| json!({"password": new, "currentPassword": current});
    let refused = set(&here, &json!({"password": new}), "a").await.expect(400).json();
    assert_eq!(refused["invalid_parameters"][0]["field"], "currentPassword");
    assert_eq!(code(&set(&here, &body("wrong"), "b").await.expect(403)), "wrong_password");
    let short = json!({"password": "eleven char", "currentPassword": PASSWORD});
    let refused = set(&here, &short, "c").await.expect(400).json();
    assert_eq!(refused["invalid_parameters"][0]["field"], "password");
    who(&service, &there).await.expect(200);

    set(&here, &body(PASSWORD), "d").await.expect(200);
    who(&service, &here).await.expect(200);
    who(&service, &there).await.expect(401);
    // Twice is once, though the present password is another one by then.
    let again = set(&here, &body(PASSWORD), "d").await.expect(200);
    assert_eq!(again.header("idempotency-hit"), "true");
    assert_eq!(service.events_of("password_set").await.len(), 2);
    let other = json!({"password": "Yet-Another-Horse-9", "currentPassword": new});
    assert_eq!(code(&set(&here, &other, "d").await.expect(422)), "idempotency_key_reused");
    try_in(&service, &json!({"userId": "ann", "password": PASSWORD})).await.expect(401);
    enter(&service, "ann", new).await;

    // Whoever has a say over ann needs no present one, and leaves no session.
    service.put(&path, &json!({"password": PASSWORD})).await.expect(200);
    who(&service, &here).await.expect(401);
    enter(&service, "ann", PASSWORD).await;
}

#[tokio::test]
async fn over_plain_http_the_cookie_can_go_without_its_prefix() {
    let service = setup().variable("TALLYBOOK__ACCOUNTS__SECURE_COOKIES", "false").start().await;
    service.send(USERS, &with(ann(), &json!({"role": "developer"}))).await.expect(201);
    let right = json!({"userId": "ann", "password": PASSWORD});
    let answer = try_in(&service, &right).await.expect(200);
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("tallybook-session="), "{set}");
    assert!(set.ends_with("; HttpOnly; SameSite=Lax"), "{set}");
    let cookie = set.split(';').next().expect("a cookie");
    assert_eq!(who(&service, cookie).await.expect(200).json()["user"]["role"], "developer");
}

#[tokio::test]
async fn the_first_developer_is_made_once_and_overwrites_nobody() {
    let mut service = setup()
        .variable("SUPER_ADMIN_EMAIL", "root@example.org")
        .variable("SUPER_ADMIN_PASSWORD", PASSWORD)
        .start()
        .await;
    let right = json!({"email": "root@example.org", "password": PASSWORD});
    let me = try_in(&service, &right).await.expect(200).json();
    let user = json!({
        "id": "super-admin", "email": "root@example.org", "name": null, "role": "developer",
        "organizationId": null,
    });
    assert_eq!(me["user"], user);
    let told = |service: &Service| service.log().matches("made the first developer").count();
    assert_eq!(told(&service), 1);
    assert!(!service.log().contains(PASSWORD) && !service.log().contains("root@example.org"));
    let new = json!({"password": "Another-Horse-8-Battery"});
    service.put(&format!("{USERS}/super-admin/password"), &new).await.expect(200);
    service.stop().await;
    service.start_again().await;
    assert_eq!(told(&service), 1);
    try_in(&service, &right).await.expect(401);
    assert_eq!(service.events_of("account_set").await.len(), 1);
    // One who cannot sign in is none.
    let none = |service: &Service| service.log().matches("no developer who can sign in").count();
    assert_eq!(none(&service), 0);
    let path = format!("{USERS}/super-admin");
    service.put(&path, &json!({"status": "inactive"})).await.expect(200);
    service.stop().await;
    service.start_again().await;
    assert_eq!((told(&service), none(&service)), (1, 1));
}

#[tokio::test]
async fn the_password_of_an_example_starts_no_service() {
    for (variables, told) in [
        (&[("SUPER_ADMIN_EMAIL", "root@example.org")][..], "super_admin_password"),
        (&[("SUPER_ADMIN_PASSWORD", PASSWORD)], "super_admin_email"),
        (
            &[("SUPER_ADMIN_EMAIL", "root"), ("SUPER_ADMIN_PASSWORD", PASSWORD)],
            "must be an e-mail address",
        ),
        (
            &[("SUPER_ADMIN_EMAIL", "root@example.org"), ("SUPER_ADMIN_PASSWORD", "changeme123")],
            "password of an example",
        ),
        (
            &[("SUPER_ADMIN_EMAIL", "root@example.org"), ("SUPER_ADMIN_PASSWORD", "eleven char")],
            "at least 12 characters",
        ),
        (
            &[("SUPER_ADMIN_EMAIL", "root@example.org"), ("SUPER_ADMIN_PASSWORD", "")],
            "super_admin_password",
        ),
    ] {
        let setup =
            variables.iter().fold(setup(), |setup, (name, value)| setup.variable(name, value));
        let mut service = setup.begin();
        let (status, log) = service.ended_in_vain().await;
        assert_eq!(status.code(), Some(2), "{variables:?}: {log}");
        assert!(log.contains(told), "{variables:?}: {log}");
        assert!(!log.contains("eleven char") && !log.contains(PASSWORD), "{log}");
    }
}
