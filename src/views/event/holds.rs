//! The events of holds as JSON.

use projections::names::Names;
use schemas::Event;
use serde::Serialize;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum HoldEventData {
    Nothing {},
}

impl HoldEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(_names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::HoldPlaced(_) | Event::HoldReleased(_) | Event::HoldExpired(_) => {
                Self::Nothing {}
            }
            _ => return None,
        })
    }
}
