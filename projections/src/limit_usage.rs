//! What counts towards the limits of tenants and their users: tokens in the present day and month of
//! the tenant, and in the one before.

use bincode::{Decode, Encode};
use schemas::{Day, Recorded, TenantId, UserId};

use crate::projection::Projection;

/// Tokens that count towards limits.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct LimitUsage {}

impl LimitUsage {
    /// A tenant's tokens of the month that begins with `first`; of the latest two months only.
    #[must_use]
    pub fn month(&self, _tenant: TenantId, _first: Day) -> u64 {
        0
    }

    /// A tenant's tokens of a day; of the latest two days only.
    #[must_use]
    pub fn day(&self, _tenant: TenantId, _day: Day) -> u64 {
        0
    }

    /// A user's tokens, where this tenant pays, of the month that begins with `first`; of the latest
    /// two months only.
    #[must_use]
    pub fn user_month(&self, _tenant: TenantId, _user: UserId, _first: Day) -> u64 {
        0
    }
}

impl Projection for LimitUsage {
    const NAME: &'static str = "limit_usage";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
