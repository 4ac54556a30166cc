//! The events of tenants' terms as JSON.

use projections::names::Names;
use schemas::Event;
use serde::Serialize;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum TenantEventData {
    Nothing {},
}

impl TenantEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(_names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::TenantUpdated(_)
            | Event::TenantStatusChanged(_)
            | Event::ConsumptionLimitsSet(_)
            | Event::AutoTopUpSet(_) => Self::Nothing {},
            _ => return None,
        })
    }
}
