//! The requests. Each says whether it is of use to ask again, and a change carries an idempotency
//! key, so that asking again is asking for the same.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, StatusCode, Url, redirect};
use schemas::{Name, TopUpId, TopUpTerms};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::Cents;
use super::objects::{CheckoutSession, PaymentIntent, words};
use crate::config::{Secret, Stripe};

/// The version of the API that the objects are read as.
const VERSION: &str = "2024-06-20";
/// What is bought, as the payer reads it.
const PRODUCT: &str = "Tallybook Wallet Top-Up";
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Whether it makes sense to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nobody knows what became of the request: ask again, with the same key.
    Unknown,
    /// The payer's means of payment was refused.
    Declined,
    /// Stripe has understood, and does not do it.
    Refused,
}

/// Why a request did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Failure {
    /// Whether to ask again.
    pub kind: FailureKind,
    /// The payment that was made and failed, where there is one.
    pub payment_intent: Option<String>,
    /// Why: of a refusal, in Stripe's words.
    pub reason: String,
}

impl Failure {
    const fn unknown(reason: String) -> Self {
        Self { kind: FailureKind::Unknown, payment_intent: None, reason }
    }
}

/// A page to be paid on.
#[derive(Debug, Clone, Copy)]
pub struct SessionRequest<'a> {
    /// For which top-up.
    pub top_up: TopUpId,
    /// Whose.
    pub tenant: &'a Name,
    /// How much.
    pub amount: Cents,
    /// Where the page leads.
    pub terms: &'a TopUpTerms,
}

/// A payment to be made.
#[derive(Debug, Clone, Copy)]
pub struct PaymentRequest<'a> {
    /// For which top-up.
    pub top_up: TopUpId,
    /// Whose.
    pub tenant: &'a Name,
    /// How much.
    pub amount: Cents,
    /// With which means of payment.
    pub terms: &'a TopUpTerms,
    /// At once, while nobody is there to confirm it.
    pub off_session: bool,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    payment_intent: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    id: String,
}

/// An account at Stripe.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    key: Secret,
    base: String,
}

impl Client {
    /// A client with this key, as `config` says.
    ///
    /// # Errors
    /// When the system's certificates cannot be read, or `config` was not checked.
    pub fn new(key: &Secret, config: &Stripe) -> anyhow::Result<Self> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .context("the secret key of the payment provider")?;
        bearer.set_sensitive(true);
        let version = HeaderName::from_static("stripe-version");
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (version, HeaderValue::from_static(VERSION)),
        ]);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(Duration::from_millis(u64::from(config.timeout_ms)))
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        let base = config.base_url.trim_end_matches('/').to_owned();
        Ok(Self { http, key: key.clone(), base })
    }

    /// Makes a page to be paid on. Asked for again, it is the same page.
    ///
    /// # Errors
    /// When Stripe refuses, or nobody knows.
    pub async fn create_session(
        &self,
        request: SessionRequest<'_>,
    ) -> Result<CheckoutSession, Failure> {
        let SessionRequest { top_up, tenant, amount, terms } = request;
        let mut form = Form::default();
        form.add("mode", "payment")
            .add("payment_method_types[0]", "card")
            .add("line_items[0][quantity]", "1")
            .add("line_items[0][price_data][currency]", "usd")
            .add("line_items[0][price_data][unit_amount]", &amount.to_string())
            .add("line_items[0][price_data][product_data][name]", PRODUCT)
            .add_maybe("success_url", terms.success_url.as_deref())
            .add_maybe("cancel_url", terms.cancel_url.as_deref());
        // The payment must say itself whose it is: it is what comes in.
        for of in ["metadata", "payment_intent_data[metadata]"] {
            form.add_metadata(of, top_up, tenant);
        }
        self.post("/v1/checkout/sessions", top_up, form).await
    }

    /// Makes a payment. Asked for again, it is the same payment.
    ///
    /// # Errors
    /// When Stripe refuses, or nobody knows.
    pub async fn create_payment(
        &self,
        request: PaymentRequest<'_>,
    ) -> Result<PaymentIntent, Failure> {
        let PaymentRequest { top_up, tenant, amount, terms, off_session } = request;
        let mut form = Form::default();
        form.add("amount", &amount.to_string())
            .add("currency", "usd")
            .add("payment_method_types[0]", "card")
            .add("description", PRODUCT)
            .add_metadata("metadata", top_up, tenant)
            .add_maybe("customer", terms.customer.as_deref())
            .add_maybe("payment_method", terms.payment_method.as_deref());
        if off_session {
            form.add("confirm", "true").add("off_session", "true");
        }
        self.post("/v1/payment_intents", top_up, form).await
    }

    /// A payment as it stands.
    ///
    /// # Errors
    /// When there is none, or nobody knows.
    pub async fn payment(&self, id: &str) -> Result<PaymentIntent, Failure> {
        self.get("/v1/payment_intents", id).await
    }

    /// A page as it stands.
    ///
    /// # Errors
    /// When there is none, or nobody knows.
    pub async fn session(&self, id: &str) -> Result<CheckoutSession, Failure> {
        self.get("/v1/checkout/sessions", id).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, id: &str) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(id);
        }
        self.call(path, self.http.get(url)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        top_up: TopUpId,
        form: Form,
    ) -> Result<T, Failure> {
        let request = self
            .http
            .post(self.url(path)?)
            .header("Idempotency-Key", top_up.to_string())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.text());
        self.call(path, request).await
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let url = Url::parse(&format!("{}{path}", self.base));
        url.map_err(|error| Failure::unknown(format!("the address of the provider: {error}")))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let outcome = self.answer(request).await.and_then(|text| {
            // An answer that says that it was done, and not what: ask again.
            serde_json::from_str(&text).map_err(|error| {
                Failure::unknown(format!("cannot read the answer of the provider: {error}"))
            })
        });
        let name = match &outcome {
            Ok(_) => "done",
            Err(failure) => match failure.kind {
                FailureKind::Unknown => "unknown",
                FailureKind::Declined => "declined",
                FailureKind::Refused => "refused",
            },
        };
        metrics::counter!("stripe_requests_total", "outcome" => name).increment(1);
        outcome.map_err(|failure| {
            let reason = words(&failure.reason.replace(self.key.expose(), "[key]"));
            tracing::warn!(action, reason, "the payment provider has not done what was asked");
            Failure { reason, ..failure }
        })
    }

    /// The text of an answer that says that the request was done.
    async fn answer(&self, request: RequestBuilder) -> Result<String, Failure> {
        let lost = |error: reqwest::Error| Failure::unknown(told(error));
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if bytes.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
                return Err(Failure::unknown("the answer is too long".to_owned()));
            }
            bytes.extend_from_slice(&piece);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() { Ok(text) } else { Err(refusal(status, &text)) }
    }
}

