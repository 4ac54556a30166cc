//! Webhooks: what is told arrives, signed, exact and at least once, and nowhere that it must not.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::service::{Service, Setup};

const ENDPOINTS: &str = "/api/v1/webhooks/endpoints";
/// A secret of the sender's own.
const SECRET: &str = "whsec_c2VjcmV0LXRoYXQtbm9ib2R5LW1heS1zZWUtYW55d2hlcmU=";
const SECRET_BYTES: &str = "secret-that-nobody-may-see-anywhere";

/// A service whose webhooks may go to this machine.
fn setup() -> Setup {
    Setup::new().manual_clock(NOON).variable("TALLYBOOK__WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true")
}

/// An endpoint of `acme` that is told of money by hand, and nothing else.
async fn endpoint(service: &Service, url: &str) -> Value {
    let types = ["wallet.topped_up"];
    let draft = json!({"organizationId": "acme", "url": url, "types": types});
    service.send(ENDPOINTS, &draft).await.expect(201).json()
}

fn path_of(endpoint: &Value) -> String {
    format!("{ENDPOINTS}/{}", endpoint["id"].as_str().expect("an id"))
}

/// Pays something in; gives the event.
async fn pay_in(service: &Service, tenant: &str, amount: &str) -> u64 {
    let path = format!("/api/v1/admin/wallets/{tenant}/top-ups");
    let body = json!({"amount": amount, "reference": "invoice 7"});
    service.send(&path, &body).await.expect(201).sequence()
}

async fn deliveries(service: &Service, endpoint: &Value) -> Value {
    let path = format!("{}/deliveries", path_of(endpoint));
    service.read(&path).await.expect(200).json()
}

/// Waits until so many attempts are on record, and gives all deliveries.
async fn attempted(service: &Service, endpoint: &Value, count: usize) -> Value {
    eventually("attempts are on record", async || {
        let deliveries = deliveries(service, endpoint).await;
        let attempts = deliveries["attempts"].as_array().map_or(0, Vec::len);
        if attempts == count { Ok(deliveries) } else { Err(deliveries.to_string()) }
    })
    .await
}

#[tokio::test]
async fn what_is_told_arrives_signed_and_to_the_last_decimal() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/hook?x=1")).await;
    let secret = endpoint["secret"].as_str().expect("a secret, this once");
    assert!(secret.starts_with("whsec_"), "{secret}");

    let event = pay_in(&service, "acme", "12.000000000000000001").await;
    let [received] = &inbox.gets(1).await[..] else { panic!("one") };
    assert_eq!(received.path, "/hook");
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("webhook-id"), format!("evt_{event}"));
    assert_eq!(received.header("webhook-timestamp"), "1740830400", "noon");
    assert!(received.header("user-agent").starts_with("tallybook/"));
    assert!(received.is_signed_by(secret));
    assert!(!received.is_signed_by(SECRET));
    assert_eq!(
        received.text(),
        r#"{"type":"wallet.topped_up","timestamp":"2025-03-01T12:00:00Z","data":{"organizationId":"acme","amount":12.000000000000000001,"reference":"invoice 7"}}"#
    );
    let deliveries = attempted(&service, &endpoint, 1).await;
    assert_eq!(deliveries["pending"], json!([]));
    let attempt = &deliveries["attempts"][0];
    assert_eq!(attempt["type"], "wallet.topped_up");
    assert_eq!(
        ["event", "attempt", "status", "outcome", "error"].map(|name| attempt[name].clone()),
        [json!(event), json!(1), json!(204), json!("delivered"), Value::Null]
    );
    let sent = service.metric("webhook_deliveries_pending").await;
    assert_eq!(sent, Some(0));
}

