//! Vouchers: what is in those that are open, and how the others ended.

use bincode::{Decode, Encode};
use schemas::{
    Credits, Event, NameId, Recorded, Sequence, Timestamp, TransferItem, UserId, VoucherId,
    VoucherOutcome, is_expired,
};

use crate::collections::{Paged, Shard, Sharded};
use crate::projection::Projection;

impl Shard for VoucherId {
    fn shard(&self) -> u16 {
        let [.., high, low] = self.bytes();
        u16::from_le_bytes([low, high])
    }
}

/// A voucher as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Voucher {
    /// Who gives.
    pub giver: UserId,
    /// Who may redeem it.
    pub receiver: UserId,
    /// The event that issued it; of one from another book, the event that redeemed it.
    pub issued: Sequence,
    /// The moment after which it cannot be redeemed any more.
    pub lapses_at: Option<Timestamp>,
    /// How it ended, and with which event.
    pub closed: Option<(VoucherOutcome, Sequence)>,
    /// What is in it, while it is open.
    pub items: Vec<TransferItem>,
}

impl Voucher {
    /// Whether its own time has run out at `now`.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.lapses_at.is_some_and(|lapses_at| is_expired(lapses_at, now))
    }

    const fn new(giver: UserId, receiver: UserId, issued: Sequence) -> Self {
        Self { giver, receiver, issued, lapses_at: None, closed: None, items: Vec::new() }
    }

    /// Takes an item in; what was reserved of one in several events adds up.
    fn add(&mut self, number: u32, item: TransferItem) {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        match self.items.get_mut(place) {
            Some(present) => {
                present.amount = present.amount.checked_add(item.amount).unwrap_or(present.amount);
            }
            None => self.items.push(item),
        }
    }
}

/// Every voucher.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Vouchers {
    by_id: Sharded<VoucherId, Voucher, 1024>,
    /// Of each giver: the vouchers, oldest first, and the time in the code of the last one.
    given: Paged<Given>,
    /// What is in open vouchers, in the smallest unit.
    reserved: i128,
}

#[derive(Debug, Clone, Default, Encode, Decode)]
struct Given {
    vouchers: Vec<VoucherId>,
    timestamp: i64,
}

impl Vouchers {
    /// The voucher.
    #[must_use]
    pub fn find(&self, voucher: VoucherId) -> Option<&Voucher> {
        self.by_id.get(&voucher)
    }

    /// All vouchers, in no order that means anything.
    pub fn all(&self) -> impl Iterator<Item = (VoucherId, &Voucher)> {
        self.by_id.iter().map(|(id, voucher)| (*id, voucher))
    }

    /// The vouchers that a user gave, oldest first.
    #[must_use]
    pub fn given_by(&self, user: UserId) -> &[VoucherId] {
        &self.given.get(user.number()).vouchers
    }

    /// The time in the code of the last voucher that a user gave, in seconds since 1970.
    #[must_use]
    pub fn last_timestamp(&self, user: UserId) -> i64 {
        self.given.get(user.number()).timestamp
    }

    /// What is in open vouchers, in the smallest unit.
    #[must_use]
    pub const fn reserved(&self) -> i128 {
        self.reserved
    }

    fn reserve(&mut self, amount: Credits) {
        self.reserved = self.reserved.saturating_add(i128::from(amount.units()));
    }
}

impl Projection for Vouchers {
    const NAME: &'static str = "vouchers";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::VoucherItemReserved(reserved) => {
                self.reserve(reserved.amount);
                let item = TransferItem {
                    amount: reserved.amount,
                    expires_at: reserved.expires_at,
                    offset_seconds: reserved.offset_seconds,
                };
                if let Some(voucher) = self.by_id.get_mut(&reserved.voucher) {
                    voucher.add(reserved.number, item);
                    return;
                }
                let giver = reserved.giver;
                let voucher = Voucher::new(giver, giver, recorded.sequence);
                self.by_id.insert(reserved.voucher, Voucher { items: vec![item], ..voucher });
            }
            Event::VoucherIssued(issued) => {
                if let Some(voucher) = self.by_id.get_mut(&issued.voucher) {
                    voucher.receiver = issued.receiver;
                    voucher.issued = recorded.sequence;
                    voucher.lapses_at = issued.lapses_at;
                }
                let given = self.given.get_mut(issued.giver.number());
                given.vouchers.push(issued.voucher);
                given.timestamp = issued.timestamp;
            }
            Event::VoucherItemSettled(item) if !item.foreign => {
                if let Some(taken) = item.amount.checked_neg() {
                    self.reserve(taken);
                }
            }
            Event::VoucherClosed(closed) => {
                let end = Some((closed.outcome, recorded.sequence));
                if let Some(voucher) = self.by_id.get_mut(&closed.voucher) {
                    voucher.closed = end;
                    voucher.items = Vec::new();
                    return;
                }
                let voucher = Voucher::new(closed.giver, closed.receiver, recorded.sequence);
                self.by_id.insert(closed.voucher, Voucher { closed: end, ..voucher });
            }
            _ => (),
        }
    }
}
