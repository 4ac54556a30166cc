//! Refusals about webhooks.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookRejection {
    /// There is no such webhook endpoint.
    #[error("there is no such webhook endpoint")]
    NoSuchWebhook,
}

impl WebhookRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchWebhook => "no_such_webhook",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchWebhook => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchWebhook => Blame::Missing,
        }
    }
}
