//! Bills as clients read them, with every amount exact.

use std::collections::BTreeMap;

use schemas::Money;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::Answer;
use super::service::Service;

/// A part of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Part {
    pub requests: u64,
    pub tokens: u64,
    pub cost: Money,
}

/// The parts of a bill by name.
pub type Parts = BTreeMap<String, Part>;

/// A bill by what was used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breakdown {
    #[serde(rename = "byAssistant")]
    pub assistants: Parts,
    #[serde(rename = "byUser")]
    pub users: Parts,
    #[serde(rename = "byModel")]
    pub models: Parts,
}

/// The calls of an earlier day in a bill.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Late {
    pub day: String,
    pub requests: u64,
    pub tokens: u64,
    pub cost: Money,
}

/// A bill.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bill {
    pub id: String,
    pub organization_id: String,
    pub day: String,
    pub billing_date: String,
    pub period_start: String,
    pub period_end: String,
    pub total_requests: u64,
    pub total_tokens: u64,
    pub total_cost: Money,
    pub breakdown: Breakdown,
    pub late: Vec<Late>,
    pub wallet_balance_before: Money,
    pub wallet_balance_after: Money,
    pub refunded: Money,
    pub status: String,
    pub created_at: String,
    pub posted_at: String,
    pub sequence: u64,
}

/// What a bill says of a call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BilledCall {
    pub request_id: String,
    pub timestamp: String,
    pub user_id: String,
    pub assistant_type: String,
    pub model: String,
    pub total_tokens: u64,
    pub cost: Option<Money>,
    pub markup_percent: Option<Money>,
    pub sequence: u64,
}

/// The sum, which must be in range.
pub fn sum(amounts: impl IntoIterator<Item = Money>) -> Money {
    amounts.into_iter().try_fold(Money::ZERO, Money::checked_add).expect("in range")
}

/// What is read out of an answer, amounts exactly.
pub fn read<T: for<'de> Deserialize<'de>>(answer: &Answer) -> T {
    serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {}", answer.text))
}

impl Service {
    /// Does a job now, and tells what it did.
    pub async fn run_job(&self, job: &str) -> Value {
        let answer = self.send(&format!("/api/v1/admin/jobs/{job}"), &json!({})).await;
        answer.expect(200).json()
    }

    /// A tenant's bills, newest first; every page of them.
    pub async fn bills(&self, organization: &str) -> Vec<Bill> {
        let path = format!("/api/v1/billing/history?organizationId={organization}&limit=7");
        self.pages(&path).await
    }

    /// The calls that a bill takes; every page of them.
    pub async fn calls_of_bill(&self, id: &str) -> Vec<BilledCall> {
        self.pages(&format!("/api/v1/billing/history/{id}/consumptions?limit=9")).await
    }

    /// Everything that a list has, page by page.
    pub async fn pages<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Vec<T> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.read(&format!("{path}{cursor}")).await.expect(200);
            all.extend(read::<Vec<T>>(&answer));
            match answer.header("x-next-cursor") {
                "" => return all,
                next => cursor = format!("&cursor={next}"),
            }
        }
    }

    /// A tenant's wallet: `balance accrued`.
    pub async fn wallet_of(&self, organization: &str) -> String {
        let path = format!("/api/v1/billing/wallet?organizationId={organization}");
        let answer = self.read(&path).await.expect(200);
        ["balance", "accrued"].map(|name| answer.number(name).to_owned()).join(" ")
    }

    /// Fails unless every bill of a tenant is the sum of its calls to the last unit, in all and by
    /// each breakdown, every call of the tenant's that has a price is in one bill or accrued, and the
    /// wallet says so too. Gives the bills, the earliest first.
    pub async fn assert_bills_add_up(&self, organization: &str) -> Vec<Bill> {
        let mut bills = self.bills(organization).await;
        bills.reverse();
        let mut billed = BTreeMap::new();
        for bill in &bills {
            let calls = self.calls_of_bill(&bill.id).await;
            assert_adds_up(bill, &calls);
            for call in calls {
                let before = billed.insert(call.sequence, (bill.id.clone(), call.cost));
                assert_eq!(before, None, "in one bill only: {call:?}");
            }
        }
        for pair in bills.windows(2) {
            assert!(pair[0].day < pair[1].day, "a bill a day: {pair:?}");
        }
        let path = format!("/api/v1/consumption/history?organizationId={organization}&limit=500");
        let history: Vec<BilledCall> = self.pages(&path).await;
        let rated = history.iter().filter(|call| call.cost.is_some());
        let open = rated.filter(|call| match billed.remove(&call.sequence) {
            Some((_, cost)) => {
                assert_eq!(cost, call.cost, "{call:?}");
                false
            }
            None => true,
        });
        let accrued = sum(open.filter_map(|call| call.cost));
        assert!(billed.is_empty(), "billed, but not in the history: {billed:?}");
        let wallet = self.wallet_of(organization).await;
        assert_eq!(wallet.split(' ').nth(1), Some(&*accrued.to_string()), "accrued");
        bills
    }
}

fn assert_adds_up(bill: &Bill, calls: &[BilledCall]) {
    let total = sum(calls.iter().filter_map(|call| call.cost));
    assert_eq!(total.to_string(), bill.total_cost.to_string(), "{bill:?}");
    assert_eq!(u64::try_from(calls.len()), Ok(bill.total_requests));
    assert_eq!(calls.iter().map(|call| call.total_tokens).sum::<u64>(), bill.total_tokens);
    let after = bill.wallet_balance_before.checked_sub(bill.total_cost);
    assert_eq!(after, Some(bill.wallet_balance_after));
    let by = |name: fn(&BilledCall) -> &str| {
        let mut parts = Parts::new();
        for call in calls {
            let name = if name(call).is_empty() { "unknown" } else { name(call) };
            let none = Part { requests: 0, tokens: 0, cost: Money::ZERO };
            let part = parts.entry(name.to_owned()).or_insert(none);
            part.requests += 1;
            part.tokens += call.total_tokens;
            part.cost = sum([part.cost, call.cost.unwrap_or_default()]);
        }
        parts
    };
    assert_eq!(bill.breakdown.assistants, by(|call| &call.assistant_type));
    assert_eq!(bill.breakdown.users, by(|call| &call.user_id));
    assert_eq!(bill.breakdown.models, by(|call| &call.model));
    let day_of = |call: &BilledCall| call.timestamp.split('T').next().map(str::to_owned);
    assert!(calls.iter().all(|call| day_of(call).as_deref() <= Some(&*bill.day)), "{bill:?}");
    let late = calls.iter().filter(|call| day_of(call).as_deref() < Some(&*bill.day));
    assert_eq!(
        sum(late.filter_map(|call| call.cost)),
        sum(bill.late.iter().map(|late| late.cost)),
        "what is late is marked"
    );
}
