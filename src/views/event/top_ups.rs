//! The events of payments through the provider as JSON.

use projections::names::Names;
use schemas::Event;
use serde::Serialize;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum TopUpEventData {
    Nothing {},
}

impl TopUpEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(_names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::TopUpStarted(_)
            | Event::TopUpLinked(_)
            | Event::TopUpSucceeded(_)
            | Event::TopUpFailed(_) => Self::Nothing {},
            _ => return None,
        })
    }
}
