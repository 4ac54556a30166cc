//! Users' attributes: what is named changes, what says who the person is stands nowhere in clear,
//! and can be erased while the log stays whole.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::http::{Answer, with};
use crate::support::service::{Service, Setup};

const NOON: &str = "2025-05-15T12:00:00Z";
const ANN: &str = "/api/v1/admin/users/ann";

async fn service() -> Service {
    Setup::new().start_unscheduled(NOON).await
}

async fn erase(service: &Service, user: &str) -> Answer {
    let path = format!("/api/v1/admin/users/{user}/personal-data");
    Answer::to(service.ask(Method::DELETE, &path)).await
}

/// What says who ann is.
const SECRETS: [(&str, &str); 4] = [
    ("name", "Ann Quincy-Zebedee"),
    ("email", "ann.quincy@example.org"),
    ("phone", "+49-170-5550101"),
    ("github_username", "annquincyzeb"),
];

fn ann() -> Value {
    let mut body = json!({
        "github_star": ["zgsm", "tally/book"], "vip": 2, "org": "org-in-clear-text",
        "register_time": "2023-01-02T03:04:05+08:00", "access_time": "2025-05-01T00:00:00Z",
    });
    for (field, secret) in SECRETS {
        body[field] = json!(secret);
    }
    body
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
async fn a_user_is_described_and_read_back() {
    let service = service().await;
    service.read(ANN).await.expect(404);
    let made = service.put(ANN, &ann()).await.expect(201);
    let mut wanted = with(
        json!({"user_id": "ann", "created_at": NOON, "updated_at": NOON}),
        &with(ann(), &json!({"register_time": "2023-01-01T19:04:05Z"})),
    );
    assert_eq!(made.json(), wanted);
    assert_eq!(service.get(ANN).await, wanted);

    // What is left out stays, and `null` clears.
    service.advance_clock_to("2025-05-15T13:00:00Z").await;
    let changes = json!({
        "phone": null, "email": "", "vip": null, "org": null, "access_time": null,
        "github_star": " zgsm , tally/book,, other,zgsm", "name": "Ann Q.",
    });
    let answer = service.put(ANN, &changes).await.expect(200);
    wanted = with(
        wanted,
        &json!({
            "phone": null, "email": null, "vip": 0, "org": "", "access_time": null, "name": "Ann Q.",
            "github_star": ["zgsm", "tally/book", "other"], "updated_at": "2025-05-15T13:00:00Z",
        }),
    );
    assert_eq!(answer.json(), wanted);
    service.put(ANN, &json!({"github_star": []})).await.expect(200);
    assert_eq!(service.get(ANN).await["github_star"], json!([]));
    let head = service.head().await;
    let refused = service.put(ANN, &json!({})).await.expect(400);
    assert!(refused.json()["detail"].as_str().is_some_and(|text| text.contains("at least one")));
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn a_description_that_is_sent_twice_under_one_key_is_recorded_once() {
    let mut service = service().await;
    let path = "/api/v1/admin/users/ann";
    let put = async |service: &Service, body: &Value| {
        let request = service.ask(Method::PUT, path).header("Idempotency-Key", "k");
        Answer::to(request.json(body)).await
    };
    let first = put(&service, &ann()).await.expect(201);
    let again = put(&service, &ann()).await.expect(200);
    assert_eq!((again.text.as_str(), again.header("idempotency-hit")), (&*first.text, "true"));
    service.stop().await;
    service.start_again().await;
    assert_eq!(put(&service, &ann()).await.expect(200).header("idempotency-hit"), "true");
    assert_eq!(service.events_of("user_described").await.len(), 1);
    put(&service, &json!({"name": "Anna"})).await.expect(422);
}

#[tokio::test]
async fn everyone_who_is_known_is_listed() {
    let service = service().await;
    for user in ["ann", "bob", "eve"] {
        service
            .put(&format!("/api/v1/admin/users/{user}"), &json!({"name": user}))
            .await
            .expect(201);
    }
    service.grant("only-granted", 1).await;
    let names = async |query: &str| {
        let page = service.get(&format!("/api/v1/admin/users{query}")).await;
        assert_eq!(page["total"], 4);
        let users = page["users"].as_array().expect("users").clone();
        users.iter().map(|user| format!("{} {}", user["user_id"], user["name"])).collect::<Vec<_>>()
    };
    let all = ["\"ann\" \"ann\"", "\"bob\" \"bob\"", "\"eve\" \"eve\"", "\"only-granted\" null"];
    assert_eq!(names("").await, all);
    assert_eq!(names("?page=0&page_size=0").await, all);
    assert_eq!(names("?page=2&page_size=3").await, all[3..]);
    assert_eq!(names("?page=9223372036854775807&page_size=1000").await, all[4..]);
    service.read("/api/v1/admin/users/nobody").await.expect(404);
}

#[tokio::test]
async fn who_a_person_is_stands_nowhere_in_clear_and_can_be_erased() {
    let mut service = service().await;
    service.put(ANN, &ann()).await.expect(201);
    service.put("/api/v1/admin/users/bob", &json!({"name": "Bob Stays"})).await.expect(201);
    service.grant("ann", 7).await;
    let by_org = json!({"condition": "belong-to(\"org-in-clear-text\")", "amount": 2});
    service.strategy("before", &by_org).await;
    assert_eq!(service.scan().await["executed"], 1);
    let assert_nowhere = async |service: &Service| {
        let directory = service.data_dir();
        let events = service.read("/api/v1/events?limit=1000").await.expect(200).text;
        for (field, secret) in SECRETS {
            assert!(!is_on_disk(&directory, secret), "the {field} is on disk");
            assert!(!events.contains(secret), "the {field} is in the events");
            assert!(!service.log().contains(secret), "the {field} is in what the operator reads");
        }
        assert!(is_on_disk(&directory, "org-in-clear-text"), "what is on disk is found");
    };
    assert_nowhere(&service).await;
    // Across a checkpoint as well.
    service.stop().await;
    service.start_again().await;
    assert_nowhere(&service).await;
    for (field, secret) in SECRETS {
        assert_eq!(service.get(ANN).await[field], secret);
    }
    let keys = service.data_dir().join("personal.keys");
    let key = fs::read(&keys).expect("keys")[..32].to_vec();

    let erased = erase(&service, "ann").await.expect(200).json();
    let wanted = json!([
        "name",
        "email",
        "phone",
        "github_username",
        "github_star",
        "vip",
        "org",
        "register_time",
        "access_time"
    ]);
    assert_eq!(erased, json!({"user_id": "ann", "erased": wanted, "keys": 1}));
    assert!(!fs::read(&keys).expect("keys").windows(32).any(|window| window == key), "overwritten");
    let nothing = json!({
        "user_id": "ann", "name": null, "email": null, "phone": null, "github_username": null,
        "github_star": [], "vip": 0, "org": "", "register_time": null, "access_time": null,
        "created_at": null, "updated_at": null,
    });
    assert_eq!(service.get(ANN).await, nothing);
    let again = erase(&service, "ann").await.expect(200).json();
    assert_eq!(again, json!({"user_id": "ann", "erased": [], "keys": 0}));
    assert_eq!(service.events_of("user_erased").await.len(), 1);
    erase(&service, "nobody").await.expect(404);

    // Neither a start nor another strategy brings anything back; quota and others stay.
    service.stop().await;
    verify(&service);
    service.start_again().await;
    assert_eq!(service.get(ANN).await, nothing);
    assert_eq!(service.get("/api/v1/admin/users/bob").await["name"], "Bob Stays");
    service.strategy("after", &by_org).await;
    assert_eq!(service.scan().await["executed"], 0);
    assert_eq!(service.get("/api/v1/quota?user_id=ann").await["available_quota"], 9);

    // Who comes back gets a new key.
    let back = service.put(ANN, &json!({"name": "Ann Again"})).await.expect(201).json();
    assert_eq!((&back["name"], &back["email"]), (&json!("Ann Again"), &Value::Null));
    assert_nowhere(&service).await;
}

#[tokio::test]
async fn many_who_describe_and_erase_one_user_at_once_leave_what_can_be_read_or_nothing() {
    let mut service = service().await;
    for round in 0..5 {
        let bodies: Vec<Value> =
            (0..8).map(|n| json!({"name": format!("Ann {round} {n}")})).collect();
        let puts = bodies.iter().map(|body| service.put(ANN, body));
        let (answers, erased) = tokio::join!(futures_util::future::join_all(puts), async {
            tokio::time::sleep(std::time::Duration::from_millis(round)).await;
            erase(&service, "ann").await
        });
        assert!([200, 404].contains(&erased.status), "{}", erased.text);
        for answer in answers {
            assert!([200, 201].contains(&answer.status), "{}", answer.text);
            assert!(answer.json()["name"].is_string(), "{}", answer.text);
        }
        let user = service.get(ANN).await;
        assert_eq!(user["name"].is_string(), user["created_at"].is_string(), "{user}");
    }
    service.stop().await;
    verify(&service);
}
