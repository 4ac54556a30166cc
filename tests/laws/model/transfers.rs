//! Vouchers and the counters of gateways, told naively.

use std::collections::BTreeSet;

use projections::books::Books;
use schemas::{
    Counter, Credits, IssueVoucher, Move, MoveCounter, Name, RedeemVoucher, Sequence, SigningKeys,
    Timestamp, TransferItem, VoucherId, VoucherItem, VoucherPayload, ZonedTimestamp,
};

use super::{Account, Lot, Model, Verdict, is_over, lasts_until};
use crate::book::signing_keys;

/// A voucher as the model keeps it.
#[derive(Debug, Clone)]
pub(super) struct Voucher {
    giver: String,
    receiver: String,
    items: Vec<TransferItem>,
    lapses_at: Option<Timestamp>,
    open: bool,
}

impl Model {
    pub(super) fn issue(&mut self, command: &IssueVoucher, now: Timestamp) -> Verdict {
        let order = &command.order;
        let (giver, receiver) = (order.giver.to_string(), order.receiver.to_string());
        let is_known = self.users.contains(&receiver);
        let lapses_at_once = order.lapses_at.is_some_and(|at| at <= now);
        if giver == receiver || !is_known || order.items.is_empty() || lapses_at_once {
            return Verdict::Rejected;
        }
        let Some(account) = self.accounts.get_mut(&giver) else { return Verdict::Rejected };
        let mut lots = account.lots.clone();
        lots.sort_unstable();
        let mut free = account.available(now);
        let mut seen = BTreeSet::new();
        for item in &order.items {
            let mut wanted = i128::from(item.amount.units());
            free -= wanted;
            if wanted <= 0 || !seen.insert(item.expires_at) || is_over(item.expires_at, now) {
                return Verdict::Rejected;
            }
            for lot in lots.iter_mut().filter(|lot| lot.expires_at == item.expires_at) {
                let part = wanted.min(lot.left);
                lot.left -= part;
                lot.granted -= part;
                wanted -= part;
            }
            if wanted > 0 || free < 0 {
                return Verdict::Rejected;
            }
        }
        account.lots = lots;
        let last = self.timestamps.get(&giver).copied().unwrap_or(i64::MIN);
        let timestamp = now.micros().div_euclid(1_000_000).max(last.saturating_add(1));
        self.timestamps.insert(giver.clone(), timestamp);
        let id = id_of(command, timestamp);
        let (items, lapses_at) = (order.items.clone(), order.lapses_at);
        let voucher = Voucher { giver, receiver, items, lapses_at, open: true };
        assert!(self.vouchers.insert(id, voucher).is_none(), "no two vouchers are alike");
        Verdict::Recorded
    }

    pub(super) fn redeem(
        &mut self,
        command: &RedeemVoucher,
        now: Timestamp,
        at: Sequence,
    ) -> Verdict {
        let RedeemVoucher { voucher: id, giver, receiver, items } = command;
        let (giver, receiver) = (giver.to_string(), receiver.to_string());
        if let Some(voucher) = self.vouchers.get(id) {
            if voucher.receiver != receiver || !voucher.is_open(now) {
                return Verdict::Rejected;
            }
        } else if giver == receiver || items.iter().any(|item| item.amount.units() <= 0) {
            return Verdict::Rejected;
        }
        if !self.settle(&receiver, items, now, at) {
            return Verdict::Rejected;
        }
        self.introduce(&giver);
        self.introduce(&receiver);
        let foreign = Voucher { giver, receiver, items: Vec::new(), lapses_at: None, open: false };
        self.vouchers.entry(*id).or_insert(foreign).open = false;
        Verdict::Recorded
    }

    pub(super) fn cancel(
        &mut self,
        id: VoucherId,
        giver: &Name,
        now: Timestamp,
        at: Sequence,
    ) -> Verdict {
        let Some(voucher) = self.vouchers.get(&id).cloned() else { return Verdict::Rejected };
        let is_givers = voucher.giver == giver.as_str() && voucher.is_open(now);
        if !is_givers || !self.settle(&voucher.giver, &voucher.items, now, at) {
            return Verdict::Rejected;
        }
        self.vouchers.entry(id).and_modify(|voucher| voucher.open = false);
        Verdict::Recorded
    }

