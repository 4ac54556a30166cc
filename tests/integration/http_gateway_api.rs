//! The admin API of a gateway, answered out of the ledger: a counter that is moved is lots that are
//! given, taken back, drawn and refunded.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::cli::tallybook;
use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::gateway::{follower_of, status};
use crate::support::http::{Answer, call};
use crate::support::service::{API_KEY, JWT_SECRET, Service, Setup};

/// Where the total is.
pub const QUOTA: &str = "/v1/chat/completions/quota";
/// What a form says it is.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A service at noon.
pub async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// The pairs as a form or a query writes them.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn form(request: RequestBuilder, pairs: &[(&str, &str)]) -> RequestBuilder {
    request.header("content-type", FORM).body(encoded(pairs))
}

/// A form of a gateway's administrator, not sent yet.
pub fn post(service: &Service, path: &str, pairs: &[(&str, &str)]) -> RequestBuilder {
    let request = service.ask_as_nobody(Method::POST, &format!("{QUOTA}{path}"));
    form(request.header("x-admin-key", API_KEY), pairs)
}

/// Sets or moves a counter of ann's, and gives where it stands then.
async fn moves(service: &Service, path: &str, amount: &str) -> String {
    let is_delta = path.ends_with("delta");
    let field = if is_delta { "value" } else { "quota" };
    let request = post(service, path, &[("user_id", "ann"), (field, amount)]);
    let answer = Answer::to(request).await.expect(200);
    let stands = match path {
        "/delta" => "new_quota",
        "/used/delta" => "new_used",
        _ => "quota",
    };
    answer.number(stands).to_owned()
}

/// `total used` of a user.
async fn counters(service: &Service, user: &str) -> String {
    let query = encoded(&[("consumer", user)]);
    let mut found = Vec::new();
    for path in ["", "/used"] {
        let answer = service.read(&format!("{QUOTA}{path}?{query}")).await.expect(200);
        found.push(answer.number("quota").to_owned());
    }
    found.join(" ")
}

/// What the quota of ann's says of itself: `total used available overdraft [lots]`.
async fn balance(service: &Service) -> String {
    let answer = service.read("/api/v1/quota?user_id=ann").await.expect(200);
    let json = answer.json();
    let lots = json["quota_list"].as_array().expect("lots").iter();
    let lots: Vec<String> = lots.map(|lot| lot["amount"].to_string()).collect();
    let numbers = ["total_quota", "used_quota", "available_quota", "overdraft"];
    format!("{} [{}]", numbers.map(|name| answer.number(name)).join(" "), lots.join(" "))
}

async fn grant(service: &Service, amount: u64, expiry: &str) {
    let body = json!({"user_id": "ann", "amount": amount, "expiry_date": expiry, "reason": "r"});
    service.post("/api/v1/admin/quota/grants", &body).await;
}

fn verify(service: &Service) {
    let directory = service.data_dir();
    let directory = directory.to_str().expect("UTF-8");
    let answer = tallybook(&["replay", "verify", "--json", "--data-dir", directory]);
    assert_eq!(answer.code, 0, "{answer:?}");
}

