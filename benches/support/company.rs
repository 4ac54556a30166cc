//! A made-up company that uses LLMs, the same in every run: 50 tenants, 2000 users with quota, 20
//! priced models, and as many calls as are asked for.

use schemas::{
    CallNames, Command, ConsumptionReport, Credits, Envelope, ExternalId, LotSource, Money, Name,
    PriceSheet, PublishPrices, Rate, RechargeQuota, RequestDetails, RequestReport, RequestType,
    ResponseReport, ServiceTier, Timestamp, TokenClass, TopUpWallet, Usage,
};

/// Tenants.
pub(crate) const TENANTS: u64 = 50;
/// Users, each of one tenant.
pub(crate) const USERS: u64 = 2000;
const MODELS: [&str; 20] = [
    "anthropic/claude-haiku-4.5",
    "anthropic/claude-opus-4.5",
    "anthropic/claude-sonnet-4.5",
    "deepseek/deepseek-chat",
    "deepseek/deepseek-reasoner",
    "google/gemini-2.5-flash",
    "google/gemini-2.5-flash-lite",
    "google/gemini-2.5-pro",
    "meta/llama-3.3-70b-instruct",
    "mistral/mistral-large",
    "mistral/mistral-small",
    "openai/gpt-4.1",
    "openai/gpt-4.1-mini",
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
    "openai/gpt-5",
    "openai/gpt-5-mini",
    "openai/o3",
    "qwen/qwen3-235b",
    "xai/grok-4",
];
const ASSISTANTS: [&str; 7] =
    ["word", "excel", "powerpoint", "onenote", "onedrive", "teams", "outlook"];
/// 2025-01-01T00:00:00Z: when the first call of every series is made.
const START: Timestamp = Timestamp::from_micros(1_735_689_600_000_000);
/// How long a series lasts, however many calls it has.
const SERIES_MICROS: u64 = 30 * 86_400 * 1_000_000;

/// `SplitMix64`: small, fast, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for every `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    const fn uuid(&mut self) -> [u8; 16] {
        let high = (self.next() & !0xf000) | 0x4000;
        let low = (self.next() >> 2) | (1 << 63);
        ((high as u128) << 64 | low as u128).to_be_bytes()
    }
}

/// A series of calls over thirty days, in the order of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    /// Tells series apart: no two calls of two series have the same id.
    pub(crate) seed: u64,
    /// How many calls it has.
    pub(crate) calls: u64,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    tenant: u64,
    user: u64,
    model: &'static str,
    assistant: &'static str,
    request_id: [u8; 16],
    conversation: Option<[u8; 16]>,
    at: Timestamp,
    prompt: u64,
    completion: u64,
    millis: u64,
}

impl Series {
    /// The series' `number`-th call.
    pub(crate) fn call(self, number: u64) -> Call {
        let mut random =
            Random::new(self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ ((number << 1) | 1));
        // Half of all calls come from a quarter of the users.
        let user = match random.below(2) {
            0 => random.below(USERS / 4),
            _ => random.below(USERS),
        };
        let step = SERIES_MICROS / self.calls.max(1);
        let micros = step.saturating_mul(number).saturating_add(random.below(1_000_000));
        let conversation = (random.below(10) == 0)
            .then(|| Random::new((user << 32) | ((number / 20_000) << 1)).uuid());
        let choose = |list: &[&'static str], place: u64| {
            usize::try_from(place).ok().and_then(|place| list.get(place).copied()).unwrap_or("")
        };
        Call {
            tenant: user % TENANTS,
            user,
            model: choose(&MODELS, random.below(20)),
            assistant: choose(&ASSISTANTS, random.below(7)),
            request_id: random.uuid(),
            conversation,
            at: Timestamp::from_micros(
                START.micros().saturating_add(i64::try_from(micros).unwrap_or(0)),
            ),
            prompt: random.below(3000).saturating_add(50),
            completion: random.below(900).saturating_add(10),
            millis: random.below(20_000).saturating_add(200),
        }
    }

