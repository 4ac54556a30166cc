//! What can be configured about money and people: payments, e-mail, webhooks and accounts.

use std::borrow::Cow;

use lettre::message::Mailbox;
use reqwest::Url;
use schemas::Name;
use serde::Deserialize;

use super::Secret;

/// Bills and top-ups.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Billing {
    /// How long a wallet that fills itself waits before it does so again.
    pub auto_top_up_cooldown_seconds: u32,
}

impl Default for Billing {
    fn default() -> Self {
        Self { auto_top_up_cooldown_seconds: 3600 }
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
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            super_admin_email: None,
            super_admin_password: None,
            super_admin_user: Name::try_from("super-admin").expect("invariant: a name"),
            session_hours: 12,
        }
    }
}
