//! What can be configured: every section and key, in one list, with its default. Unknown keys are
//! refused. What a key must satisfy beyond its type is checked in `config.rs`.

use std::{fmt, path::PathBuf, str::FromStr};

use schemas::{ExpiryRule, Name, Role, Tz};
use serde::{Deserialize, Deserializer, de};

use super::{Accounts, Billing, Secret, Smtp, Stripe, Webhooks};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where HTTP is served: `host:port`.
    pub listen: Listen,
    /// Where the log lives.
    pub data_dir: PathBuf,
    /// Who may call.
    pub auth: Auth,
    /// `RabbitMQ`.
    pub intake: Intake,
    /// What one request or message may ask for.
    pub limits: Limits,
    /// How often states are saved for a fast start.
    pub checkpoint: Checkpoint,
    /// When quota expires, and whose days and months are meant.
    pub quota: Quota,
    /// Recharge strategies.
    pub strategies: Strategies,
    /// When jobs run.
    pub schedule: Schedules,
    /// Signed transfers.
    pub vouchers: Vouchers,
    /// The gateway whose counters follow the ledger.
    pub gateway: Gateway,
    /// Bills and top-ups.
    pub billing: Billing,
    /// Through which tenants pay.
    pub stripe: Stripe,
    /// Webhooks that go out.
    pub webhooks: Webhooks,
    /// Where e-mail goes out.
    pub smtp: Smtp,
    /// People who sign in.
    pub accounts: Accounts,
    /// What the operator reads.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            data_dir: PathBuf::from("data"),
            auth: Auth::default(),
            intake: Intake::default(),
            limits: Limits::default(),
            checkpoint: Checkpoint::default(),
            quota: Quota::default(),
            strategies: Strategies::default(),
            schedule: Schedules::default(),
            vouchers: Vouchers::default(),
            gateway: Gateway::default(),
            billing: Billing::default(),
            stripe: Stripe::default(),
            webhooks: Webhooks::default(),
            smtp: Smtp::default(),
            accounts: Accounts::default(),
            log: Log::default(),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// 0 takes any free port.
    pub port: u16,
}

impl Default for Listen {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8080 }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be `host:port`, got `{text}`");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Keys that callers send as `X-API-Key`.
    pub api_keys: Vec<ApiKey>,
    /// Tokens that callers send as `Authorization: Bearer`.
    pub jwt: Jwt,
    /// The header in which gateways send a developer's API key to the counters' routes.
    pub gateway_header: String,
}

impl Default for Auth {
    fn default() -> Self {
        Self { api_keys: Vec::new(), jwt: Jwt::default(), gateway_header: "x-admin-key".to_owned() }
    }
}

/// One API key and whom it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key in clear; or give `key_sha256`.
    pub key: Option<Secret>,
    /// SHA-256 of the key, in hexadecimal.
    pub key_sha256: Option<String>,
    /// What its holder may do.
    pub role: Role,
    /// The tenant it belongs to; needed for a `tenant_admin`.
    pub organization: Option<Name>,
    /// The user it stands for; needed for a `tenant_user`.
    pub user: Option<Name>,
    /// How the log names it as an actor.
    pub name: Name,
}

impl ApiKey {
    /// Shorter keys, in bytes, are guessed: that of every example is.
    const SAFE_BYTES: usize = 16;

    /// Whether somebody who tries for long enough guesses it.
    #[must_use]
    pub fn is_guessable(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.expose().len() < Self::SAFE_BYTES)
    }
}

/// How tokens are verified. Without a secret, a key set address or `trust_upstream_jwt`, no token
/// is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// The secret of HS256 tokens.
    pub hs256_secret: Option<Secret>,
    /// Where the public keys of RS256, ES256 and `EdDSA` tokens are published.
    pub jwks_url: Option<String>,
    /// The `iss` that tokens must carry.
    pub issuer: Option<String>,
    /// The `aud` that tokens must carry.
    pub audience: Option<String>,
    /// The header that carries the token.
    pub header: String,
    /// Whether a token must carry `exp`; one that does is always held to it.
    pub require_expiry: bool,
    /// Believe tokens without verifying them: only behind a gateway that has done so already.
    pub trust_upstream_jwt: bool,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            hs256_secret: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            header: "authorization".to_owned(),
            require_expiry: false,
            trust_upstream_jwt: false,
        }
    }
}