    /// Commands that report `count` whole calls, from the `first`-th on.
    pub(crate) fn consumptions(self, first: u64, count: u64) -> Vec<Envelope> {
        (first..first.saturating_add(count))
            .map(|number| envelope(self.call(number).consumption()))
            .collect()
    }
}

impl Call {
    /// When it was complete.
    pub(crate) const fn at(&self) -> Timestamp {
        self.at
    }

    /// The command that reports the whole call.
    pub(crate) fn consumption(&self) -> Command {
        let request = Some(self.request_details());
        let report = ConsumptionReport { response: self.response_report(), request };
        Command::RecordConsumption(Box::new(report))
    }

    /// The command for its request half.
    pub(crate) fn request(&self) -> Command {
        let report = RequestReport { call: self.names(), details: self.request_details() };
        Command::ReceiveRequest(Box::new(report))
    }

    /// The command for its response half.
    pub(crate) fn response(&self) -> Command {
        Command::ReceiveResponse(Box::new(self.response_report()))
    }

    /// The whole call as a body of `POST /api/v1/consumption`.
    pub(crate) fn body(&self) -> String {
        format!(
            r#"{{{},"timestamp":"{}","requestTimestamp":"{}","requestCharacterCount":{},"requestTokenCount":{},"requestType":"stream","messageCount":5,{}}}"#,
            self.name_fields(),
            self.at,
            self.asked_at(),
            self.prompt * 4,
            self.prompt,
            self.response_fields(),
        )
    }

    /// What a gateway asks before it makes the call.
    pub(crate) fn hold_body(&self) -> String {
        format!(
            r#"{{"requestId":"{}","userId":"{}","organizationId":"{}","model":"{}","promptTokens":{},"maxTokens":{}}}"#,
            self.id_text(),
            user_name(self.user),
            tenant_name(self.tenant),
            self.model,
            self.prompt,
            self.completion,
        )
    }

    /// Its request message, as gateways publish it.
    pub(crate) fn request_message(&self) -> String {
        format!(
            r#"{{{},"timestamp":"{}","messages":[{{"role":"user","content":"{}"}}],"characterCount":{},"tokenCount":{},"requestType":"stream","toolCount":2,"messageCount":5,"temperature":0.7,"maxTokens":2000,"topP":1.0}}"#,
            self.name_fields(),
            self.asked_at(),
            "a question ".repeat(20),
            self.prompt * 4,
            self.prompt,
        )
    }

    /// Its response message, as gateways publish it.
    pub(crate) fn response_message(&self) -> String {
        format!(
            r#"{{{},"timestamp":"{}","response":"{}",{}}}"#,
            self.name_fields(),
            self.at,
            "an answer ".repeat(20),
            self.response_fields(),
        )
    }

    /// Where the call's id stands in its body or messages.
    pub(crate) fn id_text(&self) -> String {
        ExternalId::Uuid(self.request_id).to_string()
    }

