//! Commands at random: over so few tenants, users, models, request ids and keys that most of them
//! meet another one, and with so few contents that many of them are repeats.

mod quota;

use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{
    AdjustWallet, CallNames, Command, ConsumptionReport, Credits, DrawRule, Envelope, ExternalId,
    LotSource, Money, Name, PriceSheet, PublishPrices, Rate, RechargeQuota, RegisterTenant,
    RegisterUser, RequestDetails, RequestReport, RequestType, ResponseReport, ServiceTier,
    SetDrawRule, Timestamp, TokenClass, TopUpWallet, UnratedUsage, Usage,
};

pub(crate) use quota::{Known, QuotaAction};

const TENANTS: [&str; 2] = ["acme", "globex"];
const USERS: [&str; 3] = ["ann", "bob", "cem"];
/// The first has a built-in price, the others get one when a book names them.
const MODELS: [&str; 3] = ["gpt-4", "local-llm", "new-model"];
/// Runs use the first three.
const REQUESTS: [&str; 4] = ["550e8400-e29b-41d4-a716-446655440000", "chatcmpl-1", "2", "last"];

/// When quota expires, in hours from the beginning.
const LOT_HOURS: [i64; 5] = [-1, 2, 6, 30, 200];

/// How long halves wait for each other in these tests.
pub(crate) const PAIRING_TIMEOUT_SECONDS: i64 = 3_600;

/// 2025-01-01T00:00:00Z, when every run begins.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_735_689_600_000_000);

/// What a call's message can say. A run has a handful of them.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) user: Option<usize>,
    pub(crate) model: Option<usize>,
    pub(crate) document: bool,
    pub(crate) hours: i64,
    pub(crate) tokens: u64,
    pub(crate) reported: bool,
    pub(crate) tier: ServiceTier,
}

/// How a call is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Request,
    Response,
    Whole,
    WholeWithoutRequest,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Advance { seconds: i64 },
    Call { form: Form, tenant: usize, request: usize, content: usize },
    Give { user: usize, amount: i64, expires_hours: i64, key: Option<u8> },
    TopUp { tenant: usize, micro_dollars: i64, key: Option<u8> },
    Adjust { tenant: usize, micro_dollars: i64, key: Option<u8> },
    Rule { tenant: usize, rule: DrawRule, weight: Option<(usize, i64)>, key: Option<u8> },
    Prices { models: Vec<(usize, i128, Option<i128>)>, hours: Option<i64>, key: Option<u8> },
    BookExpired { most: u32 },
    TimeOut { most: u32 },
    Rate { most: usize, twice: bool },
    RegisterTenant { tenant: usize },
    RegisterUser { user: usize, tenant: usize },
    Quota { action: QuotaAction, key: Option<u8> },
}

/// What happens in one run.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) pool: Vec<Content>,
    pub(crate) actions: Vec<Action>,
}

/// A run of at most `actions_max` actions.
pub(crate) fn script(actions_max: usize) -> impl Strategy<Value = Script> {
    (pool(), vec(action(), 1..=actions_max)).prop_map(|(pool, actions)| Script { pool, actions })
}

/// A run of at most `actions_max` actions, most of which move quota, in a short time.
pub(crate) fn quota_script(actions_max: usize) -> impl Strategy<Value = Script> {
    let moves = || quota::quota_action().prop_map(|(action, key)| Action::Quota { action, key });
    let soon = (0..240_i64).prop_map(|minutes| Action::Advance { seconds: minutes * 60 });
    let known = (0..USERS.len()).prop_map(|user| Action::RegisterUser { user, tenant: 0 });
    let actions = prop_oneof![14 => moves(), 4 => give(), 2 => soon, 1 => known, 3 => action()];
    (pool(), vec(actions, 1..=actions_max)).prop_map(|(pool, actions)| Script { pool, actions })
}

/// The contents of a run.
pub(crate) fn pool() -> impl Strategy<Value = Vec<Content>> {
    vec(content(), 4..8)
}

