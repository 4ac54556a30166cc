//! Which events concern whom: compact lists of positions, from which histories, audits and the state
//! as of any past moment are read back out of the log.

use bincode::{Decode, Encode};
use schemas::{
    CallContext, Event, NameId, Recorded, Sequence, StrategyId, TenantId, UserId, VoucherOutcome,
    WebhookId,
};

use crate::collections::{Paged, PostingList, Shard, Sharded};
use crate::projection::Projection;

/// What became of a record after it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Sequel {
    /// The consumption that completed a timed-out half.
    pub completed_by: Option<Sequence>,
    /// The event that rated an unrated consumption.
    pub rated_by: Option<Sequence>,
}

/// How a hold ended that no call has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum HoldEnd {
    /// It was let go.
    Released,
    /// Its time ran out.
    Expired,
}

/// By the end of its name, which is random.
impl Shard for WebhookId {
    fn shard(&self) -> u16 {
        let [.., high, low] = self.0;
        u16::from_le_bytes([low, high])
    }
}

/// The positions of the events that concern each tenant and user.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Histories {
    calls: PostingList,
    tenant_calls: Paged<PostingList>,
    tenant_money: Paged<PostingList>,
    tenant_terms: Paged<PostingList>,
    user_calls: Paged<PostingList>,
    user_quota: Paged<PostingList>,
    user_moves: Paged<PostingList>,
    executions: Paged<PostingList>,
    tenant_holds: Paged<PostingList>,
    /// By the sequence of the hold. What is neither open nor here was settled.
    hold_ends: Sharded<Sequence, HoldEnd, 64>,
    tenant_alerts: Paged<PostingList>,
    deliveries: Sharded<WebhookId, PostingList, 64>,
    /// By the sequence of the half, or of the consumption. Only where something did follow, or may.
    sequels: Sharded<Sequence, Sequel, 64>,
    timed_out: u64,
    conflicts: u64,
}

impl Histories {
    /// Everyone's calls, as [`Self::tenant_calls`].
    #[must_use]
    pub const fn calls(&self) -> &PostingList {
        &self.calls
    }

    /// A tenant's calls: consumptions, late ratings, and halves that timed out.
    #[must_use]
    pub fn tenant_calls(&self, tenant: TenantId) -> &PostingList {
        self.tenant_calls.get(tenant.number())
    }

    /// What moved a tenant's wallet: top-ups, adjustments, credits and bills.
    #[must_use]
    pub fn tenant_money(&self, tenant: TenantId) -> &PostingList {
        self.tenant_money.get(tenant.number())
    }

    /// What changed a tenant's terms.
    #[must_use]
    pub fn tenant_terms(&self, tenant: TenantId) -> &PostingList {
        self.tenant_terms.get(tenant.number())
    }

    /// A user's calls, as [`Self::tenant_calls`].
    #[must_use]
    pub fn user_calls(&self, user: UserId) -> &PostingList {
        self.user_calls.get(user.number())
    }

    /// A user's movements of quota as an audit shows them: recharges, expiries, vouchers, corrections.
    #[must_use]
    pub fn user_quota(&self, user: UserId) -> &PostingList {
        self.user_quota.get(user.number())
    }

    /// The events that moved a user's lots and are not in [`Self::user_quota`] or
    /// [`Self::user_calls`]: the items of vouchers.
    #[must_use]
    pub fn user_moves(&self, user: UserId) -> &PostingList {
        self.user_moves.get(user.number())
    }

    /// What a strategy gave, and what it failed to give.
    #[must_use]
    pub fn executions(&self, strategy: StrategyId) -> &PostingList {
        self.executions.get(strategy.0)
    }

    /// A tenant's holds: their placing, their release and their expiry.
    #[must_use]
    pub fn tenant_holds(&self, tenant: TenantId) -> &PostingList {
        self.tenant_holds.get(tenant.number())
    }

    /// How a hold ended, unless a call has settled it.
    #[must_use]
    pub fn hold_end(&self, hold: Sequence) -> Option<HoldEnd> {
        self.hold_ends.get(&hold).copied()
    }

    /// The alerts that were raised or cleared for a tenant.
    #[must_use]
    pub fn tenant_alerts(&self, tenant: TenantId) -> &PostingList {
        self.tenant_alerts.get(tenant.number())
    }

    /// The attempts at deliveries to an endpoint; `None` when there were none.
    #[must_use]
    pub fn deliveries(&self, webhook: WebhookId) -> Option<&PostingList> {
        self.deliveries.get(&webhook)
    }

    /// What became of a timed-out half or an unrated consumption.
    #[must_use]
    pub fn sequel(&self, record: Sequence) -> Sequel {
        self.sequels.get(&record).copied().unwrap_or_default()
    }

    /// How many halves are incomplete because their counterpart never came.
    #[must_use]
    pub const fn incomplete_count(&self) -> u64 {
        self.timed_out
    }

    /// How many messages came again with other content.
    #[must_use]
    pub const fn conflict_count(&self) -> u64 {
        self.conflicts
    }

