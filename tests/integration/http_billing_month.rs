//! A whole month of two tenants, with what a month brings: calls that come late or early, a model whose
//! price comes later, a markup that changes, a kill at midnight, three days down, a wallet that runs
//! past its credit limit, a refund. In the end everything adds up to the last decimal.

use std::collections::BTreeMap;

use reqwest::Method;
use schemas::{Money, Timestamp};
use serde_json::{Value, json};

use crate::crash_kill::verify;
use crate::support::bills::{Bill, BilledCall, read, sum};
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};
use crate::support::{chance, eventually};

const TENANTS: [&str; 2] = ["north", "south"];
const USERS: [&str; 3] = ["ann", "bob", "cem"];
const ASSISTANTS: [&str; 3] = ["word", "excel", ""];
/// Of the second model, in units of the last decimal; an output token costs twice as much.
const LOCAL_PRICE: i128 = 7;

/// A moment of March 2025.
fn at(day: u64, time: &str) -> String {
    format!("2025-03-{day:02}T{time}Z")
}

/// The service, what the tenants pay, and what they should have paid.
struct Month {
    service: Service,
    seed: u64,
    /// In hundredths of a percent, of each tenant.
    markups: [i128; 2],
    /// By request id: what the call must cost.
    expected: BTreeMap<String, i128>,
}

impl Month {
    async fn begin() -> Self {
        let service = Setup::new().manual_clock(&at(1, "12:00:00")).start().await;
        for (tenant, terms) in [
            (
                "north",
                json!({
                    "orgId": "north", "name": "North", "markupPercent": 12.5, "creditLimit": 2,
                    "suspendPastCreditLimit": true,
                }),
            ),
            (
                "south",
                json!({
                    "orgId": "south", "name": "South", "markupPercent": "-33.33",
                    "timeZone": "Pacific/Auckland",
                }),
            ),
        ] {
            service.send("/api/v1/admin/tenants", &terms).await.expect(201);
            let path = format!("/api/v1/admin/wallets/{tenant}/top-ups");
            service.send(&path, &json!({"amount": 5, "reference": "begin"})).await.expect(201);
        }
        Self { service, seed: 5, markups: [1250, -3333], expected: BTreeMap::new() }
    }

    fn pick(&mut self, count: u64) -> u64 {
        chance(&mut self.seed) % count
    }

    fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        let count = u64::try_from(names.len()).expect("few");
        names[usize::try_from(self.pick(count)).expect("small")]
    }

    /// What a call costs: of the candidates around the exact cost the nearest, or of two the even.
    fn cost(&self, tenant: usize, model: &str, prompt: u64, completion: u64) -> i128 {
        let (input, output) = match model {
            "gpt-4" => (30_000_000_000_000, 60_000_000_000_000),
            _ => (LOCAL_PRICE, 2 * LOCAL_PRICE),
        };
        let exact = input * i128::from(prompt) + output * i128::from(completion);
        let scaled = exact * (10_000 + self.markups[tenant]);
        let distance = |units: i128| (units * 10_000 - scaled).abs();
        let near = scaled / 10_000;
        (near - 1..=near + 1).min_by_key(|units| (distance(*units), units % 2)).expect("three")
    }

    /// Some calls of a day, as they come in on that day.
    async fn calls_of(&mut self, day: u64, as_if_on: u64) {
        for (tenant, name) in TENANTS.into_iter().enumerate() {
            for number in 0..5 {
                // One in four comes late, one in eight early.
                let of = match self.pick(8) {
                    0 | 1 => as_if_on.saturating_sub(self.pick(4)).max(1),
                    2 if as_if_on < 31 => as_if_on + 1,
                    _ => as_if_on,
                };
                let latest = if of > day { 11 } else { 23 };
                let time = format!("{:02}:{:02}:00", self.pick(latest), self.pick(60));
                let model = self.one_of(&["gpt-4", "gpt-4", "local"]);
                let (prompt, completion) = (self.pick(4_000), self.pick(1_500));
                let id = format!("{as_if_on}-{tenant}-{number}");
                let cost = self.cost(tenant, model, prompt, completion);
                self.expected.insert(format!("{name} {id}"), cost);
                let fields = json!({
                    "organizationId": name, "userId": self.one_of(&USERS),
                    "assistantType": self.one_of(&ASSISTANTS), "model": model,
                    "timestamp": at(of, &time),
                });
                let body = with(call(&id, prompt, completion), &fields);
                self.service.send("/api/v1/consumption", &body).await.expect(201);
            }
        }
    }

    /// Moves the clock, and waits until what is due by then is billed.
    async fn advance(&self, moment: &str) {
        self.service.advance_clock_to(moment).await;
        self.service.run_job("daily-billing").await;
    }

    async fn update(&self, tenant: &str, terms: &Value) {
        let path = format!("/api/v1/admin/tenants/{tenant}");
        Answer::to(self.service.ask(Method::PUT, &path).json(terms)).await.expect(200);
    }

    async fn status(&self, tenant: &str) -> String {
        let path = format!("/api/v1/billing/wallet?organizationId={tenant}");
        let wallet = self.service.read(&path).await.expect(200).json();
        wallet["status"].as_str().expect("a status").to_owned()
    }

    /// Kills it while the clock passes midnight; then goes on.
    async fn killed_at_midnight(&mut self, day: u64) {
        let midnight = at(day, "00:00:00");
        let request = self.service.ask(Method::POST, "/api/v1/admin/clock");
        Answer::to(request.json(&json!({"now": midnight}))).await.expect(200);
        self.service.kill();
        self.service.start_again().await;
        self.advance(&midnight).await;
    }

    /// The costs that the service gives the calls are those that they must have.
    async fn assert_costs(&self, tenant: &str) {
        let path = format!("/api/v1/consumption/history?organizationId={tenant}&limit=100");
        let calls: Vec<BilledCall> = self.service.pages(&path).await;
        let count = self.expected.keys().filter(|key| key.starts_with(tenant)).count();
        assert_eq!(calls.len(), count);
        for call in calls {
            let expected = self.expected[&format!("{tenant} {}", call.request_id)];
            assert_eq!(call.cost.map(Money::units), Some(expected), "{call:?}");
        }
    }
}