/// `RabbitMQ`: where usage comes in, and where the log goes out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// `amqp://…` or `amqps://…`; absent: off.
    pub url: Option<Secret>,
    /// The topic exchange that producers publish to.
    pub exchange: String,
    /// The queue of request halves.
    pub request_queue: String,
    /// The queue of response halves.
    pub response_queue: String,
    /// Where messages go that cannot be understood.
    pub dead_exchange: String,
    /// Where the log's events are published.
    pub events_exchange: String,
    /// Unacknowledged messages per queue.
    pub prefetch: u16,
    /// How long a half waits for its other half.
    pub pairing_timeout_seconds: u32,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            url: None,
            exchange: "llm-events".to_owned(),
            request_queue: "llm-consumption-requests".to_owned(),
            response_queue: "llm-consumption-responses".to_owned(),
            dead_exchange: "llm-events.dead".to_owned(),
            events_exchange: "ledger-events".to_owned(),
            prefetch: 4096,
            pairing_timeout_seconds: 3600,
        }
    }
}

/// What one request or message may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest HTTP body.
    pub body_bytes_max: usize,
    /// The most items in one batch.
    pub batch_items_max: usize,
    /// Commands that may wait for the writer before callers are told to come back.
    pub queue_commands_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes_max: 16 << 20, batch_items_max: 10_000, queue_commands_max: 16_384 }
    }
}

/// How often states are saved for a fast start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// After so many events.
    pub every_events: u64,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every_events: 1_000_000 }
    }
}

/// When quota expires, and whose days and months are meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// When quota expires that is given without a date: `seed`, `month-end` or `days:N`.
    pub expiry: ExpiryRule,
    /// The IANA name of the time zone of months, of jobs, and of schedules that name none.
    pub time_zone: Tz,
}

impl Default for Quota {
    fn default() -> Self {
        Self { expiry: ExpiryRule::NextMonthEnd, time_zone: Tz::UTC }
    }
}

/// Recharge strategies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Strategies {
    /// How many missed ticks of a strategy are caught up at most: the latest.
    pub catch_up_ticks_max: usize,
}

impl Default for Strategies {
    fn default() -> Self {
        Self { catch_up_ticks_max: 1000 }
    }
}

/// When jobs run: cron expressions of five fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedules {
    /// When strategies give what they owe.
    pub strategy_scan: String,
    /// When expired quota is written off.
    pub quota_expiry: String,
}

impl Default for Schedules {
    fn default() -> Self {
        Self { strategy_scan: "0 * * * *".to_owned(), quota_expiry: "1 0 1 * *".to_owned() }
    }
}

/// Signed transfers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vouchers {
    /// Signs vouchers; at least 32 bytes. Goes before `signing_keys`.
    pub signing_key: Option<Secret>,
    /// The first signs, unless there is a `signing_key`; all of them verify.
    pub signing_keys: Vec<Secret>,
    /// Whether a voucher counts, once, that another book has issued under one of the keys: the
    /// service that was here before.
    pub accept_foreign: bool,
}

impl Default for Vouchers {
    fn default() -> Self {
        Self { signing_key: None, signing_keys: Vec::new(), accept_foreign: true }
    }
}

/// The gateway that enforces quota by counters of its own, which are kept equal to the ledger's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// `http://…` or `https://…`; absent: off.
    pub base_url: Option<String>,
    /// Below it lie `/quota`, `/quota/refresh`, `/quota/used` and the others.
    pub admin_path: String,
    /// The header that carries `auth_value`.
    pub auth_header: String,
    /// What the gateway knows us by, in `auth_header`.
    pub auth_value: Option<Secret>,
    /// What the gateway knows us by, as `Authorization: Bearer`.
    pub credential: Option<Secret>,
    /// How long the gateway may take to answer one request.
    pub timeout_ms: u32,
    /// How often all users are compared, besides those that an event moved; 0: only at the start.
    pub reconcile_seconds: u32,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            base_url: None,
            admin_path: "/v1/chat/completions".to_owned(),
            auth_header: "x-admin-key".to_owned(),
            auth_value: None,
            credential: None,
            timeout_ms: 10_000,
            reconcile_seconds: 300,
        }
    }
}

/// What the operator reads on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Levels, as in `info` or `warn,tallybook=debug`.
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// For whom the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people on a terminal, else for programs.
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}
