//! Endpoints of webhooks, and what is still to be delivered to them. What has been delivered, or
//! given up, is read out of the log.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use schemas::{
    DeliveryAttempted, DeliveryOutcome, DeliveryRequested, Event, Recorded, Sequence, TenantId,
    Timestamp, WebhookId, WebhookSecret, WebhookSet,
};

use crate::notices::Notice;
use crate::projection::Projection;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Endpoint {
    /// Whose events it gets; `None`: every tenant's.
    pub tenant: Option<TenantId>,
    /// Where they are sent.
    pub url: String,
    /// Which types of them; none: all.
    pub types: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// When it said that it wants nothing more, unless it was set since.
    pub gone_at: Option<Timestamp>,
    /// What deliveries are signed with.
    pub secrets: Vec<WebhookSecret>,
    /// In words.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
}

impl Endpoint {
    fn wants(&self, notice: Notice) -> bool {
        self.enabled
            && (self.types.is_empty() || self.types.iter().any(|name| name == notice.name()))
    }
}

/// A delivery that is still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Delivery {
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub due_at: Timestamp,
}

/// What is still to be delivered to an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Pending {
    deliveries: BTreeMap<Sequence, Delivery>,
    /// The same by when they are due.
    due: BTreeSet<(Timestamp, Sequence)>,
}

impl Pending {
    /// One of them.
    #[must_use]
    pub fn get(&self, event: Sequence) -> Option<&Delivery> {
        self.deliveries.get(&event)
    }

    /// All, by their events.
    pub fn all(&self) -> impl Iterator<Item = (Sequence, &Delivery)> {
        self.deliveries.iter().map(|(event, delivery)| (*event, delivery))
    }

    /// By when they are due, the earliest first.
    pub fn by_due(&self) -> impl Iterator<Item = (Timestamp, Sequence)> {
        self.due.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    fn set(&mut self, event: Sequence, delivery: Delivery) {
        self.remove(event);
        self.due.insert((delivery.due_at, event));
        self.deliveries.insert(event, delivery);
    }

    fn remove(&mut self, event: Sequence) {
        if let Some(before) = self.deliveries.remove(&event) {
            self.due.remove(&(before.due_at, event));
        }
    }
}

/// Every endpoint, and what is owed to them.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Webhooks {
    endpoints: BTreeMap<WebhookId, Endpoint>,
    /// Whose events go where.
    by_tenant: BTreeMap<Option<TenantId>, BTreeSet<WebhookId>>,
    pending: BTreeMap<WebhookId, Pending>,
    /// The keys of endpoints that were removed.
    removed_keys: BTreeSet<u32>,
}

impl Webhooks {
    /// An endpoint.
    #[must_use]
    pub fn find(&self, webhook: WebhookId) -> Option<&Endpoint> {
        self.endpoints.get(&webhook)
    }

    /// The endpoints that get this tenant's events and no other's; of `None`, those that get every
    /// tenant's.
    pub fn of(&self, tenant: Option<TenantId>) -> impl Iterator<Item = (WebhookId, &Endpoint)> {
        let ids = self.by_tenant.get(&tenant).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.endpoints.get(id)?)))
    }

    /// Every endpoint.
    pub fn all(&self) -> impl Iterator<Item = (WebhookId, &Endpoint)> {
        self.endpoints.iter().map(|(id, endpoint)| (*id, endpoint))
    }

    /// What is still to be delivered to an endpoint.
    #[must_use]
    pub fn pending(&self, webhook: WebhookId) -> Option<&Pending> {
        self.pending.get(&webhook)
    }

    /// The endpoints that something is still to be delivered to.
    pub fn all_pending(&self) -> impl Iterator<Item = (WebhookId, &Pending)> {
        self.pending.iter().map(|(id, pending)| (*id, pending))
    }

    /// The keys of endpoints that were removed, which nobody needs any more.
    pub fn removed_keys(&self) -> impl Iterator<Item = u32> {
        self.removed_keys.iter().copied()
    }

    /// The highest number of a key that is on record here.
    #[must_use]
    pub fn last_key(&self) -> Option<u32> {
        let present = self.endpoints.values().flat_map(|endpoint| &endpoint.secrets);
        present.map(|secret| secret.sealed.key).max().max(self.removed_keys.last().copied())
    }

    fn set(&mut self, recorded: &Recorded, set: &WebhookSet) {
        let WebhookSet { webhook, tenant, url, types, enabled, secrets, description } = set.clone();
        let before = self.endpoints.get(&webhook);
        let created_at = before.map_or(recorded.recorded_at, |before| before.created_at);
        if let Some(of_tenant) = before.and_then(|before| self.by_tenant.get_mut(&before.tenant)) {
            of_tenant.remove(&webhook);
        }
        self.by_tenant.entry(tenant).or_default().insert(webhook);
        let updated_at = recorded.recorded_at;
        let endpoint = Endpoint {
            tenant,
            url,
            types,
            enabled,
            gone_at: None,
            secrets,
            description,
            created_at,
            updated_at,
        };
        self.endpoints.insert(webhook, endpoint);
    }

    fn remove(&mut self, webhook: WebhookId) {
        self.pending.remove(&webhook);
        let Some(endpoint) = self.endpoints.remove(&webhook) else { return };
        self.removed_keys.extend(endpoint.secrets.iter().map(|secret| secret.sealed.key));
        if let Some(of_tenant) = self.by_tenant.get_mut(&endpoint.tenant) {
            of_tenant.remove(&webhook);
            if of_tenant.is_empty() {
                self.by_tenant.remove(&endpoint.tenant);
            }
        }
    }

    /// Opens a delivery to everyone who wants to be told.
    fn tell(&mut self, recorded: &Recorded, tenant: TenantId, notice: Notice) {
        let Self { endpoints, by_tenant, pending, removed_keys: _ } = self;
        for ids in [Some(tenant), None].iter().filter_map(|whose| by_tenant.get(whose)) {
            for id in ids {
                if endpoints.get(id).is_some_and(|endpoint| endpoint.wants(notice)) {
                    let delivery = Delivery { attempts: 0, due_at: recorded.recorded_at };
                    pending.entry(*id).or_default().set(recorded.sequence, delivery);
                }
            }
        }
    }

    fn attempted(&mut self, recorded: &Recorded, attempted: &DeliveryAttempted) {
        let DeliveryAttempted { webhook, event, attempt, outcome, .. } = attempted;
        if let Some(pending) = self.pending.get_mut(webhook) {
            match outcome {
                DeliveryOutcome::RetryAt(due_at) => {
                    pending.set(*event, Delivery { attempts: *attempt, due_at: *due_at });
                }
                DeliveryOutcome::Delivered | DeliveryOutcome::GivenUp | DeliveryOutcome::Gone => {
                    pending.remove(*event);
                }
            }
            if pending.is_empty() {
                self.pending.remove(webhook);
            }
        }
        if let (DeliveryOutcome::Gone, Some(endpoint)) = (outcome, self.endpoints.get_mut(webhook))
        {
            endpoint.enabled = false;
            endpoint.gone_at = Some(recorded.recorded_at);
        }
    }
}

