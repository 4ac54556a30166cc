//! Commands about money: bills, credits and refunds, payments, and periods that are closed.

use bincode::Encode;

use crate::{
    CreditKind, Day, Money, Name, Period, Sequence, TenantId, TopUpId, TopUpKind, TopUpTerms,
};

/// See [`Command::PostBill`](crate::Command::PostBill).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub struct PostBill {
    /// Whose.
    pub tenant: TenantId,
    /// The last day that may be billed; it must be over.
    pub through: Day,
}

/// See [`Command::CreditWallet`](crate::Command::CreditWallet).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct CreditWallet {
    /// Whose wallet; it must be known.
    pub tenant: Name,
    /// USD, above zero.
    pub amount: Money,
    /// Why.
    pub kind: CreditKind,
    /// The bill of which it is given back.
    pub bill: Option<Sequence>,
    /// Why, in words.
    pub reason: String,
}

/// See [`Command::StartTopUp`](crate::Command::StartTopUp).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct StartTopUp {
    /// The top-up.
    pub top_up: TopUpId,
    /// Whose wallet; it must be known.
    pub tenant: Name,
    /// USD, above zero, whole cents.
    pub amount: Money,
    /// How it is paid.
    pub kind: TopUpKind,
    /// What the provider is asked for it with.
    pub terms: TopUpTerms,
}

/// See [`Command::LinkTopUp`](crate::Command::LinkTopUp).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct LinkTopUp {
    /// The top-up.
    pub top_up: TopUpId,
    /// The provider's id of the payment.
    pub payment_intent: Option<String>,
    /// The provider's id of the page where it is paid.
    pub checkout_session: Option<String>,
}

/// See [`Command::SettleTopUp`](crate::Command::SettleTopUp).
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SettleTopUp {
    /// The top-up, when the payment says it.
    pub top_up: Option<TopUpId>,
    /// Whose wallet, when the payment says it.
    pub tenant: Option<Name>,
    /// The provider's id of the payment; one that came in has one.
    pub payment_intent: Option<String>,
    /// USD that came in, or why nothing did.
    pub outcome: Payment,
}

/// What became of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum Payment {
    /// USD, above zero.
    Received(Money),
    /// Why nothing came in, in the provider's words.
    Failed(String),
}

/// See [`Command::ClosePeriod`](crate::Command::ClosePeriod).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub struct ClosePeriod {
    /// Whose usage.
    pub tenant: TenantId,
    /// How long the period is.
    pub period: Period,
    /// Its first day; it must be over.
    pub first: Day,
    /// How many calls it had.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
}
