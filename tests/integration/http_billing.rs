//! Bills: one a day once the day is over, each the sum of its calls; late calls in the next one.

use jsonwebtoken::{EncodingKey, Header};
use reqwest::Method;
use schemas::Money;
use serde_json::{Value, json};

use crate::cli::tallybook;
use crate::crash_kill::verify;
use crate::support::bills::{Bill, read, sum};
use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::{Answer, call, with};
use crate::support::service::{JWT_SECRET, Service, Setup};

const HISTORY: &str = "/api/v1/billing/history?organizationId=acme";
const AUDIT: &str = "/api/v1/billing/wallet/audit?organizationId=acme";
const REFUND: &str = "/api/v1/admin/wallets/acme/refunds";
const CREDIT: &str = "/api/v1/admin/wallets/acme/credits";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

/// Records a call of `acme`'s at a moment, with some other fields.
async fn record(service: &Service, id: &str, timestamp: &str, fields: &Value) {
    let body = with(call(id, 1000, 500), &json!({"timestamp": timestamp}));
    service.send("/api/v1/consumption", &with(body, fields)).await.expect(201);
}

/// Moves the clock, and waits until a tenant has so many bills. Gives them, the earliest first.
async fn bills_at(service: &Service, moment: &str, tenant: &str, count: usize) -> Vec<Bill> {
    service.advance_clock_to(moment).await;
    eventually("the bills are posted", async || {
        let bills = service.bills(tenant).await;
        if bills.len() == count { Ok(()) } else { Err(format!("{} of {count}", bills.len())) }
    })
    .await;
    service.assert_bills_add_up(tenant).await
}

fn texts(bill: &Bill) -> [String; 4] {
    let Bill { total_cost, wallet_balance_before, wallet_balance_after, refunded, .. } = bill;
    [total_cost, wallet_balance_before, wallet_balance_after, refunded].map(Money::to_string)
}

fn admin_of(organization: &str) -> String {
    let far = 32_503_680_000_u64;
    let claims =
        json!({"id": "chief", "role": "tenant_admin", "organizationId": organization, "exp": far});
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
}

#[tokio::test]
async fn a_day_is_billed_once_it_is_over_and_only_once() {
    let service = service().await;
    let top_up = json!({"amount": 0.1, "reference": "invoice"});
    service.send("/api/v1/admin/wallets/acme/top-ups", &top_up).await.expect(201);
    record(&service, "a", "2025-03-01T00:00:00Z", &json!({"assistantType": "word"})).await;
    record(&service, "b", "2025-03-01T11:59:59Z", &json!({"userId": "bob"})).await;
    record(&service, "of today", "2025-03-02T00:00:00Z", &json!({})).await;
    let report = service.run_job("daily-billing").await;
    let nothing =
        json!({"job": "daily-billing", "through": "2025-02-28", "bills": [], "failed": 0});
    assert_eq!(report, nothing, "the day is not over");
    assert_eq!(service.wallet_of("acme").await, "0.1 0.18");

    let bills = bills_at(&service, "2025-03-02T00:00:00Z", "acme", 1).await;
    let bill = &bills[0];
    assert_eq!(texts(bill), ["0.12", "0.1", "-0.02", "0"]);
    assert_eq!((bill.total_requests, bill.total_tokens), (2, 3000));
    assert_eq!(
        [&bill.day, &bill.billing_date, &bill.period_start, &bill.period_end, &bill.status],
        [
            "2025-03-01",
            "2025-03-02T00:00:00Z",
            "2025-03-01T00:00:00Z",
            "2025-03-02T00:00:00Z",
            "completed"
        ]
    );
    assert_eq!(bill.late, []);
    let names = |parts: &crate::support::bills::Parts| parts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&bill.breakdown.assistants), ["unknown", "word"]);
    assert_eq!(names(&bill.breakdown.users), ["ann", "bob"]);
    assert_eq!(names(&bill.breakdown.models), ["gpt-4"]);
    assert_eq!(service.wallet_of("acme").await, "-0.02 0.06");
    let audit = service.read(AUDIT).await.expect(200).json();
    let newest = &audit["records"][0];
    assert_eq!(
        [&newest["operation"], &newest["reason"], &newest["billId"], &newest["actor"]],
        ["BILL", "2025-03-01", &*bill.id, "job"]
    );
    assert_eq!(newest["amount"].to_string(), "-0.12");
    let one = service.read(&format!("/api/v1/billing/history/{}", bill.id)).await.expect(200);
    assert_eq!(read::<Bill>(&one), *bill);

    let head = service.head().await;
    for _ in 0..2 {
        let report = service.run_job("daily-billing").await;
        assert_eq!((&report["through"], &report["bills"]), (&json!("2025-03-01"), &json!([])));
    }
    assert_eq!(service.head().await, head, "a job that is run again does nothing");
}