#[tokio::test]
async fn what_does_not_arrive_is_tried_ten_times_under_one_id_and_by_hand_again() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    inbox.behave(Behaviour::status(500));
    let event = pay_in(&service, "acme", "1").await;
    let least = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (count, seconds) in (1..).zip(least) {
        let seen = attempted(&service, &endpoint, count).await;
        let pending = &seen["pending"][0];
        assert_eq!((&pending["event"], &pending["attempts"]), (&json!(event), &json!(count)));
        let newest = &seen["attempts"][0];
        assert_eq!((&newest["status"], &newest["outcome"]), (&json!(500), &json!("retry")));
        let at = |value: &Value| {
            let text = value.as_str().expect("a time");
            schemas::Timestamp::parse(text).expect("RFC 3339").micros()
        };
        let pause = at(&pending["dueAt"]) - at(&newest["attemptedAt"]);
        let pauses = seconds * 1_000_000..=seconds * 1_100_000;
        assert!(pauses.contains(&pause), "{pause} after attempt {count}");
        // Just before, nothing happens.
        let before = schemas::Timestamp::from_micros(at(&pending["dueAt"]) - 1);
        service.advance_clock_to(&before.to_string()).await;
        assert_eq!(inbox.received().len(), count);
        service.advance_clock_to(pending["dueAt"].as_str().expect("a time")).await;
    }
    let seen = attempted(&service, &endpoint, 10).await;
    assert_eq!(
        (&seen["pending"], &seen["attempts"][0]["outcome"]),
        (&json!([]), &json!("given_up"))
    );
    service.advance_clock_to("2026-03-01T00:00:00Z").await;

    inbox.behave(Behaviour::status(200));
    let repeat = format!("{}/deliveries/{event}/retry", path_of(&endpoint));
    service.send_as("again", &repeat, &Value::Null).await.expect(202);
    let received = inbox.gets(11).await;
    let seen = attempted(&service, &endpoint, 11).await;
    assert_eq!(seen["attempts"][0]["outcome"], "delivered");
    assert_eq!(received.len(), 11);
    for one in &received {
        assert_eq!(one.header("webhook-id"), format!("evt_{event}"));
        assert_eq!(one.body, received[0].body);
        assert!(one.is_signed_by(endpoint["secret"].as_str().expect("a secret")));
    }
    // The same request again is the same.
    let again = service.send_as("again", &repeat, &Value::Null).await.expect(202);
    assert_eq!(again.header("idempotency-hit"), "true");
    for other in [1, 999_999] {
        let path = format!("{}/deliveries/{other}/retry", path_of(&endpoint));
        service.send(&path, &Value::Null).await.expect(404);
    }
}

#[tokio::test]
async fn who_is_gone_is_left_alone_until_somebody_says_otherwise() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    inbox.behave(Behaviour::status(410));
    let event = pay_in(&service, "acme", "1").await;
    let seen = attempted(&service, &endpoint, 1).await;
    assert_eq!((&seen["pending"], &seen["attempts"][0]["outcome"]), (&json!([]), &json!("gone")));
    let path = path_of(&endpoint);
    let gone = service.get(&path).await;
    assert_eq!((&gone["enabled"], &gone["goneAt"]), (&json!(false), &json!(NOON)));
    pay_in(&service, "acme", "2").await;
    let repeat = format!("{path}/deliveries/{event}/retry");
    let refused = service.send(&repeat, &Value::Null).await.expect(409);
    assert_eq!(refused.json()["code"], "webhook_disabled");

    inbox.behave(Behaviour::status(204));
    let enable = service.ask(Method::PUT, &path).json(&json!({"enabled": true}));
    let back = Answer::to(enable).await.expect(200).json();
    assert_eq!((&back["enabled"], &back["goneAt"]), (&json!(true), &Value::Null));
    let third = pay_in(&service, "acme", "3").await;
    let received = inbox.gets(2).await;
    let ids: Vec<_> = received.iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, [format!("evt_{event}"), format!("evt_{third}")]);
}

