//! Endpoints of webhooks, and what became of deliveries.

use projections::books::Books;
use schemas::{DeliveryAttempted, Event, RequestDelivery, SetWebhook, WebhookId};

use super::naming::Naming;
use super::rejection::Rejection;

/// An endpoint from now on.
pub(super) fn set(
    _books: &Books,
    _command: &SetWebhook,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// The end of an endpoint.
pub(super) fn remove(_books: &Books, _webhook: WebhookId) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// What became of a delivery; nothing when nobody waits for it any more.
pub(super) fn record_delivery(_books: &Books, _delivery: &DeliveryAttempted) -> Vec<Event> {
    Vec::new()
}

/// A delivery that is to be made again.
pub(super) fn request_delivery(
    _books: &Books,
    _command: &RequestDelivery,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}
