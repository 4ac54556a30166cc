//! What holds keep together, by the second in which it is kept no longer. Sums of seconds, minutes and
//! hours stand beside each other, so that what is kept at a moment is the sum of at most as many
//! of them as there are in an hour's seconds, minutes and a day, however many holds there are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use bincode::{Decode, Encode};
use schemas::{Credits, Money, Sequence, TenantId, Timestamp, UserId};

use crate::collections::Shard;

/// Of whom something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub(super) enum Whose {
    /// Of a tenant: money and tokens.
    Tenant(TenantId),
    /// Of a user: quota.
    User(UserId),
    /// Of a user where this tenant pays: tokens.
    Member(TenantId, UserId),
}

impl Shard for Whose {
    fn shard(&self) -> u16 {
        let number = match self {
            Self::Tenant(tenant) => tenant.0,
            Self::User(user) | Self::Member(_, user) => user.0,
        };
        let [low, high, ..] = number.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

/// What a number of holds keep. Wider than amounts, so that no sum of them leaves the range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Kept {
    holds: u64,
    money: i128,
    credits: i128,
    tokens: u128,
}

impl Kept {
    /// What one hold keeps.
    pub(super) fn of(money: Money, credits: Credits, tokens: u64) -> Self {
        Self {
            holds: 1,
            money: money.units(),
            credits: credits.units().into(),
            tokens: tokens.into(),
        }
    }

    /// Held at the end of the range.
    pub(super) const fn money(self) -> Money {
        Money::from_units(self.money)
    }

    /// Held at the end of the range.
    pub(super) fn credits(self) -> Credits {
        Credits::from_units(i64::try_from(self.credits).unwrap_or(i64::MAX))
    }

    /// Held at the end of the range.
    pub(super) fn tokens(self) -> u64 {
        u64::try_from(self.tokens).unwrap_or(u64::MAX)
    }

    fn add(&mut self, other: Self) {
        self.holds = self.holds.saturating_add(other.holds);
        self.money = self.money.saturating_add(other.money);
        self.credits = self.credits.saturating_add(other.credits);
        self.tokens = self.tokens.saturating_add(other.tokens);
    }

    fn subtract(&mut self, other: Self) {
        self.holds = self.holds.saturating_sub(other.holds);
        self.money = self.money.saturating_sub(other.money);
        self.credits = self.credits.saturating_sub(other.credits);
        self.tokens = self.tokens.saturating_sub(other.tokens);
    }
}

/// How long the spans are whose sums are kept, in seconds.
const SPANS: [i64; 3] = [1, 60, 3600];

/// What is kept of one, and by which holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct KeptFor {
    holds: BTreeSet<Sequence>,
    /// By the length of a span and the count of such spans since the epoch: what is kept up to the
    /// seconds in it.
    spans: BTreeMap<(i64, i64), Kept>,
}

impl KeptFor {
    pub(super) fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// The holds after one, the oldest first.
    pub(super) fn holds_after(&self, after: Sequence) -> impl Iterator<Item = Sequence> {
        self.holds.range((Excluded(after), Unbounded)).copied()
    }

    pub(super) fn add(&mut self, hold: Sequence, expires_at: Timestamp, part: Kept) {
        self.holds.insert(hold);
        for span in SPANS {
            self.spans.entry((span, place(expires_at, span))).or_default().add(part);
        }
    }

    pub(super) fn remove(&mut self, hold: Sequence, expires_at: Timestamp, part: Kept) {
        self.holds.remove(&hold);
        for span in SPANS {
            let key = (span, place(expires_at, span));
            if let Some(kept) = self.spans.get_mut(&key) {
                kept.subtract(part);
                if kept.holds == 0 {
                    self.spans.remove(&key);
                }
            }
        }
    }

    /// What is kept at `now`: the later hours, the later minutes of this hour, and the later seconds
    /// of this minute.
    pub(super) fn at(&self, now: Timestamp) -> Kept {
        let mut sum = Kept::default();
        let mut until = i64::MAX;
        for span in SPANS.into_iter().rev() {
            let this = place(now, span);
            let later = self.spans.range((Excluded((span, this)), Excluded((span, until))));
            later.for_each(|(_, kept)| sum.add(*kept));
            // In this span begins what is looked at in shorter ones, and in the next one it ends.
            let shorter = SPANS.into_iter().rev().find(|shorter| *shorter < span).unwrap_or(span);
            let parts = span.checked_div(shorter).unwrap_or(1);
            until = this.saturating_add(1).saturating_mul(parts);
        }
        sum
    }
}

/// The count of spans of this many seconds before the one that a moment lies in.
fn place(moment: Timestamp, span: i64) -> i64 {
    let second = moment.micros().div_euclid(1_000_000);
    second.checked_div_euclid(span).unwrap_or(second)
}
