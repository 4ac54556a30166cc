//! Payments through the provider, told of in any order, by anyone, and again and again: each is
//! credited at most once, and what the wallet holds is what has come in.

use std::collections::{BTreeMap, BTreeSet};

use projections::Projections;
use projections::books::Reading;
use projections::top_ups::{LOOKED_AFTER_SECONDS, TopUp, TopUpState, TopUps};
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{
    AutoTopUp, AutoTopUpSet, Change, Command, Envelope, Event, LinkTopUp, Money, Name, Payment,
    Recorded, RegisterTenant, SetAutoTopUp, SettleTopUp, StartTopUp, StatusReason, TenantId,
    TenantStatus, TenantStatusChanged, TenantUpdated, TermChanges, Timestamp, TopUpId, TopUpKind,
    TopUpTerms,
};
use tallybook::domain::{Decision, Rejection, State, TopUpRejection, decide};

use crate::actions::START;
use crate::book::{assert_lawful, rules};
use crate::rounds;

const TENANTS: [&str; 2] = ["acme", "umbrella"];
const TOP_UPS: u8 = 4;
const PAYMENTS: u8 = 5;

#[derive(Debug, Clone)]
enum Step {
    Start { top_up: u8, tenant: usize, cents: i128, is_auto: bool },
    Link { top_up: u8, payment: Option<u8>, page: Option<u8> },
    Settle { top_up: Option<u8>, tenant: Option<usize>, payment: Option<u8>, came: bool },
    Advance,
    DayPasses,
}

fn step() -> impl Strategy<Value = Step> {
    let (top_up, payment, tenant) = (0..TOP_UPS, 0..PAYMENTS, 0..TENANTS.len());
    let maybe = proptest::option::of::<std::ops::Range<u8>>;
    prop_oneof![
        3 => (top_up.clone(), tenant.clone(), 1..500_000_i128, any::<bool>()).prop_map(
            |(top_up, tenant, cents, is_auto)| Step::Start { top_up, tenant, cents, is_auto }
        ),
        3 => (top_up.clone(), maybe(payment.clone()), maybe(0..3_u8))
            .prop_map(|(top_up, payment, page)| Step::Link { top_up, payment, page }),
        6 => (maybe(top_up), proptest::option::of(tenant), proptest::option::weighted(0.9, payment), any::<bool>())
            .prop_map(|(top_up, tenant, payment, came)| Step::Settle { top_up, tenant, payment, came }),
        1 => Just(Step::Advance),
        1 => Just(Step::DayPasses),
    ]
}

/// The rules and the folds, and what they recorded.
struct Book {
    state: State,
    reading: Reading,
    now: Timestamp,
    log: Vec<Recorded>,
}

impl Book {
    fn new() -> Self {
        let (deciding, reading) = Projections::default().split();
        let state = State::new(deciding, rules());
        let mut book = Self { state, reading, now: START, log: Vec::new() };
        for tenant in TENANTS {
            let (tenant, display_name) = (name(tenant), name(tenant));
            let registration = RegisterTenant { tenant, display_name };
            book.submit(Command::RegisterTenant(registration)).expect("registered");
        }
        book
    }

    /// The events that the command leads to.
    fn submit(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        let envelope = Envelope::new(name("stripe"), command);
        match decide(&self.state, &envelope, self.now)? {
            Decision::Record(_, events) => {
                for event in &events {
                    self.record(event.clone());
                }
                Ok(events)
            }
            Decision::Already(_) | Decision::Nothing => Ok(Vec::new()),
        }
    }

    fn record(&mut self, event: Event) {
        let sequence = self.state.deciding.books.head.next();
        let recorded =
            Recorded { sequence, recorded_at: self.now, cause: sequence, command: None, event };
        self.state.apply(&recorded);
        self.reading.apply(&recorded);
        assert_lawful(&self.state.deciding, &self.reading);
        self.log.push(recorded);
    }

    fn tenant(&self, tenant: &str) -> TenantId {
        self.reading.books.names.find(tenant).expect("known")
    }

