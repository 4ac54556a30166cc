//! Reads the configuration: flags before environment before file before defaults. The only place
//! that reads the environment. Anything wrong is one line that names the key and the reason, and
//! never a secret.

mod business;
mod rules;
mod secret;
mod sections;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use config::{File, FileFormat};
use schemas::{Name, Role, Schedule, SigningKeys};
use thiserror::Error;

pub(crate) use business::smtp_url;
pub use business::{Accounts, Billing, Smtp, Stripe, Webhooks, is_email};
pub use secret::Secret;
pub use sections::{
    ApiKey, Auth, Checkpoint, Config, Gateway, Intake, Jwt, Limits, Listen, Log, LogFormat, Quota,
    Schedules, Strategies, Vouchers,
};

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<Listen>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// Why the service does not start: one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("configuration: {place}: {reason}")]
pub struct ConfigError {
    place: String,
    reason: String,
}

/// Variables that the ecosystem already uses, and the keys they set.
const KNOWN_VARIABLES: [(&str, &str); 12] = [
    ("AIGATEWAY_AUTH_VALUE", "gateway.auth_value"),
    ("AIGATEWAY_BASE_URL", "gateway.base_url"),
    ("AIGATEWAY_CREDENTIAL", "gateway.credential"),
    ("JWT_HS256_SECRET", "auth.jwt.hs256_secret"),
    ("JWT_JWKS_URL", "auth.jwt.jwks_url"),
    ("RABBITMQ_URL", "intake.url"),
    ("RABBITMQ_EXCHANGE", "intake.exchange"),
    ("STRIPE_SECRET_KEY", "stripe.secret_key"),
    ("STRIPE_WEBHOOK_SECRET", "stripe.webhook_secret"),
    ("SUPER_ADMIN_EMAIL", "accounts.super_admin_email"),
    ("SUPER_ADMIN_PASSWORD", "accounts.super_admin_password"),
    ("VOUCHER_SIGNING_KEY", "vouchers.signing_key"),
];

/// Variables that set more, or less, than one key.
const OTHER_VARIABLES: [&str; 4] = ["X_API_KEY", "SERVER_HOST", "SERVER_PORT", "PORT"];

/// Our own variables start with this; `__` stands between the parts of a key.
const PREFIX: &str = "TALLYBOOK__";

/// The list of API keys.
const API_KEYS: &str = "auth.api_keys";

/// The lists that a variable gives as a whole, as TOML, and what they must be.
const LISTS: [(&str, &str); 2] = [
    (
        API_KEYS,
        "must be a list of tables in TOML, like `[{key = \"…\", role = \"…\", name = \"…\"}]`",
    ),
    ("vouchers.signing_keys", "must be a list of texts in TOML, like `[\"…\", \"…\"]`"),
];

