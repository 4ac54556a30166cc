//! Bills and closed periods. A bill takes whole days, and each of them once; a period is closed once.

use projections::books::{Books, Deciding};
use projections::unbilled::Billable;
use schemas::{
    BillItemized, BillLine, BillPosted, ClosePeriod, Day, Event, Money, Period, PeriodClosed,
    PostBill, StatusReason, TenantId, TenantStatus, TenantStatusChanged, Timestamp,
};

use super::money;
use super::rejection::{BillRejection, Rejection};

/// How many lines one event holds: few enough for the longest of them.
const LINES_AN_EVENT: usize = 100;

/// The bill of the earliest day that is not billed yet; nothing when every one is. What came for
/// days that were billed before goes onto it too, in lines of their own.
pub(super) fn post(
    deciding: &Deciding,
    command: PostBill,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let PostBill { tenant, through } = command;
    let Deciding { books, unbilled, .. } = deciding;
    if through >= now.day() {
        return Err(BillRejection::DayNotOver.into());
    }
    let Some((earliest, _)) = unbilled.days(tenant).next() else { return Ok(Vec::new()) };
    let free = books.bills.last_day(tenant).map(Day::next);
    let day = free.map_or(earliest, |free| free.max(earliest));
    if day > through {
        return Ok(Vec::new());
    }
    let out_of_range = || Rejection::AmountOutOfRange { field: "cost" };
    let (mut lines, mut whole, mut late_requests) = (Vec::new(), Billable::default(), 0_u64);
    let mut first = None;
    for (of, pool) in unbilled.days(tenant).take_while(|(of, _)| *of <= day) {
        lines.extend(pool.lines(of));
        whole = whole.plus(pool.total()).ok_or_else(out_of_range)?;
        if of < day {
            late_requests = late_requests.saturating_add(pool.total().requests);
        }
        first = first.into_iter().chain([pool.first]).min();
    }
    let before = books.wallets.wallet(tenant).balance;
    let after = before.checked_sub(whole.cost).ok_or_else(out_of_range)?;
    let mut events: Vec<Event> = itemized(tenant, day, &lines).collect();
    events.extend(suspension(books, tenant, after));
    events.push(Event::BillPosted(Box::new(BillPosted {
        tenant,
        day,
        first: first.unwrap_or_default(),
        requests: whole.requests,
        tokens: whole.tokens,
        cost: whole.cost,
        late_requests,
        before,
        after,
    })));
    Ok(events)
}

fn itemized(tenant: TenantId, day: Day, lines: &[BillLine]) -> impl Iterator<Item = Event> {
    lines
        .chunks(LINES_AN_EVENT)
        .map(move |some| Event::BillItemized(BillItemized { tenant, day, lines: some.to_vec() }))
}

/// A bill that takes the wallet below the credit limit suspends a tenant with such terms.
fn suspension(books: &Books, tenant: TenantId, after: Money) -> Option<Event> {
    let terms = books.tenants.terms(tenant);
    let suspends = terms.suspends_past_credit_limit
        && terms.status == TenantStatus::Active
        && !money::is_within_credit(terms, after);
    suspends.then_some(Event::TenantStatusChanged(TenantStatusChanged {
        tenant,
        status: TenantStatus::Suspended,
        reason: StatusReason::CreditLimitPassed,
    }))
}

/// A period that is over; nothing when it was closed before.
pub(super) fn close_period(
    books: &Books,
    command: ClosePeriod,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let ClosePeriod { tenant, period, first, requests, tokens, cost } = command;
    if books.bills.closed(tenant).is_closed(period, first) {
        return Ok(Vec::new());
    }
    let today = now.day_in(books.tenants.terms(tenant).zone.now().0);
    let current = match period {
        Period::Day => today,
        Period::Month => today.first_of_month(),
    };
    if period == Period::Month && first != first.first_of_month() {
        return Err(BillRejection::NotAFirst.into());
    }
    if first >= current {
        return Err(BillRejection::PeriodNotOver.into());
    }
    Ok(vec![Event::PeriodClosed(PeriodClosed { tenant, period, first, requests, tokens, cost })])
}
