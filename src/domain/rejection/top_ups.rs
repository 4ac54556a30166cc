//! Refusals about payments.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about payments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopUpRejection {
    /// There is no such top-up.
    #[error("there is no such top-up")]
    NoSuchTopUp,
    /// A tenant that nobody has ever spoken of.
    #[error("Organization not found")]
    NoSuchOrganization,
    /// Less or more than may be paid at once.
    #[error("Amount must be between $10 and $10,000")]
    AmountOutOfBounds {
        /// The field that gave it.
        field: &'static str,
    },
    /// A wallet that is to fill itself out of nothing.
    #[error("{field} is required when enabled")]
    NoPaymentMethod {
        /// The field that should have given it.
        field: &'static str,
    },
    /// What would pay is on record as another tenant's.
    #[error("{field} is on record for another organization")]
    PaymentMethodTaken {
        /// The field that gave it.
        field: &'static str,
    },
    /// Money came in without a name.
    #[error("a payment that has come in must have an id")]
    PaymentUnnamed,
    /// Money came in, and nobody knows for whom.
    #[error("the payment names no organization that is known here, and is not credited")]
    PaymentOfNobody,
    /// Money came in for a top-up of one tenant, and names another.
    #[error("the payment names another organization than its top-up, and is not credited")]
    PaymentOfAnother,
}

impl TopUpRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchTopUp => "no_such_top_up",
            Self::NoSuchOrganization => "organization_not_found",
            Self::AmountOutOfBounds { .. } => "amount_invalid",
            Self::NoPaymentMethod { .. } => "payment_method_required",
            Self::PaymentMethodTaken { .. } => "payment_method_taken",
            Self::PaymentUnnamed => "payment_unnamed",
            Self::PaymentOfNobody => "payment_organization_unknown",
            Self::PaymentOfAnother => "payment_organization_mismatch",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::AmountOutOfBounds { field }
            | Self::NoPaymentMethod { field }
            | Self::PaymentMethodTaken { field } => Some(Cow::Borrowed(*field)),
            Self::NoSuchTopUp
            | Self::NoSuchOrganization
            | Self::PaymentUnnamed
            | Self::PaymentOfNobody
            | Self::PaymentOfAnother => None,
        }
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchTopUp | Self::NoSuchOrganization => Blame::Missing,
            Self::AmountOutOfBounds { .. }
            | Self::NoPaymentMethod { .. }
            | Self::PaymentUnnamed => Blame::Command,
            Self::PaymentMethodTaken { .. } => Blame::State,
            Self::PaymentOfNobody | Self::PaymentOfAnother => Blame::Key,
        }
    }
}