impl Config {
    /// Reads file, environment and `flags`.
    ///
    /// # Errors
    /// On the first key or variable that is unknown, of the wrong kind or out of bounds.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::from_sources(flags, &Variables::of_the_process()?)
    }

    fn from_sources(flags: &Flags, variables: &Variables) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref();
        let mut builder = config::Config::builder();
        if let Some(path) = file {
            let place = || format!("`{}`", path.display());
            let text =
                std::fs::read_to_string(path).map_err(|error| ConfigError::at(place(), error))?;
            let source = File::from_str(&text, FileFormat::Toml);
            // Parsed alone first, so that the error is known to be the file's.
            config::Config::builder()
                .add_source(source.clone())
                .build()
                .map_err(|error| ConfigError::at(place(), on_one_line(&error.to_string())))?;
            builder = builder.add_source(source);
        }
        for (key, variable) in &variables.keys {
            builder = if let Some((_, rule)) = LISTS.iter().find(|(list, _)| key == list) {
                let text = format!("{key} = {}", variable.value);
                let source = File::from_str(&text, FileFormat::Toml);
                let read = config::Config::builder().add_source(source.clone()).build();
                read.and_then(|read| read.get_array(key))
                    .map_err(|_| ConfigError::at(format!("`{key}` ({})", variable.name), rule))?;
                builder.add_source(source)
            } else {
                builder
                    .set_override(key, variable.value.as_str())
                    .map_err(|error| ConfigError::at(format!("`{}`", variable.name), error))?
            };
        }
        let place = Place { file, variables };
        let merged = builder.build().map_err(|error| place.error(&error))?;
        let mut config: Self = merged.try_deserialize().map_err(|error| place.error(&error))?;

        config.listen_where_told(flags, variables)?;
        if let Some(data_dir) = &flags.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        if let Some(format) = flags.log_format {
            config.log.format = format;
        }
        if let Some(key) = variables.other("X_API_KEY") {
            config.auth.api_keys.push(developer_key(key));
        }
        match config.first_fault() {
            None => Ok(config),
            Some((key, reason)) => Err(ConfigError::at(place.of(&key), reason)),
        }
    }

    /// Refuses what only a demo may be started with.
    ///
    /// # Errors
    /// When the first developer's password is one that others would guess.
    pub fn refuse_examples(&self) -> Result<(), ConfigError> {
        match self.accounts.password_fault() {
            None => Ok(()),
            Some(reason) => Err(ConfigError::at(
                "`accounts.super_admin_password` (SUPER_ADMIN_PASSWORD)",
                reason,
            )),
        }
    }

    fn listen_where_told(
        &mut self,
        flags: &Flags,
        variables: &Variables,
    ) -> Result<(), ConfigError> {
        if let Some(listen) = &flags.listen {
            self.listen = listen.clone();
            return Ok(());
        }
        if variables.keys.contains_key("listen") {
            return Ok(());
        }
        if let Some(host) = variables.other("SERVER_HOST") {
            host.trim_matches(['[', ']']).clone_into(&mut self.listen.host);
        }
        for name in ["PORT", "SERVER_PORT"] {
            if let Some(text) = variables.other(name) {
                self.listen.port = text.parse().map_err(|_| {
                    ConfigError::at(
                        format!("`{name}`"),
                        format!("must be a port from 0 to 65535, got `{text}`"),
                    )
                })?;
            }
        }
        Ok(())
    }

    /// A key that our own commands may call a running service with: the first of a developer that is
    /// given in clear, as by `X_API_KEY`.
    #[must_use]
    pub fn developer_key(&self) -> Option<&Secret> {
        let mut developers = self.auth.api_keys.iter().filter(|key| key.role == Role::Developer);
        developers.find_map(|key| key.key.as_ref())
    }

    /// The first key whose value is of the right kind and yet wrong.
    fn first_fault(&self) -> Option<(String, String)> {
        let Self {
            listen: _,
            data_dir,
            auth,
            intake,
            limits,
            checkpoint,
            quota,
            strategies,
            schedule,
            vouchers,
            gateway,
            billing,
            stripe,
            webhooks,
            smtp,
            accounts,
            log,
        } = self;
        let fault = |key: &str, reason: &str| Some((key.to_owned(), reason.to_owned()));
        if data_dir.as_os_str().is_empty() {
            return fault("data_dir", "must not be empty");
        }
        if let Some(found) = auth.first_fault() {
            return Some(found);
        }
        for (key, name) in [
            ("intake.exchange", &intake.exchange),
            ("intake.request_queue", &intake.request_queue),
            ("intake.response_queue", &intake.response_queue),
            ("intake.dead_exchange", &intake.dead_exchange),
            ("intake.events_exchange", &intake.events_exchange),
        ] {
            if name.is_empty() || name.len() > 255 {
                return fault(key, "must be 1 to 255 bytes long");
            }
        }
        if let Some(url) = &intake.url
            && !["amqp://", "amqps://"].iter().any(|scheme| url.expose().starts_with(scheme))
        {
            return fault("intake.url", "must start with `amqp://` or `amqps://`");
        }
        for (key, is_zero) in [
            ("intake.prefetch", intake.prefetch == 0),
            ("intake.pairing_timeout_seconds", intake.pairing_timeout_seconds == 0),
            ("limits.body_bytes_max", limits.body_bytes_max == 0),
            ("limits.batch_items_max", limits.batch_items_max == 0),
            ("limits.queue_commands_max", limits.queue_commands_max == 0),
            ("checkpoint.every_events", checkpoint.every_events == 0),
            ("strategies.catch_up_ticks_max", strategies.catch_up_ticks_max == 0),
            ("gateway.timeout_ms", gateway.timeout_ms == 0),
            ("webhooks.timeout_ms", webhooks.timeout_ms == 0),
        ] {
            if is_zero {
                return fault(key, "must be at least 1");
            }
        }
        for (key, text) in [
            ("schedule.strategy_scan", &schedule.strategy_scan),
            ("schedule.quota_expiry", &schedule.quota_expiry),
        ] {
            if let Err(error) = Schedule::parse(text, quota.time_zone) {
                return fault(key, &error.to_string());
            }
        }
        let is_short = |key: &Secret| key.expose().len() < SigningKeys::KEY_BYTES_MIN;
        if vouchers.signing_key.as_ref().is_some_and(is_short) {
            return fault("vouchers.signing_key", "must be at least 32 bytes long");
        }
        if let Some(place) = vouchers.signing_keys.iter().position(is_short) {
            let key = format!("vouchers.signing_keys[{place}]");
            return fault(&key, "must be at least 32 bytes long");
        }
        let faults = [
            gateway.first_fault(),
            billing.first_fault(),
            stripe.first_fault(),
            accounts.first_fault(),
        ];
        if let Some((key, reason)) = faults.into_iter().flatten().next() {
            return fault(key, reason);
        }
        if let Some((key, reason)) = smtp.first_fault() {
            return fault(key, reason);
        }
        if tracing_subscriber::EnvFilter::try_new(&log.filter).is_err() {
            return fault("log.filter", "must be levels, like `info` or `warn,tallybook=debug`");
        }
        None
    }
}

