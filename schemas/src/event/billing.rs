//! Events of money beyond top-ups by hand: bills, credits and refunds, payments through a provider,
//! and periods that are closed.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{AssistantId, Day, ModelId, Money, Sequence, TenantId, TopUpId, TopUpTerms, UserId};

/// What a line of a bill adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum BillLineKind {
    /// All of the day.
    Day,
    /// One kind of assistant; `None` where none was named.
    Assistant(Option<AssistantId>),
    /// One user; `None` where none was named.
    User(Option<UserId>),
    /// One model; `None` where none was named.
    Model(Option<ModelId>),
}

/// A part of a bill. The lines of each kind add up to the whole bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct BillLine {
    /// The UTC day of the calls: the bill's own, or an earlier one where they came late.
    pub day: Day,
    /// Which calls.
    pub kind: BillLineKind,
    /// How many.
    pub requests: u64,
    /// All their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
}

/// See [`Event::BillItemized`](crate::Event::BillItemized).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BillItemized {
    /// Whose bill.
    pub tenant: TenantId,
    /// The day of the bill, which is posted by the same command.
    pub day: Day,
    /// Some of its lines.
    pub lines: Vec<BillLine>,
}

/// See [`Event::BillPosted`](crate::Event::BillPosted). The bill's name is this event's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BillPosted {
    /// Whose.
    pub tenant: TenantId,
    /// The UTC day that it closes. It takes every rated call before the end of that day that no bill
    /// before it has taken.
    pub day: Day,
    /// The first event that it takes: of a rated consumption, or of a late rating.
    pub first: Sequence,
    /// How many calls it takes.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD; taken from the wallet.
    pub cost: Money,
    /// Of them, calls of earlier days.
    pub late_requests: u64,
    /// The wallet's balance before.
    pub before: Money,
    /// And after.
    pub after: Money,
}

/// Why money is given to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// What was billed is given back.
    Refund,
    /// A present.
    Credit,
}

/// See [`Event::WalletCredited`](crate::Event::WalletCredited).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WalletCredited {
    /// Whose wallet.
    pub tenant: TenantId,
    /// USD, above zero.
    pub amount: Money,
    /// Why.
    pub kind: CreditKind,
    /// The bill of which it is given back, where it is one.
    pub bill: Option<Sequence>,
    /// Why, in words.
    pub reason: String,
}

/// How a payment is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopUpKind {
    /// On the provider's own page.
    Checkout,
    /// By a client of ours, with a secret of the payment.
    PaymentIntent,
    /// By itself, since the wallet had run low.
    Auto,
    /// Known only from the provider.
    Unannounced,
}

/// See [`Event::TopUpStarted`](crate::Event::TopUpStarted).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TopUpStarted {
    /// The top-up.
    pub top_up: TopUpId,
    /// Whose wallet.
    pub tenant: TenantId,
    /// USD, above zero, whole cents.
    pub amount: Money,
    /// How it is paid.
    pub kind: TopUpKind,
    /// What the provider is asked for it with.
    pub terms: TopUpTerms,
}

/// See [`Event::TopUpLinked`](crate::Event::TopUpLinked).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TopUpLinked {
    /// The top-up.
    pub top_up: TopUpId,
    /// The provider's id of the payment, when it has one yet.
    pub payment_intent: Option<String>,
    /// The provider's id of the page where it is paid.
    pub checkout_session: Option<String>,
}

/// See [`Event::TopUpSucceeded`](crate::Event::TopUpSucceeded).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TopUpSucceeded {
    /// The top-up.
    pub top_up: TopUpId,
    /// Whose wallet.
    pub tenant: TenantId,
    /// USD that came in, above zero.
    pub amount: Money,
    /// The provider's id of the payment, which counts once.
    pub payment_intent: String,
}

/// See [`Event::TopUpFailed`](crate::Event::TopUpFailed).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TopUpFailed {
    /// The top-up. It may still succeed, when the payer tries again.
    pub top_up: TopUpId,
    /// Whose wallet.
    pub tenant: TenantId,
    /// Why, in the provider's words.
    pub reason: String,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day of the tenant's.
    Day,
    /// A month of the tenant's.
    Month,
}

/// See [`Event::PeriodClosed`](crate::Event::PeriodClosed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PeriodClosed {
    /// Whose usage.
    pub tenant: TenantId,
    /// How long the period is.
    pub period: Period,
    /// Its first day.
    pub first: Day,
    /// How many calls it had then.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, in USD.
    pub cost: Money,
}
