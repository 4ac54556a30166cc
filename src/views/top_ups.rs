//! Payments through the provider, as readers read them.

use projections::top_ups::{TopUp, TopUpState};
use schemas::{Money, Name, Sequence, TenantId, Timestamp, TopUpId, TopUpKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::Views;

/// A payment into a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopUpTransaction {
    /// Which.
    #[schema(value_type = String)]
    pub id: TopUpId,
    /// Whose wallet.
    pub organization_id: String,
    /// USD: what was asked for; once it has come in, what came in.
    #[schema(value_type = f64)]
    pub amount: Money,
    /// How it is paid: `checkout`, `payment_intent`, `auto` or `unannounced`.
    #[schema(value_type = String)]
    pub kind: TopUpKind,
    /// Stripe's id of the payment, as soon as it has one.
    pub stripe_payment_intent_id: Option<String>,
    /// Stripe's id of the page where it is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stripe_checkout_session_id: Option<String>,
    /// `pending`, `succeeded` or `failed`.
    pub status: &'static str,
    /// Why it failed, so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it came in.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
}

/// Some of a tenant's payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopUpPage {
    /// Newest first.
    pub top_ups: Vec<TopUpTransaction>,
    /// The first one of the next page.
    pub next: Option<Sequence>,
}

impl Views {
    /// A tenant's payments that began up to `through`, newest first; `None` when there is no such
    /// tenant.
    #[must_use]
    pub fn top_ups(&self, tenant: &Name, through: Sequence, limit: usize) -> Option<TopUpPage> {
        self.look(|reading| {
            let id: TenantId = reading.books.names.find(tenant.as_str())?;
            let all = reading.books.top_ups.of(id);
            let end = all.partition_point(|top_up| top_up.started <= through);
            let start = end.saturating_sub(limit);
            let page = all.get(start..end)?;
            let next = start.checked_sub(1).and_then(|place| all.get(place));
            Some(TopUpPage {
                top_ups: page.iter().rev().map(|top_up| transaction(tenant, top_up)).collect(),
                next: next.map(|top_up| top_up.started),
            })
        })
    }

    /// One payment, with the event that the answer reflects; `None` when there is none, or not for
    /// `tenant`.
    #[must_use]
    pub fn top_up(
        &self,
        id: TopUpId,
        tenant: Option<&Name>,
    ) -> (Sequence, Option<TopUpTransaction>) {
        self.look_now(|reading| {
            let (owner, top_up) = reading.books.top_ups.find(id)?;
            let owner = Name::try_from(reading.books.names.text(owner).to_string()).ok()?;
            let is_seen = tenant.is_none_or(|tenant| *tenant == owner);
            is_seen.then(|| transaction(&owner, top_up))
        })
    }
}

fn transaction(tenant: &Name, top_up: &TopUp) -> TopUpTransaction {
    TopUpTransaction {
        id: top_up.id,
        organization_id: tenant.as_str().to_owned(),
        amount: top_up.amount,
        kind: top_up.kind,
        stripe_payment_intent_id: top_up.payment_intent.clone(),
        stripe_checkout_session_id: top_up.checkout_session.clone(),
        status: top_up_status(top_up.state),
        failure_reason: top_up.failure.clone(),
        created_at: top_up.created_at,
        completed_at: top_up.completed_at,
    }
}

/// How a payment stands, on the wire.
#[must_use]
pub const fn top_up_status(state: TopUpState) -> &'static str {
    match state {
        TopUpState::Pending => "pending",
        TopUpState::Succeeded => "succeeded",
        TopUpState::Failed => "failed",
    }
}
