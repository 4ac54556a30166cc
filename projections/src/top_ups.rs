//! Payments through the provider.

use bincode::{Decode, Encode};
use schemas::{Money, NameId, Recorded, TenantId, Timestamp, TopUpId, TopUpKind};

use crate::collections::Paged;
use crate::projection::Projection;

/// How a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum TopUpState {
    /// Nobody knows yet.
    Pending,
    /// It has come in.
    Succeeded,
    /// It did not come in, so far.
    Failed,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TopUp {
    /// Which.
    pub id: TopUpId,
    /// USD: what was asked for; once it has come in, what came in.
    pub amount: Money,
    /// How it is paid.
    pub kind: TopUpKind,
    /// How it stands.
    pub state: TopUpState,
    /// The provider's id of the payment.
    pub payment_intent: Option<String>,
    /// The provider's id of the page where it is paid.
    pub checkout_session: Option<String>,
    /// Why it failed, in the provider's words.
    pub failure: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it came in.
    pub completed_at: Option<Timestamp>,
}

/// Every payment.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct TopUps {
    tenants: Paged<Vec<TopUp>>,
}

impl TopUps {
    /// A tenant's payments, the earliest first.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> &[TopUp] {
        self.tenants.get(tenant.number())
    }
}

impl Projection for TopUps {
    const NAME: &'static str = "top_ups";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
