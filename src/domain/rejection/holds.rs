//! Refusals about holds.

use std::borrow::Cow;
use std::fmt;

use schemas::{Credits, Money};
use thiserror::Error;

use super::Blame;

/// A refusal about holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HoldRejection {
    /// There is no such hold.
    #[error("there is no such hold")]
    NoSuchHold,
    /// The tenant may not begin anything new for now.
    #[error("the organization is suspended")]
    TenantSuspended,
    /// The tenant may not begin anything new.
    #[error("the organization is inactive")]
    TenantInactive,
    /// Nobody knows what the call will cost, and there is a wallet to guard.
    #[error("the model has no price, so that `amount` is needed")]
    ModelUnpriced,
    /// The wallet does not hold enough.
    #[error("the wallet has {available} USD available, the call needs {needed} USD")]
    InsufficientFunds {
        /// What may be spent on something new.
        available: Money,
        /// What the call may cost.
        needed: Money,
    },
    /// The user's quota does not hold enough.
    #[error("the user has {available} credits available, the call needs {needed}")]
    InsufficientQuota {
        /// What may be drawn for something new.
        available: Credits,
        /// What the call may draw.
        needed: Credits,
    },
    /// A limit would be passed.
    #[error(
        "the {which} consumption limit of {limit} tokens would be passed: {used} are used, {held} \
         are held, the call needs {needed}"
    )]
    LimitExceeded {
        /// Which.
        which: LimitKind,
        /// How much it allows.
        limit: u64,
        /// How much is used.
        used: u64,
        /// How much is held for other calls.
        held: u64,
        /// How much the call may use.
        needed: u64,
        /// When the limit's day or month is over.
        over_in_seconds: u32,
    },
    /// Somebody holds for one tenant alone, and the user is another's.
    #[error("this user belongs to another tenant")]
    UserOfAnotherTenant,
    /// Another call is held under the same id.
    #[error("request `{request_id}` is held already, with another content")]
    HoldConflict {
        /// The call.
        request_id: String,
    },
    /// The call has been made already.
    #[error("request `{request_id}` has been made already")]
    CallRecorded {
        /// The call.
        request_id: String,
    },
    /// A time that no hold has.
    #[error("ttlSeconds must be between 1 and {max}")]
    TtlOutOfRange {
        /// The longest, in seconds.
        max: u32,
    },
}

/// The limits of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Of a month.
    Monthly,
    /// Of a day.
    Daily,
    /// Of each user, in a month.
    PerUser,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Monthly => "monthly",
            Self::Daily => "daily",
            Self::PerUser => "per-user",
        })
    }
}

impl HoldRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchHold => "no_such_hold",
            Self::TenantSuspended => "tenant_suspended",
            Self::TenantInactive => "tenant_inactive",
            Self::ModelUnpriced => "model_unpriced",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::InsufficientQuota { .. } => "insufficient_quota",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::UserOfAnotherTenant => "forbidden",
            Self::HoldConflict { .. } => "hold_conflict",
            Self::CallRecorded { .. } => "call_recorded",
            Self::TtlOutOfRange { .. } => "ttl_out_of_range",
        }
    }

    /// In how many seconds it may be otherwise.
    pub(super) const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::LimitExceeded { over_in_seconds, .. } => Some(*over_in_seconds),
            _ => None,
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::TenantSuspended | Self::TenantInactive => Some(Cow::Borrowed("organizationId")),
            Self::ModelUnpriced => Some(Cow::Borrowed("amount")),
            Self::LimitExceeded { which, .. } => Some(Cow::Borrowed(match which {
                LimitKind::Monthly => "monthlyLimit",
                LimitKind::Daily => "dailyLimit",
                LimitKind::PerUser => "perUserLimit",
            })),
            Self::HoldConflict { .. } | Self::CallRecorded { .. } => {
                Some(Cow::Borrowed("requestId"))
            }
            Self::TtlOutOfRange { .. } => Some(Cow::Borrowed("ttlSeconds")),
            Self::UserOfAnotherTenant => Some(Cow::Borrowed("userId")),
            Self::NoSuchHold | Self::InsufficientFunds { .. } | Self::InsufficientQuota { .. } => {
                None
            }
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchHold => Blame::Missing,
            Self::TenantSuspended | Self::TenantInactive | Self::UserOfAnotherTenant => {
                Blame::Status
            }
            Self::ModelUnpriced | Self::CallRecorded { .. } => Blame::State,
            Self::InsufficientFunds { .. } | Self::InsufficientQuota { .. } => Blame::Funds,
            Self::LimitExceeded { .. } => Blame::Limit,
            Self::HoldConflict { .. } => Blame::Key,
            Self::TtlOutOfRange { .. } => Blame::Command,
        }
    }
}