#[tokio::test]
async fn what_comes_late_or_is_rated_late_is_in_the_next_bill_under_its_day() {
    let service = service().await;
    record(&service, "in time", "2025-03-01T10:00:00Z", &json!({})).await;
    record(&service, "no price", "2025-03-01T10:00:00Z", &json!({"model": "local"})).await;
    record(&service, "early", "2025-03-02T11:00:00Z", &json!({})).await;
    bills_at(&service, "2025-03-02T06:00:00Z", "acme", 1).await;
    record(&service, "late", "2025-03-01T23:00:00Z", &json!({"userId": "bob"})).await;
    record(&service, "later", "2025-02-20T23:00:00Z", &json!({})).await;
    assert_eq!(service.run_job("daily-billing").await["bills"], json!([]), "not a second bill");
    let price = json!({"input_cost_per_token": "1e-18", "output_cost_per_token": 0});
    let path = "/api/v1/admin/prices?effective_at=2025-01-01T00:00:00Z";
    service.send(path, &json!({"local": price})).await.expect(201);
    eventually("the call is rated", async || {
        let wallet = service.wallet_of("acme").await;
        if wallet.ends_with("0.180000000000001") { Ok(()) } else { Err(wallet) }
    })
    .await;
    let bills = bills_at(&service, "2025-03-03T00:00:01Z", "acme", 2).await;
    let next = &bills[1];
    let late: Vec<(&str, u64, String)> =
        next.late.iter().map(|late| (&*late.day, late.requests, late.cost.to_string())).collect();
    assert_eq!(
        late,
        [("2025-02-20", 1, "0.06".to_owned()), ("2025-03-01", 2, "0.060000000000001".to_owned())]
    );
    assert_eq!((&*next.day, next.total_requests), ("2025-03-02", 4));
    let calls = service.calls_of_bill(&next.id).await;
    let ids: Vec<&str> = calls.iter().map(|call| &*call.request_id).collect();
    assert_eq!(
        ids,
        ["early", "late", "later", "no price"],
        "in the order in which they were charged"
    );
    assert_eq!(service.wallet_of("acme").await, "-0.240000000000001 0");
    assert_eq!(service.run_job("daily-billing").await["bills"], json!([]));
}

#[tokio::test]
async fn days_that_were_missed_are_billed_each_on_its_own() {
    let mut service = service().await;
    for (day, count) in [("02-26", 1), ("02-27", 2), ("02-28", 3), ("03-01", 4)] {
        for number in 0..count {
            let timestamp = format!("2025-{day}T11:00:00Z");
            record(&service, &format!("{day} {number}"), &timestamp, &json!({})).await;
        }
    }
    service.kill();
    service.start_again().await;
    let bills = bills_at(&service, NOON, "acme", 3).await;
    let days: Vec<(&str, u64)> =
        bills.iter().map(|bill| (&*bill.day, bill.total_requests)).collect();
    assert_eq!(days, [("2025-02-26", 1), ("2025-02-27", 2), ("2025-02-28", 3)]);
    let follow = |pair: &[Bill]| pair[0].wallet_balance_after == pair[1].wallet_balance_before;
    assert!(bills.windows(2).all(follow), "{bills:?}");
    assert_eq!(service.wallet_of("acme").await, "-0.36 0.24");
    // Three days in which it stands still, and then what had queued up meanwhile comes in.
    service.advance_clock_to("2025-03-04T12:00:00Z").await;
    for day in ["03-02", "03-03", "03-04"] {
        record(&service, day, &format!("2025-{day}T09:00:00Z"), &json!({})).await;
    }
    let bills = bills_at(&service, "2025-03-05T00:00:00Z", "acme", 7).await;
    let days: Vec<(&str, u64)> =
        bills[3..].iter().map(|bill| (&*bill.day, bill.total_requests)).collect();
    assert_eq!(days, [("2025-03-01", 4), ("2025-03-02", 1), ("2025-03-03", 1), ("2025-03-04", 1)]);
    service.stop().await;
    verify(&service);
}