fn token(role: &str) -> String {
    let claims =
        json!({"id": "root", "role": role, "organizationId": "acme", "exp": 32_503_680_000_u64});
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

#[tokio::test]
async fn a_plus_in_front_of_a_delta_is_one_also_where_a_form_makes_a_space_of_it() {
    let service = service().await;
    for (value, quota) in [("5", 5), ("%2B5", 10), ("+5", 15), ("-5", 10)] {
        let request = service.ask(Method::POST, &format!("{QUOTA}/delta"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(format!("user_id=ann&value={value}"));
        let answer = Answer::to(request).await.expect(200);
        assert_eq!(answer.number("new_quota"), quota.to_string(), "{value}");
    }
}

#[tokio::test]
async fn both_names_of_a_user_and_every_kind_of_credentials_mean_the_same() {
    let service = service().await;
    let bearer = |credential: &str| ("authorization", format!("Bearer {credential}"));
    let credentials = [
        ("x-admin-key", API_KEY.to_owned()),
        ("x-api-key", API_KEY.to_owned()),
        bearer(API_KEY),
        bearer(&token("developer")),
    ];
    let (mut quota, mut used) = (0, 0);
    for name in ["user_id", "consumer"] {
        for (header, credential) in &credentials {
            let ask = |method: Method, path: &str| {
                let request = service.ask_as_nobody(method, &format!("{QUOTA}{path}"));
                request.header(*header, credential)
            };
            let text = |number: i64| number.to_string();
            let next = quota + 100;
            for (path, field, value, answer) in [
                ("/refresh", "quota", next, json!({"message": "quota refreshed", "quota": next})),
                (
                    "/delta",
                    "value",
                    -7,
                    json!({"message": "quota updated", "delta": -7, "new_quota": next - 7}),
                ),
                (
                    "/used/refresh",
                    "quota",
                    used + 3,
                    json!({"message": "used quota refreshed", "quota": used + 3}),
                ),
                (
                    "/used/delta",
                    "value",
                    2,
                    json!({"message": "used quota updated", "delta": 2, "new_used": used + 5}),
                ),
            ] {
                let pairs = [(name, "ann"), (field, &*text(value))];
                let given = Answer::to(form(ask(Method::POST, path), &pairs)).await.expect(200);
                let mut wanted = answer;
                wanted["user_id"] = "ann".into();
                wanted["consumer"] = "ann".into();
                assert_eq!(given.json(), wanted, "{path} as {header} of {name}");
                assert_eq!(given.sequence(), service.head().await, "{path}");
                assert_eq!(given.header("content-type"), "application/json");
            }
            (quota, used) = (next - 7, used + 5);
            for (path, kind, stands) in [("", "total_quota", quota), ("/used", "used_quota", used)]
            {
                let request = ask(Method::GET, &format!("{path}?{name}=ann"));
                let wanted =
                    json!({"quota": stands, "user_id": "ann", "consumer": "ann", "type": kind});
                assert_eq!(Answer::to(request).await.expect(200).json(), wanted, "{header} {name}");
            }
        }
    }
    assert_eq!(balance(&service).await, format!("{quota} {used} {} 0 [704]", quota - used));
}

#[tokio::test]
async fn the_total_is_given_and_taken_back_unused_quota_first() {
    let service = service().await;
    grant(&service, 100, "2025-03-02T00:00:00Z").await;
    assert_eq!(moves(&service, "/refresh", "150").await, "150");
    assert_eq!(balance(&service).await, "150 0 150 0 [100 50]");
    let lots = service.get("/api/v1/quota?user_id=ann").await;
    assert_eq!(lots["quota_list"][1]["expiry_date"], "2025-03-31T23:59:59Z", "by the rule");

    assert_eq!(moves(&service, "/used/delta", "60").await, "60");
    assert_eq!(moves(&service, "/delta", "-70.5").await, "79.5");
    assert_eq!(balance(&service).await, "79.5 60 19.5 0 [19.5]");
    // What is not there to be taken back unused was used, and is owed now.
    assert_eq!(moves(&service, "/refresh", "20").await, "20");
    assert_eq!(balance(&service).await, "20 60 -40 40 []");
    assert_eq!(moves(&service, "/delta", "30").await, "50");
    assert_eq!(balance(&service).await, "50 60 -10 10 []");
    assert_eq!(moves(&service, "/refresh", "0").await, "0");
    assert_eq!(balance(&service).await, "0 60 -60 60 []");
    assert_eq!(moves(&service, "/delta", "60.5").await, "60.5");
    assert_eq!(balance(&service).await, "60.5 60 0.5 0 [0.5]");
}

#[tokio::test]
async fn use_is_drawn_soonest_expiry_first_and_refunded_in_the_opposite_order() {
    let service = service().await;
    grant(&service, 100, "2025-05-01T00:00:00Z").await;
    grant(&service, 50, "2025-04-01T00:00:00Z").await;
    assert_eq!(moves(&service, "/used/delta", "60").await, "60");
    assert_eq!(balance(&service).await, "150 60 90 0 [90]");
    assert_eq!(moves(&service, "/used/refresh", "151.5").await, "151.5");
    assert_eq!(balance(&service).await, "150 151.5 -1.5 1.5 []");

    assert_eq!(moves(&service, "/used/delta", "-1").await, "150.5");
    assert_eq!(balance(&service).await, "150 150.5 -0.5 0.5 []");
    assert_eq!(moves(&service, "/used/refresh", "49").await, "49");
    assert_eq!(balance(&service).await, "150 49 101 0 [1 100]");
    assert_eq!(moves(&service, "/used/refresh", "0").await, "0");
    assert_eq!(balance(&service).await, "150 0 150 0 [50 100]");
    // A call is a use as well, and what expires is neither given nor used any more.
    let spent = service.send("/api/v1/consumption", &call("one", 40, 20)).await.expect(201);
    assert_eq!(spent.number("quotaDrawn"), "60");
    assert_eq!(counters(&service, "ann").await, "150 60");
    service.advance_clock_to("2025-04-01T00:00:01Z").await;
    assert_eq!(counters(&service, "ann").await, "100 10");
    assert_eq!(moves(&service, "/used/delta", "1").await, "11");
}

#[tokio::test]
async fn no_counter_goes_below_zero_or_beyond_the_range() {
    let mut service = service().await;
    assert_eq!(moves(&service, "/refresh", "10").await, "10");
    assert_eq!(moves(&service, "/used/refresh", "4").await, "4");
    let head = service.head().await;
    let most = "9223372036854.775807";
    for (path, field, value, code, text) in [
        ("/refresh", "quota", "-1", "counter_below_zero", "the quota stands at 10"),
        ("/delta", "value", "-10.000001", "counter_below_zero", "the quota stands at 10"),
        ("/used/refresh", "quota", "-0.000001", "counter_below_zero", "used quota stands at 4"),
        ("/used/delta", "value", "-5", "counter_below_zero", "the used quota stands at 4"),
        ("/delta", "value", most, "amount_out_of_range", "value is too large"),
        ("/used/delta", "value", most, "amount_out_of_range", "value is too large"),
        ("/delta", "value", "-9223372036854.775808", "counter_below_zero", "stands at 10"),
    ] {
        let request = post(&service, path, &[("user_id", "ann"), (field, value)]);
        let problem = Answer::to(request).await.expect(400).json();
        assert_eq!(problem["code"], code, "{path} {value}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|words| words.contains(text)), "{problem}");
        assert_eq!(problem["error"], problem["detail"]);
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{path} {value}");
    }
    assert_eq!(service.head().await, head);
    assert_eq!(balance(&service).await, "10 4 6 0 [6]");
    assert_eq!(moves(&service, "/refresh", most).await, most);
    assert_eq!(moves(&service, "/used/refresh", most).await, most);
    assert_eq!(balance(&service).await, format!("{most} {most} 0 0 []"));
    assert_eq!(moves(&service, "/refresh", "0").await, "0");
    assert_eq!(moves(&service, "/refresh", most).await, most);
    assert_eq!(balance(&service).await, format!("{most} {most} 0 0 []"));
    service.stop().await;
    verify(&service);
}

#[tokio::test]
async fn users_are_called_what_they_are_called() {
    let service = service().await;
    let users = ["a b", "a&b=c", "a+b", "é—😀", "a|b", "50%25", "a/../b?c#d", "\"';--", "user_id"];
    for (user, amount) in users.into_iter().zip(1..) {
        let number = amount.to_string();
        for (path, pairs) in [
            ("/delta", [("user_id", user), ("value", &*number)]),
            ("/used/refresh", [("consumer", user), ("quota", "0.5")]),
        ] {
            let answer = Answer::to(post(&service, path, &pairs)).await.expect(200).json();
            assert_eq!((&answer["user_id"], &answer["consumer"]), (&json!(user), &json!(user)));
        }
    }
    for (user, amount) in users.into_iter().zip(1..) {
        assert_eq!(counters(&service, user).await, format!("{amount} 0.5"), "{user}");
        let query = encoded(&[("user_id", user)]);
        let quota = service.get(&format!("/api/v1/quota?{query}")).await;
        assert_eq!((&quota["user_id"], &quota["total_quota"]), (&json!(user), &json!(amount)));
    }
    let head = service.head().await;
    assert_eq!(counters(&service, "nobody").await, "0 0");
    assert_eq!(service.head().await, head, "who is asked for is not introduced");
}

#[tokio::test]
async fn only_developers_move_counters() {
    let service =
        Setup::new().variable("TALLYBOOK__AUTH__GATEWAY_HEADER", "X-Auth-Key").start().await;
    let post = |credentials: &[(&str, &str)]| {
        let mut request = service.ask_as_nobody(Method::POST, &format!("{QUOTA}/delta"));
        for (header, credential) in credentials {
            request = request.header(*header, *credential);
        }
        form(request, &[("consumer", "ann"), ("value", "1")])
    };
    let (admin, user) = (token("tenant_admin"), token("tenant_user"));
    for holder in [&admin, &user] {
        let request = post(&[("authorization", &format!("Bearer {holder}"))]);
        let problem = Answer::to(request).await.expect(403).json();
        let words = "Request denied by ai quota check. Unauthorized admin operation.";
        assert_eq!(problem["code"], "ai-quota.unauthorized");
        assert_eq!((&problem["detail"], &problem["error"]), (&json!(words), &json!(words)));
        let read = service.ask_as_nobody(Method::GET, &format!("{QUOTA}/used?consumer=ann"));
        let problem = Answer::to(read.bearer_auth(holder)).await.expect(403).json();
        assert_eq!(problem["code"], "ai-quota.unauthorized");
    }
    let bearer = format!("Bearer {API_KEY}");
    for credentials in [
        &[][..],
        &[("x-admin-key", API_KEY)],
        &[("x-auth-key", "guessed")],
        &[("x-auth-key", &bearer)],
        &[("authorization", "Bearer guessed")],
        &[("authorization", "Basic guessed")],
    ] {
        let answer = Answer::to(post(credentials)).await;
        assert_eq!(answer.status, 401, "{credentials:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{credentials:?}");
    }
    assert_eq!(service.head().await, 0);
    for credentials in [("x-auth-key", API_KEY), ("x-api-key", API_KEY), ("authorization", &bearer)]
    {
        Answer::to(post(&[credentials])).await.expect(200);
    }
    assert_eq!(counters(&service, "ann").await, "3 0");
}

#[tokio::test]
async fn a_repeat_under_the_same_key_counts_once() {
    let service = service().await;
    let send = async |key: &str, path: &str, pairs: &[(&str, &str)]| {
        Answer::to(post(&service, path, pairs).header("Idempotency-Key", key)).await
    };
    let five = [("user_id", "ann"), ("value", "5")];
    let first = send("one", "/delta", &five).await.expect(200);
    assert_eq!((first.number("new_quota"), first.header("idempotency-hit")), ("5", ""));
    let again = send("one", "/delta", &five).await.expect(200);
    assert_eq!((again.number("new_quota"), again.header("idempotency-hit")), ("5", "true"));
    let by_the_other_name = [("consumer", "ann"), ("value", "5.0")];
    let again = send("one", "/delta", &by_the_other_name).await.expect(200);
    assert_eq!((again.number("new_quota"), again.header("idempotency-hit")), ("5", "true"));
    for (path, pairs) in [("/used/delta", five), ("/delta", [("user_id", "ann"), ("value", "6")])] {
        let problem = send("one", path, &pairs).await.expect(422).json();
        assert_eq!(problem["code"], "idempotency_key_reused");
    }
    assert_eq!(send("two", "/delta", &five).await.expect(200).number("new_quota"), "10");
    assert_eq!(send("three", "/used/delta", &five).await.expect(200).number("new_used"), "5");
    send("three", "/used/delta", &five).await.expect(200);
    assert_eq!(counters(&service, "ann").await, "10 5");
    // Setting a counter to where it stands leaves no trace.
    let head = service.head().await;
    assert_eq!(moves(&service, "/refresh", "10").await, "10");
    assert_eq!(moves(&service, "/used/delta", "0").await, "5");
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn every_move_is_in_the_audit_and_they_add_up() {
    let service = service().await;
    grant(&service, 100, "2025-05-01T00:00:00Z").await;
    grant(&service, 50, "2025-04-01T00:00:00Z").await;
    for (path, amount) in [
        ("/delta", "10"),
        ("/used/refresh", "155.5"),
        ("/used/delta", "-5"),
        ("/refresh", "157"),
        ("/delta", "-20"),
        ("/delta", "21"),
        ("/used/delta", "30"),
    ] {
        moves(&service, path, amount).await;
    }
    let audit = service.get("/api/v1/quota/audit?user_id=ann&page_size=100").await;
    let records = audit["records"].as_array().expect("records");
    let lines: Vec<String> = records
        .iter()
        .map(|record| {
            let [operation, reason, actor] = ["operation", "reason", "actor"]
                .map(|name| record[name].as_str().unwrap_or_default().to_owned());
            assert!(actor.starts_with("key:"), "{record}");
            format!("{operation} {} {} {reason}", record["amount"], record["overdraft_paid"])
        })
        .collect();
    assert_eq!(
        lines,
        [
            "CONSUMPTION -30 22.5 gateway",
            "RECHARGE 21 13.5 gateway",
            "ADJUSTMENT -13.5 0 gateway",
            "ADJUSTMENT -6.5 0 gateway",
            "ADJUSTMENT -3 0 gateway",
            "REFUND 5 0 gateway",
            "CONSUMPTION -155.5 0 gateway",
            "RECHARGE 10 0 gateway",
            "RECHARGE 50 0 r",
            "RECHARGE 100 0 r",
        ]
    );
    // Of halves, a sum of floats is exact.
    let left: f64 = records.iter().filter_map(|record| record["amount"].as_f64()).sum();
    assert_eq!(balance(&service).await, format!("158 180.5 {left} 22.5 []"));
}

/// Its deltas add up to nothing over a round of seven.
const ROUND: [&str; 7] = ["5", "-3", "0.25", "4.75", "-6", "10", "-11"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltas_at_the_same_time_add_up_exactly() {
    let mut service = Setup::new().start().await;
    assert_eq!(moves(&service, "/refresh", "1000").await, "1000");
    assert_eq!(moves(&service, "/used/refresh", "500").await, "500");
    let shared = Arc::new(service);
    let clients: Vec<_> = (0..8_usize)
        .map(|client| {
            let service = Arc::clone(&shared);
            tokio::spawn(async move {
                let path = if client % 2 == 0 { "/delta" } else { "/used/delta" };
                for round in 0..4 {
                    for value in ROUND {
                        moves(&service, path, value).await;
                    }
                    // Each client leaves its own mark on the counter of its kind.
                    let mark = format!("0.{client}0000{round}");
                    moves(&service, path, &mark).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
    service = Arc::into_inner(shared).expect("the clients are gone");
    // Four marks of each of 0, 2, 4, 6 and of 1, 3, 5, 7 tenths, and 0 + 1 + 2 + 3 millionths.
    assert_eq!(counters(&service, "ann").await, "1004.800024 506.400024");
    let audit = service.get("/api/v1/quota/audit?user_id=ann&page_size=1000").await;
    assert_eq!(audit["total"], 2 + 8 * 4 * (7 + 1) - 1, "a delta of nothing is no movement");
    service.stop().await;
    verify(&service);
    service.start_again().await;
    assert_eq!(counters(&service, "ann").await, "1004.800024 506.400024");
}

#[tokio::test]
async fn one_book_can_be_the_gateway_of_another() {
    let gateway = Setup::new().start().await;
    assert_eq!(moves(&gateway, "/refresh", "3").await, "3");
    let service = follower_of(&gateway.url(""))
        .variable("TALLYBOOK__GATEWAY__AUTH_VALUE", API_KEY)
        .manual_clock(NOON)
        .start()
        .await;
    service.grant("ann", 1000).await;
    service.grant("b & c", 7).await;
    service.send("/api/v1/consumption", &call("one", 1000, 60)).await.expect(201);
    eventually("the other book counts the same", async || {
        let found = (counters(&gateway, "ann").await, counters(&gateway, "b & c").await);
        if found == ("1000 1060".to_owned(), "7 0".to_owned()) {
            Ok(())
        } else {
            Err(format!("{found:?} {}", status(&service).await))
        }
    })
    .await;
    let status: Value = status(&service).await;
    assert_eq!(status["last_error"], Value::Null);
}
