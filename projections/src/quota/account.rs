//! One user's quota: lots, drawn soonest expiry first, and the overdraft beyond them.

use bincode::{Decode, Encode};
use schemas::{Credits, Draw, LotDraw, LotSource, ModelId, Sequence, Timestamp, is_expired};

/// An expiring part of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Lot {
    /// The moment after which it is worth nothing.
    pub expires_at: Timestamp,
    /// Its name: the sequence of the recharge.
    pub id: Sequence,
    /// What it began with, less what was taken out of it without being used.
    pub granted: Credits,
    /// What is left of it.
    pub remaining: Credits,
    /// Where it comes from.
    pub source: LotSource,
    /// What its strategy labelled it with.
    pub model: Option<ModelId>,
}

impl Lot {
    /// Whether `new` is added to this lot: strategies give often, and what they give with one expiry
    /// and label is one lot.
    fn takes_in(&self, new: &Self) -> bool {
        matches!((self.source, new.source), (LotSource::Strategy, LotSource::Strategy))
            && self.expires_at == new.expires_at
            && self.model == new.model
    }

    /// What was drawn from it.
    #[must_use]
    pub fn drawn(&self) -> Credits {
        self.granted.checked_sub(self.remaining).unwrap_or_default()
    }
}

const CREDITS_MAX: Credits = Credits::from_units(i64::MAX);

/// The most lots that one event moves.
pub const LOTS_A_DRAW_MAX: usize = 256;

/// One user's quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// Soonest expiry first, then oldest; used up ones stay until they expire.
    lots: Vec<Lot>,
    overdraft: Credits,
    remaining: Credits,
    given: bool,
}

impl Account {
    /// The lots that are worth something or were, and have not expired at `now`.
    pub fn lots_at(&self, now: Timestamp) -> impl Iterator<Item = &Lot> {
        self.lots.iter().filter(move |lot| !is_expired(lot.expires_at, now))
    }

    /// All lots that are not written off.
    #[must_use]
    pub fn lots(&self) -> &[Lot] {
        &self.lots
    }

    /// What was drawn beyond all lots and not paid by a later recharge.
    #[must_use]
    pub const fn overdraft(&self) -> Credits {
        self.overdraft
    }

    /// What all lots hold, expired ones that are not yet written off included.
    #[must_use]
    pub const fn remaining(&self) -> Credits {
        self.remaining
    }

    /// Whether the user has ever been given quota.
    #[must_use]
    pub const fn was_given(&self) -> bool {
        self.given
    }

    /// What the lots that have not expired at `now` were given.
    #[must_use]
    pub fn total_at(&self, now: Timestamp) -> Credits {
        Credits::saturating_sum(self.lots_at(now).map(|lot| lot.granted))
    }

    /// What was drawn of [`Self::total_at`], and beyond.
    #[must_use]
    pub fn used_at(&self, now: Timestamp) -> Credits {
        self.total_at(now).checked_sub(self.available_at(now)).unwrap_or(CREDITS_MAX)
    }

    /// What can be drawn at `now`; minus the overdraft when there is one.
    #[must_use]
    pub fn available_at(&self, now: Timestamp) -> Credits {
        self.less_overdraft(Credits::saturating_sum(self.lots_at(now).map(|lot| lot.remaining)))
    }

    /// The part of [`Self::available_at`] in lots that are labelled with `model`, or not labelled.
    #[must_use]
    pub fn available_for(&self, model: Option<ModelId>, now: Timestamp) -> Credits {
        let fits = |lot: &&Lot| lot.model.is_none() || lot.model == model;
        self.less_overdraft(Credits::saturating_sum(
            self.lots_at(now).filter(fits).map(|lot| lot.remaining),
        ))
    }

    /// Whether a lot's time ran out after `before` and by `now`.
    #[must_use]
    pub fn lapsed_between(&self, before: Timestamp, now: Timestamp) -> bool {
        let lapsed =
            |lot: &Lot| !is_expired(lot.expires_at, before) && is_expired(lot.expires_at, now);
        self.lots.iter().any(lapsed)
    }

    fn less_overdraft(&self, held: Credits) -> Credits {
        held.checked_sub(self.overdraft).unwrap_or_default()
    }

    /// What the lots that expire exactly at `expires_at` hold.
    #[must_use]
    pub fn held_until(&self, expires_at: Timestamp) -> Credits {
        Credits::saturating_sum(self.lots_expiring(expires_at).map(|lot| lot.remaining))
    }

    /// The lots that expire exactly at `expires_at`, oldest first.
    pub fn lots_expiring(&self, expires_at: Timestamp) -> impl Iterator<Item = &Lot> {
        let from = self.lots.partition_point(|lot| lot.expires_at < expires_at);
        self.lots.iter().skip(from).take_while(move |lot| lot.expires_at == expires_at)
    }

