//! The events of accounts, sessions and API keys. No secret is shown, not even hashed.

use projections::names::Names;
use schemas::{
    AccountSet, ApiKeyIssued, ApiKeyRevoked, Event, PasswordCleared, PasswordSet, Role,
    SessionClosed, SessionOpened, Timestamp,
};
use serde::Serialize;

use super::text;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum AccountEventData {
    AccountSet {
        user_id: String,
        within: Option<String>,
        role: Role,
        active: bool,
    },
    PasswordSet {
        user_id: String,
    },
    PasswordCleared {
        user_id: String,
    },
    SessionOpened {
        user_id: String,
        expires_at: Timestamp,
    },
    SessionClosed {
        user_id: String,
    },
    ApiKeyIssued {
        key: u32,
        name: String,
        prefix: String,
        role: Role,
        organization_id: Option<String>,
        user_id: Option<String>,
        expires_at: Option<Timestamp>,
    },
    ApiKeyRevoked {
        key: u32,
    },
}

impl AccountEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::AccountSet(AccountSet { user, within, role, active }) => Self::AccountSet {
                user_id: text(names, *user),
                within: within.map(|tenant| text(names, tenant)),
                role: *role,
                active: *active,
            },
            Event::PasswordSet(PasswordSet { user, hash: _ }) => {
                Self::PasswordSet { user_id: text(names, *user) }
            }
            Event::PasswordCleared(PasswordCleared { user }) => {
                Self::PasswordCleared { user_id: text(names, *user) }
            }
            Event::SessionOpened(SessionOpened { user, session: _, expires_at }) => {
                Self::SessionOpened { user_id: text(names, *user), expires_at: *expires_at }
            }
            Event::SessionClosed(SessionClosed { user, session: _ }) => {
                Self::SessionClosed { user_id: text(names, *user) }
            }
            Event::ApiKeyIssued(issued) => {
                let ApiKeyIssued { key, name, digest: _, prefix, role, tenant, user, expires_at } =
                    issued.as_ref();
                Self::ApiKeyIssued {
                    key: key.0,
                    name: name.clone(),
                    prefix: prefix.clone(),
                    role: *role,
                    organization_id: tenant.map(|tenant| text(names, tenant)),
                    user_id: user.map(|user| text(names, user)),
                    expires_at: *expires_at,
                }
            }
            Event::ApiKeyRevoked(ApiKeyRevoked { key }) => Self::ApiKeyRevoked { key: key.0 },
            _ => return None,
        })
    }
}
