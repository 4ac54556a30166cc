//! Payments through the provider. A payment belongs to the first top-up that it was named for, and
//! comes in once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{
    AutoTopUp, Event, Money, NameId, Recorded, Sequence, TenantId, Timestamp, TopUpId, TopUpKind,
    TopUpLinked, TopUpTerms,
};

use crate::collections::{Paged, Shard, Sharded};
use crate::projection::Projection;

/// How long after it began the provider is asked what became of a payment that a payer completes.
pub const LOOKED_AFTER_SECONDS: i64 = 3 * 86_400;

impl Shard for TopUpId {
    fn shard(&self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_le_bytes([low, high])
    }
}

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
    /// The event that it began with.
    pub started: Sequence,
    /// USD: what was asked for; once it has come in, what came in.
    pub amount: Money,
    /// How it is paid.
    pub kind: TopUpKind,
    /// What the provider is asked for it with.
    pub terms: TopUpTerms,
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

impl TopUp {
    /// Whether the provider has said what it calls it.
    #[must_use]
    pub const fn is_linked(&self) -> bool {
        self.payment_intent.is_some() || self.checkout_session.is_some()
    }

    /// Whether it is on us to ask the provider: nobody knows what became of it, and either the
    /// provider may never have heard of it, or nobody else is there to complete it.
    const fn is_ours_to_ask_for(&self) -> bool {
        matches!(self.state, TopUpState::Pending)
            && (matches!(self.kind, TopUpKind::Auto) || !self.is_linked())
    }

    /// Whether a payer completes it at the provider, which is to tell of it.
    const fn is_up_to_a_payer(&self) -> bool {
        !matches!(self.kind, TopUpKind::Auto) && self.is_linked()
    }
}

/// A tenant's payments.
#[derive(Debug, Clone, Default, Encode, Decode)]
struct OfTenant {
    /// The earliest first.
    top_ups: Vec<TopUp>,
    /// When the wallet last filled itself, or tried to.
    last_auto: Option<Timestamp>,
    /// How many of those are pending.
    pending_auto: u32,
    /// How many of those failed since one came in, or since the setting was changed.
    auto_failures: u32,
}

/// Where a payment is.
type Place = (TenantId, u32);

/// Every payment.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct TopUps {
    tenants: Paged<OfTenant>,
    by_id: Sharded<TopUpId, Place, 64>,
    by_payment_intent: Sharded<Arc<str>, TopUpId, 64>,
    by_checkout_session: Sharded<Arc<str>, TopUpId, 64>,
    to_be_asked_for: BTreeSet<TopUpId>,
    /// The tenant that was the first to name the provider's means of payment.
    payment_methods: Sharded<Arc<str>, TenantId, 64>,
    /// The tenant that was the first to name who pays.
    customers: Sharded<Arc<str>, TenantId, 64>,
    /// By when they began: those that are pending, and those that failed, until they are too old.
    to_be_looked_up: [BTreeSet<(Timestamp, TopUpId)>; 2],
}

