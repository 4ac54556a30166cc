//! Events of recharge strategies: what they are, and what they gave to whom.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Credits, ModelId, Timestamp, UserId};

/// The number of a strategy: from 1, in the order of their creation, never used again.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct StrategyId(pub u32);

/// How often a strategy gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// Once to each user, ever.
    Single,
    /// Once to each user at every tick of its schedule.
    Periodic,
}

/// What a strategy is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StrategyDefinition {
    /// Unique among the strategies that are not deleted.
    pub name: String,
    /// For people.
    pub title: String,
    /// How often.
    pub kind: StrategyKind,
    /// What it gives each time; above zero.
    pub amount: Credits,
    /// What its lots are labelled with.
    pub model: Option<ModelId>,
    /// The schedule of a periodic strategy, as it was written.
    pub periodic_expr: String,
    /// To whom it gives, as it was written; empty: to everyone.
    pub condition: String,
    /// Whether it gives at all.
    pub enabled: bool,
    /// How often a user gets it at most; 0: no cap.
    pub max_exec_per_user: u32,
}

/// See [`Event::StrategyCreated`](crate::Event::StrategyCreated) and
/// [`Event::StrategyUpdated`](crate::Event::StrategyUpdated).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StrategyDefined {
    /// The strategy.
    pub strategy: StrategyId,
    /// What it is from now on.
    pub definition: StrategyDefinition,
}

/// See [`Event::StrategySwitched`](crate::Event::StrategySwitched).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StrategySwitched {
    /// The strategy.
    pub strategy: StrategyId,
    /// On or off.
    pub enabled: bool,
}

/// See [`Event::StrategyDeleted`](crate::Event::StrategyDeleted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StrategyDeleted {
    /// The strategy.
    pub strategy: StrategyId,
}

/// See [`Event::StrategyExecuted`](crate::Event::StrategyExecuted). It is a lot named by this
/// event's sequence, or a part of the lot that a strategy gave the user before with the same expiry and
/// label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StrategyExecuted {
    /// The strategy.
    pub strategy: StrategyId,
    /// Who got it.
    pub user: UserId,
    /// The tick of a periodic strategy.
    pub tick: Option<Timestamp>,
    /// The whole amount given.
    pub amount: Credits,
    /// Of it, what paid the user's overdraft.
    pub overdraft_paid: Credits,
    /// The moment after which the lot is worth nothing.
    pub expires_at: Timestamp,
    /// What the lot is labelled with.
    pub model: Option<ModelId>,
    /// What the user's lots of the same expiry held before.
    pub before: Credits,
}

/// See [`Event::StrategyFailed`](crate::Event::StrategyFailed).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StrategyFailed {
    /// The strategy.
    pub strategy: StrategyId,
    /// Who did not get it.
    pub user: UserId,
    /// The tick of a periodic strategy.
    pub tick: Option<Timestamp>,
    /// Why, in words.
    pub reason: String,
}

/// See [`Event::StrategyTickHandled`](crate::Event::StrategyTickHandled).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StrategyTickHandled {
    /// The strategy.
    pub strategy: StrategyId,
    /// The tick.
    pub tick: Timestamp,
    /// How many ticks before it were passed over, because more were missed than may be caught up.
    pub skipped: u32,
}
