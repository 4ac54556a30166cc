//! Holds at random, against a list of them that is added up anew each time: what passes is what there
//! is room for, nothing is held twice or for ever, and who keeps to what was held for them takes
//! neither a wallet below its limit nor a quota below nothing.

use projections::Projection;
use projections::Projections;
use projections::holds::Holds;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::{
    CallNames, Change, Command, ConsumptionReport, Credits, Envelope, Event, ExternalId,
    LimitChanges, LotSource, Money, Name, PlaceHold, RechargeQuota, Recorded, ReleaseHold,
    ResponseReport, Sequence, ServiceTier, SetConsumptionLimits, TermChanges, Timestamp,
    TopUpWallet, Tz, UpdateTenant, Usage, Zone,
};
use tallybook::domain::{Decision, HoldRejection, Rejection, State, decide};

use crate::actions::START;
use crate::book::rules;
use crate::rounds;

const TENANTS: [&str; 2] = ["acme", "globex"];
/// The first two are given quota, the last one never is.
const USERS: [&str; 3] = ["ann", "bob", "cem"];
const REQUESTS: usize = 6;
/// Of gpt-4's input, by its built-in price: 0.00003 USD.
const TOKEN_UNITS: i128 = 30_000_000_000_000;
/// How far the first tenant may go below zero: 100 tokens. The second has no limit of its own.
const CREDIT_LIMIT: i128 = 100 * TOKEN_UNITS;

#[derive(Debug, Clone)]
enum Step {
    TopUp {
        tenant: usize,
        tokens: i64,
    },
    Limit {
        tenant: usize,
        monthly: u64,
        daily: u64,
        per_user: u64,
    },
    Hold {
        tenant: usize,
        user: usize,
        request: usize,
        tokens: u64,
        seconds: u32,
    },
    /// Of what is held for it, so many hundredths.
    Call {
        tenant: usize,
        request: usize,
        share: u64,
    },
    Release {
        hold: usize,
    },
    Advance {
        seconds: i64,
    },
    Expire {
        most: u32,
    },
    /// What a start after a checkpoint does.
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tenant = || 0..TENANTS.len();
    let request = || 0..REQUESTS;
    let limit = || prop_oneof![Just(0), 0_u64..1500];
    // Such times that one often meets the end of another to the second.
    let seconds = || select(vec![1_u32, 59, 60, 600, 3_600, 86_400]);
    let step = prop_oneof![
        2 => (tenant(), 1_i64..600).prop_map(|(tenant, tokens)| Step::TopUp { tenant, tokens }),
        1 => (tenant(), limit(), limit(), limit()).prop_map(|(tenant, monthly, daily, per_user)| {
            Step::Limit { tenant, monthly, daily, per_user }
        }),
        8 => (tenant(), 0..USERS.len(), request(), 0_u64..300, seconds()).prop_map(
            |(tenant, user, request, tokens, seconds)| {
                Step::Hold { tenant, user, request, tokens, seconds }
            }
        ),
        4 => (tenant(), request(), 0_u64..=100)
            .prop_map(|(tenant, request, share)| Step::Call { tenant, request, share }),
        2 => (0_usize..40).prop_map(|hold| Step::Release { hold }),
        3 => select(vec![1_i64, 59, 60, 540, 600, 3_000, 3_600, 50_000])
            .prop_map(|seconds| Step::Advance { seconds }),
        1 => (1_u32..4).prop_map(|most| Step::Expire { most }),
        1 => Just(Step::Reload),
    ];
    vec(step, 1..80)
}

/// A hold as it was asked for.
#[derive(Debug, Clone)]
struct Asked {
    id: Sequence,
    tenant: usize,
    user: usize,
    request: usize,
    tokens: u64,
    seconds: u32,
    credits: u64,
    expires_at: Timestamp,
    /// Settled or let go.
    ended: bool,
}

/// What follows, naively.
#[derive(Debug, Default)]
struct Model {
    paid_in: [i128; 2],
    limits: [(u64, u64, u64); 2],
    holds: Vec<Asked>,
    /// Tenant, user, moment, tokens.
    used: Vec<(usize, usize, Timestamp, u64)>,
    made: Vec<(usize, usize)>,
}

const fn zone(tenant: usize) -> Tz {
    if tenant == 0 { Tz::UTC } else { Tz::Asia__Tokyo }
}

impl Model {
    fn open(&self, now: Timestamp) -> impl Iterator<Item = &Asked> {
        self.holds.iter().filter(move |hold| !hold.ended && now < hold.expires_at)
    }

    fn held(&self, now: Timestamp, whose: impl Fn(&Asked) -> bool) -> u64 {
        self.open(now).filter(|hold| whose(hold)).map(|hold| hold.tokens).sum()
    }

