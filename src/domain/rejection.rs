//! Why a command is refused: expected, named, and the sender's to mend.

mod accounts;
mod bills;
mod holds;
mod tenants;
mod top_ups;
mod webhooks;

use std::borrow::Cow;

use schemas::{Credits, Timestamp};
use thiserror::Error;

pub use accounts::AccountRejection;
pub use bills::BillRejection;
pub use holds::{HoldRejection, LimitKind};
pub use tenants::TenantRejection;
pub use top_ups::TopUpRejection;
pub use webhooks::WebhookRejection;

/// A refusal. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The sender's key was used before, for something else.
    #[error("the idempotency key was used before with another content")]
    KeyReused,
    /// The call was recorded before, with another content.
    #[error("request `{request_id}` was recorded before with another content")]
    CallConflict {
        /// The call.
        request_id: String,
    },
    /// An amount, with what is there already, leaves the range that can be kept.
    #[error("{field} is too large")]
    AmountOutOfRange {
        /// The field that gave it.
        field: &'static str,
    },
    /// An amount must be above zero, or not zero.
    #[error("{field} must be {rule}")]
    AmountRule {
        /// The field that gave it.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A price book without prices.
    #[error("the price book has no prices")]
    NoPrices,
    /// A text that is too long to be kept.
    #[error("{field} must not be longer than {max} bytes")]
    TextTooLong {
        /// The field that gave it.
        field: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// A text with control characters, lines and tabs aside.
    #[error("{field} must not contain control characters")]
    ControlCharacter {
        /// The field that gave it.
        field: &'static str,
    },
    /// The command is too long to be recorded.
    #[error("the command is too long to be recorded")]
    TooLong,
    /// A user that nobody has ever spoken of.
    #[error("there is no such user")]
    NoSuchUser,
    /// A gateway's counter would go below zero.
    #[error("the {counter} stands at {stands} and cannot go below zero")]
    CounterBelowZero {
        /// The field that gave where it would go.
        field: &'static str,
        /// The counter.
        counter: &'static str,
        /// Where it stands.
        stands: Credits,
    },
    /// A tick that the writer's time has not reached yet.
    #[error("the tick lies ahead")]
    TickAhead,
    /// A strategy that does not exist, or not any more.
    #[error("strategy not found")]
    NoSuchStrategy,
    /// Another strategy has the name.
    #[error("name `{name}` belongs to another strategy")]
    StrategyNameTaken {
        /// The name.
        name: String,
    },
    /// A part of a strategy makes no sense.
    #[error("{field} {reason}")]
    StrategyInvalid {
        /// The part.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// No key is configured to sign vouchers with.
    #[error("vouchers are off: no signing key is configured")]
    VouchersOff,
    /// A voucher to oneself.
    #[error("receiver_id must be another user")]
    TransferToSelf,
    /// A receiver that nobody has ever spoken of.
    #[error("receiver_id is not a user that is known here")]
    ReceiverUnknown,
    /// A voucher without items, or with too many.
    #[error("quota_list must have 1 to {max} items")]
    ItemCount {
        /// How many it may have.
        max: usize,
    },
    /// An item that carries nothing, or less.
    #[error("quota_list[{place}].amount must be above zero")]
    ItemNotPositive {
        /// Which item, from 0.
        place: usize,
    },
    /// Two items of the same expiry.
    #[error("quota_list[{place}].expiry_date {expiry} is there twice")]
    ItemRepeated {
        /// The second of them, from 0.
        place: usize,
        /// The expiry.
        expiry: Timestamp,
    },
    /// An item whose quota has expired.
    #[error("quota_list[{place}].expiry_date {expiry} has passed")]
    ItemExpired {
        /// Which item, from 0.
        place: usize,
        /// The expiry.
        expiry: Timestamp,
    },
    /// The giver has nothing that expires then.
    #[error("quota not found for expiry date {expiry}")]
    ItemNotFound {
        /// Which item, from 0.
        place: usize,
        /// The expiry.
        expiry: Timestamp,
    },
    /// The giver has not enough that expires then.
    #[error("insufficient available quota for expiry date {expiry}: have {have}, need {need}")]
    ItemInsufficient {
        /// Which item, from 0.
        place: usize,
        /// The expiry.
        expiry: Timestamp,
        /// What can be given away.
        have: Credits,
        /// What was asked for.
        need: Credits,
    },
    /// A voucher whose own time has run out already.
    #[error("voucher_expires_at must lie in the future")]
    VoucherLapsesAtOnce,
    /// A voucher that its giver cannot speak of.
    #[error("there is no such voucher of yours")]
    NoSuchVoucher,
    /// A code that is signed with a key of ours, but not of this book.
    #[error("Invalid voucher code")]
    VoucherUnknown,
    /// A voucher for somebody else.
    #[error("Voucher is not for this user")]
    VoucherOfAnother,
    /// A voucher that was redeemed before.
    #[error("Voucher has already been redeemed")]
    VoucherRedeemed,
    /// A voucher that its giver took back.
    #[error("Voucher has been cancelled")]
    VoucherCancelled,
    /// A voucher whose own time has run out.
    #[error("Voucher has expired")]
    VoucherLapsed,
    /// About tenants.
    #[error(transparent)]
    Tenant(#[from] TenantRejection),
    /// About holds.
    #[error(transparent)]
    Hold(#[from] HoldRejection),
    /// About accounts and API keys.
    #[error(transparent)]
    Account(#[from] AccountRejection),
    /// About bills and credits.
    #[error(transparent)]
    Bill(#[from] BillRejection),
    /// About payments.
    #[error(transparent)]
    TopUp(#[from] TopUpRejection),
    /// About webhooks.
    #[error(transparent)]
    Webhook(#[from] WebhookRejection),
}

/// Who can do what about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The command is wrong in itself.
    Command,
    /// It names something that does not exist.
    Missing,
    /// What is on record does not allow it.
    State,
    /// Something else is on record under the same key.
    Key,
    /// The operator has not configured it.
    Operator,
    /// There is not enough to pay for it.
    Funds,
    /// A limit in time does not allow it.
    Limit,
    /// It is closed to whom it concerns.
    Status,
}

impl Rejection {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::KeyReused => "idempotency_key_reused",
            Self::CallConflict { .. } => "call_conflict",
            Self::AmountOutOfRange { .. } => "amount_out_of_range",
            Self::AmountRule { .. } | Self::ItemNotPositive { .. } => "amount_invalid",
            Self::NoPrices => "no_prices",
            Self::TextTooLong { .. } => "text_too_long",
            Self::ControlCharacter { .. } => "control_character",
            Self::TooLong => "command_too_long",
            Self::NoSuchUser => "no_such_user",
            Self::CounterBelowZero { .. } => "counter_below_zero",
            Self::TickAhead => "tick_ahead",
            Self::NoSuchStrategy => "no_such_strategy",
            Self::StrategyNameTaken { .. } => "strategy_name_taken",
            Self::StrategyInvalid { .. } => "strategy_invalid",
            Self::VouchersOff => "vouchers_off",
            Self::TransferToSelf => "transfer_to_self",
            Self::ReceiverUnknown => "receiver_unknown",
            Self::ItemCount { .. } => "item_count",
            Self::ItemRepeated { .. } => "expiry_repeated",
            Self::ItemExpired { .. } => "quota_expired",
            Self::ItemNotFound { .. } => "quota_not_found",
            Self::ItemInsufficient { .. } => "quota_insufficient",
            Self::VoucherLapsesAtOnce => "voucher_lapses_at_once",
            Self::NoSuchVoucher => "no_such_voucher",
            Self::VoucherUnknown => "voucher_unknown",
            Self::VoucherOfAnother => "voucher_of_another",
            Self::VoucherRedeemed => "voucher_redeemed",
            Self::VoucherCancelled => "voucher_cancelled",
            Self::VoucherLapsed => "voucher_lapsed",
            Self::Tenant(rejection) => rejection.code(),
            Self::Hold(rejection) => rejection.code(),
            Self::Account(rejection) => rejection.code(),
            Self::Bill(rejection) => rejection.code(),
            Self::TopUp(rejection) => rejection.code(),
            Self::Webhook(rejection) => rejection.code(),
        }
    }

    /// In how many seconds it may be otherwise, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Hold(rejection) => rejection.retry_after(),
            _ => None,
        }
    }

    /// The field to mend, where it is one.
    #[must_use]
    pub fn field(&self) -> Option<Cow<'static, str>> {
        let of_item = |place: usize, field| Some(format!("quota_list[{place}].{field}").into());
        match self {
            Self::KeyReused => Some("Idempotency-Key".into()),
            Self::CallConflict { .. } => Some("requestId".into()),
            Self::AmountOutOfRange { field }
            | Self::AmountRule { field, .. }
            | Self::TextTooLong { field, .. }
            | Self::ControlCharacter { field }
            | Self::CounterBelowZero { field, .. }
            | Self::StrategyInvalid { field, .. } => Some((*field).into()),
            Self::StrategyNameTaken { .. } => Some("name".into()),
            Self::TransferToSelf | Self::ReceiverUnknown => Some("receiver_id".into()),
            Self::ItemCount { .. } => Some("quota_list".into()),
            Self::ItemNotPositive { place } | Self::ItemInsufficient { place, .. } => {
                of_item(*place, "amount")
            }
            Self::ItemRepeated { place, .. }
            | Self::ItemExpired { place, .. }
            | Self::ItemNotFound { place, .. } => of_item(*place, "expiry_date"),
            Self::VoucherLapsesAtOnce => Some("voucher_expires_at".into()),
            Self::VoucherUnknown
            | Self::VoucherOfAnother
            | Self::VoucherRedeemed
            | Self::VoucherCancelled
            | Self::VoucherLapsed => Some("voucher_code".into()),
            Self::NoPrices
            | Self::TooLong
            | Self::NoSuchUser
            | Self::NoSuchStrategy
            | Self::TickAhead
            | Self::NoSuchVoucher
            | Self::VouchersOff => None,
            Self::Tenant(rejection) => rejection.field(),
            Self::Hold(rejection) => rejection.field(),
            Self::Account(rejection) => rejection.field(),
            Self::Bill(rejection) => rejection.field(),
            Self::TopUp(rejection) => rejection.field(),
            Self::Webhook(rejection) => rejection.field(),
        }
    }

    /// Who can do what about it.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::KeyReused | Self::CallConflict { .. } => Blame::Key,
            Self::NoSuchUser | Self::NoSuchStrategy | Self::NoSuchVoucher => Blame::Missing,
            Self::StrategyNameTaken { .. }
            | Self::TickAhead
            | Self::ItemNotFound { .. }
            | Self::ItemInsufficient { .. }
            | Self::ItemExpired { .. }
            | Self::VoucherRedeemed
            | Self::VoucherCancelled
            | Self::VoucherLapsed => Blame::State,
            Self::VouchersOff => Blame::Operator,
            Self::Tenant(rejection) => rejection.blame(),
            Self::Hold(rejection) => rejection.blame(),
            Self::Account(rejection) => rejection.blame(),
            Self::Bill(rejection) => rejection.blame(),
            Self::TopUp(rejection) => rejection.blame(),
            Self::Webhook(rejection) => rejection.blame(),
            Self::AmountOutOfRange { .. }
            | Self::AmountRule { .. }
            | Self::TextTooLong { .. }
            | Self::ControlCharacter { .. }
            | Self::NoPrices
            | Self::TooLong
            | Self::CounterBelowZero { .. }
            | Self::StrategyInvalid { .. }
            | Self::TransferToSelf
            | Self::ReceiverUnknown
            | Self::ItemCount { .. }
            | Self::ItemNotPositive { .. }
            | Self::ItemRepeated { .. }
            | Self::VoucherLapsesAtOnce
            | Self::VoucherUnknown
            | Self::VoucherOfAnother => Blame::Command,
        }
    }
}

/// The longest reason or reference, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1_000;

/// Refuses a text that is too long to be kept, or that would confuse who reads it.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), Rejection> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Rejection::TextTooLong { field, max: TEXT_BYTES_MAX });
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(Rejection::ControlCharacter { field });
    }
    Ok(())
}