    /// Which lots `amount` would be drawn from at `now`, soonest expiry first, then oldest; what
    /// they do not cover is the overdraft. So is what lies beyond the first [`LOTS_A_DRAW_MAX`] lots,
    /// so that every draw fits into an event: the later lots keep what is owed.
    #[must_use]
    pub fn plan_draw(&self, amount: Credits, now: Timestamp, rule_version: u32) -> Draw {
        let held = self
            .lots_at(now)
            .filter(|lot| lot.remaining.is_positive())
            .take(LOTS_A_DRAW_MAX)
            .map(|lot| (lot.id, lot.remaining));
        let (lots, overdraft) = take(amount, held);
        Draw { rule_version, lots, overdraft }
    }

    pub(super) fn recharge(&mut self, lot: Lot, overdraft_paid: Credits) -> Option<()> {
        let lot = Lot { remaining: lot.remaining.checked_sub(overdraft_paid)?, ..lot };
        self.given = true;
        self.overdraft = self.overdraft.checked_sub(overdraft_paid)?;
        self.remaining = self.remaining.checked_add(lot.remaining)?;
        if let Some(present) = self.lots.iter_mut().find(|present| present.takes_in(&lot)) {
            present.granted = present.granted.checked_add(lot.granted)?;
            present.remaining = present.remaining.checked_add(lot.remaining)?;
            return (!self.overdraft.is_negative() && !lot.remaining.is_negative()).then_some(());
        }
        let order = |lot: &Lot| (lot.expires_at, lot.id);
        let place = self.lots.partition_point(|present| order(present) < order(&lot));
        self.lots.insert(place, lot);
        (!self.overdraft.is_negative() && !lot.remaining.is_negative()).then_some(())
    }

    fn lot_mut(&mut self, id: Sequence) -> Option<&mut Lot> {
        self.lots.iter_mut().find(|lot| lot.id == id)
    }

    pub(super) fn draw(&mut self, draw: &Draw) -> Option<()> {
        for part in &draw.lots {
            self.take_out(part)?;
        }
        self.overdraft = self.overdraft.checked_add(draw.overdraft)?;
        Some(())
    }

    fn take_out(&mut self, part: &LotDraw) -> Option<()> {
        let lot = self.lot_mut(part.lot)?;
        lot.remaining = lot.remaining.checked_sub(part.amount)?;
        if lot.remaining.is_negative() {
            return None;
        }
        self.remaining = self.remaining.checked_sub(part.amount)?;
        Some(())
    }

    /// Takes out what was not used: it was never given.
    pub(super) fn withdraw(&mut self, parts: &[LotDraw]) -> Option<()> {
        for part in parts {
            self.take_out(part)?;
            let lot = self.lot_mut(part.lot)?;
            lot.granted = lot.granted.checked_sub(part.amount)?;
        }
        Some(())
    }

    /// Takes back what was used: it is owed.
    pub(super) fn withdraw_drawn(&mut self, parts: &[LotDraw]) -> Option<()> {
        for part in parts {
            let lot = self.lot_mut(part.lot)?;
            if part.amount > lot.drawn() {
                return None;
            }
            lot.granted = lot.granted.checked_sub(part.amount)?;
            self.overdraft = self.overdraft.checked_add(part.amount)?;
        }
        Some(())
    }

    pub(super) fn refund(&mut self, parts: &[LotDraw], overdraft: Credits) -> Option<()> {
        for part in parts {
            let lot = self.lot_mut(part.lot)?;
            if part.amount > lot.drawn() {
                return None;
            }
            lot.remaining = lot.remaining.checked_add(part.amount)?;
            self.remaining = self.remaining.checked_add(part.amount)?;
        }
        self.overdraft = self.overdraft.checked_sub(overdraft)?;
        (!self.overdraft.is_negative()).then_some(())
    }

    pub(super) fn expire(&mut self, id: Sequence, amount: Credits) -> Option<()> {
        let place = self.lots.iter().position(|lot| lot.id == id)?;
        let lot = self.lots.remove(place);
        self.remaining = self.remaining.checked_sub(amount)?;
        (lot.remaining == amount).then_some(())
    }

    pub(super) fn forget_used_up(&mut self, now: Timestamp) {
        self.lots.retain(|lot| lot.remaining.is_positive() || !is_expired(lot.expires_at, now));
    }
}

/// Covers `amount` out of what each lot holds, in their order; gives the parts and what is not
/// covered.
pub fn take(
    amount: Credits,
    held: impl Iterator<Item = (Sequence, Credits)>,
) -> (Vec<LotDraw>, Credits) {
    let mut left = amount;
    let mut parts = Vec::new();
    for (lot, holds) in held {
        let part = left.min(holds);
        if !left.is_positive() {
            break;
        }
        if part.is_positive() {
            parts.push(LotDraw { lot, amount: part });
            left = left.checked_sub(part).unwrap_or_default();
        }
    }
    (parts, left.max(Credits::ZERO))
}