/// One content.
pub(crate) fn content() -> impl Strategy<Value = Content> {
    let tokens = prop_oneof![20 => 0..2_000_u64, 1 => Just(Usage::TOKENS_MAX)];
    let tier = prop_oneof![4 => Just(ServiceTier::Standard), 1 => Just(ServiceTier::Batch)];
    let user = prop_oneof![1 => Just(None), 6 => (0..USERS.len()).prop_map(Some)];
    let model = prop_oneof![1 => Just(None), 6 => (0..MODELS.len()).prop_map(Some)];
    (user, model, any::<bool>(), -30..60_i64, tokens, any::<bool>(), tier).prop_map(
        |(user, model, document, hours, tokens, reported, tier)| Content {
            user,
            model,
            document,
            hours,
            tokens,
            reported,
            tier,
        },
    )
}

/// One action.
pub(crate) fn action() -> impl Strategy<Value = Action> {
    let form = prop_oneof![
        4 => Just(Form::Request),
        4 => Just(Form::Response),
        2 => Just(Form::Whole),
        1 => Just(Form::WholeWithoutRequest),
    ];
    let call = (form, 0..TENANTS.len(), 0..3_usize, 0..8_usize).prop_map(
        |(form, tenant, request, content)| Action::Call { form, tenant, request, content },
    );
    let lasting = prop_oneof![
        4 => (0..60_i64).prop_map(|seconds| Action::Advance { seconds }),
        2 => (1..30_i64).prop_map(|hours| Action::Advance { seconds: hours * 1_200 }),
    ];
    let jobs = prop_oneof![
        (1..4_u32).prop_map(|most| Action::BookExpired { most }),
        (1..4_u32).prop_map(|most| Action::TimeOut { most }),
        (1..6_usize, any::<bool>()).prop_map(|(most, twice)| Action::Rate { most, twice }),
    ];
    let registrations = prop_oneof![
        (0..TENANTS.len()).prop_map(|tenant| Action::RegisterTenant { tenant }),
        (0..USERS.len(), 0..TENANTS.len())
            .prop_map(|(user, tenant)| Action::RegisterUser { user, tenant }),
    ];
    prop_oneof![
        12 => call,
        4 => lasting,
        6 => give(),
        3 => money(),
        2 => rule(),
        2 => prices(),
        4 => jobs,
        1 => registrations,
        16 => quota::quota_action().prop_map(|(action, key)| Action::Quota { action, key }),
    ]
}

fn key() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![Just(None), (0..6_u8).prop_map(Some)]
}

fn give() -> impl Strategy<Value = Action> {
    let amount = prop_oneof![
        1 => Just(0),
        1 => Just(i64::MAX / 2),
        10 => (1..4_i64).prop_map(|hundreds| hundreds * 100_000_000),
    ];
    let expiry = prop::sample::select(&LOT_HOURS[..]);
    (0..USERS.len(), amount, expiry, key()).prop_map(|(user, amount, expires_hours, key)| {
        Action::Give { user, amount, expires_hours, key }
    })
}

fn money() -> impl Strategy<Value = Action> {
    let amount =
        prop_oneof![1 => Just(i64::MAX), 1 => Just(0), 10 => (-3..4_i64).prop_map(|d| d * 1_000)];
    (0..TENANTS.len(), amount, any::<bool>(), key()).prop_map(
        |(tenant, micro_dollars, adjust, key)| {
            if adjust {
                Action::Adjust { tenant, micro_dollars, key }
            } else {
                Action::TopUp { tenant, micro_dollars, key }
            }
        },
    )
}

fn rule() -> impl Strategy<Value = Action> {
    let kind = prop_oneof![
        2 => Just(DrawRule::PerToken),
        1 => Just(DrawRule::PerRequest),
        2 => Just(DrawRule::PerCost),
        1 => Just(DrawRule::None),
    ];
    let weight = prop_oneof![
        2 => Just(None),
        6 => (0..MODELS.len(), 0..3_000_000_i64).prop_map(Some),
        1 => (0..MODELS.len(), 999_000_000..1_000_000_010_i64).prop_map(Some),
    ];
    (0..TENANTS.len(), kind, weight, key()).prop_map(|(tenant, rule, weight, key)| Action::Rule {
        tenant,
        rule,
        weight,
        key,
    })
}

