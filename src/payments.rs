//! Top-ups between the book and the provider. What is asked of the provider is on record before, and
//! what it answers is recorded after; in between, whoever comes next asks for the same again. Of one
//! top-up only one asks at a time.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use projections::top_ups::{LOOKED_AFTER_SECONDS, TopUp, TopUpState, TopUps};
use schemas::{
    Command, Envelope, LinkTopUp, Name, Payment, SettleTopUp, TenantId, Timestamp, TopUpId,
    TopUpKind,
};
use thiserror::Error;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{Rejection, TopUpRejection};
use crate::stripe::{
    Cents, CheckoutSession, Client, Failure, FailureKind, Notice, PaymentIntent, PaymentRequest,
    PaymentStatus, SessionNotice, SessionRequest, SignatureError, WebhookSecret,
};
use crate::views::Views;
use crate::writer::{Receipt, SubmitError, Writer};

/// How long asking again under the same idempotency key is known to be asking for the same: the
/// provider forgets keys after a day.
const KEYS_HOLD_SECONDS: i64 = 23 * 3600;

/// Why a payment fails on a page that nobody paid on.
const PAGE_EXPIRED: &str = "the page expired before it was paid";

/// Why a payment is not under way.
#[derive(Debug, Error)]
pub enum PaymentError {
    /// There is no provider.
    #[error("payments are off: {0} is not configured")]
    Off(&'static str),
    /// Somebody else asks for the same right now.
    #[error("the payment is being asked for right now")]
    UnderWay,
    /// The provider has refused it, or it came to nothing otherwise; in words.
    #[error("the payment failed: {0}")]
    Failed(String),
    /// Nobody knows what became of it: the same is asked for again.
    #[error("the payment provider has not answered; the payment is asked for again")]
    Unknown,
    /// What came in is not in USD.
    #[error("the payment is not in usd, and is not credited")]
    Currency,
    /// The book does not take what the provider says.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// What the provider has to say of a top-up that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A page to be paid on.
    Session(Box<CheckoutSession>),
    /// A payment.
    Payment(Box<PaymentIntent>),
}

impl Asked {
    /// Whether nothing can come of it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Session(session) => session.is_paid() || session.is_expired(),
            Self::Payment(payment) => {
                matches!(payment.status, PaymentStatus::Succeeded | PaymentStatus::Canceled)
            }
        }
    }
}

/// What a webhook concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenIn {
    /// What is ours, or no payment at all.
    Ours,
    /// A payment that is neither known here nor says that it is for a wallet: another product's, on
    /// the same account.
    Foreign,
}

/// The right to ask for a top-up, until it is dropped.
#[derive(Debug)]
pub struct Taken {
    id: TopUpId,
    inner: Arc<Inner>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.inner.taken.lock().remove(&self.id);
    }
}

/// Top-ups through the provider. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payments(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Option<Client>,
    webhook_secret: Option<WebhookSecret>,
    public_url: Option<String>,
    writer: Writer,
    views: Views,
    clock: Clock,
    actor: Name,
    taken: Mutex<HashSet<TopUpId>>,
}

impl Payments {
    /// Through the provider's account that `config` names.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    ///
    /// # Panics
    /// Never: the name of the provider is a name.
    pub fn new(
        config: &Config,
        writer: Writer,
        views: Views,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let stripe = &config.stripe;
        let client = stripe.secret_key.as_ref().map(|key| Client::new(key, stripe)).transpose()?;
        let webhook_secret =
            stripe.webhook_secret.as_ref().map(|secret| WebhookSecret::new(secret.expose()));
        let public_url = config.billing.public_url.clone();
        let actor = Name::try_from("stripe").expect("invariant: a name");
        let taken = Mutex::default();
        let inner =
            Inner { client, webhook_secret, public_url, writer, views, clock, actor, taken };
        Ok(Self(Arc::new(inner)))
    }

    /// Whether there is a provider.
    ///
    /// # Errors
    /// When there is none.
    pub fn check_on(&self) -> Result<(), PaymentError> {
        self.client().map(|_| ())
    }

