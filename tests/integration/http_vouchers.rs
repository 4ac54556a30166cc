//! Quota goes from one user to another by a signed code, byte for byte as between the clients of the
//! first quota manager, and every code counts once.

use reqwest::Method;
use schemas::{Credits, SigningKeys, VoucherItem, VoucherPayload, ZonedTimestamp};
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::people::token;
use crate::support::service::{Service, Setup};

pub const OUT: &str = "/api/v1/quota/transfer-out";
pub const IN: &str = "/api/v1/quota/transfer-in";
pub const KEY: &str = "your-secret-signing-key-at-least-32-bytes-long-for-security";
pub const MORNING: &str = "2025-05-15T10:00:00Z";
pub const JUNE: &str = "2025-06-30T23:59:59Z";
pub const JULY: &str = "2025-07-31T23:59:59Z";

/// What the first quota manager makes of 10 until June and 20 until July from `user123` to `user456`.
const GOLDEN: &str = "eyJnaXZlcl9pZCI6InVzZXIxMjMiLCJnaXZlcl9uYW1lIjoiSm9obiBEb2UiLCJnaXZlcl9waG9uZSI6IjEzODAwMTM4MDAwIiwiZ2l2ZXJfZ2l0aHViIjoiam9obmRvZSIsInJlY2VpdmVyX2lkIjoidXNlcjQ1NiIsInF1b3RhX2xpc3QiOlt7ImFtb3VudCI6MTAsImV4cGlyeV9kYXRlIjoiMjAyNS0wNi0zMFQyMzo1OTo1OVoifSx7ImFtb3VudCI6MjAsImV4cGlyeV9kYXRlIjoiMjAyNS0wNy0zMVQyMzo1OTo1OVoifV0sInRpbWVzdGFtcCI6MTc0NzMwMzIwMH18N2I2OTYyOWI4NmU1ZmQ2MTgxZDBhNDIwMDgzYTE5MTc1OGUzN2VjNzRmNjJlYzMyZTJkNWIyNzJkOTI2ZmZmZg";

pub fn setup() -> Setup {
    Setup::new().manual_clock(MORNING).variable("VOUCHER_SIGNING_KEY", KEY)
}

/// `ann` has 100 until June and 50 until July; `bob` and `cem` are known.
pub async fn service() -> Service {
    let service = setup().start().await;
    service.give("ann", &json!(100), JUNE).await;
    service.give("ann", &json!(50), JULY).await;
    for user in ["bob", "cem"] {
        know(&service, user).await;
    }
    service
}

pub async fn know(service: &Service, user: &str) {
    let registration = json!({"userId": user, "organizationId": "acme"});
    service.send("/api/v1/organization/users", &registration).await.expect(201);
}

pub fn order(receiver: &str, items: &[(Value, &str)]) -> Value {
    let item = |(amount, expiry): &(Value, &str)| json!({"amount": amount, "expiry_date": expiry});
    json!({"receiver_id": receiver, "quota_list": items.iter().map(item).collect::<Vec<_>>()})
}

/// A code over quota of `ann` for `bob`.
pub async fn issued(service: &Service, items: &[(Value, &str)]) -> String {
    let answer = service.post_as("ann", OUT, &order("bob", items)).await.expect(200);
    answer.json()["voucher_code"].as_str().expect("a code").to_owned()
}

pub async fn redeem(service: &Service, user: &str, code: &str) -> Answer {
    service.post_as(user, IN, &json!({"voucher_code": code})).await.expect(200)
}

/// A code that another book has signed.
fn foreign(key: &str, giver: &str, receiver: &str, items: &[(i64, &str)]) -> String {
    let item = |(amount, expiry): &(i64, &str)| VoucherItem {
        amount: Credits::from_units(amount * 1_000_000),
        expires_at: ZonedTimestamp::parse(expiry).expect("RFC 3339"),
    };
    let payload = VoucherPayload {
        giver_id: giver.to_owned(),
        giver_name: String::new(),
        giver_phone: String::new(),
        giver_github: String::new(),
        receiver_id: receiver.to_owned(),
        items: items.iter().map(item).collect(),
        timestamp: 1_747_303_200,
    };
    let json = payload.to_json();
    let keys = SigningKeys::new(vec![key.as_bytes().to_vec()]).expect("long enough");
    SigningKeys::code(&json, &keys.sign(&json))
}

