//! `/api/v1/billing/stripe/…`: payments on the provider's page, and what the provider tells of them.

use axum::extract::{Request, State};
use reqwest::Url;
use schemas::{Money, Name, Role, TopUpKind, TopUpTerms};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::top_ups::{Order, begin};
use crate::{
    domain::Blame,
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{IdempotencyKey, Reply, fault},
        params::Query,
        problem::{Kind, ParameterSource, Problem},
    },
    payments::{Asked, PaymentError, TakenIn},
    stripe::Notice,
    writer::SubmitError,
};

const SIGNATURE: &str = "stripe-signature";
const SUCCESS_PATH: &str = "/dashboard/billing?success=true";
const CANCEL_PATH: &str = "/dashboard/billing?canceled=true";
/// The longest address that Stripe takes.
const URL_BYTES_MAX: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(checkout))
}

/// What Stripe calls, which has no credentials of ours.
pub(in crate::http) fn open_router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(webhook))
}

/// Where Stripe's page leads. A path is below `billing.public_url`, and so is every address that is
/// not a developer's; without one, theirs is `https://…` or on the machine of whoever pays.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CheckoutQuery {
    /// Once it is paid; `/dashboard/billing?success=true` when left out.
    success_url: Option<String>,
    /// When it is not; `/dashboard/billing?canceled=true` when left out.
    cancel_url: Option<String>,
}

/// Money to be paid in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Checkout {
    /// Whose wallet; the caller's own when left out.
    #[schema(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// USD, 10 to 10 000, in whole cents.
    #[schema(value_type = f64)]
    amount: Money,
}

/// A page of Stripe's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Session {
    /// Stripe's id of it.
    session_id: String,
    /// Where to send the payer; `null` once it is paid or has expired.
    url: Option<String>,
}

/// Makes a page of Stripe's on which a wallet is topped up.
///
/// The wallet is credited when Stripe says that the money has come in. Repeated under the same
/// `Idempotency-Key`, it is the same page.
#[utoipa::path(post, path = "/api/v1/billing/stripe/checkout", tag = "billing",
    params(CheckoutQuery), request_body = Checkout, responses((status = 200, body = Session)))]
async fn checkout(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Query(query): Query<CheckoutQuery>,
    body::Json(Checkout { organization_id, amount }): body::Json<Checkout>,
) -> Result<Reply<Session>, Problem> {
    // Whose it is, and whether there are payments at all, before anything else that may be wrong.
    let tenant = caller.one_tenant(organization_id, "organizationId", ParameterSource::Body)?;
    state.payments().check_on()?;
    let from = (&state, &caller);
    let terms = TopUpTerms {
        success_url: Some(address(from, "success_url", query.success_url, SUCCESS_PATH)?),
        cancel_url: Some(address(from, "cancel_url", query.cancel_url, CANCEL_PATH)?),
        ..TopUpTerms::default()
    };
    let order = Order { organization_id: Some(tenant), amount, kind: TopUpKind::Checkout, terms };
    let (receipt, _, asked) = begin(&state, &caller, key, order).await?;
    match asked {
        Asked::Session(session) => {
            let session = Session { session_id: session.id, url: session.url };
            let head = state.views().head();
            Ok(Reply::written(&receipt, session).at(head).with_status(axum::http::StatusCode::OK))
        }
        // The book has lost the page, as after a backup, and knows the payment from Stripe alone.
        Asked::Payment(_) => {
            let detail = "the page is not on record, and what was paid on it is credited already";
            Err(Problem::new(Kind::Conflict, "payment_settled", detail))
        }
    }
}

