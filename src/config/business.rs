//! What can be configured about money and people: payments, e-mail, webhooks and accounts.

use std::borrow::Cow;

use axum::http::HeaderName;
use lettre::message::Mailbox;
use reqwest::Url;
use schemas::Name;
use serde::Deserialize;

use super::Secret;
use crate::passwords;

/// Bills and top-ups.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Billing {
    /// How long a wallet that fills itself waits before it does so again.
    pub auto_top_up_cooldown_seconds: u32,
    /// How often wallets are looked at that fill themselves; 0: only when that job is run by hand.
    pub auto_top_up_every_seconds: u32,
    /// Where people reach what stands before this service: payments lead back to below it.
    pub public_url: Option<String>,
}

impl Billing {
    pub(super) fn first_fault(&self) -> Option<(&'static str, &'static str)> {
        let Self { auto_top_up_cooldown_seconds: _, auto_top_up_every_seconds: _, public_url } =
            self;
        let reason = address_fault(public_url.as_deref()?)?;
        Some(("billing.public_url", reason))
    }
}

impl Default for Billing {
    fn default() -> Self {
        Self { auto_top_up_cooldown_seconds: 3600, auto_top_up_every_seconds: 10, public_url: None }
    }
}

/// Stripe, through which tenants pay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stripe {
    /// `sk_…`; absent: no payments.
    pub secret_key: Option<Secret>,
    /// `whsec_…`, by which its webhooks are known to be its own.
    pub webhook_secret: Option<Secret>,
    /// Where its API is.
    pub base_url: String,
    /// How long it may take to answer one request.
    pub timeout_ms: u32,
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            secret_key: None,
            webhook_secret: None,
            base_url: "https://api.stripe.com".to_owned(),
            timeout_ms: 20_000,
        }
    }
}

impl Stripe {
    pub(super) fn first_fault(&self) -> Option<(&'static str, &'static str)> {
        let Self { secret_key, webhook_secret, base_url, timeout_ms } = self;
        for (key, secret) in
            [("stripe.secret_key", secret_key), ("stripe.webhook_secret", webhook_secret)]
        {
            let Some(text) = secret.as_ref().map(Secret::expose) else { continue };
            if text.is_empty() {
                return Some((key, "must not be empty"));
            }
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Some((key, "must be visible characters without spaces"));
            }
        }
        if let Some(reason) = address_fault(base_url) {
            return Some(("stripe.base_url", reason));
        }
        (*timeout_ms == 0).then_some(("stripe.timeout_ms", "must be at least 1"))
    }
}

/// What is wrong with an address below which others are put together.
fn address_fault(address: &str) -> Option<&'static str> {
    let Some(url) = reqwest::Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return Some("must be an `http://` or `https://` address");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("must not hold a password");
    }
    let ends = url.query().is_some() || url.fragment().is_some();
    ends.then_some("must end with its path")
}

/// Webhooks that go out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Whether they may go to addresses that are not public, such as this machine.
    pub allow_private_addresses: bool,
    /// How long an endpoint may take to answer.
    pub timeout_ms: u32,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { allow_private_addresses: false, timeout_ms: 15_000 }
    }
}

/// Where e-mail goes out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// `smtp://`, `smtps://` or `smtp+starttls://`, with user and password; absent: no e-mail.
    pub url: Option<Secret>,
    /// Who it is from.
    pub from: String,
}

impl Default for Smtp {
    fn default() -> Self {
        Self { url: None, from: "Tallybook <tallybook@localhost>".to_owned() }
    }
}

impl Smtp {
    /// Whether anyone on the way to the server can read the password.
    #[must_use]
    pub fn sends_password_in_clear(&self) -> bool {
        let url = self.url.as_ref().and_then(|url| Url::parse(url.expose()).ok());
        url.is_some_and(|url| url.scheme() == "smtp" && url.password().is_some())
    }

