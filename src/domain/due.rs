//! What falls due when: lots that expire, vouchers that lapse, holds that run out and halves that
//! wait. An index over the folds, made anew at every start.

use std::collections::{BTreeMap, BTreeSet};

use projections::books::{Books, Deciding};
use projections::calls::{Calls, Key};
use projections::holds::Holds;
use schemas::{
    CallContext, Credits, Event, HoldExpired, ItemOutcome, PairingTimedOut, QuotaExpired, Recorded,
    Sequence, Timestamp, UserId, VoucherId, is_expired,
};

/// How many holds that have ended are kept in mind beside as many as there are.
const ENDED_HOLDS_MAX: usize = 1024;

/// The index.
#[derive(Debug, Default)]
pub struct Due {
    lots: BTreeSet<(Timestamp, UserId, Sequence)>,
    /// Open vouchers with a time of their own.
    vouchers: BTreeSet<(Timestamp, VoucherId)>,
    /// Also some that have ended already.
    holds: BTreeSet<(Timestamp, Sequence)>,
    /// In the order in which they were recorded, which is also that of their deadlines.
    halves: BTreeMap<Sequence, (Timestamp, Key)>,
}

impl Due {
    /// The index over the present state.
    #[must_use]
    pub fn of(deciding: &Deciding) -> Self {
        let lots = deciding
            .books
            .quota
            .accounts()
            .flat_map(|(user, account)| {
                account.lots().iter().map(move |lot| (lot.expires_at, user, lot.id))
            })
            .collect();
        let halves = deciding
            .calls
            .all_waiting()
            .filter(|(_, waiting)| !waiting.timed_out)
            .map(|(key, waiting)| (waiting.sequence, (waiting.since, key)))
            .collect();
        let vouchers = deciding
            .books
            .vouchers
            .all()
            .filter(|(_, voucher)| voucher.closed.is_none())
            .filter_map(|(id, voucher)| Some((voucher.lapses_at?, id)))
            .collect();
        let holds =
            deciding.books.holds.all().map(|(id, hold)| (hold.placed.expires_at, id)).collect();
        Self { lots, vouchers, holds, halves }
    }

    /// Takes one event in, after the folds have.
    pub fn apply(&mut self, recorded: &Recorded, deciding: &Deciding) {
        match &recorded.event {
            Event::QuotaRecharged(lot) => {
                self.lots.insert((lot.expires_at, lot.user, recorded.sequence));
            }
            Event::StrategyExecuted(lot) => {
                let lots = deciding.books.quota.account(lot.user).lots();
                if lots.iter().any(|known| known.id == recorded.sequence) {
                    self.lots.insert((lot.expires_at, lot.user, recorded.sequence));
                }
            }
            Event::VoucherItemSettled(lot) => match lot.outcome {
                ItemOutcome::Redeemed | ItemOutcome::Returned => {
                    self.lots.insert((lot.expires_at, lot.user, recorded.sequence));
                }
                ItemOutcome::Expired => {}
            },
            Event::VoucherIssued(voucher) => {
                self.vouchers.extend(voucher.lapses_at.map(|at| (at, voucher.voucher)));
            }
            Event::VoucherClosed(closed) => {
                let voucher = deciding.books.vouchers.find(closed.voucher);
                if let Some(lapses_at) = voucher.and_then(|voucher| voucher.lapses_at) {
                    self.vouchers.remove(&(lapses_at, closed.voucher));
                }
            }
            Event::HoldPlaced(hold) => {
                self.holds.insert((hold.expires_at, recorded.sequence));
                self.forget_ended_holds(&deciding.books.holds);
            }
            Event::RequestReceived(half) => self.wait(recorded, &half.context),
            Event::ResponseReceived(half) => self.wait(recorded, &half.context),
            Event::PairingTimedOut(timed_out) => {
                self.halves.remove(&timed_out.half);
            }
            Event::ConsumptionRecorded(consumption) => {
                if let Some(half) = consumption.waited {
                    self.halves.remove(&half);
                }
            }
            _ => (),
        }
        self.forget_empty_lots(recorded.recorded_at, &deciding.books);
        while let Some((expires_at, hold)) = self.holds.first()
            && *expires_at <= recorded.recorded_at
            && deciding.books.holds.find(*hold).is_none()
        {
            self.holds.pop_first();
        }
    }

    fn wait(&mut self, recorded: &Recorded, context: &CallContext) {
        let key = Key::of_call(context.tenant, &context.request_id);
        self.halves.insert(recorded.sequence, (recorded.recorded_at, key));
    }

    /// Lots that expired with nothing left, or are written off, need no write-off.
    fn forget_empty_lots(&mut self, now: Timestamp, books: &Books) {
        while let Some((expires_at, user, lot)) = self.lots.first().copied()
            && is_expired(expires_at, now)
            && remaining(books, user, lot).is_none()
        {
            self.lots.pop_first();
        }
    }

    /// Holds mostly end before their time, by events that do not tell it. So they are sorted out once
    /// more have ended than not, which costs each hold no more than being put in.
    fn forget_ended_holds(&mut self, open: &Holds) {
        if self.holds.len() > open.count().saturating_mul(2).saturating_add(ENDED_HOLDS_MAX) {
            self.holds.retain(|(_, hold)| open.find(*hold).is_some());
        }
    }

    /// The ends of at most `most` holds that have run out at `now`.
    pub(super) fn expired_holds(&self, open: &Holds, now: Timestamp, most: u32) -> Vec<Event> {
        self.holds
            .iter()
            .take_while(|(expires_at, _)| *expires_at <= now)
            .filter_map(|(_, id)| {
                let tenant = open.find(*id)?.placed.tenant;
                Some(Event::HoldExpired(HoldExpired { tenant, hold: *id }))
            })
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect()
    }

    /// The write-offs of at most `most` lots that have expired at `now` and hold something.
    pub(super) fn expired_lots(&self, books: &Books, now: Timestamp, most: u32) -> Vec<Event> {
        self.lots
            .iter()
            .take_while(|(expires_at, _, _)| is_expired(*expires_at, now))
            .filter_map(|(_, user, lot)| {
                let amount = remaining(books, *user, *lot)?;
                Some(Event::QuotaExpired(QuotaExpired { user: *user, lot: *lot, amount }))
            })
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect()
    }

    /// The vouchers whose own time has run out at `now`.
    pub(super) fn lapsed_vouchers(&self, now: Timestamp) -> impl Iterator<Item = VoucherId> {
        let lapsed = self.vouchers.iter().take_while(move |(at, _)| is_expired(*at, now));
        lapsed.map(|(_, voucher)| *voucher)
    }

    /// The time-outs of at most `most` halves that have waited since `deadline` or longer.
    pub(super) fn lone_halves(&self, calls: &Calls, deadline: Timestamp, most: u32) -> Vec<Event> {
        self.halves
            .iter()
            .take_while(|(_, (since, _))| *since <= deadline)
            .filter_map(|(sequence, (_, key))| {
                let waiting = calls.waiting(*key)?;
                let context = waiting.half.context();
                Some(Event::PairingTimedOut(PairingTimedOut {
                    tenant: context.tenant,
                    user: context.user,
                    present: waiting.half.half(),
                    half: *sequence,
                    request_id: context.request_id.clone(),
                }))
            })
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect()
    }
}

/// What a lot holds; `None` when that is nothing.
fn remaining(books: &Books, user: UserId, id: Sequence) -> Option<Credits> {
    let lot = books.quota.account(user).lots().iter().find(|lot| lot.id == id)?;
    lot.remaining.is_positive().then_some(lot.remaining)
}