impl Auth {
    fn first_fault(&self) -> Option<(String, String)> {
        let Self { api_keys, jwt, gateway_header } = self;
        for (index, key) in api_keys.iter().enumerate() {
            if let Some((field, reason)) = key.first_fault() {
                return Some((format!("{API_KEYS}[{index}].{field}"), reason.to_owned()));
            }
        }
        let fault = |key: &str, reason: &str| Some((format!("auth.jwt.{key}"), reason.to_owned()));
        if jwt.hs256_secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return fault("hs256_secret", "must not be empty");
        }
        if let Some(url) = &jwt.jwks_url
            && !reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            return fault("jwks_url", "must be an `http://` or `https://` address");
        }
        for (key, header) in
            [("auth.jwt.header", &jwt.header), ("auth.gateway_header", gateway_header)]
        {
            if axum::http::HeaderName::try_from(header).is_err() {
                return Some((key.to_owned(), "must be the name of a header".to_owned()));
            }
        }
        None
    }
}

impl ApiKey {
    fn first_fault(&self) -> Option<(&'static str, &'static str)> {
        let Self { key, key_sha256, role, organization, user, name: _ } = self;
        match (key, key_sha256) {
            (None, None) => return Some(("key", "`key` or `key_sha256` is needed")),
            (Some(_), Some(_)) => {
                return Some(("key", "`key` and `key_sha256` exclude each other"));
            }
            (Some(key), None) if key.expose().is_empty() => {
                return Some(("key", "must not be empty"));
            }
            (None, Some(digest))
                if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                return Some(("key_sha256", "must be 64 hexadecimal digits"));
            }
            _ => (),
        }
        match role {
            Role::TenantAdmin if organization.is_none() => {
                Some(("organization", "a `tenant_admin` needs one"))
            }
            Role::TenantUser if user.is_none() => Some(("user", "a `tenant_user` needs one")),
            _ => None,
        }
    }
}

impl Gateway {
    fn first_fault(&self) -> Option<(&'static str, &'static str)> {
        let Self { base_url, admin_path, auth_header, auth_value, credential, .. } = self;
        if let Some(base_url) = base_url {
            let url = reqwest::Url::parse(base_url).ok();
            if !url.as_ref().is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
                return Some(("gateway.base_url", "must be an `http://` or `https://` address"));
            }
            if url.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
                return Some((
                    "gateway.base_url",
                    "must not hold a password; there is `gateway.auth_value`",
                ));
            }
        }
        if !admin_path.starts_with('/') || admin_path.contains(['?', '#']) {
            return Some(("gateway.admin_path", "must be a path that starts with `/`"));
        }
        if axum::http::HeaderName::try_from(auth_header).is_err() {
            return Some(("gateway.auth_header", "must be the name of a header"));
        }
        let is_bearers = auth_header.eq_ignore_ascii_case("authorization");
        if is_bearers && auth_value.is_some() && credential.is_some() {
            return Some((
                "gateway.auth_header",
                "must not be `authorization` beside `gateway.credential`",
            ));
        }
        for (key, value) in [("gateway.auth_value", auth_value), ("gateway.credential", credential)]
        {
            let fits = |text: &str| axum::http::HeaderValue::try_from(text).is_ok();
            if value.as_ref().is_some_and(|value| !fits(value.expose())) {
                return Some((key, "must fit into a header: no control characters"));
            }
        }
        None
    }
}

/// The key that `X_API_KEY` gives.
fn developer_key(key: &str) -> ApiKey {
    ApiKey {
        key: Some(Secret::from(key)),
        key_sha256: None,
        role: Role::Developer,
        organization: None,
        user: None,
        name: Name::try_from("x-api-key").expect("invariant: the literal is a name"),
    }
}