/// What a refusal means. Whatever may be otherwise next time counts as unknown: also that our key is
/// not taken, and that something else was asked for under the same idempotency key.
fn refusal(status: StatusCode, text: &str) -> Failure {
    let Ok(Refusal { error }) = serde_json::from_str(text) else {
        return Failure::unknown(format!("the provider answers {status}"));
    };
    let RefusalBody { kind, code, decline_code, message, payment_intent } = error;
    let told = [Some(kind.as_str()), code.as_deref(), decline_code.as_deref()];
    let told = told.into_iter().flatten().collect::<Vec<_>>().join("/");
    let reason = message.map_or_else(|| told.clone(), |message| format!("{message} ({told})"));
    let kind = match (status, kind.as_str()) {
        (StatusCode::PAYMENT_REQUIRED, _) | (_, "card_error") => FailureKind::Declined,
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND, "invalid_request_error") => {
            FailureKind::Refused
        }
        _ => FailureKind::Unknown,
    };
    Failure { kind, payment_intent: payment_intent.map(|payment| payment.id), reason }
}

/// A form in the order in which it was filled in.
#[derive(Default)]
struct Form(Vec<(String, String)>);

impl Form {
    fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    fn add_maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.add(name, value),
            None => self,
        }
    }

    fn add_metadata(&mut self, of: &str, top_up: TopUpId, tenant: &Name) -> &mut Self {
        self.add(&format!("{of}[organizationId]"), tenant.as_str())
            .add(&format!("{of}[topUpId]"), &top_up.to_string())
    }

    fn text(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// An error with its causes and without the address.
fn told(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    format!("{:#}", anyhow::Error::new(error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_so_is_a_refusal() {
        let body = |kind: &str| format!(r#"{{"error":{{"type":"{kind}","message":"m"}}}}"#);
        for (status, kind, expected) in [
            (402, "card_error", FailureKind::Declined),
            (400, "invalid_request_error", FailureKind::Refused),
            (404, "invalid_request_error", FailureKind::Refused),
            (401, "invalid_request_error", FailureKind::Unknown),
            (403, "invalid_request_error", FailureKind::Unknown),
            (400, "idempotency_error", FailureKind::Unknown),
            (409, "invalid_request_error", FailureKind::Unknown),
            (429, "invalid_request_error", FailureKind::Unknown),
            (500, "api_error", FailureKind::Unknown),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refusal(status, &body(kind)).kind, expected, "{status} {kind}");
        }
        assert_eq!(refusal(StatusCode::BAD_REQUEST, "<html>").kind, FailureKind::Unknown);
    }

    #[test]
    fn a_refused_payment_is_told_with_its_id_and_reason() {
        let text = r#"{"error":{"type":"card_error","code":"card_declined",
            "decline_code":"insufficient_funds","message":"Your card has insufficient funds.",
            "payment_intent":{"id":"pi_1","object":"payment_intent"}}}"#;
        let failure = refusal(StatusCode::PAYMENT_REQUIRED, text);
        assert_eq!(failure.payment_intent.as_deref(), Some("pi_1"));
        assert_eq!(
            failure.reason,
            "Your card has insufficient funds. (card_error/card_declined/insufficient_funds)"
        );
    }
}