#[tokio::test]
async fn killed_while_it_bills_it_goes_on_and_bills_nobody_twice() {
    const TENANTS: usize = 600;
    let mut service = service().await;
    for tenants in (0..TENANTS).collect::<Vec<_>>().chunks(100) {
        let calls = tenants.iter().flat_map(|tenant| {
            (26..=28).map(move |day| {
                let fields = json!({
                    "organizationId": format!("tenant-{tenant}"),
                    "timestamp": format!("2025-02-{day}T10:00:00Z"),
                });
                with(
                    call(&format!("of day {day}"), 1000 + 7 * tenant_number(*tenant), 500),
                    &fields,
                )
            })
        });
        let calls: Vec<Value> = calls.collect();
        let taken = service.send("/api/v1/consumption/batch", &json!(calls)).await.expect(200);
        assert_eq!(taken.number("recorded"), "300");
    }
    let begun = service.head().await;
    let request = service.ask(Method::POST, "/api/v1/admin/jobs/daily-billing");
    let billing = tokio::spawn(Answer::try_to(request));
    // Looked at without a rest: it must be caught before it is done.
    while service.head_now().await == begun && !billing.is_finished() {}
    service.kill();
    assert!(billing.await.expect("no panic").is_err(), "it was not done");
    let posted = tallybook(&[
        "replay",
        "at",
        "--json",
        "--projection=bills",
        "--as-of=2025-03-01T12:00:00Z",
        "--data-dir",
        service.data_dir().to_str().expect("UTF-8"),
    ]);
    let posted = posted.json()["bills"].as_array().map_or(0, Vec::len);
    assert!((1..3 * TENANTS).contains(&posted), "{posted} of {}", 3 * TENANTS);

    service.start_again().await;
    eventually("every day is billed", async || {
        let text = service.run_job("daily-billing").await["bills"].to_string();
        if text == "[]" { Ok(()) } else { Err(text) }
    })
    .await;
    for tenant in 0..TENANTS {
        let name = format!("tenant-{tenant}");
        let bills = match tenant % 40 {
            0 => service.assert_bills_add_up(&name).await,
            _ => service.bills(&name).await.into_iter().rev().collect(),
        };
        let days: Vec<&str> = bills.iter().map(|bill| &*bill.day).collect();
        assert_eq!(days, ["2025-02-26", "2025-02-27", "2025-02-28"], "{name}");
    }
    service.stop().await;
    verify(&service);
}

fn tenant_number(tenant: usize) -> u64 {
    u64::try_from(tenant).expect("small")
}

