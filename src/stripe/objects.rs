//! What Stripe tells of payments: as much of its objects as we read.

use schemas::{Money, Name, TopUpId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Cents;

/// The only currency of a wallet, as Stripe writes it.
const CURRENCY: &str = "usd";
/// As much of what Stripe says in words is kept.
const WORDS_CHARS_MAX: usize = 300;

/// What we have Stripe keep with a payment, so that the payment says whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    organization_id: Option<String>,
    top_up_id: Option<String>,
}

impl Metadata {
    fn tenant(&self) -> Option<Name> {
        self.organization_id.clone().and_then(|name| Name::try_from(name).ok())
    }

    fn top_up(&self) -> Option<TopUpId> {
        self.top_up_id.as_deref()?.parse().ok()
    }

    const fn is_ours(&self) -> bool {
        self.organization_id.is_some() || self.top_up_id.is_some()
    }
}

/// How a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// It has come in.
    Succeeded,
    /// The bank takes its time.
    Processing,
    /// The payer must confirm it with the bank.
    RequiresAction,
    /// There is no means of payment, or the one there was has been refused.
    RequiresPaymentMethod,
    /// It waits for whoever completes it.
    RequiresConfirmation,
    /// It was given up.
    Canceled,
    /// Nothing that we ask for.
    #[serde(other)]
    Other,
}

impl PaymentStatus {
    /// As Stripe writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Processing => "processing",
            Self::RequiresAction => "requires_action",
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::Canceled => "canceled",
            Self::Other => "in another state",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct LastError {
    message: Option<String>,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// How it stands.
    pub status: PaymentStatus,
    /// What a client completes it with.
    pub client_secret: Option<String>,
    amount_received: Option<Cents>,
    currency: Option<String>,
    cancellation_reason: Option<String>,
    last_payment_error: Option<LastError>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

impl PaymentIntent {
    /// The tenant that it is for, as far as it says.
    #[must_use]
    pub fn tenant(&self) -> Option<Name> {
        self.metadata.as_ref().and_then(Metadata::tenant)
    }

    /// The top-up that it is for, as far as it says.
    #[must_use]
    pub fn top_up(&self) -> Option<TopUpId> {
        self.metadata.as_ref().and_then(Metadata::top_up)
    }

    /// Whether it says that it is for a wallet, readable or not.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.metadata.as_ref().is_some_and(Metadata::is_ours)
    }

    /// What has come in; `None` when that is not in USD.
    #[must_use]
    pub fn received(&self) -> Option<Money> {
        usd(self.currency.as_deref(), self.amount_received)
    }

    /// Why it has not come in, in words.
    #[must_use]
    pub fn failure(&self) -> String {
        let message = self.last_payment_error.as_ref().and_then(|error| error.message.clone());
        let canceled = || self.cancellation_reason.as_ref().map(|why| format!("canceled: {why}"));
        let status = || format!("the payment is {}", self.status.as_str());
        words(&message.or_else(canceled).unwrap_or_else(status))
    }
}

/// The id of a payment, alone or with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Expandable {
    Id(String),
    Whole { id: String },
}

/// A page of Stripe's on which a payment is made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: String,
    /// Where the page is, as long as it is open.
    pub url: Option<String>,
    payment_intent: Option<Expandable>,
    payment_status: Option<String>,
    status: Option<String>,
    amount_total: Option<Cents>,
    currency: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

impl CheckoutSession {
    /// The payment that was made on it, once there is one.
    #[must_use]
    pub fn payment_intent(&self) -> Option<&str> {
        self.payment_intent.as_ref().map(|payment| match payment {
            Expandable::Id(id) | Expandable::Whole { id } => id.as_str(),
        })
    }

    /// The tenant that it is for, as far as it says.
    #[must_use]
    pub fn tenant(&self) -> Option<Name> {
        self.metadata.as_ref().and_then(Metadata::tenant)
    }

    /// The top-up that it is for, as far as it says.
    #[must_use]
    pub fn top_up(&self) -> Option<TopUpId> {
        self.metadata.as_ref().and_then(Metadata::top_up)
    }

    /// Whether it says that it is for a wallet, readable or not.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.metadata.as_ref().is_some_and(Metadata::is_ours)
    }

    /// Whether nobody can pay on it any more.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.status.as_deref() == Some("expired")
    }

    /// Whether the money has come in.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.payment_status.as_deref() == Some("paid")
    }

    /// What has come in; `None` when that is not in USD.
    #[must_use]
    pub fn received(&self) -> Option<Money> {
        usd(self.currency.as_deref(), self.amount_total)
    }
}

/// Of a page of Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionNotice {
    /// It was gone through to the end.
    Completed,
    /// Nobody did so in time.
    Expired,
}

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A payment has come in.
    Received(Box<PaymentIntent>),
    /// A payment has not come in.
    Failed(Box<PaymentIntent>),
    /// Of a page where one is made.
    Session(SessionNotice, Box<CheckoutSession>),
    /// Nothing that concerns a wallet.
    Other,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Notice {
    /// Reads the body of a webhook.
    ///
    /// # Errors
    /// When it is not an event of Stripe's, or the object in it is not what its type says.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let event: Event<'_> = serde_json::from_slice(body)?;
        let object = event.data.object.get();
        Ok(match event.kind.as_str() {
            "payment_intent.succeeded" => Self::Received(serde_json::from_str(object)?),
            "payment_intent.payment_failed" | "payment_intent.canceled" => {
                Self::Failed(serde_json::from_str(object)?)
            }
            "checkout.session.completed" => {
                Self::Session(SessionNotice::Completed, serde_json::from_str(object)?)
            }
            "checkout.session.expired" => {
                Self::Session(SessionNotice::Expired, serde_json::from_str(object)?)
            }
            _ => Self::Other,
        })
    }
}

fn usd(currency: Option<&str>, amount: Option<Cents>) -> Option<Money> {
    let is_usd = currency.is_some_and(|currency| currency.eq_ignore_ascii_case(CURRENCY));
    if is_usd { amount?.money() } else { None }
}

/// What Stripe says in words, fit to be kept: one line, and not too long.
pub(super) fn words(text: &str) -> String {
    let on_one_line = |char: char| if char.is_control() { ' ' } else { char };
    text.chars().take(WORDS_CHARS_MAX).map(on_one_line).collect()
}
