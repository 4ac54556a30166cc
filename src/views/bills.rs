//! Bills out of the log: with their lines, and down to the calls that each of them takes.

use std::collections::BTreeMap;

use projections::bills::BillSummary;
use projections::books::Books;
use projections::names::Names;
use projections::unbilled::Billable;
use replay::{ReadError, Verification};
use schemas::{
    BillLine, BillLineKind, BillPosted, Day, Event, Money, NameId, Recorded, Sequence, TenantId,
    Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{CallPage, Views};

/// A bill: the seed's `BillingHistory`, with what the ledger adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// The bill's own id: its sequence, as text.
    pub id: String,
    /// Whose.
    pub organization_id: String,
    /// The UTC day that it closes.
    #[schema(value_type = String, format = Date)]
    pub day: Day,
    /// When it was made out.
    #[schema(value_type = String, format = DateTime)]
    pub billing_date: Timestamp,
    /// The beginning of its day.
    #[schema(value_type = String, format = DateTime)]
    pub period_start: Timestamp,
    /// The end of its day, which is not part of it.
    #[schema(value_type = String, format = DateTime)]
    pub period_end: Timestamp,
    /// How many calls it takes.
    pub total_requests: u64,
    /// Their tokens.
    pub total_tokens: u64,
    /// What they cost, in USD, exact; taken from the wallet.
    #[schema(value_type = f64)]
    pub total_cost: Money,
    /// The same by what was used. Each adds up to the whole.
    pub breakdown: Breakdown,
    /// Of it, calls of earlier days, which came or were rated after the bill of their day.
    pub late: Vec<LatePart>,
    /// The wallet's balance before.
    #[schema(value_type = f64)]
    pub wallet_balance_before: Money,
    /// And after.
    #[schema(value_type = f64)]
    pub wallet_balance_after: Money,
    /// What was given back of it since, in USD.
    #[schema(value_type = f64)]
    pub refunded: Money,
    /// Always `completed`: a bill is made out and paid at once, or not at all.
    pub status: &'static str,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The same.
    #[schema(value_type = String, format = DateTime)]
    pub posted_at: Timestamp,
    /// Its position in the log.
    #[schema(value_type = u64)]
    pub sequence: Sequence,
}

/// A bill by what was used. Where nothing was named, that is `unknown`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Breakdown {
    /// By kind of assistant.
    #[serde(rename = "byAssistant")]
    pub assistants: BTreeMap<String, Part>,
    /// By user.
    #[serde(rename = "byUser")]
    pub users: BTreeMap<String, Part>,
    /// By model.
    #[serde(rename = "byModel")]
    pub models: BTreeMap<String, Part>,
}

/// A part of a bill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Part {
    /// How many calls.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    #[schema(value_type = f64)]
    pub cost: Money,
}

/// The calls of one earlier day in a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct LatePart {
    /// The UTC day of the calls.
    #[schema(value_type = String, format = Date)]
    pub day: Day,
    /// What they add up to.
    #[serde(flatten)]
    pub part: Part,
}

/// A page of bills.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BillPage {
    /// The bills, newest first.
    pub bills: Vec<Bill>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Sequence>,
}

/// How many lines the bills of one page may have before it ends early.
const LINES_A_PAGE_MAX: usize = 50_000;
/// How many events are read at once.
const READ_AT_ONCE: usize = 256;
/// How many events one page of calls may look at before it ends early.
const LOOKED_AT_MAX: usize = 50_000;

/// What is in a bill: where its calls begin in the log, and which of those from there on it takes.
#[derive(Debug, Clone, Copy)]
struct Membership {
    tenant: TenantId,
    bill: BillSummary,
    /// The bill before: it took what was on record then and not of a later day than its own.
    before: Option<BillSummary>,
}

impl Membership {
    fn of(books: &Books, tenant: TenantId, id: Sequence) -> Option<Self> {
        let bill = *books.bills.bill(tenant, id)?;
        Some(Self { tenant, bill, before: books.bills.before(tenant, id).copied() })
    }

    /// Whether the bill takes the call that this event put a cost on.
    fn takes(&self, recorded: &Recorded) -> bool {
        let day = match &recorded.event {
            Event::ConsumptionRecorded(call) if call.charge.is_some() => call.timestamp.day(),
            Event::ConsumptionRated(rated) => rated.timestamp.day(),
            _ => return false,
        };
        let taken_before =
            self.before.is_some_and(|before| recorded.sequence < before.id && day <= before.day);
        day <= self.bill.day && !taken_before
    }
}