    fn balance(&self, tenant: &str) -> i128 {
        self.reading.books.wallets.wallet(self.tenant(tenant)).balance.units()
    }
}

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a valid name")
}

fn cents(count: i128) -> Money {
    Money::from_units(count * Money::ONE_CENT.units())
}

fn id(top_up: u8) -> TopUpId {
    TopUpId([top_up; 16])
}

fn command(step: &Step) -> Option<Command> {
    let payment = |payment: u8| format!("pi_{payment}");
    Some(match *step {
        Step::Start { top_up, tenant, cents: count, is_auto } => {
            let kind = if is_auto { TopUpKind::Auto } else { TopUpKind::Checkout };
            let (tenant, terms) = (name(TENANTS[tenant]), TopUpTerms::default());
            let start =
                StartTopUp { top_up: id(top_up), tenant, amount: cents(count), kind, terms };
            Command::StartTopUp(Box::new(start))
        }
        Step::Link { top_up, payment: named, page } => Command::LinkTopUp(LinkTopUp {
            top_up: id(top_up),
            payment_intent: named.map(payment),
            checkout_session: page.map(|page| format!("cs_{page}")),
        }),
        Step::Settle { top_up, tenant, payment: named, came } => {
            let outcome = if came {
                // What comes in of a payment is always the same.
                Payment::Received(cents(i128::from(named.unwrap_or_default()) * 777 + 1_000))
            } else {
                Payment::Failed("refused".to_owned())
            };
            Command::SettleTopUp(Box::new(SettleTopUp {
                top_up: top_up.map(id),
                tenant: tenant.map(|tenant| name(TENANTS[tenant])),
                payment_intent: named.map(payment),
                outcome,
            }))
        }
        Step::Advance | Step::DayPasses => return None,
    })
}