    /// Below which address payments lead back to.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.0.public_url.as_deref()
    }

    pub(crate) fn views(&self) -> &Views {
        &self.0.views
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.0.writer
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn client(&self) -> Result<&Client, PaymentError> {
        self.0.client.as_ref().ok_or(PaymentError::Off("`STRIPE_SECRET_KEY`"))
    }

    /// Takes the right to ask for a top-up; whoever begins one takes it before.
    ///
    /// # Errors
    /// While somebody else has it.
    pub fn take(&self, id: TopUpId) -> Result<Taken, PaymentError> {
        if !self.0.taken.lock().insert(id) {
            return Err(PaymentError::UnderWay);
        }
        Ok(Taken { id, inner: Arc::clone(&self.0) })
    }

    /// Asks the provider for a top-up that has begun: makes the payment, or looks at the one that
    /// there is. What the provider says is on record before this answers.
    ///
    /// # Errors
    /// When the provider refuses it, or nobody knows; when the book takes nothing.
    pub async fn ask(&self, taken: &Taken) -> Result<Asked, PaymentError> {
        let client = self.client()?;
        let (tenant, top_up) = self.find(taken.id)?;
        match self.request(client, &tenant, &top_up).await {
            Ok(asked) => {
                self.record(&tenant, &top_up, &asked).await?;
                Ok(asked)
            }
            Err(failure) if failure.kind == FailureKind::Unknown => Err(PaymentError::Unknown),
            Err(Failure { kind: _, payment_intent, reason }) => {
                let outcome = Payment::Failed(reason.clone());
                self.settle(Some(top_up.id), Some(tenant), payment_intent, outcome).await?;
                Err(PaymentError::Failed(reason))
            }
        }
    }

    fn find(&self, id: TopUpId) -> Result<(Name, TopUp), PaymentError> {
        let found = self.0.views.look(|reading| {
            let books = &reading.books;
            let (tenant, top_up) = books.top_ups.find(id)?;
            let tenant = Name::try_from(books.names.text::<TenantId>(tenant).to_string()).ok()?;
            Some((tenant, top_up.clone()))
        });
        let unknown = || Rejection::from(TopUpRejection::NoSuchTopUp);
        found.ok_or_else(|| SubmitError::Rejected(unknown()).into())
    }

    async fn request(
        &self,
        client: &Client,
        tenant: &Name,
        top_up: &TopUp,
    ) -> Result<Asked, Failure> {
        let TopUp { id, kind, terms, payment_intent, checkout_session, .. } = top_up;
        let amount = Cents::try_from(top_up.amount).unwrap_or_default();
        let session = |session| Asked::Session(Box::new(session));
        let payment = |payment| Asked::Payment(Box::new(payment));
        match (kind, checkout_session, payment_intent) {
            (TopUpKind::Checkout, Some(name), _) => client.session(name).await.map(session),
            (TopUpKind::Checkout, None, _) => {
                check_askable(top_up, self.0.clock.now())?;
                let request = SessionRequest { top_up: *id, tenant, amount, terms };
                client.create_session(request).await.map(session)
            }
            (_, _, Some(name)) => client.payment(name).await.map(payment),
            (TopUpKind::PaymentIntent | TopUpKind::Auto | TopUpKind::Unannounced, _, None) => {
                check_askable(top_up, self.0.clock.now())?;
                let off_session = *kind == TopUpKind::Auto;
                let request = PaymentRequest { top_up: *id, tenant, amount, terms, off_session };
                client.create_payment(request).await.map(payment)
            }
        }
    }

    /// Puts on record what the provider calls a top-up, and what became of it.
    async fn record(
        &self,
        tenant: &Name,
        top_up: &TopUp,
        asked: &Asked,
    ) -> Result<(), PaymentError> {
        let (payment_intent, checkout_session) = match asked {
            Asked::Session(session) => {
                (session.payment_intent().map(str::to_owned), Some(session.id.clone()))
            }
            Asked::Payment(payment) => (Some(payment.id.clone()), None),
        };
        let outcome = match asked {
            Asked::Session(session) if session.is_paid() => {
                Some(Payment::Received(session.received().ok_or(PaymentError::Currency)?))
            }
            Asked::Session(session) if session.is_expired() => {
                Some(Payment::Failed(PAGE_EXPIRED.to_owned()))
            }
            Asked::Session(_) => None,
            Asked::Payment(payment) => outcome(top_up.kind, payment)?,
        };
        let outcome = outcome.or_else(|| given_up(top_up, asked, self.0.clock.now()));
        self.link(top_up.id, payment_intent.clone(), checkout_session).await?;
        if let Some(outcome) = outcome {
            self.settle(Some(top_up.id), Some(tenant.clone()), payment_intent, outcome).await?;
        }
        Ok(())
    }

    /// Whether a webhook is the provider's.
    ///
    /// # Errors
    /// When there is no secret to tell by.
    pub fn verify(
        &self,
        header: &str,
        body: &[u8],
    ) -> Result<Result<(), SignatureError>, PaymentError> {
        let secret = self.0.webhook_secret.as_ref();
        let secret = secret.ok_or(PaymentError::Off("`STRIPE_WEBHOOK_SECRET`"))?;
        Ok(secret.verify(header, body, self.0.clock.now()))
    }

    /// Takes in what a webhook says, if it concerns us.
    ///
    /// # Errors
    /// When what came in cannot be credited, or the book takes nothing.
    pub async fn take_in(&self, notice: Notice) -> Result<TakenIn, PaymentError> {
        if self.is_foreign(&notice) {
            return Ok(TakenIn::Foreign);
        }
        match notice {
            Notice::Received(payment) => {
                let outcome = Payment::Received(payment.received().ok_or(PaymentError::Currency)?);
                self.settle_payment(*payment, outcome).await?;
            }
            Notice::Failed(payment) => {
                let outcome = Payment::Failed(payment.failure());
                self.settle_payment(*payment, outcome).await?;
            }
            Notice::Session(kind, session) => self.take_in_session(kind, *session).await?,
            Notice::Other => (),
        }
        Ok(TakenIn::Ours)
    }

    fn is_foreign(&self, notice: &Notice) -> bool {
        let is_known = |look: &dyn Fn(&TopUps) -> bool| {
            self.0.views.look(|reading| look(&reading.books.top_ups))
        };
        match notice {
            Notice::Received(payment) | Notice::Failed(payment) => {
                !payment.is_ours()
                    && !is_known(&|top_ups| top_ups.of_payment_intent(&payment.id).is_some())
            }
            Notice::Session(_, session) => {
                !session.is_ours()
                    && !is_known(&|top_ups| {
                        let by_payment = || top_ups.of_payment_intent(session.payment_intent()?);
                        top_ups.of_checkout_session(&session.id).or_else(by_payment).is_some()
                    })
            }
            Notice::Other => false,
        }
    }

    async fn settle_payment(
        &self,
        payment: PaymentIntent,
        outcome: Payment,
    ) -> Result<(), PaymentError> {
        let (top_up, tenant) = (payment.top_up(), payment.tenant());
        self.settle(top_up, tenant, Some(payment.id), outcome).await.map(|_| ())
    }

    async fn take_in_session(
        &self,
        kind: SessionNotice,
        session: CheckoutSession,
    ) -> Result<(), PaymentError> {
        let known = self.0.views.look(|reading| {
            let top_ups = &reading.books.top_ups;
            let by_name = || top_ups.of_checkout_session(&session.id).map(|(_, top_up)| top_up.id);
            let named = session.top_up().filter(|id| top_ups.find(*id).is_some());
            named.or_else(by_name)
        });
        let payment_intent = session.payment_intent().map(str::to_owned);
        if let Some(id) = known {
            self.link(id, payment_intent.clone(), Some(session.id.clone())).await?;
        }
        let (top_up, tenant) = (known.or(session.top_up()), session.tenant());
        let outcome = match kind {
            SessionNotice::Expired => Payment::Failed(PAGE_EXPIRED.to_owned()),
            SessionNotice::Completed if session.is_paid() => {
                Payment::Received(session.received().ok_or(PaymentError::Currency)?)
            }
            SessionNotice::Completed => return Ok(()),
        };
        self.settle(top_up, tenant, payment_intent, outcome).await.map(|_| ())
    }

    async fn link(
        &self,
        top_up: TopUpId,
        payment_intent: Option<String>,
        checkout_session: Option<String>,
    ) -> Result<Receipt, PaymentError> {
        let link = LinkTopUp { top_up, payment_intent, checkout_session };
        self.submit(Command::LinkTopUp(link)).await
    }

    async fn settle(
        &self,
        top_up: Option<TopUpId>,
        tenant: Option<Name>,
        payment_intent: Option<String>,
        outcome: Payment,
    ) -> Result<Receipt, PaymentError> {
        let settle = SettleTopUp { top_up, tenant, payment_intent, outcome };
        let receipt = self.submit(Command::SettleTopUp(Box::new(settle))).await?;
        for recorded in receipt.events() {
            let outcome = match &recorded.event {
                schemas::Event::TopUpSucceeded(_) => "succeeded",
                schemas::Event::TopUpFailed(_) => "failed",
                _ => continue,
            };
            metrics::counter!("top_ups_total", "outcome" => outcome).increment(1);
        }
        Ok(receipt)
    }

    async fn submit(&self, command: Command) -> Result<Receipt, PaymentError> {
        let envelope = Envelope::new(self.0.actor.clone(), command);
        Ok(self.0.writer.submit(envelope).await?)
    }
}

