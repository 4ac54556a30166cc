//! Quota: every user's lots, and what was drawn beyond them.

use bincode::{Decode, Encode};
use schemas::{
    Credits, Draw, Event, LotDraw, LotSource, NameId, Recorded, Sequence, Timestamp, UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// An expiring part of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Lot {
    /// The moment from which it is worth nothing.
    pub expires_at: Timestamp,
    /// Its name: the sequence of the recharge.
    pub id: Sequence,
    /// What it began with.
    pub granted: Credits,
    /// What is left of it.
    pub remaining: Credits,
    /// Where it comes from.
    pub source: LotSource,
}

/// The most lots that one draw is spread over.
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
        self.lots.iter().filter(move |lot| lot.expires_at > now)
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

    /// What can be drawn at `now`; minus the overdraft when there is one.
    #[must_use]
    pub fn available_at(&self, now: Timestamp) -> Credits {
        let held =
            self.lots_at(now).fold(0_i64, |sum, lot| sum.saturating_add(lot.remaining.units()));
        Credits::from_units(held.saturating_sub(self.overdraft.units()))
    }

    /// What the lots that have not expired at `now` began with.
    #[must_use]
    pub fn total_at(&self, now: Timestamp) -> Credits {
        let granted =
            self.lots_at(now).fold(0_i64, |sum, lot| sum.saturating_add(lot.granted.units()));
        Credits::from_units(granted)
    }

    /// What was drawn from the lots that have not expired at `now`, and beyond all lots.
    #[must_use]
    pub fn used_at(&self, now: Timestamp) -> Credits {
        let (total, available) = (self.total_at(now).units(), self.available_at(now).units());
        Credits::from_units(total.saturating_sub(available))
    }

    /// Whether a lot's time ran out after `before` and by `now`.
    #[must_use]
    pub fn lapsed_between(&self, before: Timestamp, now: Timestamp) -> bool {
        self.lots.iter().any(|lot| before < lot.expires_at && lot.expires_at <= now)
    }

    /// Which lots `amount` would be drawn from at `now`, soonest expiry first, then oldest; what
    /// they do not cover is the overdraft. So is what lies beyond the first [`LOTS_A_DRAW_MAX`] lots,
    /// so that every draw fits into an event: the later lots keep what is owed.
    #[must_use]
    pub fn plan_draw(&self, amount: Credits, now: Timestamp, rule_version: u32) -> Draw {
        let mut left = amount;
        let mut lots = Vec::new();
        for lot in self.lots_at(now).filter(|lot| lot.remaining.is_positive()).take(LOTS_A_DRAW_MAX)
        {
            let part = left.min(lot.remaining);
            if !part.is_positive() {
                break;
            }
            lots.push(LotDraw { lot: lot.id, amount: part });
            left = left.checked_sub(part).unwrap_or(Credits::ZERO);
        }
        Draw { rule_version, lots, overdraft: left.max(Credits::ZERO) }
    }

    fn recharge(&mut self, lot: Lot, overdraft_paid: Credits) -> Option<()> {
        self.given = true;
        self.overdraft = self.overdraft.checked_sub(overdraft_paid)?;
        self.remaining = self.remaining.checked_add(lot.remaining)?;
        if lot.granted.is_positive() {
            let order = |lot: &Lot| (lot.expires_at, lot.id);
            let place = self.lots.partition_point(|present| order(present) < order(&lot));
            self.lots.insert(place, lot);
        }
        (!self.overdraft.is_negative()).then_some(())
    }

    fn draw(&mut self, draw: &Draw) -> Option<()> {
        for part in &draw.lots {
            let lot = self.lots.iter_mut().find(|lot| lot.id == part.lot)?;
            lot.remaining = lot.remaining.checked_sub(part.amount)?;
            if lot.remaining.is_negative() {
                return None;
            }
            self.remaining = self.remaining.checked_sub(part.amount)?;
        }
        self.overdraft = self.overdraft.checked_add(draw.overdraft)?;
        Some(())
    }

    fn expire(&mut self, id: Sequence, amount: Credits) -> Option<()> {
        let place = self.lots.iter().position(|lot| lot.id == id)?;
        let lot = self.lots.remove(place);
        self.remaining = self.remaining.checked_sub(amount)?;
        (lot.remaining == amount).then_some(())
    }

    fn forget_used_up(&mut self, now: Timestamp) {
        self.lots.retain(|lot| lot.remaining.is_positive() || lot.expires_at > now);
    }
}

/// Everyone's quota.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Quota {
    accounts: Paged<Account>,
}

impl Quota {
    /// One user's quota.
    #[must_use]
    pub fn account(&self, user: UserId) -> &Account {
        self.accounts.get(user.number())
    }

    /// Everyone's quota, also of those who were never given any.
    pub fn accounts(&self) -> impl Iterator<Item = (UserId, &Account)> {
        self.accounts.iter().map(|(number, account)| (UserId(number), account))
    }

    /// Takes one event in; `None` when the event breaks a law of quota: it draws or writes off what
    /// is not there.
    pub fn follow(&mut self, recorded: &Recorded) -> Option<()> {
        match &recorded.event {
            Event::QuotaRecharged(recharge) => {
                let granted = recharge.amount.checked_sub(recharge.overdraft_paid)?;
                let lot = Lot {
                    expires_at: recharge.expires_at,
                    id: recorded.sequence,
                    granted,
                    remaining: granted,
                    source: recharge.source,
                };
                let account = self.accounts.get_mut(recharge.user.number());
                account.forget_used_up(recorded.recorded_at);
                account.recharge(lot, recharge.overdraft_paid)
            }
            Event::QuotaExpired(expired) => {
                self.accounts.get_mut(expired.user.number()).expire(expired.lot, expired.amount)
            }
            Event::ConsumptionRecorded(consumption) => {
                self.draw(consumption.context.user, &consumption.draw)
            }
            Event::ConsumptionRated(rated) => self.draw(rated.context.user, &rated.draw),
            Event::NameIntroduced(_)
            | Event::WalletToppedUp(_)
            | Event::WalletAdjusted(_)
            | Event::DrawRuleSet(_)
            | Event::ModelPriced(_)
            | Event::PriceBookPublished(_)
            | Event::RequestReceived(_)
            | Event::ResponseReceived(_)
            | Event::PairingTimedOut(_)
            | Event::ConflictObserved(_)
            | Event::TenantRegistered(_)
            | Event::UserRegistered(_) => Some(()),
        }
    }

    fn draw(&mut self, user: Option<UserId>, draw: &Draw) -> Option<()> {
        if draw.lots.is_empty() && draw.overdraft.is_zero() {
            return Some(());
        }
        self.accounts.get_mut(user?.number()).draw(draw)
    }
}

impl Projection for Quota {
    const NAME: &'static str = "quota";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        let _lawful = self.follow(recorded);
    }
}
