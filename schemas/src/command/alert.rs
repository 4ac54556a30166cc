//! Commands about alerts, and about telling others.

use bincode::Encode;

use crate::{Name, Sequence, TenantId, UserId, WebhookId, WebhookSecret};

/// See [`Command::ReviewAlerts`](crate::Command::ReviewAlerts).
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode)]
pub struct ReviewAlerts {
    /// The tenants whose money and limits are looked at.
    pub tenants: Vec<TenantId>,
    /// The users whose quota is looked at.
    pub users: Vec<UserId>,
    /// The users whose own limit is looked at, where this tenant pays.
    pub payers: Vec<(TenantId, UserId)>,
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
    /// What they are signed with. Sealed anew each time, so that nothing is recognised by it.
    pub secrets: Vec<WebhookSecret>,
    /// In words.
    pub description: String,
    /// Tells what the sender has asked for, without showing it: the same for the same request, whatever
    /// the endpoint was before.
    pub asked: [u8; 16],
}

impl SetWebhook {
    /// What the sender asks for. What an endpoint is called and sealed with when it is made is not of
    /// the sender's choosing.
    pub(super) fn asked_for(&self) -> impl Encode + use<> {
        let webhook = if self.creates { WebhookId([0; 16]) } else { self.webhook };
        (webhook, self.creates, self.asked)
    }
}

/// See [`Command::RequestDelivery`](crate::Command::RequestDelivery).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RequestDelivery {
    /// Where to.
    pub webhook: WebhookId,
    /// Which event.
    pub event: Sequence,
}