/// The variables that concern us.
#[derive(Default)]
struct Variables {
    /// By the key they set.
    keys: BTreeMap<String, Variable>,
    /// Those of [`OTHER_VARIABLES`] that are set.
    others: BTreeMap<&'static str, String>,
}

struct Variable {
    name: String,
    value: String,
}

impl Variables {
    fn of_the_process() -> Result<Self, ConfigError> {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.into_string().map_err(|_| "must be UTF-8")))
        });
        let mut read = Vec::new();
        for (name, value) in ours {
            match value {
                Ok(value) => read.push((name, value)),
                Err(reason) if is_ours(&name) => {
                    return Err(ConfigError::at(format!("`{name}`"), reason));
                }
                Err(_) => (),
            }
        }
        Ok(Self::from_pairs(read))
    }

    /// An empty value of an ecosystem variable counts as absent, as in a compose file.
    fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut variables = Self::default();
        for (name, value) in pairs {
            if let Some(parts) = name.strip_prefix(PREFIX) {
                let key = parts.to_ascii_lowercase().replace("__", ".");
                variables.keys.insert(key, Variable { name, value });
            } else if value.is_empty() {
            } else if let Some(other) = OTHER_VARIABLES.iter().find(|other| **other == name) {
                variables.others.insert(other, value);
            } else if let Some((_, key)) = KNOWN_VARIABLES.iter().find(|(known, _)| *known == name)
            {
                variables.keys.entry((*key).to_owned()).or_insert(Variable { name, value });
            }
        }
        variables
    }

    fn other(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
        || OTHER_VARIABLES.contains(&name)
        || KNOWN_VARIABLES.iter().any(|(known, _)| *known == name)
}

/// Finds where a key's value came from, for the error.
struct Place<'a> {
    file: Option<&'a Path>,
    variables: &'a Variables,
}

impl Place<'_> {
    fn of(&self, key: &str) -> String {
        let own = self.variables.keys.iter().find(|(set, _)| {
            key == *set || key.strip_prefix(set.as_str()).is_some_and(|rest| rest.starts_with('['))
        });
        match (own, self.file) {
            (Some((_, variable)), _) => format!("`{key}` ({})", variable.name),
            (None, Some(path)) => format!("`{key}` ({})", path.display()),
            (None, None) => format!("`{key}`"),
        }
    }

    fn error(&self, error: &config::ConfigError) -> ConfigError {
        let (key, reason) = key_and_reason(error);
        // The crate writes `keys[0]name`.
        let key = key.replace(']', "].").replace("].[", "][").replace("]..", "].");
        ConfigError::at(self.of(key.trim_end_matches('.')), reason)
    }
}

fn key_and_reason(error: &config::ConfigError) -> (String, String) {
    use config::ConfigError as E;
    match error {
        // What was found instead may be a secret.
        E::Type { key, expected, .. } => {
            (key.clone().unwrap_or_default(), format!("must be {expected}"))
        }
        E::At { error, key, .. } => {
            let (inner, reason) = key_and_reason(error);
            (join(key.as_deref().unwrap_or_default(), &inner), reason)
        }
        E::NotFound(key) => (key.clone(), "is missing".to_owned()),
        other => {
            let text = on_one_line(&other.to_string());
            let field = text.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
            match field {
                Some((field, _)) => (field.to_owned(), "there is no such key".to_owned()),
                None => (String::new(), without_value(&text)),
            }
        }
    }
}

fn join(outer: &str, inner: &str) -> String {
    match (outer.is_empty(), inner.is_empty()) {
        (_, true) => outer.to_owned(),
        (true, _) => inner.to_owned(),
        _ => format!("{outer}.{inner}"),
    }
}

/// An error of a type shows the value, which may be a secret: keeps only what was expected.
fn without_value(text: &str) -> String {
    let shows_value = ["invalid type: ", "invalid value: ", "invalid length "];
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if shows_value.iter().any(|start| text.contains(start)) => {
            let expected = if expected.starts_with("struct ") { "a table" } else { expected };
            format!("must be {expected}")
        }
        _ => text.to_owned(),
    }
}

/// A TOML error shows the faulty line, which may hold a secret: keeps only where it is and why.
fn on_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let told: Vec<_> = lines.filter(|line| !line.is_empty() && !line.contains('|')).collect();
    told.join(": ")
}

impl ConfigError {
    fn at(place: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { place: place.into(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests;
