//! The events of alerts, webhooks and deliveries. Secrets are not shown as JSON.

use projections::names::Names;
use projections::notices::Notice;
use schemas::{
    AlertSubject, Day, DeliveryOutcome, Event, Sequence, TenantId, Timestamp, WebhookId,
};
use serde::Serialize;

use crate::views::notice::{Figures, limit_name};

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum AlertEventData {
    AlertRaised {
        organization_id: String,
        user_id: Option<String>,
        alert: &'static str,
        limit: Option<&'static str>,
        period: Option<Day>,
        figures: EventFigures,
    },
    AlertCleared {
        organization_id: String,
        user_id: Option<String>,
        alert: &'static str,
        limit: Option<&'static str>,
    },
    WebhookSet {
        webhook: WebhookId,
        organization_id: Option<String>,
        url: String,
        types: Vec<String>,
        enabled: bool,
        secrets: usize,
        description: String,
    },
    WebhookRemoved {
        webhook: WebhookId,
    },
    DeliveryAttempted {
        webhook: WebhookId,
        event: Sequence,
        attempt: u32,
        status: u16,
        error: String,
        outcome: &'static str,
        retry_at: Option<Timestamp>,
    },
    DeliveryRequested {
        webhook: WebhookId,
        event: Sequence,
    },
}

/// How much of how much, as events write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EventFigures {
    /// What is there, and the threshold.
    Money {
        /// USD.
        available: schemas::Money,
        /// USD.
        threshold: schemas::Money,
    },
    /// Tokens used, and the limit.
    Tokens {
        /// How many are used.
        used_tokens: u64,
        /// How many may be.
        limit_tokens: u64,
    },
    /// Quota used, and the whole.
    Quota {
        /// How much is used.
        used_quota: schemas::Credits,
        /// How much there was.
        total_quota: schemas::Credits,
    },
}

impl From<Figures> for EventFigures {
    fn from(figures: Figures) -> Self {
        match figures {
            Figures::Money { available, threshold } => Self::Money { available, threshold },
            Figures::Tokens { used_tokens, limit_tokens } => {
                Self::Tokens { used_tokens, limit_tokens }
            }
            Figures::Quota { used_quota, total_quota } => Self::Quota { used_quota, total_quota },
        }
    }
}

impl AlertEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        let tenant = |tenant: TenantId| names.text(tenant).to_string();
        let user = |subject: AlertSubject| subject.user.map(|user| names.text(user).to_string());
        Some(match event {
            Event::AlertRaised(raised) => Self::AlertRaised {
                organization_id: tenant(raised.subject.tenant),
                user_id: user(raised.subject),
                alert: Notice::of_alert(raised.subject.kind).name(),
                limit: limit_name(raised.subject.kind),
                period: raised.period,
                figures: Figures::from(raised.figures).into(),
            },
            Event::AlertCleared(cleared) => Self::AlertCleared {
                organization_id: tenant(cleared.subject.tenant),
                user_id: user(cleared.subject),
                alert: Notice::of_alert(cleared.subject.kind).name(),
                limit: limit_name(cleared.subject.kind),
            },
            Event::WebhookSet(set) => Self::WebhookSet {
                webhook: set.webhook,
                organization_id: set.tenant.map(tenant),
                url: set.url.clone(),
                types: set.types.clone(),
                enabled: set.enabled,
                secrets: set.secrets.len(),
                description: set.description.clone(),
            },
            Event::WebhookRemoved(removed) => Self::WebhookRemoved { webhook: removed.webhook },
            Event::DeliveryAttempted(attempted) => Self::DeliveryAttempted {
                webhook: attempted.webhook,
                event: attempted.event,
                attempt: attempted.attempt,
                status: attempted.status,
                error: attempted.error.clone(),
                outcome: delivery_outcome_name(attempted.outcome),
                retry_at: retry_at(attempted.outcome),
            },
            Event::DeliveryRequested(requested) => {
                Self::DeliveryRequested { webhook: requested.webhook, event: requested.event }
            }
            _ => return None,
        })
    }
}

/// What became of an attempt, in a word.
#[must_use]
pub const fn delivery_outcome_name(outcome: DeliveryOutcome) -> &'static str {
    match outcome {
        DeliveryOutcome::Delivered => "delivered",
        DeliveryOutcome::RetryAt(_) => "retry",
        DeliveryOutcome::GivenUp => "given_up",
        DeliveryOutcome::Gone => "gone",
    }
}

/// When it is tried again.
pub(in crate::views) const fn retry_at(outcome: DeliveryOutcome) -> Option<Timestamp> {
    match outcome {
        DeliveryOutcome::RetryAt(at) => Some(at),
        DeliveryOutcome::Delivered | DeliveryOutcome::GivenUp | DeliveryOutcome::Gone => None,
    }
}