/// What nothing but a status and a message is told with.
fn nothing(message: &str) -> String {
    format!(
        "{{\"giver_id\":\"\",\"giver_name\":\"\",\"giver_phone\":\"\",\"giver_github\":\"\",\
         \"receiver_id\":\"\",\"quota_list\":null,\"voucher_code\":\"\",\"operation\":\"\",\
         \"amount\":0,\"status\":\"FAILED\",\"message\":\"{message}\"}}"
    )
}

#[tokio::test]
async fn a_voucher_is_to_the_byte_what_the_first_quota_manager_made() {
    let service = setup().start().await;
    service.give("user123", &json!(10), JUNE).await;
    service.give("user123", &json!(25), JULY).await;
    know(&service, "user456").await;
    let john = token(&json!({
        "id": "user123", "name": "John Doe", "staffID": "emp001", "github": "johndoe",
        "phone": "13800138000",
    }));
    let items = order("user456", &[(json!(10), JUNE), (json!(20), JULY)]);
    let request = service.ask_as_nobody(Method::POST, OUT).bearer_auth(&john).json(&items);
    let answer = Answer::to(request).await.expect(200);
    let (id, sequence) = (answer.json()["voucher_id"].clone(), answer.sequence());
    assert_eq!(
        answer.text,
        format!(
            "{{\"voucher_code\":\"{GOLDEN}\",\"related_user\":\"user456\",\
             \"operation\":\"TRANSFER_OUT\",\"quota_list\":[{{\"amount\":10,\
             \"expiry_date\":\"{JUNE}\"}},{{\"amount\":20,\"expiry_date\":\"{JULY}\"}}],\
             \"voucher_id\":{id},\"sequence\":{sequence}}}"
        )
    );
    assert_eq!(service.holds("user123").await, "5 0 5 [5 2025-07-31]");
    let answer = redeem(&service, "user456", GOLDEN).await;
    assert_eq!(answer.text, golden_success());
    assert_eq!(service.holds("user456").await, "30 0 30 [10 2025-06-30, 20 2025-07-31]");
}

fn golden_success() -> String {
    let part = |amount, expiry| {
        format!(
            "{{\"amount\":{amount},\"expiry_date\":\"{expiry}\",\"is_expired\":false,\
             \"success\":true}}"
        )
    };
    format!(
        "{{\"giver_id\":\"user123\",\"giver_name\":\"John Doe\",\"giver_phone\":\"13800138000\",\
         \"giver_github\":\"johndoe\",\"receiver_id\":\"user456\",\"quota_list\":[{},{}],\
         \"voucher_code\":\"{GOLDEN}\",\"operation\":\"TRANSFER_IN\",\"amount\":30,\
         \"status\":\"SUCCESS\",\"message\":\"All quota transfers completed successfully\"}}",
        part(10, JUNE),
        part(20, JULY)
    )
}

#[tokio::test]
async fn a_voucher_of_the_service_that_was_here_before_counts_once_or_not_at_all() {
    let service = setup().start().await;
    assert_eq!(redeem(&service, "user456", GOLDEN).await.text, golden_success());
    let again = redeem(&service, "user456", GOLDEN).await;
    assert_eq!(again.json()["status"], "ALREADY_REDEEMED");
    assert_eq!(service.holds("user456").await, "30 0 30 [10 2025-06-30, 20 2025-07-31]");

    let minted = foreign(KEY, "user123", "user456", &[(-5, JUNE)]);
    let to_self = foreign(KEY, "user456", "user456", &[(5, JUNE)]);
    let of_nobody = foreign(KEY, "", "user456", &[(5, JUNE)]);
    for code in [minted, to_self, of_nobody] {
        let answer = redeem(&service, "user456", &code).await;
        assert_eq!(answer.text, nothing("Invalid voucher code"));
    }

    let strict = setup().variable("TALLYBOOK__VOUCHERS__ACCEPT_FOREIGN", "false").start().await;
    let refused = redeem(&strict, "user456", GOLDEN).await;
    assert_eq!(refused.text, nothing("Invalid voucher code"));
    assert_eq!(strict.holds("user456").await, "0 0 0 []");
}

