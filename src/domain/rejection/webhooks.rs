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
    /// A tenant has as many as it may.
    #[error("there are {max} endpoints already; remove one first")]
    TooManyWebhooks {
        /// How many there may be.
        max: usize,
    },
    /// Nothing is called so.
    #[error("there is no such type of events")]
    UnknownType {
        /// Its place in the list.
        place: usize,
    },
    /// A type is listed twice.
    #[error("the type is listed twice")]
    TypeRepeated {
        /// The second one's place in the list.
        place: usize,
    },
    /// Too many secrets sign already.
    #[error("too many replaced secrets still sign; rotate again in a day")]
    RotatedTooOften,
    /// Nothing is sent to an endpoint that is switched off.
    #[error("the endpoint is switched off; enable it first")]
    WebhookDisabled,
    /// The event does not exist, or is none that this endpoint is told of.
    #[error("there is no such event, or none that this endpoint is told of")]
    NoSuchDelivery,
}

impl WebhookRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchWebhook => "no_such_webhook",
            Self::TooManyWebhooks { .. } => "too_many_webhooks",
            Self::UnknownType { .. } => "unknown_type",
            Self::TypeRepeated { .. } => "type_repeated",
            Self::RotatedTooOften => "rotated_too_often",
            Self::WebhookDisabled => "webhook_disabled",
            Self::NoSuchDelivery => "no_such_delivery",
        }
    }

    pub(super) fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::UnknownType { place } | Self::TypeRepeated { place } => {
                Some(format!("types[{place}]").into())
            }
            Self::NoSuchWebhook
            | Self::TooManyWebhooks { .. }
            | Self::RotatedTooOften
            | Self::WebhookDisabled
            | Self::NoSuchDelivery => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchWebhook | Self::NoSuchDelivery => Blame::Missing,
            Self::TooManyWebhooks { .. } | Self::RotatedTooOften | Self::WebhookDisabled => {
                Blame::State
            }
            Self::UnknownType { .. } | Self::TypeRepeated { .. } => Blame::Command,
        }
    }
}
