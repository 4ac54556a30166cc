//! What is kept free for calls that are about to be made: every hold that has not ended, and what all
//! of them keep together. The consumption of the same tenant and request id settles a hold.

mod kept;

use bincode::{Decode, Encode};
use schemas::{
    CallContext, Credits, Event, Fingerprint, HoldPlaced, Money, Recorded, Sequence, TenantId,
    Timestamp, UserId,
};

use crate::calls::Key;
use crate::collections::Sharded;
use crate::projection::Projection;
use kept::{Kept, KeptFor, Whose};

/// A hold that has not ended, or whose end is not on record yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hold {
    /// What it keeps, for which call and how long: to the beginning of a second.
    pub placed: HoldPlaced,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// Of the command that asked for it.
    pub fingerprint: Fingerprint,
}

impl Hold {
    /// Whether its time has run out at `now`.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.placed.expires_at <= now
    }

    fn key(&self) -> Key {
        Key::of_call(self.placed.tenant, &self.placed.request_id)
    }

    /// What it keeps of whom.
    fn parts(&self) -> impl Iterator<Item = (Whose, Kept)> {
        let HoldPlaced { tenant, user, amount, credits, tokens, .. } = self.placed;
        let of_tenant = (Whose::Tenant(tenant), Kept::of(amount, Credits::ZERO, tokens));
        let of_user = user.into_iter().flat_map(move |user| {
            [
                (Whose::User(user), Kept::of(Money::ZERO, credits, 0)),
                (Whose::Member(tenant, user), Kept::of(Money::ZERO, Credits::ZERO, tokens)),
            ]
        });
        std::iter::once(of_tenant).chain(of_user)
    }
}

/// Every hold that has not ended.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Holds {
    holds: Sharded<Sequence, Hold, 64>,
    calls: Sharded<Key, Sequence, 64>,
    kept: Sharded<Whose, KeptFor, 64>,
    /// The fingerprint of the command whose events are being applied.
    fingerprint: Fingerprint,
}

impl Holds {
    /// The money that is kept free of a tenant's wallet at `now`: what has run out by then is not.
    #[must_use]
    pub fn held_money(&self, tenant: TenantId, now: Timestamp) -> Money {
        self.at(Whose::Tenant(tenant), now).money()
    }

    /// The quota that is kept free of a user's at `now`.
    #[must_use]
    pub fn held_credits(&self, user: UserId, now: Timestamp) -> Credits {
        self.at(Whose::User(user), now).credits()
    }

    /// The tokens that count towards a tenant's limits at `now` and are not used yet.
    #[must_use]
    pub fn held_tokens(&self, tenant: TenantId, now: Timestamp) -> u64 {
        self.at(Whose::Tenant(tenant), now).tokens()
    }

    /// The tokens that count towards the limit of a tenant's user at `now` and are not used yet.
    #[must_use]
    pub fn held_user_tokens(&self, tenant: TenantId, user: UserId, now: Timestamp) -> u64 {
        self.at(Whose::Member(tenant, user), now).tokens()
    }

    /// A hold whose end is not on record.
    #[must_use]
    pub fn find(&self, hold: Sequence) -> Option<&Hold> {
        self.holds.get(&hold)
    }

    /// The hold of a call whose end is not on record.
    #[must_use]
    pub fn of_call(&self, key: Key) -> Option<(Sequence, &Hold)> {
        let hold = *self.calls.get(&key)?;
        Some((hold, self.holds.get(&hold)?))
    }

    /// A tenant's holds after `after` whose end is not on record, the oldest first.
    pub fn of_tenant(
        &self,
        tenant: TenantId,
        after: Sequence,
    ) -> impl Iterator<Item = (Sequence, &Hold)> {
        let kept = self.kept.get(&Whose::Tenant(tenant));
        let open = kept.into_iter().flat_map(move |kept| kept.holds_after(after));
        open.filter_map(|hold| Some((hold, self.holds.get(&hold)?)))
    }

    /// All holds whose end is not on record, in no order.
    pub fn all(&self) -> impl Iterator<Item = (Sequence, &Hold)> {
        self.holds.iter().map(|(sequence, hold)| (*sequence, hold))
    }

    /// How many holds there are whose end is not on record.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.holds.len()
    }

    fn at(&self, whose: Whose, now: Timestamp) -> Kept {
        self.kept.get(&whose).map_or_else(Kept::default, |kept| kept.at(now))
    }

    fn place(&mut self, recorded: &Recorded, placed: &HoldPlaced) {
        let placed_at = recorded.recorded_at;
        let hold = Hold { placed: placed.clone(), placed_at, fingerprint: self.fingerprint };
        for (whose, part) in hold.parts() {
            let kept = self.kept.get_or_insert_with(whose, KeptFor::default);
            kept.add(recorded.sequence, hold.placed.expires_at, part);
        }
        self.calls.insert(hold.key(), recorded.sequence);
        self.holds.insert(recorded.sequence, hold);
    }

    fn end(&mut self, sequence: Sequence) {
        let Some(hold) = self.holds.remove(&sequence) else { return };
        for (whose, part) in hold.parts() {
            let Some(kept) = self.kept.get_mut(&whose) else { continue };
            kept.remove(sequence, hold.placed.expires_at, part);
            if kept.is_empty() {
                self.kept.remove(&whose);
            }
        }
        let key = hold.key();
        if self.calls.get(&key) == Some(&sequence) {
            self.calls.remove(&key);
        }
    }

    /// A hold that had run out before is settled no more: that it has expired is put on record.
    fn settle(&mut self, recorded: &Recorded, call: &CallContext) {
        if self.holds.is_empty() {
            return;
        }
        let key = Key::of_call(call.tenant, &call.request_id);
        let settled = self.of_call(key).filter(|(_, hold)| !hold.is_over(recorded.recorded_at));
        if let Some((hold, _)) = settled {
            self.end(hold);
        }
    }
}

impl Projection for Holds {
    const NAME: &'static str = "holds";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        if let Some(command) = recorded.command {
            self.fingerprint = command.fingerprint;
        }
        match &recorded.event {
            Event::HoldPlaced(placed) => self.place(recorded, placed),
            Event::HoldReleased(released) => self.end(released.hold),
            Event::HoldExpired(expired) => self.end(expired.hold),
            Event::ConsumptionRecorded(consumption) => self.settle(recorded, &consumption.context),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests;
