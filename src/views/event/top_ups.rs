//! The events of payments through the provider as JSON.

use projections::names::Names;
use schemas::{Event, Money, TopUpId, TopUpKind};
use serde::Serialize;

use super::text;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum TopUpEventData {
    TopUpStarted {
        top_up_id: TopUpId,
        organization_id: String,
        amount: Money,
        kind: TopUpKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        payment_method_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_id: Option<String>,
    },
    TopUpLinked {
        top_up_id: TopUpId,
        #[serde(skip_serializing_if = "Option::is_none")]
        stripe_payment_intent_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stripe_checkout_session_id: Option<String>,
    },
    TopUpSucceeded {
        top_up_id: TopUpId,
        organization_id: String,
        amount: Money,
        stripe_payment_intent_id: String,
    },
    TopUpFailed {
        top_up_id: TopUpId,
        organization_id: String,
        reason: String,
    },
}

impl TopUpEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::TopUpStarted(event) => Self::TopUpStarted {
                top_up_id: event.top_up,
                organization_id: text(names, event.tenant),
                amount: event.amount,
                kind: event.kind,
                payment_method_id: event.terms.payment_method.clone(),
                customer_id: event.terms.customer.clone(),
            },
            Event::TopUpLinked(event) => Self::TopUpLinked {
                top_up_id: event.top_up,
                stripe_payment_intent_id: event.payment_intent.clone(),
                stripe_checkout_session_id: event.checkout_session.clone(),
            },
            Event::TopUpSucceeded(event) => Self::TopUpSucceeded {
                top_up_id: event.top_up,
                organization_id: text(names, event.tenant),
                amount: event.amount,
                stripe_payment_intent_id: event.payment_intent.clone(),
            },
            Event::TopUpFailed(event) => Self::TopUpFailed {
                top_up_id: event.top_up,
                organization_id: text(names, event.tenant),
                reason: event.reason.clone(),
            },
            _ => return None,
        })
    }
}