#[tokio::test]
async fn every_outcome_of_a_redemption_is_told_as_it_always_was() {
    let service = service().await;
    let code = issued(&service, &[(json!(10), JUNE), (json!(20), JULY)]).await;
    let mut forged = code.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let other_key = foreign("another-key-of-at-least-thirty-two-bytes", "ann", "bob", &[(1, JUNE)]);
    for wrong in ["", "x", "!!!", "YWJj", &forged, &code[1..], &other_key] {
        let answer = redeem(&service, "bob", wrong).await;
        assert_eq!(answer.text, nothing("Invalid voucher code"), "{wrong}");
    }
    for other in ["cem", "ann", "a stranger"] {
        let answer = redeem(&service, other, &code).await;
        assert_eq!(answer.text, nothing("Voucher is not for this user"), "{other}");
    }
    let redeemed = redeem(&service, "bob", &code).await;
    let told = ["status", "amount"].map(|field| redeemed.json()[field].clone());
    assert_eq!(told, [json!("SUCCESS"), json!(30)]);
    let again = redeem(&service, "bob", &code).await;
    assert_eq!(
        again.text,
        format!(
            "{{\"giver_id\":\"ann\",\"giver_name\":\"\",\"giver_phone\":\"\",\
             \"giver_github\":\"\",\"receiver_id\":\"bob\",\"quota_list\":null,\
             \"voucher_code\":\"{code}\",\"operation\":\"TRANSFER_IN\",\"amount\":0,\
             \"status\":\"ALREADY_REDEEMED\",\"message\":\"Voucher has already been redeemed\"}}"
        )
    );
    assert_eq!(service.holds("bob").await, "30 0 30 [10 2025-06-30, 20 2025-07-31]");
}

#[tokio::test]
async fn what_has_expired_in_a_voucher_is_nobodys_from_the_next_second_on() {
    let service = service().await;
    let both = issued(&service, &[(json!(10), JUNE), (json!(20), JULY)]).await;
    let on_time = issued(&service, &[(json!(1), JUNE)]).await;
    let late = issued(&service, &[(json!(2), JUNE)]).await;
    service.advance_clock_to("2025-06-30T23:59:59.999Z").await;
    assert_eq!(redeem(&service, "bob", &on_time).await.json()["status"], "SUCCESS");
    service.advance_clock_to("2025-07-01T00:00:00Z").await;
    let partial = redeem(&service, "bob", &both).await;
    assert_eq!(
        partial.json()["quota_list"],
        json!([
            {"amount": 10, "expiry_date": JUNE, "is_expired": true, "success": false,
             "failure_reason": "EXPIRED"},
            {"amount": 20, "expiry_date": JULY, "is_expired": false, "success": true},
        ])
    );
    let told = [&partial.json()["status"], &partial.json()["message"]].map(Value::clone);
    assert_eq!(
        told,
        [json!("PARTIAL_SUCCESS"), json!("1 of 2 quota transfers completed successfully")]
    );
    assert_eq!(partial.json()["amount"], 20);
    let failed = redeem(&service, "bob", &late).await;
    let told = [&failed.json()["status"], &failed.json()["message"]].map(Value::clone);
    assert_eq!(told, [json!("FAILED"), json!("All quota transfers failed")]);
    assert_eq!(failed.json()["quota_list"][0]["failure_reason"], "EXPIRED");
    assert_eq!(redeem(&service, "bob", &late).await.json()["status"], "ALREADY_REDEEMED");
    let empty = foreign(KEY, "user123", "bob", &[]);
    let answer = redeem(&service, "bob", &empty).await;
    assert_eq!(answer.json()["message"], "All quota transfers failed");
    assert_eq!(redeem(&service, "bob", &empty).await.json()["status"], "ALREADY_REDEEMED");
    assert_eq!(service.holds("bob").await, "20 0 20 [20 2025-07-31]");
}