impl Projection for Webhooks {
    const NAME: &'static str = "webhooks";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::WebhookSet(set) => self.set(recorded, set),
            Event::WebhookRemoved(removed) => self.remove(removed.webhook),
            Event::DeliveryAttempted(attempted) => self.attempted(recorded, attempted),
            Event::DeliveryRequested(DeliveryRequested { webhook, event }) => {
                let delivery = Delivery { attempts: 0, due_at: recorded.recorded_at };
                self.pending.entry(*webhook).or_default().set(*event, delivery);
            }
            event => {
                if let Some((tenant, notice)) = Notice::of(event) {
                    self.tell(recorded, tenant, notice);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Money, WalletToppedUp, WebhookRemoved};

    use super::*;

    const WEBHOOK: WebhookId = WebhookId([7; 16]);

    fn apply(webhooks: &mut Webhooks, sequence: u64, event: Event) {
        let sequence = Sequence::new(sequence);
        let recorded_at = Timestamp::from_micros(i64::try_from(sequence.get()).expect("small"));
        webhooks.apply(&Recorded { sequence, recorded_at, cause: sequence, command: None, event });
    }

    fn attempt(event: u64, attempt: u32, outcome: DeliveryOutcome) -> Event {
        Event::DeliveryAttempted(DeliveryAttempted {
            webhook: WEBHOOK,
            event: Sequence::new(event),
            attempt,
            status: 0,
            error: String::new(),
            outcome,
        })
    }

    fn due(webhooks: &Webhooks) -> Vec<(i64, u64)> {
        let pending = webhooks.pending(WEBHOOK).cloned().unwrap_or_default();
        assert_eq!(pending.all().count(), pending.by_due().count());
        for (due_at, event) in pending.by_due() {
            assert_eq!(pending.get(event).map(|delivery| delivery.due_at), Some(due_at));
        }
        pending.by_due().map(|(due_at, event)| (due_at.micros(), event.get())).collect()
    }

    #[test]
    fn what_is_owed_is_what_was_told_and_has_not_ended() {
        let mut webhooks = Webhooks::default();
        let told = |tenant| {
            let tenant = TenantId(tenant);
            let amount = Money::from_units(1);
            Event::WalletToppedUp(WalletToppedUp { tenant, amount, reference: String::new() })
        };
        apply(&mut webhooks, 1, told(0));
        let set = WebhookSet {
            webhook: WEBHOOK,
            tenant: Some(TenantId(0)),
            url: String::new(),
            types: Vec::new(),
            enabled: true,
            secrets: Vec::new(),
            description: String::new(),
        };
        apply(&mut webhooks, 2, Event::WebhookSet(Box::new(set)));
        for (sequence, tenant) in [(3, 0), (4, 1), (5, 0), (6, 0)] {
            apply(&mut webhooks, sequence, told(tenant));
        }
        assert_eq!(due(&webhooks), [(3, 3), (5, 5), (6, 6)]);
        let later = DeliveryOutcome::RetryAt(Timestamp::from_micros(100));
        apply(&mut webhooks, 7, attempt(3, 1, later));
        apply(&mut webhooks, 8, attempt(5, 1, DeliveryOutcome::Delivered));
        assert_eq!(due(&webhooks), [(6, 6), (100, 3)]);
        let (webhook, event) = (WEBHOOK, Sequence::new(5));
        let requested = DeliveryRequested { webhook, event };
        apply(&mut webhooks, 9, Event::DeliveryRequested(requested));
        assert_eq!(due(&webhooks), [(6, 6), (9, 5), (100, 3)]);
        apply(&mut webhooks, 10, attempt(6, 1, DeliveryOutcome::Gone));
        apply(&mut webhooks, 11, told(0));
        assert_eq!(due(&webhooks), [(9, 5), (100, 3)], "nothing new for who is gone");
        apply(&mut webhooks, 12, Event::WebhookRemoved(WebhookRemoved { webhook }));
        assert_eq!(due(&webhooks), []);
    }
}
