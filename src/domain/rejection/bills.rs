//! Refusals about bills and credits.

use std::borrow::Cow;

use schemas::Money;
use thiserror::Error;

use super::Blame;

/// A refusal about bills and credits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BillRejection {
    /// The day is not over yet.
    #[error("the day is not over yet")]
    DayNotOver,
    /// The period is not over yet.
    #[error("the period is not over yet")]
    PeriodNotOver,
    /// A month begins with another day.
    #[error("a month begins with its first day")]
    NotAFirst,
    /// Nobody knows the tenant.
    #[error("there is no such organization")]
    NoSuchTenant,
    /// The tenant has no such bill.
    #[error("the tenant has no such bill")]
    NoSuchBill,
    /// More would be given back of a bill than it was.
    #[error("of this bill, no more than {left} can be given back")]
    RefundTooLarge {
        /// What was not given back yet, in USD.
        left: Money,
    },
}

impl BillRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::DayNotOver => "day_not_over",
            Self::PeriodNotOver => "period_not_over",
            Self::NotAFirst => "not_a_first",
            Self::NoSuchTenant => "no_such_tenant",
            Self::NoSuchBill => "no_such_bill",
            Self::RefundTooLarge { .. } => "refund_too_large",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::DayNotOver | Self::PeriodNotOver | Self::NotAFirst | Self::NoSuchTenant => None,
            Self::NoSuchBill => Some(Cow::Borrowed("billId")),
            Self::RefundTooLarge { .. } => Some(Cow::Borrowed("amount")),
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::DayNotOver | Self::PeriodNotOver | Self::RefundTooLarge { .. } => Blame::State,
            Self::NotAFirst => Blame::Command,
            Self::NoSuchTenant | Self::NoSuchBill => Blame::Missing,
        }
    }
}