#[tokio::test]
async fn a_request_that_is_repeated_under_its_key_counts_once_and_is_answered_to_the_byte() {
    let service = service().await;
    let items = order("bob", &[(json!(10), "2025-07-01T07:59:59+08:00"), (json!(2.5), JULY)]);
    let john = token(&json!({"id": "ann", "name": "Ann | <Other> \"x\" & co"}));
    let ask = |token: &str, items: &Value| {
        let request = service.ask_as_nobody(Method::POST, OUT).bearer_auth(token);
        Answer::to(request.header("Idempotency-Key", "out").json(items))
    };
    let first = ask(&john, &items).await.expect(200);
    let again = ask(&john, &items).await.expect(200);
    assert_eq!(again.text, first.text);
    assert_eq!((first.header("idempotency-hit"), again.header("idempotency-hit")), ("", "true"));
    // The identity is no part of what is asked for.
    let nameless = ask(&token(&json!({"id": "ann"})), &items).await.expect(200);
    assert_eq!(nameless.text, first.text);
    assert!(first.text.contains(r#"{"amount":10,"expiry_date":"2025-07-01T07:59:59+08:00"}"#));
    let other = order("bob", &[(json!(11), JUNE)]);
    let refused = ask(&john, &other).await.expect(422);
    assert_eq!(refused.json()["code"], "idempotency_key_reused");
    assert_eq!(service.holds("ann").await, "137.5 0 137.5 [90 2025-06-30, 47.5 2025-07-31]");

    let body = json!({"voucher_code": first.json()["voucher_code"]});
    let first = service.post_once("bob", "in", IN, &body).await.expect(200);
    assert_eq!(first.json()["giver_name"], "Ann | <Other> \"x\" & co");
    let again = service.post_once("bob", "in", IN, &body).await.expect(200);
    assert_eq!(again.text, first.text);
    let without = service.post_as("bob", IN, &body).await.expect(200);
    assert_eq!(without.json()["status"], "ALREADY_REDEEMED");
    assert_eq!(service.holds("bob").await, "12.5 0 12.5 [10 2025-06-30, 2.5 2025-07-31]");
}

#[tokio::test]
async fn what_cannot_be_given_is_refused_and_changes_nothing() {
    let service = service().await;
    service.give("ann", &json!(1), "2025-05-16T00:00:00Z").await;
    service.advance_clock_to("2025-05-17T00:00:00Z").await;
    let head = service.head().await;
    let over = "2025-06-30T23:59:59+00:30";
    for (order, status, text) in [
        (order("", &[(json!(1), JUNE)]), 400, "receiver_id cannot be empty"),
        (order("ann", &[(json!(1), JUNE)]), 400, "receiver_id must be another user"),
        (order("nobody", &[(json!(1), JUNE)]), 400, "receiver_id is not a user that is known here"),
        (order("bob", &[]), 400, "quota_list must have 1 to 10000 items"),
        (order("bob", &[(json!(0), JUNE)]), 400, "quota_list[0].amount must be above zero"),
        (
            order("bob", &[(json!(1), JULY), (json!(-5), JUNE)]),
            400,
            "quota_list[1].amount must be above zero",
        ),
        (
            order("bob", &[(json!(60), JUNE), (json!(60), "2025-07-01T07:59:59+08:00")]),
            400,
            "quota_list[1].expiry_date 2025-06-30T23:59:59Z is there twice",
        ),
        (
            order("bob", &[(json!(1), "2025-05-16T00:00:00Z")]),
            409,
            "quota_list[0].expiry_date 2025-05-16T00:00:00Z has passed",
        ),
        (
            order("bob", &[(json!(1), over)]),
            409,
            "quota not found for expiry date 2025-06-30T23:29:59Z",
        ),
        (
            order("bob", &[(json!(100.000_001), JUNE)]),
            409,
            "insufficient available quota for expiry date 2025-06-30T23:59:59Z: have 100, need 100.000001",
        ),
    ] {
        let answer = service.post_as("ann", OUT, &order).await.expect(status);
        assert_eq!(answer.json()["error"], text, "{order}");
    }
    for (field, value) in [
        ("voucher_expires_at", json!("2025-05-17T00:00:00Z")),
        ("voucher_expires_at", json!("soon")),
        ("quota_list", json!([{"amount": "ten", "expiry_date": JUNE}])),
        ("quota_list", json!([{"amount": 1, "expiry_date": "2025-06-30"}])),
        ("quota_list", json!([{"amount": 1, "expiry_date": JUNE, "colour": 1}])),
        ("quota_list", json!(null)),
        ("receiver_id", json!(7)),
        ("colour", json!(7)),
    ] {
        let mut order = order("bob", &[(json!(1), JUNE)]);
        order[field] = value;
        let answer = service.post_as("ann", OUT, &order).await.expect(400);
        let named = answer.json()["invalid_parameters"][0]["field"].clone();
        let named = named.as_str().expect("a field").to_owned();
        assert!(named.starts_with(field), "{named} for {order}");
    }
    for body in [json!({}), json!({"voucher_code": 7}), json!({"voucher_code": "x", "more": 1})] {
        service.post_as("bob", IN, &body).await.expect(400);
    }
    assert_eq!(service.head().await, head);
    assert_eq!(service.holds("ann").await, "150 0 150 [100 2025-06-30, 50 2025-07-31]");
}

#[tokio::test]
async fn what_is_used_up_or_owed_cannot_be_given() {
    let service = service().await;
    let call = |id: &str, tokens: u64| {
        json!({
            "requestId": id, "organizationId": "acme", "userId": "ann", "model": "gpt-4",
            "timestamp": MORNING, "usage": {"promptTokens": tokens, "completionTokens": 0},
        })
    };
    service.send("/api/v1/consumption", &call("one", 95)).await.expect(201);
    let answer = service.post_as("ann", OUT, &order("bob", &[(json!(6), JUNE)])).await.expect(409);
    let text = "insufficient available quota for expiry date 2025-06-30T23:59:59Z: have 5, need 6";
    assert_eq!(answer.json()["error"], text);
    issued(&service, &[(json!(50), JULY)]).await;
    service.send("/api/v1/consumption", &call("two", 10)).await.expect(201);
    // Five are owed: a gift that comes pays them first, and they are not given on.
    service.give("bob", &json!(8), JULY).await;
    let gift = order("ann", &[(json!(8), JULY)]);
    let code = service.post_as("bob", OUT, &gift).await.expect(200).json()["voucher_code"].clone();
    redeem(&service, "ann", code.as_str().expect("a code")).await;
    let answer = service.post_as("ann", OUT, &order("bob", &[(json!(4), JULY)])).await.expect(409);
    assert!(answer.text.contains("have 3, need 4"), "{}", answer.text);
    issued(&service, &[(json!(3), JULY)]).await;
}

#[tokio::test]
async fn a_voucher_may_be_longer_than_the_first_quota_manager_could_store() {
    let service = service().await;
    let mut items = Vec::new();
    let expiries: Vec<String> =
        (0..40).map(|second| format!("2025-08-01T00:00:{second:02}Z")).collect();
    for expiry in &expiries {
        service.give("ann", &json!(1.5), expiry).await;
        items.push((json!(1.5), expiry.as_str()));
    }
    let code = issued(&service, &items).await;
    assert!(code.len() > 1000, "{}", code.len());
    let answer = redeem(&service, "bob", &code).await;
    let told = ["status", "amount"].map(|field| answer.json()[field].clone());
    assert_eq!(told, [json!("SUCCESS"), json!(60)]);

    let long = foreign(KEY, "ann", "bob", &vec![(1, JUNE); 16_000]);
    let answer = redeem(&service, "bob", &long).await;
    assert_ne!(answer.json()["status"], "SUCCESS", "more than one command can record");
}

#[tokio::test]
async fn nobody_gives_or_takes_for_another() {
    let service = service().await;
    let code = issued(&service, &[(json!(10), JUNE)]).await;
    let forged = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6ImJvYiJ9.sig";
    let body = json!({"voucher_code": code});
    for (path, body) in [(IN, &body), (OUT, &order("cem", &[(json!(1), JUNE)]))] {
        let request = service.ask_as_nobody(Method::POST, path).bearer_auth(forged).json(body);
        Answer::to(request).await.expect(401);
        // The developer's key stands for no user.
        service.send(path, body).await.expect(403);
    }
    assert_eq!(service.holds("bob").await, "0 0 0 []");
}

#[tokio::test]
async fn the_keys_of_two_users_never_meet() {
    let service = setup().start().await;
    let out = |receiver: &str| json!({"receiver_id": receiver, "quota_list": [{"amount": 1, "expiry_date": JUNE}]});
    for user in ["ann", "bob"] {
        service.give(user, &json!(5), JUNE).await;
    }
    let path = "/api/v1/quota/transfer-out";
    service.post_once("ann", "1", path, &out("bob")).await.expect(200);
    service.post_once("bob", "1", path, &out("ann")).await.expect(200);
    let grant = json!({"user_id": "bob", "amount": 1, "expiry_date": JUNE, "reason": "r"});
    let request = service.ask(Method::POST, "/api/v1/admin/quota/grants");
    Answer::to(request.header("Idempotency-Key", "1").json(&grant)).await.expect(201);
    service.post_once("ann", "1", path, &out("cem")).await.expect(422);
}

#[tokio::test]
async fn a_code_outlives_the_key_that_signed_it_and_short_keys_stop_the_start() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = directory.path().join("tallybook.toml");
    let write = |keys: &[&str]| {
        let text = format!("[vouchers]\nsigning_keys = {keys:?}\n");
        std::fs::write(&file, text).expect("a file");
    };
    let newer = "a-newer-signing-key-of-at-least-thirty-two-bytes";
    write(&[KEY]);
    let path = file.to_str().expect("UTF-8");
    let mut service =
        Setup::new().manual_clock(MORNING).argument("--config").argument(path).start().await;
    service.give("ann", &json!(100), JUNE).await;
    know(&service, "bob").await;
    let old = issued(&service, &[(json!(10), JUNE)]).await;
    service.stop().await;
    write(&[newer, KEY]);
    service.start_again().await;
    let new = issued(&service, &[(json!(20), JUNE)]).await;
    assert_eq!(redeem(&service, "bob", &old).await.json()["status"], "SUCCESS");
    service.stop().await;
    write(&[newer]);
    service.start_again().await;
    assert_eq!(redeem(&service, "bob", &new).await.json()["status"], "SUCCESS");
    assert_eq!(service.holds("bob").await, "30 0 30 [30 2025-06-30]");
    service.stop().await;
    write(&[newer, "short"]);
    let (status, said) = service.start_in_vain().await;
    assert!(!status.success());
    assert!(said.contains("vouchers.signing_keys[1]") && said.contains("32 bytes"), "{said}");
    assert!(!said.contains(newer), "{said}");
    std::fs::write(&file, "").expect("a file");
    service.start_again().await;
    for (path, body) in
        [(IN, json!({"voucher_code": "x"})), (OUT, order("bob", &[(json!(1), JUNE)]))]
    {
        let answer = service.post_as("ann", path, &body).await.expect(503);
        assert_eq!(answer.json()["code"], "vouchers_off", "{path}");
    }
}

#[tokio::test]
async fn what_a_hold_keeps_is_not_given_away() {
    let service = service().await;
    let hold = json!({
        "organizationId": "acme", "userId": "ann", "requestId": "one", "amount": 0,
        "promptTokens": 120, "maxTokens": 0,
    });
    let placed = service.send("/api/v1/holds", &hold).await.expect(201).json();
    let wanted = order("bob", &[(json!(31), JUNE)]);
    service.post_as("ann", OUT, &wanted).await.expect(409);
    issued(&service, &[(json!(30), JUNE)]).await;
    let release = format!("/api/v1/holds/{}/release", placed["holdId"]);
    service.post(&release, &Value::Null).await;
    issued(&service, &[(json!(31), JUNE)]).await;
}
