//! Commands of quota beyond recharges: users' attributes, gateway counters, strategies, vouchers.

use bincode::{Decode, Encode};

use crate::{
    Attributes, Credits, Name, SealedGiver, StrategyId, StrategyKind, Timestamp, VoucherId,
    VoucherItem, ZonedTimestamp,
};

/// See [`Command::DescribeUser`](crate::Command::DescribeUser).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct DescribeUser {
    /// The user.
    pub user: Name,
    /// What changes.
    pub attributes: Attributes,
}

/// A counter of a user's quota, as gateways know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub enum Counter {
    /// What the lots that have not expired were given.
    Total,
    /// What was drawn of that, and beyond.
    Used,
}

/// How a counter moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub enum Move {
    /// To this value, not below zero.
    To(Credits),
    /// By this much, up or down.
    By(Credits),
}

/// See [`Command::MoveCounter`](crate::Command::MoveCounter).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct MoveCounter {
    /// Whose quota.
    pub user: Name,
    /// Which counter.
    pub counter: Counter,
    /// How it moves.
    pub movement: Move,
}

/// See [`Command::CreateStrategy`](crate::Command::CreateStrategy).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct StrategyDraft {
    /// Unique among strategies.
    pub name: String,
    /// For people.
    pub title: String,
    /// How often.
    pub kind: StrategyKind,
    /// What it gives each time; above zero.
    pub amount: Credits,
    /// What its lots are labelled with.
    pub model: Option<Name>,
    /// The schedule; empty for single strategies.
    pub periodic_expr: String,
    /// To whom it gives; empty: to everyone.
    pub condition: String,
    /// Whether it gives at all.
    pub enabled: bool,
    /// How often a user gets it at most; 0: no cap.
    pub max_exec_per_user: u32,
}

/// See [`Command::UpdateStrategy`](crate::Command::UpdateStrategy). What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct UpdateStrategy {
    /// The strategy.
    pub strategy: StrategyId,
    /// See [`StrategyDraft::name`].
    pub name: Option<String>,
    /// See [`StrategyDraft::title`].
    pub title: Option<String>,
    /// See [`StrategyDraft::kind`].
    pub kind: Option<StrategyKind>,
    /// See [`StrategyDraft::amount`].
    pub amount: Option<Credits>,
    /// See [`StrategyDraft::model`]; `Some(None)` takes the label away.
    pub model: Option<Option<Name>>,
    /// See [`StrategyDraft::periodic_expr`].
    pub periodic_expr: Option<String>,
    /// See [`StrategyDraft::condition`].
    pub condition: Option<String>,
    /// See [`StrategyDraft::enabled`].
    pub enabled: Option<bool>,
    /// See [`StrategyDraft::max_exec_per_user`].
    pub max_exec_per_user: Option<u32>,
}

impl UpdateStrategy {
    /// Changes nothing yet.
    #[must_use]
    pub const fn of(strategy: StrategyId) -> Self {
        Self {
            strategy,
            name: None,
            title: None,
            kind: None,
            amount: None,
            model: None,
            periodic_expr: None,
            condition: None,
            enabled: None,
            max_exec_per_user: None,
        }
    }
}

/// See [`Command::ExecuteStrategy`](crate::Command::ExecuteStrategy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub struct ExecuteStrategy {
    /// The strategy.
    pub strategy: StrategyId,
    /// The tick of a periodic strategy; `None` for single ones.
    pub tick: Option<Timestamp>,
    /// How many ticks before it are passed over.
    pub skipped: u32,
    /// The number of the first user to look at.
    pub users_from: u32,
    /// How many users to look at, at most.
    pub users_max: u32,
}

/// A part of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TransferItem {
    /// How much; above zero.
    pub amount: Credits,
    /// When it expires: the giver's lots that expire then.
    pub expires_at: Timestamp,
    /// The offset from UTC, in seconds, in which the giver wrote that.
    pub offset_seconds: i32,
}

impl From<VoucherItem> for TransferItem {
    fn from(VoucherItem { amount, expires_at }: VoucherItem) -> Self {
        let (moment, offset_seconds) = (expires_at.moment(), expires_at.offset_seconds());
        Self { amount, expires_at: moment, offset_seconds }
    }
}

/// As a code carries it.
impl From<TransferItem> for VoucherItem {
    fn from(item: TransferItem) -> Self {
        let expires_at = ZonedTimestamp::new(item.expires_at, item.offset_seconds);
        let expires_at = expires_at.expect("invariant: the two were read as one");
        Self { amount: item.amount, expires_at }
    }
}

/// What a giver asks for.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct TransferOrder {
    /// Who gives.
    pub giver: Name,
    /// The only one who may redeem the voucher.
    pub receiver: Name,
    /// What it carries.
    pub items: Vec<TransferItem>,
    /// The moment after which its quota goes back to the giver.
    pub lapses_at: Option<Timestamp>,
}

/// What a voucher's code says of its giver; empty where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode)]
pub struct Giver {
    /// The display name.
    pub name: String,
    /// The phone number.
    pub phone: String,
    /// The GitHub user name.
    pub github: String,
}

/// See [`Command::IssueVoucher`](crate::Command::IssueVoucher).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct IssueVoucher {
    /// What is asked for.
    pub order: TransferOrder,
    /// Who gives, for the code.
    pub identity: Giver,
    /// The same, for the log.
    pub sealed: SealedGiver,
}

/// See [`Command::RedeemVoucher`](crate::Command::RedeemVoucher). What a verified code says.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RedeemVoucher {
    /// The voucher.
    pub voucher: VoucherId,
    /// Who gave it.
    pub giver: Name,
    /// Who wants it.
    pub receiver: Name,
    /// What it carries.
    pub items: Vec<TransferItem>,
}
