//! Bills beside a naive list of calls: whatever comes late, early, without a price or twice, whatever
//! markups and prices change in between and whenever bills are asked for, every rated call is in one
//! bill or in none yet, and every bill is the sum of its calls, to the last unit.

mod model;

use projections::books::Reading;
use projections::{PARTS, Projections};
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{
    ActorId, AdjustWallet, CallNames, Change, Command, CommandHeader, CommandKey,
    ConsumptionReport, CreditKind, CreditWallet, Day, Envelope, Event, ExternalId, Fingerprint,
    Money, Name, PostBill, PublishPrices, Recorded, RegisterTenant, ResponseReport, Sequence,
    ServiceTier, TenantId, TenantUpdated, TermChanges, Timestamp, TopUpWallet, Usage,
};
use tallybook::domain::{Decision, Rejection, State, decide};

use crate::actions::{START, sheet};
use crate::book::{assert_lawful, rules, unrated_usage};
use crate::rebuilding::assert_same;
use crate::rounds;
use model::{Model, NewCall};

const TENANTS: [&str; 2] = ["acme", "globex"];
const USERS: [&str; 3] = ["ann", "bob", "cem"];
const ASSISTANTS: [&str; 2] = ["word", "excel"];
/// The first has a built-in price, the second gets one some time, the third never does.
const MODELS: [&str; 3] = ["gpt-4", "local-llm", "priceless"];

#[derive(Debug, Clone)]
enum Step {
    Call { call: CallStep, twice: bool },
    Price { units: i128 },
    Rate { most: usize },
    Markup { tenant: usize, basis_points: i32 },
    Terms { tenant: usize, credit_limit: Option<i128>, suspends: bool },
    Bill { tenant: usize, days_ago: i32 },
    TopUp { tenant: usize, micro_dollars: i64 },
    Adjust { tenant: usize, micro_dollars: i64 },
    Refund { tenant: usize, bill: usize, tenths: u64 },
    Credit { tenant: usize, micro_dollars: i64 },
    Advance { hours: i64 },
    Restart,
}

#[derive(Debug, Clone, Copy)]
struct CallStep {
    tenant: usize,
    user: Option<usize>,
    assistant: Option<usize>,
    model: usize,
    hours_from_now: i64,
    prompt: u64,
    completion: u64,
}