    fn used(&self, whose: impl Fn(usize, usize, Timestamp) -> bool) -> u64 {
        let counts = self.used.iter().filter(|(tenant, user, at, _)| whose(*tenant, *user, *at));
        counts.map(|(_, _, _, tokens)| tokens).sum()
    }

    fn available(&self, tenant: usize, now: Timestamp) -> i128 {
        let used = self.used(|payer, _, _| payer == tenant);
        let held = self.held(now, |hold| hold.tenant == tenant);
        let limit = if tenant == 0 { CREDIT_LIMIT } else { 0 };
        self.paid_in[tenant] + limit - i128::from(used + held) * TOKEN_UNITS
    }

    fn quota(&self, user: usize, now: Timestamp) -> u64 {
        let held: u64 =
            self.open(now).filter(|hold| hold.user == user).map(|hold| hold.credits).sum();
        1000 - self.used(|_, caller, _| caller == user) - held
    }

    /// The code of the refusal; `None` when it passes.
    fn judge(&self, tenant: usize, user: usize, tokens: u64, now: Timestamp) -> Option<&str> {
        let guards = tenant == 0 || self.paid_in[tenant] > 0;
        if guards && i128::from(tokens) * TOKEN_UNITS > self.available(tenant, now) {
            return Some("insufficient_funds");
        }
        if user < 2 && tokens > 0 && tokens > self.quota(user, now) {
            return Some("insufficient_quota");
        }
        let day = |at: Timestamp| at.day_in(zone(tenant));
        let month = |at: Timestamp| day(at).month();
        let held = self.held(now, |hold| hold.tenant == tenant);
        let of_user = |hold: &Asked| hold.tenant == tenant && hold.user == user;
        let (monthly, daily, per_user) = self.limits[tenant];
        let this_month = |payer, at| payer == tenant && month(at) == month(now);
        let sums = [
            (monthly, held + self.used(|payer, _, at| this_month(payer, at))),
            (daily, held + self.used(|payer, _, at| payer == tenant && day(at) == day(now))),
            (
                per_user,
                self.held(now, of_user)
                    + self.used(|payer, caller, at| caller == user && this_month(payer, at)),
            ),
        ];
        let is_over = sums.iter().any(|(limit, sum)| *limit > 0 && sum + tokens > *limit);
        is_over.then_some("limit_exceeded")
    }
}

/// The book beside the model.
struct Run {
    state: State,
    events: Vec<Recorded>,
    now: Timestamp,
    model: Model,
}

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a name")
}

fn request_id(request: usize) -> ExternalId {
    ExternalId::try_from(&*format!("call-{request}")).expect("an id")
}

impl Run {
    fn new() -> Self {
        let state = State::new(Projections::default().split().0, rules());
        let mut run = Self { state, events: Vec::new(), now: START, model: Model::default() };
        for user in &USERS[..2] {
            run.must(Command::RechargeQuota(RechargeQuota {
                user: name(user),
                amount: Credits::whole(1000).expect("in range"),
                expires_at: Timestamp::MAX,
                source: LotSource::Grant,
                reason: String::new(),
            }));
        }
        for (tenant, terms) in [
            (
                0,
                TermChanges {
                    credit_limit: Change::Set(Money::from_units(CREDIT_LIMIT)),
                    ..TermChanges::default()
                },
            ),
            (1, TermChanges { zone: Change::Set(Zone(zone(1))), ..TermChanges::default() }),
        ] {
            let of = UpdateTenant::of(name(TENANTS[tenant]));
            let update = UpdateTenant { creates: true, terms, ..of };
            run.must(Command::UpdateTenant(Box::new(update)));
        }
        run
    }

    /// Takes a command in; the last event that it led to.
    fn submit(&mut self, command: Command) -> Result<Option<Sequence>, Rejection> {
        let decision = decide(&self.state, &Envelope::new(name("laws"), command), self.now)?;
        let (header, events) = match decision {
            Decision::Record(header, events) => (header, events),
            Decision::Already(sequence) => return Ok(Some(sequence)),
            Decision::Nothing => return Ok(None),
        };
        let cause = self.head().next();
        for event in events {
            let sequence = self.head().next();
            let command = (sequence == cause).then_some(header);
            let recorded = Recorded { sequence, recorded_at: self.now, cause, command, event };
            self.state.apply(&recorded);
            self.events.push(recorded);
        }
        Ok(Some(self.head()))
    }

    fn must(&mut self, command: Command) -> Option<Sequence> {
        self.submit(command).expect("nothing is wrong with it")
    }