    fn name_fields(&self) -> String {
        let conversation = self.conversation.map_or_else(String::new, |id| {
            format!(r#","conversationId":"{}""#, ExternalId::Uuid(id))
        });
        format!(
            r#""requestId":"{}","userId":"{}","organizationId":"{}","model":"{}","assistantType":"{}"{conversation}"#,
            self.id_text(),
            user_name(self.user),
            tenant_name(self.tenant),
            self.model,
            self.assistant,
        )
    }

    fn response_fields(&self) -> String {
        format!(
            r#""characterCount":{},"tokenCount":{},"finishReason":"stop","usage":{{"promptTokens":{},"completionTokens":{},"totalTokens":{}}},"responseTimeMs":{},"hasToolCalls":false,"toolCallCount":0"#,
            self.completion * 4,
            self.completion,
            self.prompt,
            self.completion,
            self.prompt + self.completion,
            self.millis,
        )
    }

    fn asked_at(&self) -> Timestamp {
        let millis = i64::try_from(self.millis).unwrap_or(0);
        Timestamp::from_micros(self.at.micros().saturating_sub(millis.saturating_mul(1000)))
    }

    fn names(&self) -> CallNames {
        CallNames {
            tenant: name(&tenant_name(self.tenant)),
            request_id: ExternalId::Uuid(self.request_id),
            user: Some(name(&user_name(self.user))),
            model: Some(name(self.model)),
            assistant: Some(name(self.assistant)),
            document: None,
            conversation: self.conversation.map(ExternalId::Uuid),
        }
    }

    fn request_details(&self) -> RequestDetails {
        RequestDetails {
            timestamp: self.asked_at(),
            character_count: self.prompt * 4,
            token_count: self.prompt,
            request_type: RequestType::Stream,
            tool_count: 2,
            message_count: 5,
        }
    }

    fn response_report(&self) -> ResponseReport {
        ResponseReport {
            call: self.names(),
            timestamp: self.at,
            usage: Some(Usage {
                prompt: self.prompt,
                completion: self.completion,
                total: self.prompt + self.completion,
                ..Usage::default()
            }),
            tier: ServiceTier::Standard,
            finish_reason: Some(name("stop")),
            character_count: self.completion * 4,
            token_count: self.completion,
            response_time_ms: self.millis,
            has_tool_calls: false,
            tool_call_count: 0,
        }
    }
}

/// What a company needs before its first call: prices, money, and for each of the first `users` the
/// same lots of quota.
pub(crate) fn setup(users: u64, lots: &[u64]) -> Vec<Envelope> {
    let mut commands = vec![envelope(prices())];
    for tenant in 0..TENANTS {
        let top_up = TopUpWallet {
            tenant: name(&tenant_name(tenant)),
            amount: Money::parse("1000000").expect("invariant: a number"),
            reference: "opening balance".to_owned(),
        };
        commands
            .push(envelope(Command::TopUpWallet(top_up)).with_key("top-up", &format!("{tenant}")));
    }
    for user in 0..users {
        for (lot, credits) in (0..).zip(lots) {
            let key = format!("{user}/{lot}");
            let command = recharge(user, *credits, Timestamp::MAX.plus_seconds((lot - 9) * 86_400));
            commands.push(envelope(command).with_key("recharge", &key));
        }
    }
    commands
}

/// A lot for a user.
pub(crate) fn recharge(user: u64, credits: u64, expires_at: Timestamp) -> Command {
    Command::RechargeQuota(RechargeQuota {
        user: name(&user_name(user)),
        amount: Credits::whole(credits).expect("invariant: in range"),
        expires_at,
        source: LotSource::Grant,
        reason: "monthly quota".to_owned(),
    })
}

/// Money for a tenant.
pub(crate) fn top_up(tenant: u64, reference: u64) -> Command {
    Command::TopUpWallet(TopUpWallet {
        tenant: name(&tenant_name(tenant)),
        amount: Money::parse("25").expect("invariant: a number"),
        reference: format!("payment-{reference}"),
    })
}

/// The command, from the one who issues everything here.
pub(crate) fn envelope(command: Command) -> Envelope {
    Envelope::new(name("benchmark"), command)
}

/// A tenant's name.
pub(crate) fn tenant_name(tenant: u64) -> String {
    format!("organization-{tenant:03}")
}

fn user_name(user: u64) -> String {
    format!("user-{user:05}@example.com")
}

fn name(text: &str) -> Name {
    Name::try_from(text).expect("invariant: a made-up name is a name")
}

fn prices() -> Command {
    let rate = |class, per_token: i128| Rate {
        class,
        tier: ServiceTier::Standard,
        above_tokens: 0,
        per_token: Money::from_units(per_token),
    };
    // From 50 nano-USD a token on, in 18 decimals.
    let models = MODELS.iter().zip(1..).map(|(model, place)| {
        let input = place * 50_000_000_000;
        let rates = vec![rate(TokenClass::Input, input), rate(TokenClass::Output, input * 4)];
        (name(model), PriceSheet::new(rates).expect("invariant: two rates form a sheet"))
    });
    Command::PublishPrices(PublishPrices {
        effective_at: Some(Timestamp::EPOCH),
        source: "benchmark".to_owned(),
        models: models.collect(),
    })
}
