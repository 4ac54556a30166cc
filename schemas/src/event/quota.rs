//! Events of quota besides recharges and consumption: what a gateway's counters take and give back.

use bincode::{Decode, Encode};

use crate::{Credits, Draw, LotDraw, UserId};

/// See [`Event::QuotaWithdrawn`](crate::Event::QuotaWithdrawn).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct QuotaWithdrawn {
    /// Whose quota.
    pub user: UserId,
    /// What was taken back of what the lots still held.
    pub unused: Vec<LotDraw>,
    /// What was taken back although it had been drawn: it becomes overdraft.
    pub drawn: Vec<LotDraw>,
    /// Why, in words.
    pub reason: String,
}

/// See [`Event::QuotaDrawn`](crate::Event::QuotaDrawn).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct QuotaDrawn {
    /// Whose quota.
    pub user: UserId,
    /// The lots and the overdraft.
    pub draw: Draw,
    /// Why, in words.
    pub reason: String,
}

/// See [`Event::QuotaRefunded`](crate::Event::QuotaRefunded).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct QuotaRefunded {
    /// Whose quota.
    pub user: UserId,
    /// What went back into lots.
    pub lots: Vec<LotDraw>,
    /// What lowered the overdraft.
    pub overdraft: Credits,
    /// Why, in words.
    pub reason: String,
}