    /// The first key that is wrong, and what it must be.
    pub(super) fn first_fault(&self) -> Option<(&'static str, &'static str)> {
        const SCHEMES: [&str; 3] = ["smtp", "smtps", "smtp+starttls"];
        let Self { url, from } = self;
        if let Some(url) = url {
            let url = Url::parse(url.expose()).ok();
            let is_good = url
                .as_ref()
                .is_some_and(|url| SCHEMES.contains(&url.scheme()) && url.host_str().is_some());
            if !is_good {
                return Some((
                    "smtp.url",
                    "must be an `smtp://`, `smtps://` or `smtp+starttls://` address",
                ));
            }
            if url.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
                return Some((
                    "smtp.url",
                    "must end after the host, the port and a name for `EHLO`",
                ));
            }
        }
        if from.parse::<Mailbox>().is_err() {
            return Some(("smtp.from", "must be an e-mail address, like `Name <name@host>`"));
        }
        None
    }
}

/// The address of a mail server as the mail library reads it.
pub(crate) fn smtp_url(url: &str) -> Cow<'_, str> {
    match url.strip_prefix("smtp+starttls://") {
        Some(rest) => format!("smtp://{rest}?tls=required").into(),
        None => url.into(),
    }
}

/// People who sign in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// The e-mail address of the first developer, who is made at a start that finds none.
    pub super_admin_email: Option<String>,
    /// And the password.
    pub super_admin_password: Option<Secret>,
    /// The user id of the first developer.
    pub super_admin_user: Name,
    /// How long a session lasts.
    pub session_hours: u32,
    /// Whether the cookie of a session goes over https alone. Browsers take the machine itself for
    /// safe; other clients do not, over plain http.
    pub secure_cookies: bool,
    /// In which header a proxy says whom it stands for, such as `x-forwarded-for`; absent: clients
    /// are who is connected.
    pub client_address_header: Option<String>,
}

/// Passwords that stand in examples, and so in guesses.
const EXAMPLES: [&str; 3] = ["changeme123", "changeme", "password"];

impl Accounts {
    /// The first key whose value is of the right kind and yet wrong, and why.
    pub(super) fn first_fault(&self) -> Option<(&'static str, &'static str)> {
        let Self {
            super_admin_email: email,
            super_admin_password: password,
            super_admin_user: _,
            session_hours,
            secure_cookies: _,
            client_address_header: header,
        } = self;
        match (email, password) {
            (Some(_), None) => {
                return Some(("accounts.super_admin_password", "is needed beside the e-mail"));
            }
            (None, Some(_)) => {
                return Some(("accounts.super_admin_email", "is needed beside the password"));
            }
            (Some(email), Some(_)) if !is_email(email) => {
                return Some(("accounts.super_admin_email", "must be an e-mail address"));
            }
            _ => (),
        }
        if !(1..=8784).contains(session_hours) {
            return Some(("accounts.session_hours", "must be 1 to 8784"));
        }
        let header = header.as_ref().map(HeaderName::try_from);
        if header.is_some_and(|header| header.is_err()) {
            return Some(("accounts.client_address_header", "must be the name of a header"));
        }
        None
    }

    /// Why the first developer's password is none for a service that others reach.
    pub(super) fn password_fault(&self) -> Option<&'static str> {
        let password = self.super_admin_password.as_ref()?;
        if EXAMPLES.iter().any(|example| password.expose().eq_ignore_ascii_case(example)) {
            return Some("is the password of an example; choose another");
        }
        passwords::fault(password)
    }
}

/// Whether a text looks like an e-mail address that a name may be.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let is_short = text.len() <= Name::BYTES_MAX;
    let parts = text.rsplit_once('@');
    let is_plain = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    is_short && parts.is_some_and(|(whose, host)| is_plain(whose) && is_plain(host))
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            super_admin_email: None,
            super_admin_password: None,
            super_admin_user: Name::try_from("super-admin").expect("invariant: a name"),
            session_hours: 12,
            secure_cookies: true,
            client_address_header: None,
        }
    }
}
