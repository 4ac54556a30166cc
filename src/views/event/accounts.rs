//! The events of accounts, sessions and API keys. No secret is shown, not even hashed as JSON.

use projections::names::Names;
use schemas::Event;
use serde::Serialize;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum AccountEventData {
    Nothing {},
}

impl AccountEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(_names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::AccountSet(_)
            | Event::PasswordSet(_)
            | Event::SessionOpened(_)
            | Event::SessionClosed(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_) => Self::Nothing {},
            _ => return None,
        })
    }
}
