//! What is kept free for calls that are about to be made.

use bincode::{Decode, Encode};
use schemas::{Credits, Money, Recorded, TenantId, Timestamp, UserId};

use crate::projection::Projection;

/// Every hold that has not ended.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Holds {}

impl Holds {
    /// The money that is kept free of a tenant's wallet at `now`: what has run out by then is not.
    #[must_use]
    pub fn held_money(&self, _tenant: TenantId, _now: Timestamp) -> Money {
        Money::ZERO
    }

    /// The quota that is kept free of a user's at `now`.
    #[must_use]
    pub fn held_credits(&self, _user: UserId, _now: Timestamp) -> Credits {
        Credits::ZERO
    }
}

impl Projection for Holds {
    const NAME: &'static str = "holds";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
