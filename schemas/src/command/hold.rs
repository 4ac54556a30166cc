//! Commands about holds.

use bincode::Encode;

use crate::{ExternalId, Money, Name, Sequence};

/// See [`Command::PlaceHold`](crate::Command::PlaceHold).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct PlaceHold {
    /// Who will pay.
    pub tenant: Name,
    /// Who will call.
    pub user: Option<Name>,
    /// The tenant that the user must be of to be held for, and who makes no user known; `None`: any.
    /// It makes the hold no other one.
    pub within: Option<Name>,
    /// With which model.
    pub model: Option<Name>,
    /// The call, by its sender's id.
    pub request_id: ExternalId,
    /// Input tokens that the call will use at most.
    pub prompt_tokens: u64,
    /// Output tokens that the call will use at most.
    pub completion_tokens: u64,
    /// USD that the call will cost at most; `None`: by the model's price.
    pub amount: Option<Money>,
    /// How long it is kept.
    pub ttl_seconds: u32,
}

/// See [`Command::ReleaseHold`](crate::Command::ReleaseHold).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ReleaseHold {
    /// The hold.
    pub hold: Sequence,
    /// The tenant that it must belong to; `None`: any.
    pub tenant: Option<Name>,
}