/// A whole address: as given, or below where people reach us.
fn address(
    (state, caller): (&AppState, &Caller),
    field: &'static str,
    given: Option<String>,
    default: &str,
) -> Result<String, Problem> {
    let wrong = |reason: &str| Err(fault(field, reason, ParameterSource::Query));
    let text = given.unwrap_or_else(|| default.to_owned());
    let whole = if text.starts_with('/') {
        let Some(base) = state.payments().public_url() else {
            return wrong("must be a whole address, since `billing.public_url` is not configured");
        };
        format!("{}{text}", base.trim_end_matches('/'))
    } else {
        text
    };
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let Some(url) = Url::parse(&whole).ok().filter(is_web) else {
        return wrong("must be an `http://` or `https://` address, or a path");
    };
    if caller.role != Role::Developer {
        match state.payments().public_url() {
            Some(base) if !is_below(&url, base) => {
                return wrong("must be a path, or an address below `billing.public_url`");
            }
            None if !is_safe(&url) => return wrong("must be an `https://` address"),
            _ => {}
        }
    }
    if whole.len() > URL_BYTES_MAX || whole.contains(char::is_control) {
        return wrong("must not be longer than 1000 bytes, nor contain control characters");
    }
    Ok(whole)
}

/// Whether an address is of the same site as `base`, and at its path or deeper.
fn is_below(url: &Url, base: &str) -> bool {
    let Ok(base) = Url::parse(base) else { return false };
    let rest = url.path().strip_prefix(base.path().trim_end_matches('/'));
    !has_user(url)
        && url.origin() == base.origin()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether an address is one that nobody on the way can change, or of the payer's own machine.
fn is_safe(url: &Url) -> bool {
    let is_near = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    !has_user(url) && (url.scheme() == "https" || is_near)
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// What Stripe is told.
#[derive(Debug, Serialize, ToSchema)]
struct Received {
    /// Always `true`.
    received: bool,
}

/// Takes in what Stripe tells of payments; what does not concern a wallet is passed over.
///
/// Told twice, or in another order, it counts once. What is for a wallet and cannot be credited is
/// refused, so that Stripe shows it and tells it again.
#[utoipa::path(post, path = "/api/v1/billing/stripe/webhook", tag = "billing", security(()),
    params(("Stripe-Signature" = String, Header, description = "`t=…,v1=…`")),
    request_body(content = Object, description = "An event of Stripe's"),
    responses((status = 200, body = Received)))]
async fn webhook(
    State(state): State<AppState>,
    request: Request,
) -> Result<Reply<Received>, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, state.limits().body_bytes_max).await?;
    let header = parts.headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    if let Err(error) = state.payments().verify(header.unwrap_or_default(), &body)? {
        count("forged");
        tracing::warn!(%error, "a webhook is not the payment provider's");
        return Err(Problem::new(Kind::Invalid, "invalid_signature", "Invalid signature"));
    }
    let notice = Notice::parse(&body).map_err(|error| {
        count("unreadable");
        tracing::warn!(%error, "a webhook of the payment provider cannot be read");
        Problem::new(Kind::Invalid, "webhook_unreadable", "the event cannot be read")
    })?;
    match state.payments().take_in(notice).await {
        Ok(taken_in) => {
            match taken_in {
                TakenIn::Ours => count("taken"),
                TakenIn::Foreign => {
                    count("foreign");
                    tracing::info!("a webhook tells of a payment that is not for a wallet");
                }
            }
            Ok(Reply::read(state.views().head(), Received { received: true }))
        }
        Err(error) => {
            count("refused");
            tracing::warn!(%error, "a webhook of the payment provider is not taken in");
            Err(not_credited(error))
        }
    }
}

/// Whatever the book refuses is not the request's form, but what it says.
fn not_credited(error: PaymentError) -> Problem {
    match error {
        PaymentError::Submit(SubmitError::Rejected(rejection))
            if rejection.blame() != Blame::Key =>
        {
            Problem::new(Kind::Unprocessable, rejection.code(), rejection.to_string())
        }
        other => other.into(),
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("stripe_webhooks_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_address_of_ours_only_what_nobody_can_change_is_safe() {
        for (address, expected) in [
            ("https://anywhere.example/done", true),
            ("http://anywhere.example/done", false),
            ("http://localhost:3000/done", true),
            ("http://127.0.0.1/done", true),
            ("http://[::1]/done", true),
            ("http://localhost.evil.example/done", false),
            ("https://tally.example@evil.example/done", false),
        ] {
            let url = Url::parse(address).expect(address);
            assert_eq!(is_safe(&url), expected, "{address}");
        }
    }
}
