//! Endpoints of webhooks, and what became of deliveries.

use projections::books::Books;
use projections::notices::Notice;
use schemas::{
    DeliveryAttempted, DeliveryRequested, Event, RequestDelivery, SetWebhook, WebhookId,
    WebhookRemoved, WebhookSet,
};

use super::naming::Naming;
use super::rejection::{Rejection, WebhookRejection, check_text};

/// How many endpoints a tenant may have; and as many may get every tenant's events.
const ENDPOINTS_MAX: usize = 50;
/// How many secrets may sign beside the present one.
const OLD_SECRETS_MAX: usize = 10;

/// An endpoint from now on.
pub(super) fn set(
    books: &Books,
    command: &SetWebhook,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    check_text("url", &command.url)?;
    check_text("description", &command.description)?;
    for (place, name) in command.types.iter().enumerate() {
        let mut known = Notice::ALL.iter().map(|notice| notice.name());
        if !known.any(|known| known == name) {
            return Err(WebhookRejection::UnknownType { place }.into());
        }
        if command.types.iter().take(place).any(|before| before == name) {
            return Err(WebhookRejection::TypeRepeated { place }.into());
        }
    }
    if command.secrets.len() > OLD_SECRETS_MAX.saturating_add(1) {
        return Err(WebhookRejection::RotatedTooOften.into());
    }
    let tenant = command.tenant.as_ref().map(|tenant| naming.id(tenant));
    match books.webhooks.find(command.webhook) {
        None if !command.creates => return Err(WebhookRejection::NoSuchWebhook.into()),
        None if books.webhooks.of(tenant).count() >= ENDPOINTS_MAX => {
            return Err(WebhookRejection::TooManyWebhooks { max: ENDPOINTS_MAX }.into());
        }
        Some(_) if command.creates => return Err(WebhookRejection::NoSuchWebhook.into()),
        Some(before) if is_the_same(command, before, tenant) => return Ok(Vec::new()),
        None | Some(_) => {}
    }
    Ok(vec![Event::WebhookSet(Box::new(WebhookSet {
        webhook: command.webhook,
        tenant,
        url: command.url.clone(),
        types: command.types.clone(),
        enabled: command.enabled,
        secrets: command.secrets.clone(),
        description: command.description.clone(),
    }))])
}

/// Whether nothing would change.
fn is_the_same(
    command: &SetWebhook,
    before: &projections::webhooks::Endpoint,
    tenant: Option<schemas::TenantId>,
) -> bool {
    before.tenant == tenant
        && before.url == command.url
        && before.types == command.types
        && before.enabled == command.enabled
        && before.secrets == command.secrets
        && before.description == command.description
}

/// The end of an endpoint.
pub(super) fn remove(books: &Books, webhook: WebhookId) -> Result<Vec<Event>, Rejection> {
    match books.webhooks.find(webhook) {
        Some(_) => Ok(vec![Event::WebhookRemoved(WebhookRemoved { webhook })]),
        None => Err(WebhookRejection::NoSuchWebhook.into()),
    }
}

/// What became of a delivery; nothing when nobody waits for it any more, or it is on record already.
pub(super) fn record_delivery(books: &Books, delivery: &DeliveryAttempted) -> Vec<Event> {
    let pending = books.webhooks.pending(delivery.webhook);
    let awaited = pending.and_then(|pending| pending.get(delivery.event));
    match awaited {
        Some(awaited) if awaited.attempts.saturating_add(1) == delivery.attempt => {
            vec![Event::DeliveryAttempted(delivery.clone())]
        }
        _ => Vec::new(),
    }
}

/// A delivery that is to be made again, from the first attempt on.
pub(super) fn request_delivery(
    books: &Books,
    command: &RequestDelivery,
) -> Result<Vec<Event>, Rejection> {
    let RequestDelivery { webhook, event } = *command;
    match books.webhooks.find(webhook) {
        None => Err(WebhookRejection::NoSuchWebhook.into()),
        Some(endpoint) if !endpoint.enabled => Err(WebhookRejection::WebhookDisabled.into()),
        Some(_) if event > books.head => Err(WebhookRejection::NoSuchDelivery.into()),
        Some(_) => Ok(vec![Event::DeliveryRequested(DeliveryRequested { webhook, event })]),
    }
}