    fn head(&self) -> Sequence {
        self.state.deciding.books.head
    }

    fn act(&mut self, step: &Step) {
        match *step {
            Step::TopUp { tenant, tokens } => {
                let units = i128::from(tokens) * TOKEN_UNITS;
                self.model.paid_in[tenant] += units;
                self.must(Command::TopUpWallet(TopUpWallet {
                    tenant: name(TENANTS[tenant]),
                    amount: Money::from_units(units),
                    reference: String::new(),
                }));
            }
            Step::Limit { tenant, monthly, daily, per_user } => {
                self.model.limits[tenant] = (monthly, daily, per_user);
                self.must(Command::SetConsumptionLimits(SetConsumptionLimits {
                    tenant: name(TENANTS[tenant]),
                    limits: LimitChanges {
                        monthly: Change::Set(monthly),
                        daily: Change::Set(daily),
                        per_user: Change::Set(per_user),
                    },
                }));
            }
            Step::Hold { tenant, user, request, tokens, seconds } => {
                self.hold(tenant, user, request, tokens, seconds);
            }
            Step::Call { tenant, request, share } => self.call(tenant, request, share),
            Step::Release { hold } => self.release(hold),
            Step::Advance { seconds } => self.now = self.now.plus_seconds(seconds),
            Step::Expire { most } => {
                self.must(Command::ExpireHolds { holds_max: most });
            }
            Step::Reload => {
                let deciding = std::mem::take(&mut self.state.deciding);
                self.state = State::new(deciding, rules());
                let bytes = bytes(&self.state.deciding.books.holds);
                self.state.deciding.books.holds = Holds::load(&bytes).expect("its own bytes");
            }
        }
    }

    fn hold(&mut self, tenant: usize, user: usize, request: usize, tokens: u64, seconds: u32) {
        let outcome = self.submit(Command::PlaceHold(Box::new(PlaceHold {
            tenant: name(TENANTS[tenant]),
            user: Some(name(USERS[user])),
            within: None,
            model: Some(name("gpt-4")),
            request_id: request_id(request),
            prompt_tokens: tokens,
            completion_tokens: 0,
            amount: None,
            ttl_seconds: seconds,
        })));
        let found = match &outcome {
            Ok(Some(_)) => None,
            Ok(None) => Some("nothing"),
            Err(rejection) => Some(rejection.code()),
        };
        let same = |hold: &&Asked| (hold.tenant, hold.request) == (tenant, request);
        if self.model.made.contains(&(tenant, request)) {
            assert_eq!(found, Some("call_recorded"));
        } else if let Some(open) = self.model.open(self.now).find(same) {
            if (open.user, open.tokens, open.seconds) == (user, tokens, seconds) {
                assert_eq!(outcome, Ok(Some(open.id)), "the same again");
            } else {
                assert_eq!(found, Some("hold_conflict"));
            }
        } else {
            assert_eq!(found, self.model.judge(tenant, user, tokens, self.now), "{outcome:?}");
            let Ok(Some(id)) = outcome else { return };
            let credits = if user < 2 { tokens } else { 0 };
            let expires_at = self.now.plus_seconds(seconds.into());
            let ended = false;
            self.model.holds.push(Asked {
                id,
                tenant,
                user,
                request,
                tokens,
                seconds,
                credits,
                expires_at,
                ended,
            });
        }
    }

    /// A call of what is held, and no more of it.
    fn call(&mut self, tenant: usize, request: usize, share: u64) {
        let now = self.now;
        let open = |hold: &&mut Asked| {
            (hold.tenant, hold.request) == (tenant, request) && !hold.ended && now < hold.expires_at
        };
        let Some(hold) = self.model.holds.iter_mut().find(open) else { return };
        hold.ended = true;
        let (user, tokens) = (hold.user, hold.tokens * share / 100);
        self.model.used.push((tenant, user, now, tokens));
        self.model.made.push((tenant, request));
        let usage = Usage { prompt: tokens, total: tokens, ..Usage::default() };
        self.must(Command::RecordConsumption(Box::new(ConsumptionReport {
            response: ResponseReport {
                call: CallNames {
                    tenant: name(TENANTS[tenant]),
                    request_id: request_id(request),
                    user: Some(name(USERS[user])),
                    model: Some(name("gpt-4")),
                    assistant: None,
                    document: None,
                    conversation: None,
                },
                timestamp: now,
                usage: Some(usage),
                tier: ServiceTier::Standard,
                finish_reason: None,
                character_count: 0,
                token_count: 0,
                response_time_ms: 0,
                has_tool_calls: false,
                tool_call_count: 0,
            },
            request: None,
        })));
    }

