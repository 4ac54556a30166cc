//! The events of alerts, webhooks and deliveries. Secrets are not shown as JSON.

use projections::names::Names;
use schemas::Event;
use serde::Serialize;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum AlertEventData {
    Nothing {},
}

impl AlertEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(_names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::AlertRaised(_)
            | Event::AlertCleared(_)
            | Event::WebhookSet(_)
            | Event::WebhookRemoved(_)
            | Event::DeliveryAttempted(_)
            | Event::DeliveryRequested(_) => Self::Nothing {},
            _ => return None,
        })
    }
}
