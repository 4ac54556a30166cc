//! Events of alerts, and of telling others: endpoints of webhooks, and what became of deliveries.

use bincode::{Decode, Encode};

use crate::{Credits, Day, Money, Sealed, Sequence, TenantId, Timestamp, UserId, WebhookId};

/// Which of a tenant's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum LimitKind {
    /// Of the tenant's month.
    Monthly,
    /// Of the tenant's day.
    Daily,
    /// Of one user's month.
    PerUser,
}

/// What an alert is about: at most one of a kind, tenant, user and period is raised at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum AlertKind {
    /// What is available of the wallet has fallen below the tenant's threshold.
    LowBalance,
    /// The wallet is below its credit limit.
    CreditLimitPassed,
    /// 80 % of a limit are used.
    LimitWarning(LimitKind),
    /// All of a limit is used.
    LimitReached(LimitKind),
    /// 80 % of a user's quota are used.
    QuotaWarning,
    /// All of a user's quota is used.
    QuotaExhausted,
}

/// How much of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum AlertFigures {
    /// What is there, and the threshold.
    Money(Money, Money),
    /// Tokens used, and the limit.
    Tokens(u64, u64),
    /// Quota used, and the whole.
    Quota(Credits, Credits),
}

/// What an alert is about, so that it is raised once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct AlertSubject {
    /// Whose people are told.
    pub tenant: TenantId,
    /// The user concerned, where it is one.
    pub user: Option<UserId>,
    /// What is the matter.
    pub kind: AlertKind,
}

/// See [`Event::AlertRaised`](crate::Event::AlertRaised).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AlertRaised {
    /// What it is about.
    pub subject: AlertSubject,
    /// The first day of the period concerned, where it is one.
    pub period: Option<Day>,
    /// How much of how much.
    pub figures: AlertFigures,
}

/// See [`Event::AlertCleared`](crate::Event::AlertCleared).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AlertCleared {
    /// What it was about.
    pub subject: AlertSubject,
}

/// What deliveries are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WebhookSecret {
    /// The secret.
    pub sealed: Sealed,
    /// Until when it signs, once another has taken its place.
    pub signs_until: Option<Timestamp>,
}

/// See [`Event::WebhookSet`](crate::Event::WebhookSet).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WebhookSet {
    /// The endpoint.
    pub webhook: WebhookId,
    /// Whose events it gets; `None`: every tenant's.
    pub tenant: Option<TenantId>,
    /// Where they are sent.
    pub url: String,
    /// Which types of them, as they are called there; none: all.
    pub types: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// What they are signed with: the present secret, then those that it has replaced.
    pub secrets: Vec<WebhookSecret>,
    /// In words.
    pub description: String,
}

/// See [`Event::WebhookRemoved`](crate::Event::WebhookRemoved).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct WebhookRemoved {
    /// The endpoint.
    pub webhook: WebhookId,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum DeliveryOutcome {
    /// It has arrived.
    Delivered,
    /// It has not, and is tried again then.
    RetryAt(Timestamp),
    /// It has not, and is not tried again by itself.
    GivenUp,
    /// The endpoint wants nothing more.
    Gone,
}

/// See [`Event::DeliveryAttempted`](crate::Event::DeliveryAttempted).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeliveryAttempted {
    /// Where to.
    pub webhook: WebhookId,
    /// Which event was sent.
    pub event: Sequence,
    /// Counts the attempts, from 1.
    pub attempt: u32,
    /// The status of the answer; 0: there was none.
    pub status: u16,
    /// Why it did not arrive, in words; empty when it did.
    pub error: String,
    /// What became of it.
    pub outcome: DeliveryOutcome,
}

/// See [`Event::DeliveryRequested`](crate::Event::DeliveryRequested).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DeliveryRequested {
    /// Where to.
    pub webhook: WebhookId,
    /// Which event.
    pub event: Sequence,
}