fn call() -> impl Strategy<Value = CallStep> {
    let user = proptest::option::of(0..USERS.len());
    let assistant = proptest::option::of(0..ASSISTANTS.len());
    let hours = prop_oneof![6 => -30..1_i64, 2 => -100..-30_i64, 1 => 1..40_i64];
    (0..TENANTS.len(), user, assistant, 0..MODELS.len(), hours, 0..3_000_u64, 0..900_u64).prop_map(
        |(tenant, user, assistant, model, hours_from_now, prompt, completion)| CallStep {
            tenant,
            user,
            assistant,
            model,
            hours_from_now,
            prompt,
            completion,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = 0..TENANTS.len();
    let micros = -90_000..200_000_i64;
    let markup = prop_oneof![
        1 => Just(0),
        1 => Just(-10_000),
        4 => -9_999..30_000,
        1 => Just(i32::MAX),
    ];
    let limit = proptest::option::of(0..200_000_i128);
    prop_oneof![
        30 => (call(), prop::bool::weighted(0.1))
            .prop_map(|(call, twice)| Step::Call { call, twice }),
        2 => (1..60_i128).prop_map(|units| Step::Price { units }),
        5 => (1..6_usize).prop_map(|most| Step::Rate { most }),
        3 => (tenant.clone(), markup)
            .prop_map(|(tenant, basis_points)| Step::Markup { tenant, basis_points }),
        3 => (tenant.clone(), limit, any::<bool>()).prop_map(|(tenant, limit, suspends)| {
            let credit_limit = limit.map(|micros| micros * 1_000_000_000_000);
            Step::Terms { tenant, credit_limit, suspends }
        }),
        14 => (tenant.clone(), 0..5_i32)
            .prop_map(|(tenant, days_ago)| Step::Bill { tenant, days_ago }),
        2 => (tenant.clone(), micros.clone())
            .prop_map(|(tenant, micro_dollars)| Step::TopUp { tenant, micro_dollars }),
        2 => (tenant.clone(), micros.clone())
            .prop_map(|(tenant, micro_dollars)| Step::Adjust { tenant, micro_dollars }),
        3 => (tenant.clone(), 0..8_usize, 0..12_u64)
            .prop_map(|(tenant, bill, tenths)| Step::Refund { tenant, bill, tenths }),
        1 => (tenant, micros)
            .prop_map(|(tenant, micro_dollars)| Step::Credit { tenant, micro_dollars }),
        10 => (1..40_i64).prop_map(|hours| Step::Advance { hours }),
        1 => Just(Step::Restart),
    ]
}

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a valid name")
}

fn pick(names: &[&str], place: usize) -> Name {
    name(names.get(place).expect("within the names"))
}

fn dollars(micros: i64) -> Money {
    Money::from_units(i128::from(micros) * 1_000_000_000_000)
}

const fn id(tenant: usize) -> TenantId {
    [TenantId(0), TenantId(1)][tenant]
}

/// The rules and the folds, what they recorded, and the naive model beside them.
struct Book {
    state: State,
    reading: Reading,
    now: Timestamp,
    log: Vec<Recorded>,
    model: Model,
    calls: u64,
}

impl Book {
    fn new() -> Self {
        let (deciding, reading) = Projections::default().split();
        let state = State::new(deciding, rules());
        let (log, model) = (Vec::new(), Model::default());
        let mut book = Self { state, reading, now: START, log, model, calls: 0 };
        for tenant in TENANTS {
            let registration =
                RegisterTenant { tenant: name(tenant), display_name: name("A Tenant") };
            book.submit(Command::RegisterTenant(registration)).expect("taken");
        }
        book
    }

    /// The events that a command leads to.
    fn submit(&mut self, command: Command) -> Result<Vec<Recorded>, Rejection> {
        let envelope = Envelope::new(name("job"), command);
        match decide(&self.state, &envelope, self.now)? {
            Decision::Record(header, events) => Ok(self.record(header, events)),
            Decision::Already(_) | Decision::Nothing => Ok(Vec::new()),
        }
    }

    /// What a tenant's terms are from now on.
    fn set_terms(&mut self, tenant: usize, terms: TermChanges) {
        let header = CommandHeader {
            actor: ActorId(0),
            key: CommandKey::None,
            fingerprint: Fingerprint::default(),
        };
        let updated = TenantUpdated { tenant: id(tenant), terms };
        self.record(header, vec![Event::TenantUpdated(Box::new(updated))]);
    }

    fn record(&mut self, header: CommandHeader, events: Vec<Event>) -> Vec<Recorded> {
        let cause = self.state.deciding.books.head.next();
        let begun = self.log.len();
        for event in events {
            let sequence = self.state.deciding.books.head.next();
            let command = (sequence == cause).then_some(header);
            let recorded = Recorded { sequence, recorded_at: self.now, cause, command, event };
            self.state.apply(&recorded);
            self.reading.apply(&recorded);
            assert_lawful(&self.state.deciding, &self.reading);
            self.log.push(recorded);
        }
        self.log.get(begun..).unwrap_or_default().to_vec()
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Call { call, twice } => self.call(call, twice),
            Step::Price { units } => self.publish(units),
            Step::Rate { most } => {
                let backlog = unrated_usage(&self.log, &self.reading, most);
                let events = self.submit(Command::RateUsage(backlog)).expect("taken");
                self.model.rated(&events);
            }
            Step::Markup { tenant, basis_points } => {
                let markup_basis_points = match basis_points {
                    0 => Change::Clear,
                    other => Change::Set(other),
                };
                self.set_terms(tenant, TermChanges { markup_basis_points, ..Default::default() });
                self.model.tenants[tenant].markup = i128::from(basis_points);
            }
            Step::Terms { tenant, credit_limit, suspends } => {
                let limit = credit_limit.map(Money::from_units);
                self.set_terms(
                    tenant,
                    TermChanges {
                        credit_limit: limit.map_or(Change::Clear, Change::Set),
                        suspends_past_credit_limit: Change::Set(suspends),
                        ..Default::default()
                    },
                );
                let model = &mut self.model.tenants[tenant];
                (model.credit_limit, model.suspends) = (credit_limit.unwrap_or(0), suspends);
            }
            Step::Bill { tenant, days_ago } => self.bill(tenant, days_ago),
            Step::TopUp { .. } | Step::Adjust { .. } | Step::Credit { .. } => self.pay(step),
            Step::Refund { tenant, bill, tenths } => self.refund(tenant, bill, tenths),
            Step::Advance { hours } => self.now = self.now.plus_seconds(hours * 3_600),
            Step::Restart => self.restart(),
        }
        self.model.assert_agrees(&self.state.deciding, &self.reading);
    }

    fn call(&mut self, call: CallStep, twice: bool) {
        let timestamp = self.now.plus_seconds(call.hours_from_now * 3_600);
        self.calls += 1;
        let report = ConsumptionReport {
            response: ResponseReport {
                call: CallNames {
                    tenant: pick(&TENANTS, call.tenant),
                    request_id: ExternalId::Text(format!("call {}", self.calls)),
                    user: call.user.map(|user| pick(&USERS, user)),
                    model: Some(pick(&MODELS, call.model)),
                    assistant: call.assistant.map(|assistant| pick(&ASSISTANTS, assistant)),
                    document: None,
                    conversation: None,
                },
                timestamp,
                usage: Some(Usage {
                    prompt: call.prompt,
                    completion: call.completion,
                    total: call.prompt + call.completion,
                    ..Usage::default()
                }),
                tier: ServiceTier::Standard,
                finish_reason: None,
                character_count: 0,
                token_count: 0,
                response_time_ms: 1,
                has_tool_calls: false,
                tool_call_count: 0,
            },
            request: None,
        };
        let command = Command::RecordConsumption(Box::new(report));
        let events = self.submit(command.clone()).expect("taken");
        let of = NewCall {
            tenant: call.tenant,
            model: call.model,
            day: timestamp.day(),
            prompt: call.prompt,
            completion: call.completion,
        };
        self.model.called(&of, events.last().expect("recorded"));
        if twice {
            assert_eq!(self.submit(command), Ok(Vec::new()), "known");
        }
    }

    fn publish(&mut self, units: i128) {
        self.model.price = Some(units);
        let book = PublishPrices {
            effective_at: Some(START.plus_seconds(-100 * 86_400)),
            source: "by hand".to_owned(),
            models: vec![(pick(&MODELS, 1), sheet(units, Some(2 * units)))],
        };
        self.submit(Command::PublishPrices(book)).expect("taken");
    }

    fn bill(&mut self, tenant: usize, days_ago: i32) {
        let through = Day::from_days(self.now.day().days() - days_ago);
        let outcome = self.submit(Command::PostBill(PostBill { tenant: id(tenant), through }));
        if days_ago == 0 {
            assert_eq!(outcome.expect_err("refused").code(), "day_not_over");
            return;
        }
        self.model.billed(tenant, through, &outcome.expect("taken"));
    }

    fn pay(&mut self, step: &Step) {
        let (text, of) = ("by hand".to_owned(), |tenant| pick(&TENANTS, tenant));
        let (tenant, micros, needs_more, command) = match *step {
            Step::TopUp { tenant, micro_dollars } => {
                let amount = dollars(micro_dollars);
                let command = TopUpWallet { tenant: of(tenant), amount, reference: text };
                (tenant, micro_dollars, true, Command::TopUpWallet(command))
            }
            Step::Adjust { tenant, micro_dollars } => {
                let amount = dollars(micro_dollars);
                let command = AdjustWallet { tenant: of(tenant), amount, reason: text };
                (tenant, micro_dollars, false, Command::AdjustWallet(command))
            }
            Step::Credit { tenant, micro_dollars } => {
                let (amount, kind) = (dollars(micro_dollars), CreditKind::Credit);
                let (tenant_name, bill) = (of(tenant), None);
                let command =
                    CreditWallet { tenant: tenant_name, amount, kind, bill, reason: text };
                (tenant, micro_dollars, true, Command::CreditWallet(command))
            }
            _ => return,
        };
        let is_possible = micros > 0 || (!needs_more && micros != 0);
        let outcome = self.submit(command);
        assert_eq!(outcome.is_ok(), is_possible, "{step:?}");
        if let Ok(events) = outcome {
            self.model.paid(tenant, dollars(micros).units(), &events);
        }
    }

    /// Gives back some tenths of one of the bills; or of one that is none.
    fn refund(&mut self, tenant: usize, bill: usize, tenths: u64) {
        let bills = &self.model.tenants[tenant].bills;
        let (bill, amount) = match bills.get(bill) {
            Some(bill) => {
                let cost = Money::from_units(bill.cost);
                (bill.id, cost.checked_ratio(tenths, 10).expect("in range"))
            }
            None => (Sequence::new(1), dollars(1)),
        };
        let expected = self.model.refunded(tenant, bill, amount.units());
        let outcome = self.submit(Command::CreditWallet(CreditWallet {
            tenant: pick(&TENANTS, tenant),
            amount,
            kind: CreditKind::Refund,
            bill: Some(bill),
            reason: "by hand".to_owned(),
        }));
        match (outcome, expected) {
            (Ok(events), Ok(())) => self.model.paid(tenant, amount.units(), &events),
            (Err(rejection), Err(code)) => assert_eq!(rejection.code(), code),
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }

    /// Goes on with what the log says, and with what a checkpoint says: both are what was lived.
    fn restart(&mut self) {
        let lived = Projections::join(
            self.state.deciding.clone(),
            self.reading.usage.clone(),
            self.reading.histories.clone(),
        );
        let mut folded = Projections::default();
        self.log.iter().for_each(|recorded| folded.apply(recorded));
        assert_same(&folded, &lived);
        let mut parts = std::collections::BTreeMap::new();
        for part in folded.parts() {
            let mut bytes = Vec::new();
            (part.save)(&mut bytes).expect("memory takes everything");
            parts.insert(part.name, bytes);
        }
        assert_eq!(parts.len(), PARTS.len());
        let (head, recorded_at) = (folded.books.head, folded.books.recorded_at);
        let loaded = Projections::load(head, recorded_at, |name| parts.remove(name));
        let (deciding, reading) = loaded.expect("just saved").split();
        (self.state, self.reading) = (State::new(deciding, rules()), reading);
    }
}

proptest! {
    #![proptest_config(rounds(192))]

    #[test]
    fn every_rated_call_is_in_one_bill_and_every_bill_is_the_sum_of_its_calls(
        steps in vec(step(), 1..120),
    ) {
        let mut book = Book::new();
        for step in &steps {
            book.take(step);
        }
        // In the end everything that has a price and whose day is over is billed.
        book.take(&Step::Restart);
        book.take(&Step::Advance { hours: 72 });
        for tenant in 0..TENANTS.len() {
            for _ in 0..=book.calls {
                book.take(&Step::Bill { tenant, days_ago: 1 });
            }
            prop_assert_eq!(book.reading.books.bills.unbilled(id(tenant)), 0);
            prop_assert_eq!(book.reading.books.wallets.wallet(id(tenant)).accrued, Money::ZERO);
        }
    }
}

#[test]
fn a_bill_of_very_many_users_fits_into_events() {
    let mut book = Book::new();
    let tenant = 0;
    for user in 0..950_u64 {
        let mut report = schemas::ConsumptionReport {
            response: ResponseReport {
                call: CallNames {
                    tenant: pick(&TENANTS, tenant),
                    request_id: ExternalId::Text(format!("of {user}")),
                    user: Some(name(&format!("user {user}"))),
                    model: Some(name("gpt-4")),
                    assistant: None,
                    document: None,
                    conversation: None,
                },
                timestamp: START,
                usage: None,
                tier: ServiceTier::Standard,
                finish_reason: None,
                character_count: 0,
                token_count: 0,
                response_time_ms: 1,
                has_tool_calls: false,
                tool_call_count: 0,
            },
            request: None,
        };
        let total = Usage::TOKENS_MAX;
        report.response.usage = Some(Usage { prompt: total, total, ..Usage::default() });
        book.submit(Command::RecordConsumption(Box::new(report))).expect("taken");
    }
    book.now = book.now.plus_seconds(86_400);
    let bill = PostBill { tenant: id(tenant), through: START.day() };
    let events = book.submit(Command::PostBill(bill)).expect("taken");
    assert_eq!(events.len(), 10 + 1, "953 lines by the hundred, and the bill");
    for recorded in &events {
        let mut bytes = Vec::new();
        schemas::Record::encode_parts(recorded.command, &recorded.event, &mut bytes)
            .expect("short enough for a frame");
    }
}