proptest! {
    #![proptest_config(rounds(512))]

    #[test]
    fn a_payment_comes_in_once_and_the_wallet_holds_what_came_in(steps in vec(step(), 1..60)) {
        let mut book = Book::new();
        for tenant in TENANTS {
            book.record(Event::AutoTopUpSet(Box::new(AutoTopUpSet {
                tenant: book.tenant(tenant),
                auto_top_up: AutoTopUp { enabled: true, threshold: cents(9_000), ..AutoTopUp::default() },
            })));
        }
        let mut came_in: BTreeMap<String, i128> = BTreeMap::new();
        let mut balances = [0_i128; TENANTS.len()];
        for step in &steps {
            let Some(command) = command(step) else {
                let is_day = matches!(step, Step::DayPasses);
                book.now = book.now.plus_seconds(if is_day { 86_400 } else { 1_800 });
                continue;
            };
            let Ok(events) = book.submit(command.clone()) else { continue };
            for event in &events {
                if let Event::TopUpSucceeded(it) = event {
                    let before = came_in.insert(it.payment_intent.clone(), it.amount.units());
                    prop_assert_eq!(before, None, "twice: {:?}", step);
                    let place = TENANTS.iter().position(|name| book.tenant(name) == it.tenant);
                    balances[place.expect("a tenant")] += it.amount.units();
                }
            }
            // Whoever says a payment came in finds it in the book afterwards.
            if let Step::Settle { payment: Some(payment), came: true, .. } = step {
                let payment = format!("pi_{payment}");
                prop_assert!(came_in.contains_key(&payment), "{:?}", step);
                let top_ups = &book.reading.books.top_ups;
                let state = top_ups.of_payment_intent(&payment).map(|(_, top_up)| top_up.state);
                prop_assert_eq!(state, Some(TopUpState::Succeeded));
            }
            prop_assert_eq!(book.submit(command), Ok(Vec::new()), "twice: {:?}", step);
        }
        for (tenant, balance) in TENANTS.iter().zip(balances) {
            prop_assert_eq!(book.balance(tenant), balance);
            let all = book.reading.books.top_ups.of(book.tenant(tenant));
            let came = all.iter().filter(|it| it.state == TopUpState::Succeeded);
            prop_assert_eq!(came.map(|it| it.amount.units()).sum::<i128>(), balance);
            let payments: Vec<_> = all.iter().filter_map(|it| it.payment_intent.clone()).collect();
            let distinct: BTreeSet<_> = payments.iter().collect();
            prop_assert_eq!(distinct.len(), payments.len(), "a payment of two top-ups");
            let pending = |it: &&TopUp| {
                it.kind == TopUpKind::Auto && it.state == TopUpState::Pending
            };
            let pending = all.iter().filter(pending).count();
            prop_assert!(pending <= 1, "a wallet is filled once at a time");
            let says = book.reading.books.top_ups.is_auto_pending(book.tenant(tenant));
            prop_assert_eq!(says, pending == 1);
            let says = book.reading.books.top_ups.auto_failures(book.tenant(tenant));
            prop_assert_eq!(says, failures(&book.log, book.tenant(tenant), all));
        }
        let top_ups = &book.reading.books.top_ups;
        let looked_up: BTreeSet<_> = top_ups.to_be_looked_up(book.now).collect();
        let since = book.now.plus_seconds(-LOOKED_AFTER_SECONDS);
        let asked: BTreeSet<TopUpId> = book.reading.books.top_ups.to_be_asked_for().collect();
        for tenant in TENANTS {
            for it in book.reading.books.top_ups.of(book.tenant(tenant)) {
                let is_open = it.state == TopUpState::Pending
                    && (it.kind == TopUpKind::Auto || !it.is_linked());
                prop_assert_eq!(asked.contains(&it.id), is_open, "{:?}", it);
                let is_looked_up = it.kind != TopUpKind::Auto && it.is_linked() && match it.state {
                    TopUpState::Pending => true,
                    TopUpState::Failed => it.created_at >= since,
                    TopUpState::Succeeded => false,
                };
                let entry = (it.created_at, it.id);
                prop_assert_eq!(looked_up.contains(&entry), is_looked_up, "{:?}", it);
            }
        }
        let (mut deciding, _) = Projections::default().split();
        book.log.iter().for_each(|recorded| deciding.apply(recorded));
        for tenant in TENANTS.map(|tenant| book.tenant(tenant)) {
            let of = |top_ups: &TopUps| top_ups.of(tenant).to_vec();
            let live = of(&book.reading.books.top_ups);
            let (now, live_ones) = (book.now, &book.reading.books.top_ups);
            let looked_up = |top_ups: &TopUps| top_ups.to_be_looked_up(now).collect::<Vec<_>>();
            prop_assert_eq!(looked_up(&deciding.books.top_ups), looked_up(live_ones));
            let failures = |top_ups: &TopUps| top_ups.auto_failures(tenant);
            prop_assert_eq!(failures(&deciding.books.top_ups), failures(live_ones));
            prop_assert_eq!(of(&deciding.books.top_ups), live, "replayed");
        }
    }
}

/// How many of a tenant's automatic top-ups failed since one came in.
fn failures(log: &[Recorded], tenant: TenantId, all: &[TopUp]) -> u32 {
    let is_auto = |id: TopUpId| all.iter().any(|it| it.id == id && it.kind == TopUpKind::Auto);
    log.iter().fold(0, |failures, recorded| match &recorded.event {
        Event::TopUpSucceeded(it) if it.tenant == tenant && is_auto(it.top_up) => 0,
        Event::TopUpFailed(it) if it.tenant == tenant && is_auto(it.top_up) => failures + 1,
        _ => failures,
    })
}

fn received(payment: &str, tenant: &str, count: i128) -> Command {
    Command::SettleTopUp(Box::new(SettleTopUp {
        top_up: None,
        tenant: Some(name(tenant)),
        payment_intent: Some(payment.to_owned()),
        outcome: Payment::Received(cents(count)),
    }))
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::type_name).collect()
}