impl TopUps {
    /// A tenant's payments, the earliest first.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> &[TopUp] {
        &self.tenants.get(tenant.number()).top_ups
    }

    /// A payment, and whose wallet it is for.
    #[must_use]
    pub fn find(&self, id: TopUpId) -> Option<(TenantId, &TopUp)> {
        let (tenant, number) = *self.by_id.get(&id)?;
        let top_up = self.of(tenant).get(usize::try_from(number).ok()?)?;
        Some((tenant, top_up))
    }

    /// The payment that the provider calls so.
    #[must_use]
    pub fn of_payment_intent(&self, payment_intent: &str) -> Option<(TenantId, &TopUp)> {
        self.find(*self.by_payment_intent.get(payment_intent)?)
    }

    /// The payment that is made on the provider's page of this name.
    #[must_use]
    pub fn of_checkout_session(&self, checkout_session: &str) -> Option<(TenantId, &TopUp)> {
        self.find(*self.by_checkout_session.get(checkout_session)?)
    }

    /// The pending payments of which the provider must be asked: those that it may never have heard
    /// of, and those of wallets that fill themselves.
    pub fn to_be_asked_for(&self) -> impl Iterator<Item = TopUpId> {
        self.to_be_asked_for.iter().copied()
    }

    /// The payments that a payer completes at the provider, and of which it may have told nobody
    /// that they came in: the pending ones, and at `now` those that failed lately, since a payer may
    /// try again. Each with when it began, the earliest first within both.
    pub fn to_be_looked_up(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, TopUpId)> + '_ {
        let [pending, failed] = &self.to_be_looked_up;
        let from = (now.plus_seconds(LOOKED_AFTER_SECONDS.saturating_neg()), TopUpId([0; 16]));
        pending.iter().chain(failed.range(from..)).copied()
    }

    /// How many times in a row a tenant's wallet could not fill itself, since that was last set.
    #[must_use]
    pub fn auto_failures(&self, tenant: TenantId) -> u32 {
        self.tenants.get(tenant.number()).auto_failures
    }

    /// When a tenant's wallet last filled itself, or tried to.
    #[must_use]
    pub fn last_auto(&self, tenant: TenantId) -> Option<Timestamp> {
        self.tenants.get(tenant.number()).last_auto
    }

    /// Whether a tenant's wallet is filling itself right now.
    #[must_use]
    pub fn is_auto_pending(&self, tenant: TenantId) -> bool {
        self.tenants.get(tenant.number()).pending_auto > 0
    }

    /// The tenant that was the first to pay with this, or to be set to.
    #[must_use]
    pub fn owner_of_payment_method(&self, payment_method: &str) -> Option<TenantId> {
        self.payment_methods.get(payment_method).copied()
    }

    /// The tenant that was the first to pay as this customer, or to be set to.
    #[must_use]
    pub fn owner_of_customer(&self, customer: &str) -> Option<TenantId> {
        self.customers.get(customer).copied()
    }

    fn own(&mut self, tenant: TenantId, payment_method: Option<&str>, customer: Option<&str>) {
        if let Some(name) = payment_method {
            self.payment_methods.get_or_insert_with(Arc::from(name), || tenant);
        }
        if let Some(name) = customer {
            self.customers.get_or_insert_with(Arc::from(name), || tenant);
        }
    }

    fn start(&mut self, tenant: TenantId, top_up: TopUp) {
        let id = top_up.id;
        if self.by_id.get(&id).is_some() {
            return;
        }
        let of_tenant = self.tenants.get_mut(tenant.number());
        let number = u32::try_from(of_tenant.top_ups.len()).unwrap_or(u32::MAX);
        if top_up.kind == TopUpKind::Auto {
            of_tenant.last_auto = Some(top_up.created_at);
            of_tenant.pending_auto = of_tenant.pending_auto.saturating_add(1);
        }
        if top_up.is_ours_to_ask_for() {
            self.to_be_asked_for.insert(id);
        }
        of_tenant.top_ups.push(top_up);
        self.by_id.insert(id, (tenant, number));
    }

    fn link(&mut self, linked: &TopUpLinked) {
        let TopUpLinked { top_up: id, payment_intent, checkout_session } = linked;
        if let Some(name) = payment_intent {
            self.by_payment_intent.get_or_insert_with(Arc::from(name.as_str()), || *id);
        }
        if let Some(name) = checkout_session {
            self.by_checkout_session.get_or_insert_with(Arc::from(name.as_str()), || *id);
        }
        self.change(*id, |top_up| {
            for (known, new) in [
                (&mut top_up.payment_intent, payment_intent),
                (&mut top_up.checkout_session, checkout_session),
            ] {
                if known.is_none() {
                    known.clone_from(new);
                }
            }
        });
    }

    /// Changes a payment, and what is known of it elsewhere with it.
    fn change(&mut self, id: TopUpId, change: impl FnOnce(&mut TopUp)) {
        let Some((tenant, number)) = self.by_id.get(&id).copied() else { return };
        let of_tenant = self.tenants.get_mut(tenant.number());
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(top_up) = of_tenant.top_ups.get_mut(place) else { return };
        let before = top_up.state;
        let was_pending = before == TopUpState::Pending;
        change(top_up);
        let is_pending = top_up.state == TopUpState::Pending;
        if top_up.kind == TopUpKind::Auto {
            if was_pending && !is_pending {
                of_tenant.pending_auto = of_tenant.pending_auto.saturating_sub(1);
            }
            match top_up.state {
                TopUpState::Succeeded if before != TopUpState::Succeeded => {
                    of_tenant.auto_failures = 0;
                }
                TopUpState::Failed if was_pending => {
                    of_tenant.auto_failures = of_tenant.auto_failures.saturating_add(1);
                }
                TopUpState::Succeeded | TopUpState::Failed | TopUpState::Pending => (),
            }
        }
        if !top_up.is_ours_to_ask_for() {
            self.to_be_asked_for.remove(&id);
        }
        let entry = (top_up.created_at, id);
        let [pending, failed] = &mut self.to_be_looked_up;
        for (set, state) in [(pending, TopUpState::Pending), (failed, TopUpState::Failed)] {
            if top_up.is_up_to_a_payer() && top_up.state == state {
                set.insert(entry);
            } else {
                set.remove(&entry);
            }
        }
    }

    /// Forgets the payments that failed and are too old at `now` to be looked up.
    fn forget_failed(&mut self, now: Timestamp) {
        let from = now.plus_seconds(LOOKED_AFTER_SECONDS.saturating_neg());
        let [_, failed] = &mut self.to_be_looked_up;
        while failed.first().is_some_and(|(created_at, _)| *created_at < from) {
            failed.pop_first();
        }
    }
}