/// Runs past its credit limit with the bill of some day: is suspended, still used, and goes on once
/// somebody pays.
async fn see_it_suspended(month: &Month) {
    let service = &month.service;
    assert_eq!(month.status("north").await, "suspended");
    let bills = service.bills("north").await;
    let limit = Money::parse("-2").expect("an amount");
    assert!(bills[0].wallet_balance_after < limit, "{:?}", bills[0]);
    let hold = json!({
        "organizationId": "north", "userId": "ann", "model": "gpt-4", "requestId": "h",
        "promptTokens": 1, "maxTokens": 1,
    });
    service.send("/api/v1/holds", &hold).await.expect(403);
    let pay = async |amount: &str| {
        let path = "/api/v1/admin/wallets/north/top-ups";
        service.send(path, &json!({"amount": amount, "reference": "more"})).await.expect(201);
        month.status("north").await
    };
    assert_eq!(pay("0.000000000000000001").await, "suspended", "still below the limit");
    assert_eq!(pay("40").await, "active");
}

#[tokio::test]
async fn a_month_adds_up_to_the_last_decimal() {
    let mut month = Month::begin().await;
    let mut was_suspended = false;
    let mut day = 1;
    while day <= 31 {
        if day > 1 {
            month.advance(&at(day, "12:00:00")).await;
        }
        month.calls_of(day, day).await;
        if !was_suspended && month.status("north").await == "suspended" {
            see_it_suspended(&month).await;
            was_suspended = true;
        }
        match day {
            8 => month.killed_at_midnight(9).await,
            10 => {
                let price = |units: i128| Money::from_units(units).to_string();
                let local = json!({
                    "input_cost_per_token": price(LOCAL_PRICE),
                    "output_cost_per_token": price(2 * LOCAL_PRICE),
                });
                let path = "/api/v1/admin/prices?effective_at=2025-02-01T00:00:00Z";
                month.service.send(path, &json!({"local": local})).await.expect(201);
            }
            14 => {
                month.update("north", &json!({"markupPercent": 0.07})).await;
                month.markups[0] = 7;
            }
            19 => {
                // Three days down; what was used meanwhile comes in when it is up again.
                month.service.kill();
                month.service.start_again().await;
                month.advance(&at(23, "08:00:00")).await;
                for missed in 20..=22 {
                    month.calls_of(23, missed).await;
                }
                day = 22;
            }
            _ => {}
        }
        day += 1;
    }
    assert!(was_suspended, "north must run past its credit limit");
    month.advance("2025-04-01T00:00:00Z").await;
    assert_month(month).await;
}

/// What must hold of the month in the end.
async fn assert_month(mut month: Month) {
    let service = &month.service;
    let mut bills_of = BTreeMap::new();
    for tenant in TENANTS {
        let bills = service.assert_bills_add_up(tenant).await;
        month.assert_costs(tenant).await;
        let days: Vec<&str> = bills.iter().map(|bill| &*bill.day).collect();
        assert_eq!(days.len(), 31, "each day has one bill: {days:?}");
        assert!(bills.iter().any(|bill| !bill.late.is_empty()));
        let expected = month.expected.iter().filter(|(key, _)| key.starts_with(tenant));
        let expected = sum(expected.map(|(_, cost)| Money::from_units(*cost)));
        assert_eq!(sum(bills.iter().map(|bill| bill.total_cost)), expected, "all is billed");
        bills_of.insert(tenant, bills);
    }
    let markups = async |bill: &Bill| {
        let calls = service.calls_of_bill(&bill.id).await;
        calls.into_iter().filter_map(|call| call.markup_percent).collect::<Vec<_>>()
    };
    let twelve = Money::parse("12.5").expect("a number");
    assert!(markups(&bills_of["north"][0]).await.iter().all(|markup| *markup == twelve));
    let discount = Money::parse("-33.33").expect("a number");
    assert!(markups(&bills_of["south"][30]).await.iter().all(|markup| *markup == discount));

    refund(service, &bills_of["south"][4]).await;
    for tenant in TENANTS {
        assert_wallet(service, tenant, &bills_of[tenant]).await;
        assert_month_is_closed(service, tenant).await;
    }
    let head = service.head().await;
    service.run_job("daily-billing").await;
    assert_eq!(service.head().await, head, "a job that is run again does nothing");
    month.service.stop().await;
    verify(&month.service);
}