#[tokio::test]
async fn a_kill_in_the_middle_sends_again_under_the_same_id_and_is_recorded_once() {
    let inbox = Receiver::start().await;
    let mut service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    let delay = Duration::from_secs(30);
    inbox.behave(Behaviour { delay, ..Behaviour::status(204) });
    let event = pay_in(&service, "acme", "1").await;
    inbox.gets(1).await;
    service.kill();
    inbox.behave(Behaviour::status(204));
    service.start_again().await;
    let received = inbox.gets(2).await;
    let ids: Vec<_> = received.iter().map(|one| one.header("webhook-id")).collect();
    let id = format!("evt_{event}");
    assert_eq!(ids, [&id, &id]);
    let seen = attempted(&service, &endpoint, 1).await;
    assert_eq!(seen["pending"], json!([]));
    assert_eq!(seen["attempts"][0]["outcome"], "delivered");
    service.kill();
    service.start_again().await;
    assert_eq!(attempted(&service, &endpoint, 1).await, seen);
    pay_in(&service, "acme", "2").await;
    assert_eq!(inbox.gets(3).await.len(), 3, "what is recorded is not sent again");
}

#[tokio::test]
async fn nothing_goes_to_addresses_that_are_not_public() {
    let inbox = Receiver::start().await;
    let service = Setup::new().manual_clock(NOON).start().await;
    let head = service.head().await;
    for url in [
        inbox.url("/"),
        "http://10.0.0.1/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::1]/".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
        "http://0/".to_owned(),
        "http://2130706433/".to_owned(),
        "https://user:pass@example.com/".to_owned(),
        "ftp://example.com/".to_owned(),
        "nonsense".to_owned(),
    ] {
        let draft = json!({"organizationId": "acme", "url": url});
        let problem = service.send(ENDPOINTS, &draft).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], "url", "{url}: {problem}");
    }
    assert_eq!(service.head().await, head);
    // A name says nothing until it is looked up.
    let url = format!("http://localhost:{}/", inbox.port());
    let endpoint = endpoint(&service, &url).await;
    pay_in(&service, "acme", "1").await;
    let seen = attempted(&service, &endpoint, 1).await;
    let attempt = &seen["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["outcome"]), (&Value::Null, &json!("retry")));
    let error = attempt["error"].as_str().expect("an error");
    assert!(error.contains("no public address"), "{error}");
    let test = format!("{}/test", path_of(&endpoint));
    let report = service.send(&test, &Value::Null).await.expect(200).json();
    assert_eq!((&report["delivered"], &report["status"]), (&json!(false), &Value::Null));
    assert_eq!(inbox.received().len(), 0);
    // A name that is there and one that is not are told in the same words.
    let change = json!({"url": "http://no-such-name.invalid/"});
    service.put(&path_of(&endpoint), &change).await.expect(200);
    let unknown = service.send(&test, &Value::Null).await.expect(200).json();
    assert_eq!(unknown, report);
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/first")).await;
    let location = Some(inbox.url("/second"));
    inbox.behave(Behaviour { location, ..Behaviour::status(307) });
    pay_in(&service, "acme", "1").await;
    let seen = attempted(&service, &endpoint, 1).await;
    assert_eq!(seen["attempts"][0]["status"], 307);
    let paths: Vec<_> = inbox.received().into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["/first"]);
}

#[tokio::test]
async fn a_slow_endpoint_holds_nobody_up() {
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    let service = setup().start().await;
    endpoint(&service, &slow.url("/")).await;
    endpoint(&service, &quick.url("/")).await;
    slow.behave(Behaviour { delay: Duration::from_mins(1), ..Behaviour::status(204) });
    for count in 1..=20 {
        pay_in(&service, "acme", "1").await;
        quick.gets(count).await;
    }
    assert_eq!(slow.received().len(), 2, "few at a time");
}

#[tokio::test]
async fn a_replaced_secret_signs_for_a_day_beside_the_new_one() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    let first = endpoint["secret"].as_str().expect("a secret");
    let rotate = format!("{}/secret/rotate", path_of(&endpoint));
    let second = service.send_as("rotate", &rotate, &json!({})).await.expect(200).json();
    let second = second["secret"].as_str().expect("a secret").to_owned();
    let again = service.send_as("rotate", &rotate, &json!({})).await.expect(200);
    assert_eq!(again.header("idempotency-hit"), "true");
    assert_eq!(again.json()["secret"], Value::Null, "shown once");
    service.advance_clock_to("2025-03-02T11:00:00Z").await;
    let third = service.send(&rotate, &json!({"secret": SECRET})).await.expect(200).json();
    assert_eq!((&third["secret"], &third["replacedSecrets"]), (&json!(SECRET), &json!(2)));
    let wanted = [
        ("2025-03-02T11:59:59Z", [true, true, true]),
        ("2025-03-02T12:00:00Z", [false, true, true]),
        ("2025-03-03T11:00:00Z", [false, false, true]),
    ];
    for (count, (moment, signed)) in (1..).zip(wanted) {
        service.advance_clock_to(moment).await;
        pay_in(&service, "acme", "1").await;
        let received = inbox.gets(count).await;
        let received = received.last().expect("one");
        let by = [first, &second, SECRET].map(|secret| received.is_signed_by(secret));
        assert_eq!(by, signed, "{moment}");
        let signatures = received.header("webhook-signature").split(' ').count();
        assert_eq!(signatures, signed.iter().filter(|signed| **signed).count());
    }
}

