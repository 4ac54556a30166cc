//! What must follow, said a second time: a list of calls, each with what it costs and the bill that
//! has taken it. Everything is added up anew each time.

use std::collections::BTreeMap;

use projections::books::{Deciding, Reading};
use schemas::{
    AssistantId, BillLineKind, BillPosted, Day, Event, ModelId, Recorded, Sequence, StatusReason,
    TenantId, TenantStatus, UserId,
};

/// A call that is being recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewCall {
    pub(super) tenant: usize,
    pub(super) model: usize,
    pub(super) day: Day,
    pub(super) prompt: u64,
    pub(super) completion: u64,
}

#[derive(Debug, Clone)]
struct Call {
    recorded: Sequence,
    new: NewCall,
    /// In force when it was recorded.
    markup: i128,
    user: Option<UserId>,
    assistant: Option<AssistantId>,
    model_id: Option<ModelId>,
    /// The event that put a cost on it, and the cost in the smallest unit.
    charged: Option<(Sequence, i128)>,
    bill: Option<Sequence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) id: Sequence,
    pub(super) day: Day,
    pub(super) cost: i128,
    refunded: i128,
}

#[derive(Debug, Default)]
pub(super) struct Tenant {
    calls: Vec<Call>,
    balance: i128,
    suspended: bool,
    pub(super) bills: Vec<Bill>,
    pub(super) markup: i128,
    pub(super) credit_limit: i128,
    pub(super) suspends: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) tenants: [Tenant; 2],
    /// Of an input token of the second model; an output token costs twice as much.
    pub(super) price: Option<i128>,
}

/// Calls, tokens and cost.
type Sum = (u64, u64, i128);

fn add(sum: &mut Sum, call: &Call) {
    let (_, cost) = call.charged.expect("only what has a cost is added up");
    *sum = (sum.0 + 1, sum.1 + call.new.prompt + call.new.completion, sum.2 + cost);
}

impl NewCall {
    /// Of the candidates around the exact cost the nearest, or of two the even one.
    fn cost(&self, price: Option<i128>, markup: i128) -> Option<i128> {
        let (input, output) = match (self.model, price) {
            (0, _) => (30_000_000_000_000, 60_000_000_000_000),
            (1, Some(price)) => (price, 2 * price),
            _ => return None,
        };
        let exact = input * i128::from(self.prompt) + output * i128::from(self.completion);
        let scaled = exact * (10_000 + markup);
        let near = scaled / 10_000;
        let distance = |units: i128| (units * 10_000 - scaled).abs();
        (near - 1..=near + 1).min_by_key(|units| (distance(*units), units % 2))
    }
}

impl Model {
    pub(super) fn called(&mut self, new: &NewCall, recorded: &Recorded) {
        let Event::ConsumptionRecorded(consumption) = &recorded.event else {
            panic!("no consumption: {recorded:?}")
        };
        let tenant = &mut self.tenants[new.tenant];
        let cost = new.cost(self.price, tenant.markup);
        assert_eq!(consumption.charge.map(|charge| charge.cost.units()), cost, "{new:?}");
        tenant.calls.push(Call {
            recorded: recorded.sequence,
            new: *new,
            markup: tenant.markup,
            user: consumption.context.user,
            assistant: consumption.context.assistant,
            model_id: consumption.context.model,
            charged: cost.map(|cost| (recorded.sequence, cost)),
            bill: None,
        });
    }

    /// Ratings put the price of now and the markup of then on calls that have no cost.
    pub(super) fn rated(&mut self, events: &[Recorded]) {
        for recorded in events {
            let Event::ConsumptionRated(rated) = &recorded.event else { continue };
            let calls = self.tenants.iter_mut().flat_map(|tenant| &mut tenant.calls);
            let call = calls.into_iter().find(|call| call.recorded == rated.consumption);
            let call = call.expect("on record");
            assert_eq!(call.charged, None);
            let cost = call.new.cost(self.price, call.markup).expect("a price");
            assert_eq!(rated.charge.cost.units(), cost);
            call.charged = Some((recorded.sequence, cost));
        }
    }

