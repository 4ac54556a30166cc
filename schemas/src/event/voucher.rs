//! Events of vouchers: quota on its way from one user to another.

use bincode::{Decode, Encode};

use crate::{Credits, LotDraw, Sealed, Timestamp, UserId, VoucherId};

/// What a voucher says of its giver, sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct SealedGiver {
    /// The display name.
    pub name: Option<Sealed>,
    /// The phone number.
    pub phone: Option<Sealed>,
    /// The GitHub user name.
    pub github: Option<Sealed>,
}

/// See [`Event::VoucherItemReserved`](crate::Event::VoucherItemReserved).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct VoucherItemReserved {
    /// The voucher.
    pub voucher: VoucherId,
    /// Its place in the voucher, from 0.
    pub number: u32,
    /// Whose quota.
    pub giver: UserId,
    /// How much.
    pub amount: Credits,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The offset from UTC, in seconds, in which the giver wrote that.
    pub offset_seconds: i32,
    /// The lots that it was taken from.
    pub lots: Vec<LotDraw>,
    /// What the giver's lots of the same expiry held before.
    pub before: Credits,
}

/// See [`Event::VoucherIssued`](crate::Event::VoucherIssued).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct VoucherIssued {
    /// The voucher.
    pub voucher: VoucherId,
    /// Who gives.
    pub giver: UserId,
    /// The only one who may redeem it.
    pub receiver: UserId,
    /// What its code says of the giver.
    pub identity: SealedGiver,
    /// The time in its code, in seconds since 1970.
    pub timestamp: i64,
    /// How many items it has.
    pub items: u32,
    /// All of them together.
    pub amount: Credits,
    /// The moment after which it is worth nothing and its quota goes back to the giver.
    pub lapses_at: Option<Timestamp>,
    /// The signature in its code.
    pub signature: [u8; 32],
}

/// How an item of a voucher ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum ItemOutcome {
    /// It is the receiver's.
    Redeemed,
    /// It is the giver's again.
    Returned,
    /// It had expired, and is nobody's.
    Expired,
}

/// See [`Event::VoucherItemSettled`](crate::Event::VoucherItemSettled). Unless it expired, it is a
/// lot, whose name is this event's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct VoucherItemSettled {
    /// The voucher.
    pub voucher: VoucherId,
    /// Its place in the voucher, from 0.
    pub number: u32,
    /// Who got it, or would have.
    pub user: UserId,
    /// How much.
    pub amount: Credits,
    /// Of it, what paid the user's overdraft.
    pub overdraft_paid: Credits,
    /// When it expires.
    pub expires_at: Timestamp,
    /// How it ended.
    pub outcome: ItemOutcome,
    /// Issued by another book under a key of ours: the quota was not in this book before.
    pub foreign: bool,
    /// What the user's lots of the same expiry held before.
    pub before: Credits,
}

/// How a voucher ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum VoucherOutcome {
    /// Its receiver took it.
    Redeemed,
    /// Its giver took it back.
    Cancelled,
    /// Its own time ran out.
    Lapsed,
}

/// See [`Event::VoucherClosed`](crate::Event::VoucherClosed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct VoucherClosed {
    /// The voucher.
    pub voucher: VoucherId,
    /// Who gave.
    pub giver: UserId,
    /// Who was to receive.
    pub receiver: UserId,
    /// How it ended.
    pub outcome: VoucherOutcome,
    /// What became quota of the receiver, or of the giver again.
    pub amount: Credits,
    /// How many items that were.
    pub items: u32,
    /// What had expired.
    pub expired: Credits,
    /// How many items that were.
    pub items_expired: u32,
    /// Issued by another book under a key of ours.
    pub foreign: bool,
}