async fn refund(service: &Service, bill: &Bill) {
    let body = json!({"amount": bill.total_cost, "reason": "an outage", "billId": bill.id});
    service.send("/api/v1/admin/wallets/south/refunds", &body).await.expect(201);
    let more = with(body, &json!({"amount": "0.000000000000000001"}));
    let refused = service.send("/api/v1/admin/wallets/south/refunds", &more).await.expect(409);
    assert_eq!(refused.json()["code"], "refund_too_large");
    let now = service.read(&format!("/api/v1/billing/history/{}", bill.id)).await.expect(200);
    assert_eq!(read::<Bill>(&now).refunded, bill.total_cost);
}

/// The wallet is what came in, less the bills, with what was given back; and its audit says so.
async fn assert_wallet(service: &Service, tenant: &str, bills: &[Bill]) {
    #[derive(serde::Deserialize)]
    struct Entry {
        amount: Money,
        operation: String,
    }
    #[derive(serde::Deserialize)]
    struct Audit {
        records: Vec<Entry>,
    }
    let path = format!("/api/v1/billing/wallet/audit?organizationId={tenant}");
    let audit: Audit = read(&service.read(&path).await.expect(200));
    let of = |operation: &str| {
        let entries = audit.records.iter().filter(|entry| entry.operation == operation);
        sum(entries.map(|entry| entry.amount))
    };
    assert_eq!(of("BILL").checked_neg(), Some(sum(bills.iter().map(|bill| bill.total_cost))));
    let balance = sum(audit.records.iter().map(|entry| entry.amount));
    assert_eq!(service.wallet_of(tenant).await, format!("{balance} 0"));
}

/// Two hours after the month's end on the tenant's clocks, its sums are on record.
async fn assert_month_is_closed(service: &Service, tenant: &str) {
    service.advance_clock_to("2025-04-01T02:00:00Z").await;
    let zone: i64 = if tenant == "south" { -13 } else { 0 };
    let hour = 3_600_i64;
    let month = |text: &str| {
        let moment = Timestamp::parse(text).expect("RFC 3339");
        moment.plus_seconds(zone * hour).to_string()
    };
    let (from, to) = (month("2025-03-01T00:00:00Z"), month("2025-03-31T23:59:59.999999Z"));
    let path = format!(
        "/api/v1/consumption/history?organizationId={tenant}&limit=1000&startDate={from}&endDate={to}"
    );
    let calls: Vec<BilledCall> = service.pages(&path).await;
    let closed = eventually("the month is closed", async || {
        let events = service.read("/api/v1/events?limit=1000").await.expect(200).json();
        let mut events = events["events"].as_array().expect("events").clone();
        let (mut next, mut after) = (events.len(), 0);
        while next == 1000 {
            after += 1000;
            let path = format!("/api/v1/events?limit=1000&after={after}");
            let page = service.read(&path).await.expect(200).json();
            let page = page["events"].as_array().expect("events").clone();
            next = page.len();
            events.extend(page);
        }
        let closed = events.into_iter().find(|event| {
            let data = &event["data"];
            event["type"] == "period_closed"
                && data["organization_id"] == tenant
                && data["period"] == "month"
                && data["first_day"] == "2025-03-01"
        });
        closed.ok_or_else(|| format!("no month of {tenant}"))
    })
    .await;
    let path = format!("/api/v1/consumption/aggregates?period=month&organizationId={tenant}");
    let lines = service.read(&path).await.expect(200).json();
    let closed_months = lines["data"].as_array().expect("lines").iter();
    let closed_months: Vec<_> =
        closed_months.map(|line| (line["period"].as_str(), line.get("closed").is_some())).collect();
    assert!(closed_months.contains(&(Some("2025-03"), true)), "{lines}");
    let lines = service.read(&format!("{path}&groupBy=model")).await.expect(200).text;
    assert!(!lines.contains("closed"), "{lines}");
    // It says what it held when it was closed; south's was over before the last calls came in.
    let requests = closed["data"]["requests"].as_u64().expect("a number");
    let all = u64::try_from(calls.len()).expect("few");
    if tenant == "north" {
        assert_eq!(requests, all, "{closed}");
    } else {
        assert!((1..=all).contains(&requests), "{requests} of {all}");
    }
}
