//! The state as it was: the same folds over that part of the log which concerns one tenant or user,
//! up to a moment.

use std::str::FromStr;

use projections::Projection;
use projections::collections::PostingList;
use projections::quota::{Account, Quota};
use projections::wallets::{Wallet, Wallets};
use replay::ReadError;
use schemas::{Recorded, Sequence, TenantId, Timestamp, UserId};
use thiserror::Error;

use super::Views;

/// A moment to read as of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// Of everything recorded until then.
    Time(Timestamp),
    /// Of everything up to this event.
    Sequence(Sequence),
}

impl FromStr for AsOf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(Sequence::new(sequence)));
        }
        let moment = Timestamp::parse(text);
        moment.map(Self::Time).map_err(|_| "must be an RFC 3339 time or a sequence")
    }
}

/// A moment of the log: what was recorded, and what time it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Everything up to this event counts.
    pub sequence: Sequence,
    /// What has expired is judged by this time.
    pub moment: Timestamp,
    /// Whether it is the present, so that the folds can be read as they are; they may have gone on
    /// by then, and say how far.
    pub is_now: bool,
}

/// Why there is no state as of a moment.
#[derive(Debug, Error)]
pub enum AsOfError {
    /// It is still to come.
    #[error("must not lie in the future; the log ends at event {head}")]
    Future {
        /// The last event.
        head: Sequence,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Views {
    /// The point that `as_of` names; the present when it is `None`.
    ///
    /// # Errors
    /// When it lies in the future, or the log cannot be read.
    pub fn point(&self, as_of: Option<AsOf>, now: Timestamp) -> Result<Point, AsOfError> {
        let head = self.head();
        match as_of {
            None => Ok(Point { sequence: head, moment: now, is_now: true }),
            Some(AsOf::Time(moment)) if moment > now => Err(AsOfError::Future { head }),
            Some(AsOf::Time(moment)) => {
                let sequence = self.log.sequence_at(moment)?.min(head);
                Ok(Point { sequence, moment, is_now: false })
            }
            Some(AsOf::Sequence(sequence)) if sequence > head => Err(AsOfError::Future { head }),
            Some(AsOf::Sequence(sequence)) => {
                let moment = self
                    .log
                    .read(sequence)?
                    .map_or(Timestamp::EPOCH, |recorded| recorded.recorded_at);
                Ok(Point { sequence, moment, is_now: false })
            }
        }
    }

    /// A user's quota at a point, and the event that it reflects.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn quota_at(&self, user: UserId, point: &Point) -> Result<(Sequence, Account), ReadError> {
        if point.is_now {
            return Ok(self.look_now(|reading| reading.books.quota.account(user).clone()));
        }
        let [quota, moves, calls] = self.look(|reading| {
            let histories = &reading.histories;
            [histories.user_quota(user), histories.user_moves(user), histories.user_calls(user)]
                .map(Clone::clone)
        });
        let mut fold = Quota::default();
        self.follow(&[&quota, &moves, &calls], point.sequence, |recorded| fold.apply(recorded))?;
        Ok((point.sequence, fold.account(user).clone()))
    }

    /// A tenant's money at a point, and the event that it reflects.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn wallet_at(
        &self,
        tenant: TenantId,
        point: &Point,
    ) -> Result<(Sequence, Wallet), ReadError> {
        if point.is_now {
            return Ok(self.look_now(|reading| *reading.books.wallets.wallet(tenant)));
        }
        let [money, calls] = self.look(|reading| {
            let histories = &reading.histories;
            [histories.tenant_money(tenant).clone(), histories.tenant_calls(tenant).clone()]
        });
        let mut fold = Wallets::default();
        self.follow(&[&money, &calls], point.sequence, |recorded| fold.apply(recorded))?;
        Ok((point.sequence, *fold.wallet(tenant)))
    }

    /// Reads the events of several lists in the order of the log.
    pub(super) fn follow(
        &self,
        lists: &[&PostingList],
        through: Sequence,
        each: impl FnMut(&Recorded),
    ) -> Result<(), ReadError> {
        self.follow_from(lists, Sequence::ZERO, through, each)
    }

    /// As [`Self::follow`], of those after `after`.
    pub(super) fn follow_from(
        &self,
        lists: &[&PostingList],
        after: Sequence,
        through: Sequence,
        mut each: impl FnMut(&Recorded),
    ) -> Result<(), ReadError> {
        let mut sequences: Vec<Sequence> =
            lists.iter().flat_map(|list| list.ascending(after, through)).collect();
        sequences.sort_unstable();
        sequences.dedup();
        for page in sequences.chunks(1000) {
            for recorded in self.log.read_many(page)? {
                each(&recorded);
            }
        }
        Ok(())
    }
}