#[tokio::test]
async fn a_repeat_is_a_repeat_whatever_happened_in_between() {
    let service = setup().start().await;
    let endpoint = endpoint(&service, "https://example.com/one").await;
    let path = path_of(&endpoint);
    let put = async |key: &str, changes: Value| {
        let request = service.ask(Method::PUT, &path).header("Idempotency-Key", key);
        Answer::to(request.json(&changes)).await
    };
    put("off", json!({"enabled": false})).await.expect(200);
    service.send_as("new", &format!("{path}/secret/rotate"), &json!({})).await.expect(200);
    put("on", json!({"enabled": true, "url": "https://example.com/two"})).await.expect(200);
    let head = service.head().await;
    for _ in 0..2 {
        let again = put("off", json!({"enabled": false})).await.expect(200);
        assert_eq!(again.header("idempotency-hit"), "true");
        assert_eq!(again.json()["url"], "https://example.com/two");
        let again = service.send_as("new", &format!("{path}/secret/rotate"), &json!({})).await;
        assert_eq!(again.expect(200).header("idempotency-hit"), "true");
        put("off", json!({"enabled": true})).await.expect(422);
    }
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_is_in_no_file() {
    let inbox = Receiver::start().await;
    let mut service = setup().start().await;
    let draft = json!({
        "organizationId": "acme", "url": inbox.url("/"), "secret": SECRET,
        "types": ["wallet.topped_up"],
    });
    let made = service.send_as("make", ENDPOINTS, &draft).await.expect(201);
    let endpoint = made.json();
    assert_eq!(endpoint["secret"], SECRET);
    let again = service.send_as("make", ENDPOINTS, &draft).await.expect(200);
    assert_eq!(again.json()["id"], endpoint["id"], "made once");
    for other in [json!({"secret": Value::Null}), json!({"enabled": false})] {
        let other = crate::support::http::with(draft.clone(), &other);
        service.send_as("make", ENDPOINTS, &other).await.expect(422);
    }
    pay_in(&service, "acme", "1").await;
    assert!(inbox.gets(1).await[0].is_signed_by(SECRET));
    let path = path_of(&endpoint);
    let deliveries = format!("{path}/deliveries");
    for path in [&*path, ENDPOINTS, &*deliveries, "/api/v1/events?limit=1000"] {
        let text = service.read(path).await.expect(200).text;
        assert!(!text.contains("whsec_") && !text.contains(SECRET_BYTES), "{path}: {text}");
    }
    service.stop().await;
    assert!(!service.log().contains("whsec_"));
    let mut files = 0;
    let mut directories = vec![service.data_dir()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).expect("a file");
            for text in [&SECRET["whsec_".len()..], SECRET_BYTES] {
                let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    assert!(files > 2, "{files}");

    // It is still known after a restart; and of one that is removed nothing is left to read.
    service.start_again().await;
    pay_in(&service, "acme", "1").await;
    assert!(inbox.gets(2).await[1].is_signed_by(SECRET));
    let keys = || std::fs::read(service.data_dir().join("personal.keys")).expect("keys");
    assert!(keys().iter().any(|byte| *byte != 0));
    Answer::to(service.ask(Method::DELETE, &path)).await.expect(200);
    assert!(keys().iter().all(|byte| *byte == 0), "the repeated request's key included");
    service.read(&path).await.expect(404);
    Answer::to(service.ask(Method::DELETE, &path)).await.expect(404);
    pay_in(&service, "acme", "1").await;
    assert_eq!(inbox.received().len(), 2);
}

#[tokio::test]
async fn a_test_is_sent_once_and_leaves_nothing() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    let head = service.head().await;
    let test = format!("{}/test", path_of(&endpoint));
    let report = service.send(&test, &Value::Null).await.expect(200).json();
    assert_eq!(report, json!({"delivered": true, "status": 204, "error": null}));
    let [received] = &inbox.received()[..] else { panic!("one") };
    assert_eq!(received.json()["type"], "webhook.test");
    assert!(received.is_signed_by(endpoint["secret"].as_str().expect("a secret")));
    inbox.behave(Behaviour::status(500));
    let report = service.send(&test, &Value::Null).await.expect(200).json();
    assert_eq!((&report["delivered"], &report["status"]), (&json!(false), &json!(500)));
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn only_so_many_endpoints_are_tried_at_once() {
    let inbox = Receiver::start().await;
    let service = setup().variable("TALLYBOOK__WEBHOOKS__TIMEOUT_MS", "2000").start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    inbox.behave(Behaviour { delay: Duration::from_mins(1), ..Behaviour::status(204) });
    let test = format!("{}/test", path_of(&endpoint));
    let answers = join_all((0..20).map(|_| service.send(&test, &Value::Null))).await;
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!((refused.len(), inbox.received().len()), (12, 8));
    assert_eq!(refused[0].header("retry-after"), "1");
    inbox.behave(Behaviour::status(204));
    service.send(&test, &Value::Null).await.expect(200);
}

#[tokio::test]
async fn attempts_are_read_page_by_page() {
    let inbox = Receiver::start().await;
    let service = setup().start().await;
    let endpoint = endpoint(&service, &inbox.url("/")).await;
    for count in 1..=5 {
        pay_in(&service, "acme", "1").await;
        attempted(&service, &endpoint, count).await;
    }
    let path = format!("{}/deliveries?limit=2", path_of(&endpoint));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.read(&format!("{path}{cursor}")).await.expect(200);
        let attempts = page.json()["attempts"].as_array().expect("attempts").clone();
        seen.extend(attempts.iter().map(|attempt| attempt["event"].as_u64().expect("a number")));
        let next = page.header("x-next-cursor");
        if next.is_empty() {
            break;
        }
        assert_eq!(attempts.len(), 2);
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
}

#[tokio::test]
async fn what_an_endpoint_may_be_told_of_is_a_closed_list() {
    let service = setup().start().await;
    let draft = |types: Value| json!({"url": "https://example.com/", "types": types});
    let all = [
        "wallet.low_balance",
        "wallet.balance_restored",
        "wallet.credit_limit_passed",
        "wallet.topped_up",
        "wallet.credited",
        "top_up.succeeded",
        "top_up.failed",
        "bill.posted",
        "limit.warning",
        "limit.reached",
        "quota.warning",
        "quota.exhausted",
        "tenant.suspended",
        "tenant.deactivated",
        "tenant.reactivated",
    ];
    let made = service.send(ENDPOINTS, &draft(json!(all))).await.expect(201).json();
    assert_eq!(made["types"], json!(all));
    let head = service.head().await;
    for (types, field) in [
        (json!(["bill.posted", "nothing"]), "types[1]"),
        (json!(["bill.posted", "bill.posted"]), "types[1]"),
        (json!([""]), "types[0]"),
        (json!([7]), "types[0]"),
    ] {
        let problem = service.send(ENDPOINTS, &draft(types.clone())).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{types}: {problem}");
        let request = service.ask(Method::PUT, &path_of(&made)).json(&json!({"types": types}));
        let problem = Answer::to(request).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{types}: {problem}");
    }
    assert_eq!(service.head().await, head);
    let same = service.ask(Method::PUT, &path_of(&made)).json(&json!({"types": all}));
    Answer::to(same).await.expect(200);
    assert_eq!(service.head().await, head, "what changes nothing is not recorded");
}
