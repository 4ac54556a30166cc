//! The events of bills, credits and closed periods as JSON.

use projections::names::Names;
use schemas::{BillLine, BillLineKind, CreditKind, Day, Event, Money, Period, Sequence};
use serde::Serialize;

use super::{maybe, text};

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum BillEventData {
    Itemized {
        organization_id: String,
        day: Day,
        lines: Vec<BillLineView>,
    },
    Posted {
        organization_id: String,
        day: Day,
        first: Sequence,
        requests: u64,
        tokens: u64,
        cost: Money,
        late_requests: u64,
        balance_before: Money,
        balance_after: Money,
    },
    Credited {
        organization_id: String,
        amount: Money,
        kind: CreditKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        bill: Option<Sequence>,
        reason: String,
    },
    Closed {
        organization_id: String,
        period: Period,
        first_day: Day,
        requests: u64,
        tokens: u64,
        cost: Money,
    },
}

/// A part of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillLineView {
    /// The UTC day of the calls.
    pub day: Day,
    /// What it adds up: `day`, `assistant`, `user` or `model`.
    pub by: &'static str,
    /// Of these; empty where none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many calls.
    pub requests: u64,
    /// All their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
}

impl BillLineView {
    fn new(names: &Names, line: &BillLine) -> Self {
        let (by, name) = match line.kind {
            BillLineKind::Day => ("day", None),
            BillLineKind::Assistant(assistant) => ("assistant", Some(maybe(names, assistant))),
            BillLineKind::User(user) => ("user", Some(maybe(names, user))),
            BillLineKind::Model(model) => ("model", Some(maybe(names, model))),
        };
        let BillLine { day, kind: _, requests, tokens, cost } = *line;
        Self { day, by, name, requests, tokens, cost }
    }
}

impl BillEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::BillItemized(items) => Self::Itemized {
                organization_id: text(names, items.tenant),
                day: items.day,
                lines: items.lines.iter().map(|line| BillLineView::new(names, line)).collect(),
            },
            Event::BillPosted(bill) => Self::Posted {
                organization_id: text(names, bill.tenant),
                day: bill.day,
                first: bill.first,
                requests: bill.requests,
                tokens: bill.tokens,
                cost: bill.cost,
                late_requests: bill.late_requests,
                balance_before: bill.before,
                balance_after: bill.after,
            },
            Event::WalletCredited(credit) => Self::Credited {
                organization_id: text(names, credit.tenant),
                amount: credit.amount,
                kind: credit.kind,
                bill: credit.bill,
                reason: credit.reason.clone(),
            },
            Event::PeriodClosed(closed) => Self::Closed {
                organization_id: text(names, closed.tenant),
                period: closed.period,
                first_day: closed.first,
                requests: closed.requests,
                tokens: closed.tokens,
                cost: closed.cost,
            },
            _ => return None,
        })
    }
}