fn prices() -> impl Strategy<Value = Action> {
    let per_token = || {
        prop_oneof![
            8 => (1..4_i128).prop_map(|micros| micros * 1_234_567_891_234),
            1 => Just(0),
            1 => Just(100_000_000_000_000_000_000),
        ]
    };
    let output = prop_oneof![1 => Just(None), 4 => per_token().prop_map(Some)];
    let models = vec((0..MODELS.len(), per_token(), output), 0..3);
    (models, prop_oneof![Just(None), (-40..40_i64).prop_map(Some)], key())
        .prop_map(|(models, hours, key)| Action::Prices { models, hours, key })
}

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a valid name")
}

fn pick(names: &[&str], place: usize) -> Name {
    name(names.get(place % names.len()).expect("within the names"))
}

impl Content {
    fn call(&self, tenant: usize, request: usize) -> CallNames {
        CallNames {
            tenant: pick(&TENANTS, tenant),
            request_id: REQUESTS
                .get(request)
                .and_then(|text| ExternalId::try_from(*text).ok())
                .expect("a valid id"),
            user: self.user.map(|user| pick(&USERS, user)),
            model: self.model.map(|model| pick(&MODELS, model)),
            assistant: self.reported.then(|| name("word")),
            document: self.document.then(|| ExternalId::Text("report.docx".to_owned())),
            conversation: Some(ExternalId::Text("talk".to_owned())),
        }
    }

    fn details(&self) -> RequestDetails {
        RequestDetails {
            timestamp: START.plus_seconds(self.hours * 3_600 - 2),
            character_count: self.tokens * 4,
            token_count: self.tokens / 2 + 7,
            request_type: RequestType::Stream,
            tool_count: 2,
            message_count: 5,
        }
    }

    /// The request half of a call with this content.
    pub(crate) fn request(&self, tenant: usize, request: usize) -> RequestReport {
        RequestReport { call: self.call(tenant, request), details: self.details() }
    }

    /// The response half of a call with this content.
    pub(crate) fn response(&self, tenant: usize, request: usize) -> ResponseReport {
        let usage = Usage {
            prompt: self.tokens,
            completion: self.tokens / 3,
            total: if self.document { self.tokens + self.tokens / 3 } else { 0 },
            cache_read: self.tokens / 5,
            reasoning: self.tokens / 7,
            ..Usage::default()
        };
        ResponseReport {
            call: self.call(tenant, request),
            timestamp: START.plus_seconds(self.hours * 3_600),
            usage: self.reported.then_some(usage),
            tier: self.tier,
            finish_reason: self.document.then(|| name("stop")),
            character_count: self.tokens,
            token_count: self.tokens / 3,
            response_time_ms: 5_234,
            has_tool_calls: true,
            tool_call_count: 2,
        }
    }

    fn command(&self, form: Form, tenant: usize, request: usize) -> Command {
        let whole = |request_details| {
            let response = self.response(tenant, request);
            Command::RecordConsumption(Box::new(ConsumptionReport {
                response,
                request: request_details,
            }))
        };
        match form {
            Form::Request => Command::ReceiveRequest(Box::new(self.request(tenant, request))),
            Form::Response => Command::ReceiveResponse(Box::new(self.response(tenant, request))),
            Form::Whole => whole(Some(self.details())),
            Form::WholeWithoutRequest => whole(None),
        }
    }
}

impl Action {
    /// The command; `None` when it is a move of the clock, or speaks of what is not there. `unrated`
    /// gives the backlog that a rating is asked for, `known` what it can speak of.
    pub(crate) fn envelope(
        &self,
        pool: &[Content],
        unrated: impl FnOnce(usize) -> Vec<UnratedUsage>,
        known: &Known<'_>,
    ) -> Option<Envelope> {
        let command = match self {
            Self::Quota { action, .. } => action.command(known)?,
            other => other.command(pool, unrated)?,
        };
        let envelope = Envelope::new(name("tester"), command);
        Some(match self.key() {
            Some(key) => envelope.with_key("test", &key.to_string()),
            None => envelope,
        })
    }

