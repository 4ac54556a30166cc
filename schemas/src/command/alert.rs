//! Commands about alerts, and about telling others.

use bincode::Encode;

use crate::{Name, Sealed, Sequence, TenantId, UserId, WebhookId};

/// See [`Command::ReviewAlerts`](crate::Command::ReviewAlerts).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ReviewAlerts {
    /// The tenants whose money and limits are looked at.
    pub tenants: Vec<TenantId>,
    /// The users whose quota and limits are looked at.
    pub users: Vec<UserId>,
}

/// See [`Command::SetWebhook`](crate::Command::SetWebhook).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetWebhook {
    /// The endpoint.
    pub webhook: WebhookId,
    /// Whether it is made by this; else it must be there.
    pub creates: bool,
    /// Whose events it gets; `None`: every tenant's.
    pub tenant: Option<Name>,
    /// Where they are sent.
    pub url: String,
    /// Which types of them.
    pub types: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// What they are signed with, sealed.
    pub secrets: Vec<Sealed>,
    /// In words.
    pub description: String,
}

/// See [`Command::RequestDelivery`](crate::Command::RequestDelivery).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RequestDelivery {
    /// Where to.
    pub webhook: WebhookId,
    /// Which event.
    pub event: Sequence,
}
