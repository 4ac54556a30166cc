//! What is on its way comes to an end once: it is redeemed, taken back, or goes back by itself; and
//! whatever many people do at once, no quota appears or disappears.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::http_vouchers::{IN, JULY, JUNE, OUT, issued, order, redeem, service, setup};
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::people::token;
use crate::support::service::Service;

const VOUCHERS: &str = "/api/v1/quota/vouchers";

async fn listed(service: &Service, user: &str, query: &str) -> Vec<Value> {
    let answer = service.read_as(user, &format!("{VOUCHERS}?{query}")).await.expect(200);
    answer.json()["vouchers"].as_array().expect("vouchers").clone()
}

/// The id of the last voucher of `ann`.
async fn last(service: &Service) -> String {
    let vouchers = listed(service, "ann", "page_size=1").await;
    vouchers[0]["voucher_id"].as_str().expect("an id").to_owned()
}

async fn cancel(service: &Service, user: &str, id: &str) -> Answer {
    let request = service.ask_as(user, Method::POST, &format!("{VOUCHERS}/{id}/cancel"));
    Answer::to(request).await
}

#[tokio::test]
async fn a_giver_sees_what_became_of_each_voucher_and_nobody_else_does() {
    let service = service().await;
    let mut codes = Vec::new();
    for amount in 1..=3 {
        codes.push(issued(&service, &[(json!(amount), JUNE), (json!(10), JULY)]).await);
    }
    redeem(&service, "bob", &codes[0]).await;
    let second = listed(&service, "ann", "page=2&page_size=1").await[0].clone();
    let id = second["voucher_id"].as_str().expect("an id");
    assert_eq!(
        second,
        json!({
            "voucher_id": id, "voucher_code": codes[1], "receiver_id": "bob", "amount": 12,
            "quota_list": [
                {"amount": 2, "expiry_date": JUNE}, {"amount": 10, "expiry_date": JULY},
            ],
            "status": "open", "created_at": "2025-05-15T10:00:00Z",
            "sequence": second["sequence"],
        })
    );
    let path = format!("{VOUCHERS}/{id}");
    assert_eq!(service.read_as("ann", &path).await.expect(200).json(), second);
    for other in ["bob", "cem", "a stranger"] {
        service.read_as(other, &path).await.expect(404);
        assert_eq!(cancel(&service, other, id).await.expect(404).json()["code"], "no_such_voucher");
        assert_eq!(listed(&service, other, "").await, [Value::Null; 0]);
    }
    service.read_as("ann", &format!("{VOUCHERS}/x")).await.expect(400);

    let taken_back = cancel(&service, "ann", id).await.expect(200).json();
    assert_eq!(
        (&taken_back["status"], &taken_back["settled_amount"]),
        (&json!("cancelled"), &json!(12))
    );
    for (query, amounts) in [
        ("", vec![13, 12, 11]),
        ("status=open", vec![13]),
        ("status=cancelled", vec![12]),
        ("status=redeemed", vec![11]),
        ("status=lapsed", vec![]),
    ] {
        let vouchers = listed(&service, "ann", query).await;
        let seen: Vec<&Value> = vouchers.iter().map(|voucher| &voucher["amount"]).collect();
        assert_eq!(seen, amounts.iter().collect::<Vec<_>>(), "{query}");
    }
    let refused = service.read_as("ann", &format!("{VOUCHERS}?status=lost")).await.expect(400);
    assert!(refused.text.contains("status"), "{}", refused.text);
}

#[tokio::test]
async fn a_voucher_that_was_taken_back_is_worth_nothing() {
    let service = service().await;
    let code = issued(&service, &[(json!(10), JUNE), (json!(20), JULY)]).await;
    let id = last(&service).await;
    assert_eq!(service.holds("ann").await, "120 0 120 [90 2025-06-30, 30 2025-07-31]");
    let path = format!("{VOUCHERS}/{id}/cancel");
    let once = || service.ask_as("ann", Method::POST, &path).header("Idempotency-Key", "back");
    let first = Answer::to(once()).await.expect(200);
    assert_eq!(service.holds("ann").await, "150 0 150 [100 2025-06-30, 50 2025-07-31]");
    assert_eq!(Answer::to(once()).await.expect(200).text, first.text);
    let again = cancel(&service, "ann", &id).await.expect(409).json();
    assert_eq!(
        (&again["code"], &again["error"]),
        (&json!("voucher_cancelled"), &json!("Voucher has been cancelled"))
    );
    let refused = redeem(&service, "bob", &code).await.json();
    let told = ["status", "message", "giver_id", "operation"].map(|field| refused[field].clone());
    assert_eq!(told, ["FAILED", "Voucher has been cancelled", "ann", "TRANSFER_IN"]);
    assert_eq!(service.holds("bob").await, "0 0 0 []");
}