    /// What a bill through this day must be, and whether it is.
    pub(super) fn billed(&mut self, tenant: usize, through: Day, events: &[Recorded]) {
        let tenant = &mut self.tenants[tenant];
        let open = |call: &&mut Call| call.charged.is_some() && call.bill.is_none();
        let earliest = tenant.calls.iter_mut().filter(open).map(|call| call.new.day).min();
        let free = tenant.bills.last().map(|bill| bill.day.next());
        let day = earliest.max(free).filter(|day| earliest.is_some() && *day <= through);
        let Some(day) = day else {
            assert_eq!(events, [], "nothing is due");
            return;
        };
        let posted = events.last().expect("a bill");
        let Event::BillPosted(bill) = &posted.event else { panic!("no bill: {posted:?}") };
        let mut lines = BTreeMap::<(Day, BillLineKind), Sum>::new();
        let (mut whole, mut late, mut first) = (Sum::default(), 0, Sequence::new(u64::MAX));
        for call in tenant.calls.iter_mut().filter(open).filter(|call| call.new.day <= day) {
            call.bill = Some(posted.sequence);
            add(&mut whole, call);
            late += u64::from(call.new.day < day);
            first = first.min(call.charged.expect("it has a cost").0);
            for kind in [
                BillLineKind::Day,
                BillLineKind::Assistant(call.assistant),
                BillLineKind::User(call.user),
                BillLineKind::Model(call.model_id),
            ] {
                add(lines.entry((call.new.day, kind)).or_default(), call);
            }
        }
        let (before, after) = (tenant.balance, tenant.balance - whole.2);
        let BillPosted { requests, tokens, cost, .. } = **bill;
        assert_eq!((bill.day, (requests, tokens, cost.units())), (day, whole));
        assert_eq!((bill.first, bill.late_requests), (first, late));
        assert_eq!((bill.before.units(), bill.after.units()), (before, after));
        assert_eq!(lines_of(events), lines);
        tenant.balance = after;
        let suspends = tenant.suspends && !tenant.suspended && after < -tenant.credit_limit;
        let reason = suspends.then_some((TenantStatus::Suspended, StatusReason::CreditLimitPassed));
        assert_eq!(change_of_status(events), reason);
        tenant.suspended |= suspends;
        tenant.bills.push(Bill { id: posted.sequence, day, cost: whole.2, refunded: 0 });
    }

    pub(super) fn paid(&mut self, tenant: usize, units: i128, events: &[Recorded]) {
        let tenant = &mut self.tenants[tenant];
        tenant.balance += units;
        let reinstates = tenant.suspended && units > 0 && tenant.balance >= -tenant.credit_limit;
        let reason = reinstates.then_some((TenantStatus::Active, StatusReason::CreditRestored));
        assert_eq!(change_of_status(events), reason);
        tenant.suspended &= !reinstates;
    }

    /// Whether so much can be given back of a bill, which it is then.
    pub(super) fn refunded(
        &mut self,
        tenant: usize,
        id: Sequence,
        units: i128,
    ) -> Result<(), &'static str> {
        let bill = self.tenants[tenant].bills.iter_mut().find(|bill| bill.id == id);
        match bill {
            _ if units <= 0 => Err("amount_invalid"),
            None => Err("no_such_bill"),
            Some(bill) if bill.refunded + units > bill.cost => Err("refund_too_large"),
            Some(bill) => {
                bill.refunded += units;
                Ok(())
            }
        }
    }

    pub(super) fn assert_agrees(&self, deciding: &Deciding, reading: &Reading) {
        for (tenant, id) in self.tenants.iter().zip([TenantId(0), TenantId(1)]) {
            let (mut unbilled, mut days) = (Sum::default(), BTreeMap::<Day, Sum>::new());
            let open = |call: &&Call| call.charged.is_some() && call.bill.is_none();
            for call in tenant.calls.iter().filter(open) {
                add(&mut unbilled, call);
                add(days.entry(call.new.day).or_default(), call);
            }
            let pools = deciding.unbilled.days(id).map(|(day, pool)| {
                let total = pool.total();
                (day, (total.requests, total.tokens, total.cost.units()))
            });
            assert_eq!(pools.collect::<BTreeMap<Day, Sum>>(), days);
            for books in [&deciding.books, &reading.books] {
                let wallet = books.wallets.wallet(id);
                assert_eq!(wallet.balance.units(), tenant.balance);
                assert_eq!(wallet.accrued.units(), unbilled.2, "accrued is what is not billed");
                assert_eq!(books.bills.unbilled(id), unbilled.0);
                let is_waiting = books.bills.to_be_billed().any(|waiting| waiting == id);
                assert_eq!(is_waiting, unbilled.0 > 0);
                let suspended = books.tenants.terms(id).status == TenantStatus::Suspended;
                assert_eq!(suspended, tenant.suspended);
                let bills = books.bills.of(id).iter().map(|bill| Bill {
                    id: bill.id,
                    day: bill.day,
                    cost: bill.cost.units(),
                    refunded: bill.refunded.units(),
                });
                assert_eq!(bills.collect::<Vec<_>>(), tenant.bills);
            }
        }
    }
}

fn lines_of(events: &[Recorded]) -> BTreeMap<(Day, BillLineKind), Sum> {
    let mut lines = BTreeMap::new();
    for recorded in events {
        let Event::BillItemized(items) = &recorded.event else { continue };
        for line in &items.lines {
            let sum = (line.requests, line.tokens, line.cost.units());
            let before = lines.insert((line.day, line.kind), sum);
            assert_eq!(before, None, "one line of a kind and day");
        }
    }
    lines
}

fn change_of_status(events: &[Recorded]) -> Option<(TenantStatus, StatusReason)> {
    events.iter().find_map(|recorded| match recorded.event {
        Event::TenantStatusChanged(changed) => Some((changed.status, changed.reason)),
        _ => None,
    })
}