#[test]
fn a_tenant_that_a_bill_has_suspended_is_let_in_again_by_a_payment_that_is_enough() {
    let mut book = Book::new();
    let tenant = book.tenant("acme");
    let terms = TermChanges { credit_limit: Change::Set(cents(1_000)), ..TermChanges::default() };
    book.record(Event::TenantUpdated(Box::new(TenantUpdated { tenant, terms })));
    let debt = cents(-5_000);
    let reason = "a test".to_owned();
    book.record(Event::WalletAdjusted(schemas::WalletAdjusted { tenant, amount: debt, reason }));
    let status =
        |status, reason| Event::TenantStatusChanged(TenantStatusChanged { tenant, status, reason });
    book.record(status(TenantStatus::Suspended, StatusReason::CreditLimitPassed));

    let little = book.submit(received("pi_1", "acme", 3_999)).expect("taken");
    assert_eq!(kinds(&little), ["top_up_started", "top_up_succeeded"]);
    let enough = book.submit(received("pi_2", "acme", 1)).expect("taken");
    assert_eq!(kinds(&enough), ["top_up_started", "tenant_status_changed", "top_up_succeeded"]);
    assert_eq!(enough[1], status(TenantStatus::Active, StatusReason::CreditRestored));
    assert_eq!(book.submit(received("pi_2", "acme", 1)), Ok(Vec::new()));

    book.record(status(TenantStatus::Suspended, StatusReason::ByHand));
    let more = book.submit(received("pi_3", "acme", 9_999)).expect("taken");
    assert_eq!(kinds(&more), ["top_up_started", "top_up_succeeded"], "somebody wanted it so");
}

#[test]
fn a_payment_never_moves_from_one_tenant_to_another() {
    let mut book = Book::new();
    let start = StartTopUp {
        top_up: id(1),
        tenant: name("acme"),
        amount: cents(2_000),
        kind: TopUpKind::Checkout,
        terms: TopUpTerms::default(),
    };
    book.submit(Command::StartTopUp(Box::new(start))).expect("taken");
    let settle = |tenant: &str| {
        Command::SettleTopUp(Box::new(SettleTopUp {
            top_up: Some(id(1)),
            tenant: Some(name(tenant)),
            payment_intent: Some("pi_1".to_owned()),
            outcome: Payment::Received(cents(2_000)),
        }))
    };
    let refused = book.submit(settle("umbrella"));
    assert_eq!(refused, Err(Rejection::TopUp(TopUpRejection::PaymentOfAnother)));
    book.submit(settle("acme")).expect("taken");
    assert_eq!((book.balance("acme"), book.balance("umbrella")), (cents(2_000).units(), 0));
}

#[test]
fn a_wallet_fills_itself_only_while_its_tenant_may_pay() {
    for (status, reason, is_filled) in [
        (TenantStatus::Active, StatusReason::ByHand, true),
        (TenantStatus::Suspended, StatusReason::CreditLimitPassed, true),
        (TenantStatus::Suspended, StatusReason::ByHand, false),
        (TenantStatus::Inactive, StatusReason::ByHand, false),
    ] {
        let mut book = Book::new();
        let tenant = book.tenant("acme");
        let auto_top_up = AutoTopUp {
            enabled: true,
            threshold: cents(1),
            amount: cents(1_000),
            payment_method: Some("pm_card".to_owned()),
            customer: None,
        };
        let set = SetAutoTopUp { tenant: name("acme"), auto_top_up };
        book.submit(Command::SetAutoTopUp(Box::new(set))).expect("taken");
        book.record(Event::TenantStatusChanged(TenantStatusChanged { tenant, status, reason }));
        let start = StartTopUp {
            top_up: id(1),
            tenant: name("acme"),
            amount: cents(1_000),
            kind: TopUpKind::Auto,
            terms: TopUpTerms::default(),
        };
        let started = book.submit(Command::StartTopUp(Box::new(start))).expect("taken");
        assert_eq!(!started.is_empty(), is_filled, "{status:?} {reason:?}");
    }
}