    /// Those whose time ran out first; one of each giver.
    pub(super) fn lapse(&mut self, most: u32, now: Timestamp, at: Sequence) -> Verdict {
        let mut late: Vec<(Timestamp, VoucherId)> = self
            .vouchers
            .iter()
            .filter(|(_, voucher)| voucher.open && !voucher.is_open(now))
            .filter_map(|(id, voucher)| Some((voucher.lapses_at?, *id)))
            .collect();
        late.sort_unstable();
        late.truncate(most as usize);
        let mut givers = BTreeSet::new();
        let mut ending = Vec::new();
        for (_, id) in late {
            let voucher = self.vouchers.get(&id).cloned().expect("listed");
            if givers.insert(voucher.giver.clone()) && self.has_room_for(&voucher, now) {
                ending.push((id, voucher));
            }
        }
        // One event for each item and one for the end, the last of all at `at`.
        let events = |(_, voucher): &(VoucherId, Voucher)| voucher.items.len() as u64 + 1;
        let mut after: u64 = ending.iter().map(events).sum();
        for one in &ending {
            after -= events(one);
            let (id, voucher) = one;
            let closed = Sequence::new(at.get().saturating_sub(after));
            assert!(self.settle(&voucher.giver, &voucher.items, now, closed), "there is room");
            self.vouchers.entry(*id).and_modify(|voucher| voucher.open = false);
        }
        if ending.is_empty() { Verdict::Nothing } else { Verdict::Recorded }
    }

    fn has_room_for(&self, voucher: &Voucher, now: Timestamp) -> bool {
        let none = Account::default();
        let account = self.accounts.get(&voucher.giver).unwrap_or(&none);
        account.has_room(good(&voucher.items, now), now)
    }

    /// The items as lots of a user, whose end is told by the event at `at`; not when there is no
    /// room for them.
    fn settle(&mut self, user: &str, items: &[TransferItem], now: Timestamp, at: Sequence) -> bool {
        let none = Account::default();
        let account = self.accounts.get(user).unwrap_or(&none);
        if !account.has_room(good(items, now), now) {
            return false;
        }
        let first = at.get() - items.len() as u64;
        for (sequence, item) in (first..).zip(items) {
            if !is_over(item.expires_at, now) {
                let account = self.accounts.entry(user.to_owned()).or_default();
                let amount = i128::from(item.amount.units());
                account.give(amount, item.expires_at, Sequence::new(sequence), now);
            }
        }
        true
    }

    pub(super) fn count(&mut self, command: &MoveCounter, now: Timestamp, at: Sequence) -> Verdict {
        let none = Account::default();
        let user = command.user.to_string();
        let account = self.accounts.get(&user).unwrap_or(&none);
        let total = account.total(now);
        let stands = match command.counter {
            Counter::Total => total,
            Counter::Used => total - account.available(now),
        };
        let by = match command.movement {
            Move::To(to) => i128::from(to.units()) - stands,
            Move::By(by) => i128::from(by.units()),
        };
        let to = stands + by;
        if to < 0 || to > i128::from(i64::MAX) {
            return Verdict::Rejected;
        }
        if by == 0 {
            return Verdict::Nothing;
        }
        if command.counter == Counter::Total && by > 0 && !account.has_room(by, now) {
            return Verdict::Rejected;
        }
        // What is taken back after it was used is owed; what is given back is held again.
        let unused: i128 = account.live(now).map(|lot| lot.left).sum();
        let held: i128 = account.lots.iter().map(|lot| lot.left).sum();
        let grown = match (command.counter, by < 0) {
            (Counter::Total, true) => account.overdraft + (-by - unused).max(0),
            (Counter::Used, true) => held + (-by - account.overdraft).max(0),
            (_, false) => 0,
        };
        if grown > i128::from(i64::MAX) {
            return Verdict::Rejected;
        }
        self.introduce(&user);
        let account = self.accounts.entry(user).or_default();
        match (command.counter, by > 0) {
            (Counter::Total, true) => account.give(by, lasts_until(now), at, now),
            (Counter::Total, false) => account.withdraw(-by, now),
            (Counter::Used, true) => account.draw(by, now),
            (Counter::Used, false) => account.refund(-by, now),
        }
        Verdict::Recorded
    }

    /// Panics where the book's vouchers are others.
    pub(super) fn assert_vouchers_agree(&self, books: &Books) {
        let mut reserved = 0;
        assert_eq!(books.vouchers.all().count(), self.vouchers.len(), "vouchers");
        for (id, expected) in &self.vouchers {
            let voucher = books.vouchers.find(*id).expect("a voucher of the model");
            assert_eq!(voucher.closed.is_none(), expected.open, "{expected:?}");
            let names = [voucher.giver, voucher.receiver].map(|user| books.names.text(user));
            assert_eq!(names.map(|name| &**name), [&*expected.giver, &*expected.receiver]);
            if expected.open {
                assert_eq!(voucher.items, expected.items);
                assert_eq!(voucher.lapses_at, expected.lapses_at);
                let amounts = expected.items.iter().map(|item| i128::from(item.amount.units()));
                reserved += amounts.sum::<i128>();
            }
        }
        assert_eq!(books.vouchers.reserved(), reserved, "in open vouchers");
        assert_eq!(books.ledger.in_vouchers(), reserved, "in open vouchers");
    }
}