    fn release(&mut self, place: usize) {
        let Some(hold) = self.model.holds.get_mut(place) else { return };
        let (id, tenant, other) = (hold.id, TENANTS[hold.tenant], TENANTS[1 - hold.tenant]);
        let is_open = !hold.ended && self.now < hold.expires_at;
        hold.ended |= is_open;
        if is_open {
            let of_another = ReleaseHold { hold: id, tenant: Some(name(other)) };
            let refusal = self.submit(Command::ReleaseHold(of_another));
            assert_eq!(refusal, Err(HoldRejection::NoSuchHold.into()));
        }
        let release = ReleaseHold { hold: id, tenant: Some(name(tenant)) };
        let outcome = self.must(Command::ReleaseHold(release));
        assert_eq!(outcome.is_some(), is_open);
    }

    /// What must hold whatever has happened, now and at later moments.
    fn check(&self) {
        let books = &self.state.deciding.books;
        for seconds in [0, 1, 59, 600, 3_600, 40_000, 86_400] {
            let now = self.now.plus_seconds(seconds);
            for (place, tenant) in TENANTS.iter().enumerate() {
                let Some(id) = books.names.find(tenant) else { continue };
                let held = self.model.held(now, |hold| hold.tenant == place);
                assert_eq!(books.holds.held_tokens(id, now), held);
                let money = i128::from(held) * TOKEN_UNITS;
                assert_eq!(books.holds.held_money(id, now).units(), money);
                for (of, user) in USERS.iter().enumerate() {
                    let Some(user) = books.names.find(user) else { continue };
                    let held = self.model.held(now, |hold| (hold.tenant, hold.user) == (place, of));
                    assert_eq!(books.holds.held_user_tokens(id, user, now), held);
                    let credits = self.model.open(now).filter(|hold| hold.user == of);
                    let credits: u64 = credits.map(|hold| hold.credits).sum();
                    let credits = Credits::whole(credits).expect("in range");
                    assert_eq!(books.holds.held_credits(user, now), credits);
                }
            }
        }
        for (place, tenant) in TENANTS.iter().enumerate() {
            let Some(id) = books.names.find(tenant) else { continue };
            let wallet = books.wallets.wallet(id);
            let limit = books.tenants.terms(id).credit_limit.unwrap_or_default();
            let rest = wallet.available().expect("in range").units() + limit.units();
            let guarded_from_the_start = place == 0;
            assert!(rest >= 0 || !guarded_from_the_start, "{tenant} is at {rest}");
        }
        for (user, account) in books.quota.accounts() {
            assert!(account.overdraft().is_zero(), "{user:?} owes {}", account.overdraft());
        }
        assert_eq!(books.ledger.violations(), []);
    }
}

fn bytes<P: Projection>(fold: &P) -> Vec<u8> {
    let mut bytes = Vec::new();
    fold.save(&mut bytes).expect("written to memory");
    bytes
}

proptest! {
    #![proptest_config(rounds(160))]

    #[test]
    fn what_is_held_is_what_there_is_room_for_and_never_spent_twice(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.act(step);
            run.check();
        }
        // From the first event, the same follows to the byte.
        let mut replayed = Projections::default();
        run.events.iter().for_each(|recorded| replayed.apply(recorded));
        let (live, again) = (&run.state.deciding.books, &replayed.books);
        prop_assert_eq!(bytes(&live.holds), bytes(&again.holds));
        prop_assert_eq!(bytes(&live.limit_usage), bytes(&again.limit_usage));
        prop_assert_eq!(bytes(&live.tenants), bytes(&again.tenants));
        // Nothing is held for ever: a day later all of it has ended, each once.
        run.now = run.now.plus_seconds(86_400);
        while run.must(Command::ExpireHolds { holds_max: 3 }).is_some() {}
        run.check();
        let holds = &run.state.deciding.books.holds;
        prop_assert_eq!(holds.count(), 0);
        let mut plain = Holds::default();
        // All that is kept besides is whose command was the last.
        plain.apply(run.events.iter().rfind(|recorded| recorded.command.is_some()).expect("some"));
        prop_assert_eq!(bytes(holds), bytes(&plain));
        let mut ends: Vec<Sequence> = run.events.iter().filter_map(ended).collect();
        let count = ends.len();
        ends.sort_unstable();
        ends.dedup();
        prop_assert_eq!(ends.len(), count, "each ends once");
    }
}

fn ended(recorded: &Recorded) -> Option<Sequence> {
    match &recorded.event {
        Event::HoldReleased(released) => Some(released.hold),
        Event::HoldExpired(expired) => Some(expired.hold),
        _ => None,
    }
}