#[tokio::test]
async fn bills_and_their_calls_are_read_in_pages_and_as_csv() {
    let service = service().await;
    for day in 1..=5 {
        for number in 0..12 {
            let timestamp = format!("2025-02-2{day}T0{}:00:00Z", number % 10);
            let fields = json!({"userId": format!("=user, \"{}\"", number % 3)});
            record(&service, &format!("{day}-{number}"), &timestamp, &fields).await;
        }
    }
    assert_eq!(service.run_job("daily-billing").await["bills"].as_array().map(Vec::len), Some(5));
    let mut newest_first = bills_at(&service, NOON, "acme", 5).await;
    newest_first.reverse();
    let first = service.read(&format!("{HISTORY}&limit=2")).await.expect(200);
    record(&service, "for another bill", "2025-03-01T00:00:00Z", &json!({})).await;
    bills_at(&service, "2025-03-02T00:00:00Z", "acme", 6).await;
    let second = format!("{HISTORY}&limit=2&cursor={}", first.header("x-next-cursor"));
    let second = service.read(&second).await.expect(200);
    let read_bills = [read::<Vec<Bill>>(&first), read::<Vec<Bill>>(&second)].concat();
    assert_eq!(read_bills, newest_first[..4], "what is posted in between moves no page");
    let some = service.read(&format!("{HISTORY}&startDate=2025-02-22&endDate=2025-02-24")).await;
    assert_eq!(read::<Vec<Bill>>(&some), newest_first[1..4]);

    let bill = &newest_first[2];
    let path = format!("/api/v1/billing/history/{}/consumptions", bill.id);
    let by_format = service.read(&format!("{path}?format=csv")).await.expect(200);
    let by_header = service.ask(Method::GET, &path).header("accept", "text/csv");
    assert_eq!(Answer::to(by_header).await.text, by_format.text);
    assert_eq!(by_format.header("content-type"), "text/csv; charset=utf-8");
    let mut reader = csv::Reader::from_reader(by_format.text.as_bytes());
    let place = |name: &str, headers: &csv::StringRecord| {
        headers.iter().position(|header| header == name).expect("a column")
    };
    let headers = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let column = |name: &str| {
        rows.iter().map(|row| row[place(name, &headers)].to_owned()).collect::<Vec<_>>()
    };
    let calls = service.calls_of_bill(&bill.id).await;
    assert_eq!(
        column("Request ID"),
        calls.iter().map(|call| &*call.request_id).collect::<Vec<_>>()
    );
    // No spreadsheet takes a user for a formula.
    let users = calls.iter().map(|call| format!("'{}", call.user_id));
    assert_eq!(column("User ID"), users.collect::<Vec<_>>());
    let costs = column("Cost").into_iter().map(|cost| Money::parse(&cost).expect("an amount"));
    assert_eq!(sum(costs), bill.total_cost);

    for (path, field) in [
        (format!("{HISTORY}&limit=0"), "limit"),
        (format!("{HISTORY}&startDate=yesterday"), "startDate"),
        (format!("{HISTORY}&endDate=2025-02-30"), "endDate"),
        (format!("{HISTORY}&end=2025-02-20"), "end"),
        (format!("{path}?limit=10001"), "limit"),
        (format!("{path}?format=xml"), "format"),
        (format!("{path}?cursor=-1"), "cursor"),
        ("/api/v1/billing/history/latest".to_owned(), "bill"),
        ("/api/v1/billing/history".to_owned(), "organizationId"),
        (format!("{AUDIT}&limit=0"), "limit"),
    ] {
        let problem = service.read(&path).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_bill_is_its_tenants_alone() {
    let service = service().await;
    record(&service, "a", "2025-03-01T10:00:00Z", &json!({})).await;
    record(&service, "b", "2025-03-01T10:00:00Z", &json!({"organizationId": "umbrella"})).await;
    let bill = bills_at(&service, "2025-03-02T00:00:00Z", "acme", 1).await.remove(0);
    let as_admin_of = async |organization: &str, path: &str| {
        let request = service.ask_as_nobody(Method::GET, path);
        Answer::to(request.bearer_auth(admin_of(organization))).await
    };
    let one = format!("/api/v1/billing/history/{}", bill.id);
    let consumptions = format!("{one}/consumptions");
    for path in [&one, &consumptions] {
        as_admin_of("acme", path).await.expect(200);
        let of_another = as_admin_of("umbrella", path).await.expect(404);
        let nowhere = path.replace(&*bill.id, "1");
        let of_nobody = as_admin_of("umbrella", &nowhere).await.expect(404);
        let told = |answer: &Answer| {
            let problem = answer.json();
            [problem["code"].clone(), problem["detail"].clone()]
        };
        assert_eq!(told(&of_another), told(&of_nobody), "as if it were none");
        as_admin_of("umbrella", &format!("{path}?organizationId=acme")).await.expect(403);
        let wrong = format!("{path}?organizationId=umbrella");
        service.read(&wrong).await.expect(404);
    }
    as_admin_of("umbrella", HISTORY).await.expect(403);
    let own = as_admin_of("umbrella", "/api/v1/billing/history").await.expect(200);
    assert!(read::<Vec<Bill>>(&own).iter().all(|bill| bill.organization_id == "umbrella"));
    let csv = as_admin_of("umbrella", &format!("{consumptions}?format=csv")).await;
    assert_eq!(csv.status, 404);
}

#[tokio::test]
async fn what_was_billed_is_given_back_up_to_the_bill() {
    let service = service().await;
    record(&service, "a", "2025-03-01T10:00:00Z", &json!({})).await;
    record(&service, "b", "2025-03-01T10:00:00Z", &json!({"organizationId": "umbrella"})).await;
    let bill = bills_at(&service, "2025-03-02T00:00:00Z", "acme", 1).await.remove(0);
    let refund =
        |amount: Value, id: Value| json!({"amount": amount, "reason": "an outage", "billId": id});
    let first = refund(json!("0.040000000000000001"), json!(bill.id));
    let answer = service.send_as("refund", REFUND, &first).await.expect(201);
    assert_eq!(answer.number("amount"), "0.040000000000000001");
    service.send_as("refund", REFUND, &first).await.expect(200);
    let head = service.head().await;
    for (path, body, status, code) in [
        (REFUND, refund(json!(0.02), json!(bill.id)), 409, "refund_too_large"),
        (REFUND, refund(json!(0.01), json!("1")), 404, "no_such_bill"),
        (
            "/api/v1/admin/wallets/umbrella/refunds",
            refund(json!(0.01), json!(bill.id)),
            404,
            "no_such_bill",
        ),
        (
            "/api/v1/admin/wallets/nobody/credits",
            json!({"amount": 1, "reason": "r"}),
            404,
            "no_such_tenant",
        ),
        (REFUND, refund(json!(0), json!(bill.id)), 400, "amount_invalid"),
        (REFUND, refund(json!(-1), json!(bill.id)), 400, "amount_invalid"),
    ] {
        let problem = service.send(path, &body).await.expect(status).json();
        assert_eq!(problem["code"], code, "{body}");
    }
    for (path, body, field) in [
        (REFUND, json!({"amount": 1}), "reason"),
        (REFUND, json!({"amount": 1, "reason": ""}), "reason"),
        (REFUND, refund(json!(1), json!("x")), "billId"),
        (CREDIT, json!({"amount": 1, "reason": "r", "billId": "1"}), "billId"),
        (CREDIT, json!({"amount": "1e-19", "reason": "r"}), "amount"),
    ] {
        let problem = service.send(path, &body).await.expect(400).json();
        assert_eq!(problem["invalid_parameters"][0]["field"], field, "{body}: {problem}");
    }
    assert_eq!(service.head().await, head);
    let rest = refund(json!("0.019999999999999999"), json!(bill.sequence));
    service.send(REFUND, &rest).await.expect(201);
    let one = service.read(&format!("/api/v1/billing/history/{}", bill.id)).await.expect(200);
    assert_eq!(one.number("refunded"), "0.06");
    service.send(CREDIT, &json!({"amount": 1, "reason": "a present"})).await.expect(201);
    service.send(REFUND, &json!({"amount": 2, "reason": "of no bill"})).await.expect(201);
    assert_eq!(service.wallet_of("acme").await, "3 0");

    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.read(&format!("{AUDIT}&limit=2{cursor}")).await.expect(200);
        for record in page.json()["records"].as_array().expect("records") {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            entries.push(format!("{} {}", text("operation"), text("reason")));
            if entries.len() == 1 {
                service
                    .send(CREDIT, &json!({"amount": 5, "reason": "in between"}))
                    .await
                    .expect(201);
            }
        }
        match page.header("x-next-cursor") {
            "" => break,
            next => cursor = format!("&cursor={next}"),
        }
    }
    assert_eq!(
        entries,
        [
            "REFUND of no bill",
            "CREDIT a present",
            "REFUND an outage",
            "REFUND an outage",
            "BILL 2025-03-01"
        ]
    );
}

#[tokio::test]
async fn a_wallet_says_what_of_it_is_left_and_under_which_terms() {
    let service = service().await;
    let top_up = json!({"amount": 1, "reference": "invoice"});
    service.send("/api/v1/admin/wallets/acme/top-ups", &top_up).await.expect(201);
    record(&service, "a", "2025-03-01T10:00:00Z", &json!({})).await;
    let wallet = service.read("/api/v1/billing/wallet?organizationId=acme").await.expect(200);
    assert_eq!(
        wallet.text,
        r#"{"balance":1,"settled":1,"held":0,"accrued":0.06,"available":0.94,"creditLimit":0,"#
            .to_owned()
            + r#""status":"active","currency":"USD","organizationId":"acme"}"#
    );
    let then = service.head().await;
    bills_at(&service, "2025-03-02T00:00:00Z", "acme", 1).await;
    let path = format!("/api/v1/billing/wallet?organizationId=acme&as_of={then}");
    let past = service.read(&path).await.expect(200);
    assert_eq!((past.number("balance"), past.number("accrued")), ("1", "0.06"), "before the bill");
    let now = service.read("/api/v1/billing/wallet?organizationId=acme").await.expect(200);
    assert_eq!((now.number("balance"), now.number("accrued")), ("0.94", "0"));
}

#[tokio::test]
async fn a_period_is_closed_once_and_says_what_it_held() {
    let service = service().await;
    record(&service, "a", "2025-02-27T10:00:00Z", &json!({})).await;
    record(&service, "b", "2025-02-28T10:00:00Z", &json!({})).await;
    record(&service, "c", "2025-03-01T10:00:00Z", &json!({})).await;
    let report = service.run_job("daily-aggregation").await;
    let day = |day: &str, requests: u64, tokens: u64, cost: f64| {
        json!({
            "organizationId": "acme", "period": day, "requests": requests, "tokens": tokens,
            "cost": cost,
        })
    };
    assert_eq!(report["closed"], json!([day("2025-02-28", 1, 1500, 0.06)]));
    assert_eq!(service.run_job("daily-aggregation").await["closed"], json!([]));
    let report = service.run_job("monthly-aggregation").await;
    assert_eq!(report["closed"], json!([day("2025-02", 2, 3000, 0.12)]));
    assert_eq!(service.run_job("monthly-aggregation").await["closed"], json!([]));
    service.advance_clock_to("2025-03-02T00:59:59Z").await;
    let closed = async || {
        let events = service.read("/api/v1/events?limit=1000").await.expect(200).json();
        let events = events["events"].as_array().expect("events").clone();
        let closed = events.into_iter().filter(|event| event["type"] == "period_closed");
        closed.map(|event| event["data"]["first_day"].clone()).collect::<Vec<_>>()
    };
    bills_at(&service, "2025-03-02T00:59:59Z", "acme", 3).await;
    assert_eq!(closed().await, ["2025-02-28", "2025-02-01"], "an hour after the day");
    service.advance_clock_to("2025-03-02T01:00:00Z").await;
    eventually("the day is closed", async || {
        let closed = closed().await;
        if closed.len() == 3 { Ok(()) } else { Err(format!("{closed:?}")) }
    })
    .await;
    assert_eq!(closed().await[2], "2025-03-01");
    let unknown = service.send("/api/v1/admin/jobs/weekly", &json!({})).await.expect(404);
    assert!(unknown.json()["detail"].to_string().contains("daily-billing"), "{}", unknown.text);
}
