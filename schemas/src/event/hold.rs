//! Events of holds: what is kept free for a call before it is made. A hold is known by the sequence
//! of its placing. The consumption of the same tenant and request id settles it, which is no event of
//! its own.

use bincode::{Decode, Encode};

use crate::{Credits, ExternalId, ModelId, Money, Sequence, TenantId, Timestamp, UserId};

/// See [`Event::HoldPlaced`](crate::Event::HoldPlaced).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HoldPlaced {
    /// Who will pay.
    pub tenant: TenantId,
    /// Who will call, when it was said.
    pub user: Option<UserId>,
    /// With which model, when it was said.
    pub model: Option<ModelId>,
    /// The call, by its sender's id.
    pub request_id: ExternalId,
    /// Money that is kept free.
    pub amount: Money,
    /// Quota of the user's that is kept free.
    pub credits: Credits,
    /// Tokens that count towards the limits.
    pub tokens: u64,
    /// The moment from which it counts no longer.
    pub expires_at: Timestamp,
}

/// See [`Event::HoldReleased`](crate::Event::HoldReleased).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HoldReleased {
    /// Whose.
    pub tenant: TenantId,
    /// The hold.
    pub hold: Sequence,
}

/// See [`Event::HoldExpired`](crate::Event::HoldExpired).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HoldExpired {
    /// Whose.
    pub tenant: TenantId,
    /// The hold.
    pub hold: Sequence,
}