/// Refuses to make a payment of which it is not known that it would be the same one.
fn check_askable(top_up: &TopUp, now: Timestamp) -> Result<(), Failure> {
    let refused =
        |reason| Err(Failure { kind: FailureKind::Refused, payment_intent: None, reason });
    match top_up.state {
        TopUpState::Failed => refused(top_up.failure.clone().unwrap_or_default()),
        TopUpState::Succeeded => refused("it has come in already".to_owned()),
        TopUpState::Pending if now > top_up.created_at.plus_seconds(KEYS_HOLD_SECONDS) => {
            refused("the payment provider could not be reached for a day".to_owned())
        }
        TopUpState::Pending => Ok(()),
    }
}

/// The end of a payment that a payer would have completed by now; whoever pays after all is credited.
fn given_up(top_up: &TopUp, asked: &Asked, now: Timestamp) -> Option<Payment> {
    let is_with_the_bank = match asked {
        Asked::Session(_) => false,
        Asked::Payment(payment) => payment.status == PaymentStatus::Processing,
    };
    let is_late = now >= top_up.created_at.plus_seconds(LOOKED_AFTER_SECONDS);
    (is_late && !is_with_the_bank).then(|| Payment::Failed("nobody paid it in time".to_owned()))
}

/// What became of a payment; `None` while that is open.
fn outcome(kind: TopUpKind, payment: &PaymentIntent) -> Result<Option<Payment>, PaymentError> {
    let is_up_to_a_payer = kind != TopUpKind::Auto;
    Ok(match payment.status {
        PaymentStatus::Succeeded => {
            Some(Payment::Received(payment.received().ok_or(PaymentError::Currency)?))
        }
        PaymentStatus::Processing => None,
        PaymentStatus::RequiresAction
        | PaymentStatus::RequiresPaymentMethod
        | PaymentStatus::RequiresConfirmation
        | PaymentStatus::Other
            if is_up_to_a_payer =>
        {
            None
        }
        // Given up, or nobody is there who could do it.
        PaymentStatus::Canceled
        | PaymentStatus::RequiresAction
        | PaymentStatus::RequiresPaymentMethod
        | PaymentStatus::RequiresConfirmation
        | PaymentStatus::Other => Some(Payment::Failed(payment.failure())),
    })
}