#[tokio::test]
async fn a_voucher_may_have_an_expiry_of_its_own() {
    let service = service().await;
    let mut order = order("bob", &[(json!(10), JUNE), (json!(20), JULY)]);
    order["voucher_expires_at"] = json!("2025-07-10T00:00:00Z");
    let answer = service.post_as("ann", OUT, &order).await.expect(200).json();
    assert_eq!(answer["voucher_expires_at"], "2025-07-10T00:00:00Z");
    let code = answer["voucher_code"].as_str().expect("a code");
    service.advance_clock_to("2025-07-10T00:00:00.5Z").await;
    assert_eq!(listed(&service, "ann", "").await[0]["status"], "open");
    service.advance_clock_to("2025-07-10T00:00:01Z").await;
    let refused = redeem(&service, "bob", code).await.json();
    assert_eq!(
        (&refused["status"], &refused["message"]),
        (&json!("FAILED"), &json!("Voucher has expired"))
    );
    eventually("it goes back", async || {
        let holds = service.holds("ann").await;
        // What had expired on the way is nobody's.
        if holds == "50 0 50 [50 2025-07-31]" { Ok(()) } else { Err(holds) }
    })
    .await;
    let voucher = &listed(&service, "ann", "status=lapsed").await[0];
    assert_eq!((&voucher["settled_amount"], &voucher["expired_amount"]), (&json!(20), &json!(10)));
    let late = cancel(&service, "ann", voucher["voucher_id"].as_str().expect("an id")).await;
    assert_eq!(late.expect(409).json()["code"], "voucher_lapsed");
}

#[tokio::test]
async fn of_redeeming_and_taking_back_at_once_just_one_succeeds() {
    let service = service().await;
    for round in 0..10 {
        let code = issued(&service, &[(json!(1), JUNE)]).await;
        let id = last(&service).await;
        let redeeming = (0..3).map(|_| redeem(&service, "bob", &code));
        let cancelling = (0..3).map(|_| cancel(&service, "ann", &id));
        let (redeemed, cancelled) = tokio::join!(join_all(redeeming), join_all(cancelling));
        let redeemed = redeemed.iter().filter(|answer| answer.json()["status"] == "SUCCESS");
        let cancelled = cancelled.iter().filter(|answer| answer.status == 200);
        assert_eq!(redeemed.count() + cancelled.count(), 1, "round {round}");
    }
    let units = async |user| {
        let answer = service.read_as(user, "/api/v1/quota").await;
        answer.json()["total_quota"].as_u64().expect("a number")
    };
    assert_eq!(units("ann").await + units("bob").await, 150);
}