impl Projection for TopUps {
    const NAME: &'static str = "top_ups";
    const VERSION: u32 = 3;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::AutoTopUpSet(set) => {
                let AutoTopUp { payment_method, customer, .. } = &set.auto_top_up;
                self.own(set.tenant, payment_method.as_deref(), customer.as_deref());
                if self.auto_failures(set.tenant) > 0 {
                    self.tenants.get_mut(set.tenant.number()).auto_failures = 0;
                }
            }
            Event::TopUpStarted(started) => {
                let TopUpTerms { payment_method, customer, .. } = &started.terms;
                self.own(started.tenant, payment_method.as_deref(), customer.as_deref());
                let top_up = TopUp {
                    id: started.top_up,
                    started: recorded.sequence,
                    amount: started.amount,
                    kind: started.kind,
                    terms: started.terms.clone(),
                    state: TopUpState::Pending,
                    payment_intent: None,
                    checkout_session: None,
                    failure: None,
                    created_at: recorded.recorded_at,
                    completed_at: None,
                };
                self.start(started.tenant, top_up);
            }
            Event::TopUpLinked(linked) => self.link(linked),
            Event::TopUpSucceeded(succeeded) => {
                self.link(&TopUpLinked {
                    top_up: succeeded.top_up,
                    payment_intent: Some(succeeded.payment_intent.clone()),
                    checkout_session: None,
                });
                self.change(succeeded.top_up, |top_up| {
                    top_up.state = TopUpState::Succeeded;
                    top_up.amount = succeeded.amount;
                    top_up.failure = None;
                    top_up.completed_at = Some(recorded.recorded_at);
                });
            }
            Event::TopUpFailed(failed) => {
                self.change(failed.top_up, |top_up| {
                    top_up.state = TopUpState::Failed;
                    top_up.failure = Some(failed.reason.clone());
                });
                self.forget_failed(recorded.recorded_at);
            }
            _ => (),
        }
    }
}
