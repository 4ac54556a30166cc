//! Every bill, and which periods are closed.

use bincode::{Decode, Encode};
use schemas::{Day, Money, NameId, Recorded, Sequence, TenantId, Timestamp};

use crate::collections::Paged;
use crate::projection::Projection;

/// A bill as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct BillSummary {
    /// The bill.
    pub id: Sequence,
    /// Its first event: the first of its lines.
    pub cause: Sequence,
    /// The UTC day that it closes.
    pub day: Day,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// The first event that it takes.
    pub first: Sequence,
    /// How many calls it takes.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
    /// Of it, what was given back.
    pub refunded: Money,
}

/// Every bill.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Bills {
    tenants: Paged<Vec<BillSummary>>,
}

impl Bills {
    /// A tenant's bills, the earliest first.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> &[BillSummary] {
        self.tenants.get(tenant.number())
    }
}

impl Projection for Bills {
    const NAME: &'static str = "bills";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