impl Views {
    /// Whose bill this is; `None` when it is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn payer(&self, id: Sequence) -> Result<Option<TenantId>, ReadError> {
        Ok(match self.log.read(id)?.map(|recorded| recorded.event) {
            Some(Event::BillPosted(bill)) => Some(bill.tenant),
            _ => None,
        })
    }

    /// One of a tenant's bills; `None` when it is none of theirs.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn bill(&self, tenant: TenantId, id: Sequence) -> Result<Option<Bill>, ReadError> {
        let summary = self.look(|reading| reading.books.bills.bill(tenant, id).copied());
        let Some(summary) = summary else { return Ok(None) };
        Ok(self.read_bill(&summary)?.map(|(bill, _)| bill))
    }

    /// At most `bills_max` of a tenant's bills of the days from `first` to `last`, the newest up to
    /// `through` first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn bills(
        &self,
        tenant: TenantId,
        (first, last): (Day, Day),
        through: Sequence,
        bills_max: usize,
    ) -> Result<BillPage, ReadError> {
        let asked_for: Vec<BillSummary> = self.look(|reading| {
            let bills = reading.books.bills.of(tenant).iter().rev();
            bills
                .filter(|bill| bill.id <= through && (first..=last).contains(&bill.day))
                .take(bills_max.saturating_add(1))
                .copied()
                .collect()
        });
        let (mut page, mut lines) = (BillPage::default(), 0_usize);
        for summary in asked_for {
            if page.bills.len() == bills_max || lines >= LINES_A_PAGE_MAX {
                page.next = Some(summary.id);
                break;
            }
            if let Some((bill, count)) = self.read_bill(&summary)? {
                lines = lines.saturating_add(count);
                page.bills.push(bill);
            }
        }
        Ok(page)
    }

    /// The calls that a bill takes, in the order in which they were charged: at most `calls_max`,
    /// from the event `from` on. `None` when it is no bill of the tenant's.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn bill_calls(
        &self,
        tenant: TenantId,
        id: Sequence,
        from: Sequence,
        calls_max: usize,
    ) -> Result<Option<CallPage>, ReadError> {
        let found = self.look(|reading| {
            let membership = Membership::of(&reading.books, tenant, id)?;
            Some((membership, reading.histories.tenant_calls(membership.tenant).clone()))
        });
        let Some((membership, list)) = found else { return Ok(None) };
        let from = from.max(membership.bill.first);
        let after = Sequence::new(from.get().saturating_sub(1));
        let mut sequences = list.ascending(after, membership.bill.id).peekable();
        let (mut page, mut looked_at) = (CallPage::default(), 0_usize);
        while sequences.peek().is_some() {
            let some: Vec<Sequence> = sequences.by_ref().take(READ_AT_ONCE).collect();
            looked_at = looked_at.saturating_add(some.len());
            for recorded in self.log.read_many(&some)? {
                if !membership.takes(&recorded) {
                    continue;
                }
                if page.calls.len() == calls_max {
                    page.next = Some(recorded.sequence);
                    return Ok(Some(page));
                }
                page.calls.extend(self.charged_call(&recorded)?);
            }
            if looked_at >= LOOKED_AT_MAX && sequences.peek().is_some() {
                page.next = sequences.peek().copied();
                return Ok(Some(page));
            }
        }
        Ok(Some(page))
    }

    /// A bill with its lines, and how many those are.
    fn read_bill(&self, summary: &BillSummary) -> Result<Option<(Bill, usize)>, ReadError> {
        let (mut lines, mut posted) = (Vec::new(), None);
        for some in self.log.scan(summary.cause, summary.id, Verification::Unverified)? {
            for recorded in some? {
                match recorded.event {
                    Event::BillItemized(items) => lines.extend(items.lines),
                    Event::BillPosted(bill) => posted = Some(bill),
                    _ => {}
                }
            }
        }
        let Some(posted) = posted else { return Ok(None) };
        let names = self.look(|reading| reading.books.names.clone());
        Ok(Some((Bill::new(&names, summary, &posted, &lines), lines.len())))
    }
}

impl Bill {
    fn new(names: &Names, summary: &BillSummary, posted: &BillPosted, lines: &[BillLine]) -> Self {
        Self {
            id: summary.id.to_string(),
            organization_id: names.text(posted.tenant).to_string(),
            day: posted.day,
            billing_date: summary.posted_at,
            period_start: posted.day.start(),
            period_end: posted.day.next().start(),
            total_requests: posted.requests,
            total_tokens: posted.tokens,
            total_cost: posted.cost,
            breakdown: Breakdown::of(names, lines),
            late: lines
                .iter()
                .filter(|line| line.kind == BillLineKind::Day && line.day < posted.day)
                .map(|line| LatePart { day: line.day, part: Part::of(Billable::of(line)) })
                .collect(),
            wallet_balance_before: posted.before,
            wallet_balance_after: posted.after,
            refunded: summary.refunded,
            status: "completed",
            created_at: summary.posted_at,
            posted_at: summary.posted_at,
            sequence: summary.id,
        }
    }
}

impl Breakdown {
    fn of(names: &Names, lines: &[BillLine]) -> Self {
        fn name<Id: NameId>(names: &Names, id: Option<Id>) -> String {
            id.map_or_else(|| "unknown".to_owned(), |id| names.text(id).to_string())
        }
        let mut breakdown = Self::default();
        for line in lines {
            let (parts, name) = match line.kind {
                BillLineKind::Day => continue,
                BillLineKind::Assistant(id) => (&mut breakdown.assistants, name(names, id)),
                BillLineKind::User(id) => (&mut breakdown.users, name(names, id)),
                BillLineKind::Model(id) => (&mut breakdown.models, name(names, id)),
            };
            parts.entry(name).or_default().add(Billable::of(line));
        }
        breakdown
    }
}

impl Part {
    const fn of(Billable { requests, tokens, cost }: Billable) -> Self {
        Self { requests, tokens, cost }
    }

    fn add(&mut self, other: Billable) {
        let Self { requests, tokens, cost } = *self;
        let sum = Billable { requests, tokens, cost }.plus(other);
        *self = sum.map_or(*self, Self::of);
    }
}