#[tokio::test]
async fn two_transfers_that_only_one_can_have_are_not_both_made() {
    let service = service().await;
    let wanted = order("bob", &[(json!(60), JUNE)]);
    let answers = join_all((0..8).map(|_| service.post_as("ann", OUT, &wanted))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(service.holds("ann").await, "90 0 90 [40 2025-06-30, 50 2025-07-31]");
    // Nor is a recharge lost.
    let one = json!(1);
    join_all((0..20).map(|_| service.give("ann", &one, JUNE))).await;
    assert_eq!(service.holds("ann").await, "110 0 110 [60 2025-06-30, 50 2025-07-31]");
}

#[tokio::test]
async fn a_code_is_gone_when_its_giver_is_forgotten_and_counts_all_the_same() {
    let service = service().await;
    let named = token(&json!({"id": "ann", "name": "Ann Plaintext", "phone": "13800138000"}));
    let wanted = order("bob", &[(json!(10), JUNE)]);
    let request = service.ask_as_nobody(Method::POST, OUT).bearer_auth(&named).json(&wanted);
    let code = Answer::to(request).await.expect(200).json()["voucher_code"].clone();
    assert_eq!(listed(&service, "ann", "").await[0]["voucher_code"], code);
    // Restarted, the code is put together again from the log and the vault.
    let mut service = service;
    service.stop().await;
    service.start_again().await;
    assert_eq!(listed(&service, "ann", "").await[0]["voucher_code"], code);
    let log = std::fs::read_dir(service.data_dir().join("log")).expect("a directory");
    for file in log.filter_map(|file| std::fs::read(file.expect("a file").path()).ok()) {
        let has = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
        assert!(!has(b"Ann Plaintext") && !has(b"13800138000"), "a name is in the log");
    }
    // The keys are erased as by hand: in place, with zeros.
    service.stop().await;
    let keys = service.data_dir().join("personal.keys");
    let length = std::fs::metadata(&keys).expect("a file").len();
    assert_eq!(length, 36, "one key for one person");
    std::fs::write(&keys, [0; 36]).expect("erased");
    service.start_again().await;
    let voucher = listed(&service, "ann", "").await[0].clone();
    assert_eq!(voucher.get("voucher_code"), None, "{voucher}");
    let redeemed = redeem(&service, "bob", code.as_str().expect("a code")).await;
    assert_eq!(redeemed.json()["status"], "SUCCESS");
}

/// What one of many does, and the code that comes of it.
async fn act(service: &Service, number: u64) -> Option<String> {
    let users = ["ann", "bob", "cem"];
    let turn = usize::try_from(number).expect("small");
    let (user, other) = (users[turn % 3], users[(turn / 3 + turn + 1) % 3]);
    let expiry = if number.is_multiple_of(2) { JUNE } else { JULY };
    match number % 5 {
        0 => service.give(user, &json!(7), expiry).await,
        1 => {
            let call = json!({
                "requestId": number.to_string(), "organizationId": "acme", "userId": user,
                "model": "gpt-4", "timestamp": "2025-05-15T10:00:00Z",
                "usage": {"promptTokens": number % 40, "completionTokens": 3},
            });
            service.send("/api/v1/consumption", &call).await.expect(201);
        }
        _ => {
            let wanted = order(other, &[(json!(number % 9 + 1), expiry)]);
            let answer = service.post_as(user, OUT, &wanted).await;
            assert!([200, 400, 409].contains(&answer.status), "{}", answer.text);
            return answer.json()["voucher_code"].as_str().map(ToOwned::to_owned);
        }
    }
    None
}

/// Everything of a kind that a user's audit shows.
fn moved(audit: &[Value], operation: &str) -> i64 {
    let of_kind = audit.iter().filter(|record| record["operation"] == operation);
    of_kind.map(|record| record["amount"].as_i64().expect("whole")).sum()
}

#[tokio::test]
async fn whatever_many_do_at_once_no_quota_appears_or_disappears() {
    let mut service = setup().start().await;
    for user in ["ann", "bob", "cem"] {
        service.give(user, &json!(1000), JUNE).await;
        service.give(user, &json!(1000), JULY).await;
    }
    let codes = join_all((0..200).map(|number| act(&service, number))).await;
    let codes: Vec<String> = codes.into_iter().flatten().collect();
    assert!(codes.len() > 20, "{} vouchers", codes.len());
    // Two thirds of them are redeemed, by everybody and several times at once, while new ones come.
    let tried =
        codes.iter().enumerate().filter(|(place, _)| place % 3 > 0).flat_map(|(_, code)| {
            ["ann", "bob", "cem", "ann"].map(|user| redeem(&service, user, code))
        });
    let (answers, _) =
        tokio::join!(join_all(tried), join_all((200..260).map(|n| act(&service, n))));
    let redeemed = answers.iter().filter(|answer| answer.json()["status"] == "SUCCESS").count();
    assert_eq!(redeemed, codes.len() - codes.len().div_ceil(3), "each once");

    let (mut issued, mut held, mut open) = (0, 0, 0);
    for user in ["ann", "bob", "cem"] {
        let audit = service.read_as(user, "/api/v1/quota/audit?page_size=1000").await.json();
        let audit = audit["records"].as_array().expect("records");
        issued += moved(audit, "RECHARGE");
        let quota = service.read_as(user, "/api/v1/quota").await.json();
        held += quota["available_quota"].as_i64().expect("whole");
        let vouchers = listed(&service, user, "status=open&page_size=1000").await;
        open += vouchers.iter().map(|one| one["amount"].as_i64().expect("whole")).sum::<i64>();
        let at_hand =
            moved(audit, "RECHARGE") + moved(audit, "TRANSFER_IN") + moved(audit, "TRANSFER_OUT");
        let calls = service.get(&format!("/api/v1/consumption/history?userId={user}")).await;
        let drawn = calls.as_array().expect("calls").iter().map(|call| &call["quotaDrawn"]);
        let drawn: i64 = drawn.map(|drawn| drawn.as_i64().expect("whole")).sum();
        assert_eq!(at_hand - drawn, quota["available_quota"].as_i64().expect("whole"), "{user}");
    }
    let calls = service.get("/api/v1/consumption/history").await;
    let drawn = calls.as_array().expect("calls").iter().map(|call| &call["quotaDrawn"]);
    let consumed: i64 = drawn.map(|drawn| drawn.as_i64().expect("whole")).sum();
    assert_eq!(held + open + consumed, issued, "{held} + {open} + {consumed}");
    service.stop().await;
    verify(&service);
    // The next start has the same figures.
    service.start_again().await;
    let body = json!({"voucher_code": codes[1]});
    for user in ["ann", "bob", "cem"] {
        let answer = service.post_as(user, IN, &body).await.json();
        assert!(answer["status"] == "ALREADY_REDEEMED" || answer["giver_id"] == "", "{answer}");
    }
}