    /// Whether the book knows the command when it comes again.
    pub(crate) fn is_recognised_again(&self) -> bool {
        matches!(self, Self::Call { .. }) || self.key().is_some()
    }

    fn key(&self) -> Option<u8> {
        match self {
            Self::Give { key, .. }
            | Self::TopUp { key, .. }
            | Self::Adjust { key, .. }
            | Self::Rule { key, .. }
            | Self::Prices { key, .. }
            | Self::Quota { key, .. } => *key,
            _ => None,
        }
    }

    fn command(
        &self,
        pool: &[Content],
        unrated: impl FnOnce(usize) -> Vec<UnratedUsage>,
    ) -> Option<Command> {
        Some(match self {
            Self::Advance { .. } | Self::Quota { .. } => return None,
            Self::Call { form, tenant, request, content } => {
                let content = pool.get(content % pool.len()).expect("within the pool");
                content.command(*form, *tenant, *request)
            }
            Self::Give { user, amount, expires_hours, .. } => {
                Command::RechargeQuota(RechargeQuota {
                    user: pick(&USERS, *user),
                    amount: Credits::from_units(*amount),
                    expires_at: START.plus_seconds(expires_hours * 3_600),
                    source: LotSource::Grant,
                    reason: long_text("monthly"),
                })
            }
            Self::TopUp { tenant, micro_dollars, .. } => Command::TopUpWallet(TopUpWallet {
                tenant: pick(&TENANTS, *tenant),
                amount: dollars(*micro_dollars),
                reference: long_text("pi_1"),
            }),
            Self::Adjust { tenant, micro_dollars, .. } => Command::AdjustWallet(AdjustWallet {
                tenant: pick(&TENANTS, *tenant),
                amount: dollars(*micro_dollars),
                reason: long_text("goodwill"),
            }),
            Self::Rule { tenant, rule, weight, .. } => Command::SetDrawRule(SetDrawRule {
                tenant: pick(&TENANTS, *tenant),
                rule: *rule,
                weights: weight
                    .iter()
                    .map(|(model, weight)| (pick(&MODELS, *model), Credits::from_units(*weight)))
                    .collect(),
            }),
            Self::Prices { models, hours, .. } => Command::PublishPrices(PublishPrices {
                effective_at: hours.map(|hours| START.plus_seconds(hours * 3_600)),
                source: long_text("by hand"),
                models: models
                    .iter()
                    .map(|(model, input, output)| (pick(&MODELS, *model), sheet(*input, *output)))
                    .collect(),
            }),
            Self::BookExpired { most } => {
                Command::BookExpiredQuota { by: Timestamp::MAX, lots_max: *most }
            }
            Self::TimeOut { most } => Command::TimeOutPairings { halves_max: *most },
            Self::Rate { most, twice } => {
                let mut usage = unrated(*most);
                if *twice {
                    usage.extend(usage.clone());
                }
                Command::RateUsage(usage)
            }
            Self::RegisterTenant { tenant } => Command::RegisterTenant(RegisterTenant {
                tenant: pick(&TENANTS, *tenant),
                display_name: name("A Tenant"),
            }),
            Self::RegisterUser { user, tenant } => Command::RegisterUser(RegisterUser {
                user: pick(&USERS, *user),
                tenant: pick(&TENANTS, *tenant),
            }),
        })
    }
}

/// Of a tier's prices only the standard ones are named.
pub(crate) fn sheet(input: i128, output: Option<i128>) -> PriceSheet {
    let rate = |class, units| Rate {
        class,
        tier: ServiceTier::Standard,
        above_tokens: 0,
        per_token: Money::from_units(units),
    };
    let rates = std::iter::once(rate(TokenClass::Input, input))
        .chain(output.map(|output| rate(TokenClass::Output, output)));
    PriceSheet::new(rates.collect()).expect("two classes, each priced once")
}

/// So that a handful of commands take more than one frame.
fn long_text(word: &str) -> String {
    [word; 100].join(" ")
}

fn dollars(micros: i64) -> Money {
    Money::from_units(i128::from(micros) * 1_000_000_000_000)
}