    /// Bytes that the positions take on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        [
            &self.tenant_calls,
            &self.tenant_money,
            &self.tenant_terms,
            &self.user_calls,
            &self.user_quota,
            &self.user_moves,
            &self.executions,
            &self.tenant_holds,
            &self.tenant_alerts,
        ]
        .into_iter()
        .flat_map(Paged::iter)
        .map(|(_, list)| list)
        .chain(self.deliveries.iter().map(|(_, list)| list))
        .map(|list| list.heap_bytes().saturating_add(size_of::<PostingList>()))
        .fold(self.calls.heap_bytes(), usize::saturating_add)
    }

    fn call(&mut self, sequence: Sequence, tenant: TenantId, user: Option<UserId>) {
        self.calls.push(sequence);
        self.tenant_calls.get_mut(tenant.number()).push(sequence);
        if let Some(user) = user {
            self.user_calls.get_mut(user.number()).push(sequence);
        }
    }

    fn quota(&mut self, sequence: Sequence, user: UserId) {
        self.user_quota.get_mut(user.number()).push(sequence);
    }

    fn moved(&mut self, sequence: Sequence, user: UserId) {
        self.user_moves.get_mut(user.number()).push(sequence);
    }

    fn terms(&mut self, sequence: Sequence, tenant: TenantId) {
        self.tenant_terms.get_mut(tenant.number()).push(sequence);
    }

    fn hold(&mut self, sequence: Sequence, tenant: TenantId) {
        self.tenant_holds.get_mut(tenant.number()).push(sequence);
    }

    fn call_of(&mut self, sequence: Sequence, context: &CallContext) {
        self.call(sequence, context.tenant, context.user);
    }
}

impl Projection for Histories {
    const NAME: &'static str = "histories";
    const VERSION: u32 = 4;

    fn apply(&mut self, recorded: &Recorded) {
        let sequence = recorded.sequence;
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) => {
                self.call_of(sequence, &consumption.context);
                let sequel = consumption.waited.and_then(|half| self.sequels.get_mut(&half));
                if let Some(sequel) = sequel {
                    sequel.completed_by = Some(sequence);
                    self.timed_out = self.timed_out.saturating_sub(1);
                }
            }
            Event::ConsumptionRated(rated) => {
                self.call_of(sequence, &rated.context);
                let sequel = Sequel { rated_by: Some(sequence), ..Sequel::default() };
                self.sequels.insert(rated.consumption, sequel);
            }
            Event::PairingTimedOut(half) => {
                self.call(sequence, half.tenant, half.user);
                self.sequels.insert(half.half, Sequel::default());
                self.timed_out = self.timed_out.saturating_add(1);
            }
            Event::ConflictObserved(_) => self.conflicts = self.conflicts.saturating_add(1),
            Event::QuotaRecharged(lot) => self.quota(sequence, lot.user),
            Event::QuotaExpired(lot) => self.quota(sequence, lot.user),
            Event::QuotaWithdrawn(moved) => self.quota(sequence, moved.user),
            Event::QuotaDrawn(moved) => self.quota(sequence, moved.user),
            Event::QuotaRefunded(moved) => self.quota(sequence, moved.user),
            Event::StrategyExecuted(given) => {
                self.quota(sequence, given.user);
                self.executions.get_mut(given.strategy.0).push(sequence);
            }
            Event::StrategyFailed(failed) => {
                self.executions.get_mut(failed.strategy.0).push(sequence);
            }
            Event::VoucherItemReserved(item) => self.moved(sequence, item.giver),
            Event::VoucherItemSettled(item) => self.moved(sequence, item.user),
            Event::VoucherIssued(voucher) => self.quota(sequence, voucher.giver),
            Event::VoucherClosed(voucher) => self.quota(
                sequence,
                match voucher.outcome {
                    VoucherOutcome::Redeemed => voucher.receiver,
                    VoucherOutcome::Cancelled | VoucherOutcome::Lapsed => voucher.giver,
                },
            ),
            Event::WalletToppedUp(money) => {
                self.tenant_money.get_mut(money.tenant.number()).push(sequence);
            }
            Event::WalletAdjusted(money) => {
                self.tenant_money.get_mut(money.tenant.number()).push(sequence);
            }
            Event::TopUpSucceeded(money) => {
                self.tenant_money.get_mut(money.tenant.number()).push(sequence);
            }
            Event::WalletCredited(money) => {
                self.tenant_money.get_mut(money.tenant.number()).push(sequence);
            }
            Event::BillPosted(bill) => {
                self.tenant_money.get_mut(bill.tenant.number()).push(sequence);
            }
            Event::TenantUpdated(updated) => self.terms(sequence, updated.tenant),
            Event::TenantStatusChanged(changed) => self.terms(sequence, changed.tenant),
            Event::ConsumptionLimitsSet(set) => self.terms(sequence, set.tenant),
            Event::AutoTopUpSet(set) => self.terms(sequence, set.tenant),
            Event::HoldPlaced(placed) => self.hold(sequence, placed.tenant),
            Event::HoldReleased(released) => {
                self.hold(sequence, released.tenant);
                self.hold_ends.insert(released.hold, HoldEnd::Released);
            }
            Event::HoldExpired(expired) => {
                self.hold(sequence, expired.tenant);
                self.hold_ends.insert(expired.hold, HoldEnd::Expired);
            }
            Event::AlertRaised(alert) => {
                self.tenant_alerts.get_mut(alert.subject.tenant.number()).push(sequence);
            }
            Event::AlertCleared(alert) => {
                self.tenant_alerts.get_mut(alert.subject.tenant.number()).push(sequence);
            }
            Event::DeliveryAttempted(attempted) => {
                let webhook = attempted.webhook;
                self.deliveries.get_or_insert_with(webhook, PostingList::default).push(sequence);
            }
            Event::WebhookRemoved(removed) => {
                self.deliveries.remove(&removed.webhook);
            }
            _ => (),
        }
    }
}