impl Voucher {
    fn is_open(&self, now: Timestamp) -> bool {
        self.open && self.lapses_at.is_none_or(|at| !is_over(at, now))
    }
}

/// What of the items has not expired.
fn good(items: &[TransferItem], now: Timestamp) -> i128 {
    let good = items.iter().filter(|item| !is_over(item.expires_at, now));
    good.map(|item| i128::from(item.amount.units())).sum()
}

fn id_of(command: &IssueVoucher, timestamp: i64) -> VoucherId {
    let item = |item: &TransferItem| VoucherItem {
        amount: item.amount,
        expires_at: ZonedTimestamp::new(item.expires_at, item.offset_seconds).expect("RFC 3339"),
    };
    let payload = VoucherPayload {
        giver_id: command.order.giver.to_string(),
        giver_name: command.identity.name.clone(),
        giver_phone: command.identity.phone.clone(),
        giver_github: command.identity.github.clone(),
        receiver_id: command.order.receiver.to_string(),
        items: command.order.items.iter().map(item).collect(),
        timestamp,
    };
    let json = payload.to_json();
    VoucherId::of(&SigningKeys::code(&json, &signing_keys().sign(&json)))
}

impl Account {
    /// What the lots that have not expired were given.
    pub(super) fn total(&self, now: Timestamp) -> i128 {
        self.live(now).map(|lot| lot.granted).sum()
    }

    /// What they hold, less what is owed.
    pub(super) fn available(&self, now: Timestamp) -> i128 {
        self.live(now).map(|lot| lot.left).sum::<i128>() - self.overdraft
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Lot> {
        self.lots.iter().filter(move |lot| !is_over(lot.expires_at, now))
    }

    /// The same to change, soonest expiry first.
    fn live_mut(&mut self, now: Timestamp) -> impl DoubleEndedIterator<Item = &mut Lot> {
        self.lots.sort_unstable();
        self.lots.iter_mut().filter(move |lot| !is_over(lot.expires_at, now))
    }

    /// Whether so much more can be kept.
    pub(super) fn has_room(&self, amount: i128, now: Timestamp) -> bool {
        let held: i128 = self.lots.iter().map(|lot| lot.left).sum();
        held.max(self.total(now)) + amount <= i128::from(Credits::from_units(i64::MAX).units())
    }

    /// A new lot, which pays what is owed first.
    pub(super) fn give(
        &mut self,
        amount: i128,
        expires_at: Timestamp,
        at: Sequence,
        now: Timestamp,
    ) {
        let paid = if is_over(expires_at, now) { 0 } else { self.overdraft.min(amount) };
        self.overdraft -= paid;
        self.given = true;
        let (granted, left, by_strategy) = (amount, amount - paid, false);
        self.lots.push(Lot { expires_at, at, granted, left, by_strategy });
    }

    /// What strategies give with one expiry is one lot.
    pub(super) fn give_by_strategy(
        &mut self,
        amount: i128,
        expires_at: Timestamp,
        at: Sequence,
        now: Timestamp,
    ) {
        self.give(amount, expires_at, at, now);
        let new = self.lots.pop().expect("just given");
        let is_same = |lot: &&mut Lot| lot.by_strategy && lot.expires_at == expires_at;
        match self.lots.iter_mut().find(is_same) {
            Some(lot) => {
                lot.granted += new.granted;
                lot.left += new.left;
            }
            None => self.lots.push(Lot { by_strategy: true, ..new }),
        }
    }

    /// Soonest expiry first; what no lot covers is owed.
    pub(super) fn draw(&mut self, mut amount: i128, now: Timestamp) {
        for lot in self.live_mut(now) {
            let part = amount.min(lot.left);
            lot.left -= part;
            amount -= part;
        }
        self.overdraft += amount;
    }

    /// What was not used first; what was used is owed from then on.
    fn withdraw(&mut self, mut amount: i128, now: Timestamp) {
        for lot in self.live_mut(now) {
            let part = amount.min(lot.left);
            lot.left -= part;
            lot.granted -= part;
            amount -= part;
        }
        let mut owed = 0;
        for lot in self.live_mut(now) {
            let part = amount.min(lot.granted - lot.left);
            lot.granted -= part;
            owed += part;
            amount -= part;
        }
        self.overdraft += owed;
        assert_eq!(amount, 0, "nobody is taken more than was given");
    }

    /// What is owed first; then latest expiry first.
    fn refund(&mut self, mut amount: i128, now: Timestamp) {
        let paid = self.overdraft.min(amount);
        self.overdraft -= paid;
        amount -= paid;
        for lot in self.live_mut(now).rev() {
            let part = amount.min(lot.granted - lot.left);
            lot.left += part;
            amount -= part;
        }
        assert_eq!(amount, 0, "nobody is given back more than was used");
    }
}
