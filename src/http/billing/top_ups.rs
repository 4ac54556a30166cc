//! `/api/v1/billing/top-up`: payments that a client of ours completes; and every payment that there
//! is.

use axum::extract::State;
use schemas::{Command, Money, Name, Sequence, StartTopUp, TopUpId, TopUpKind, TopUpTerms};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{TopUpRejection, may_be_paid},
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{AtLeast, IdempotencyKey, Reply, fault, key_scope, submit},
        params::{Path, Query},
        problem::{InvalidParameter, Kind, ParameterSource, Problem},
    },
    payments::{Asked, PaymentError},
    stripe::Cents,
    views::TopUpTransaction,
    writer::Receipt,
};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(top_up)).routes(routes!(list)).routes(routes!(get))
}

/// Money to be paid in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TopUp {
    /// Whose wallet; the caller's own when left out.
    #[schema(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// USD, 10 to 10 000, in whole cents.
    #[schema(value_type = f64)]
    amount: Money,
    /// Stripe's id of the means of payment, `pm_…`.
    #[schema(value_type = Option<String>)]
    payment_method_id: Option<Name>,
    /// Stripe's id of who pays, `cus_…`: of one tenant alone, as the means of payment is.
    #[schema(value_type = Option<String>)]
    customer_id: Option<Name>,
}

/// A payment to be completed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Begun {
    #[serde(flatten)]
    top_up: TopUpTransaction,
    /// What Stripe's client libraries complete it with.
    client_secret: Option<String>,
}

/// Begins a payment at Stripe, which a client completes with what is in the answer.
///
/// The wallet is credited when Stripe says that the money has come in. Repeated under the same
/// `Idempotency-Key`, it is the same payment.
#[utoipa::path(post, path = "/api/v1/billing/top-up", tag = "billing", request_body = TopUp,
    responses((status = 201, body = Begun), (status = 200, body = Begun)))]
async fn top_up(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(request): body::Json<TopUp>,
) -> Result<Reply<Begun>, Problem> {
    let TopUp { organization_id, amount, payment_method_id, customer_id } = request;
    let text = |name: Name| name.as_str().to_owned();
    let terms = TopUpTerms {
        payment_method: payment_method_id.map(text),
        customer: customer_id.map(text),
        ..TopUpTerms::default()
    };
    let order = Order { organization_id, amount, kind: TopUpKind::PaymentIntent, terms };
    let (receipt, id, asked) = begin(&state, &caller, key, order).await?;
    let client_secret = match asked {
        Asked::Payment(payment) => payment.client_secret,
        Asked::Session(_) => None,
    };
    let (sequence, top_up) = state.views().top_up(id, None);
    let top_up = top_up.ok_or(NO_SUCH_TOP_UP)?;
    Ok(Reply::written(&receipt, Begun { top_up, client_secret }).at(sequence))
}

/// A payment that somebody wants to make.
pub(super) struct Order {
    pub(super) organization_id: Option<Name>,
    pub(super) amount: Money,
    pub(super) kind: TopUpKind,
    pub(super) terms: TopUpTerms,
}

const NO_SUCH_TOP_UP: crate::domain::Rejection =
    crate::domain::Rejection::TopUp(TopUpRejection::NoSuchTopUp);

/// Puts a payment on record, and asks Stripe for it. The same key gives the same payment.
pub(super) async fn begin(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    order: Order,
) -> Result<(Receipt, TopUpId, Asked), Problem> {
    let Order { organization_id, amount, kind, terms } = order;
    let tenant = caller.one_tenant(organization_id, "organizationId", ParameterSource::Body)?;
    let payments = state.payments();
    payments.check_on()?;
    check_amount(amount)?;
    let key = key.or_new();
    let id = TopUpId::of_key(&key_scope(caller), key.as_str().unwrap_or_default());
    let taken = payments.take(id)?;
    let start = StartTopUp { top_up: id, tenant, amount, kind, terms };
    let receipt = submit(state, caller, key, Command::StartTopUp(Box::new(start))).await?;
    let asked = payments.ask(&taken).await?;
    Ok((receipt, id, asked))
}

fn check_amount(amount: Money) -> Result<(), Problem> {
    if amount.is_positive() && Cents::try_from(amount).is_err() {
        return Err(fault("amount", "must have at most 2 decimals", ParameterSource::Body));
    }
    if may_be_paid(amount) {
        return Ok(());
    }
    let rejection = TopUpRejection::AmountOutOfBounds { field: "amount" };
    let detail = rejection.to_string();
    let parameter = InvalidParameter {
        field: "amount".to_owned(),
        rule: "value",
        reason: detail.clone(),
        source: ParameterSource::Body,
    };
    let problem = Problem::new(Kind::Invalid, "amount_invalid", detail);
    Err(problem.with_parameters(vec![parameter]))
}

/// Whose payments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct TopUpsQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// How many at most; 100 when left out, never more than 1000.
    limit: Option<usize>,
    /// Where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

/// A tenant's payments through Stripe, newest first.
///
/// A page that is not the last one says in `x-next-cursor` where to go on. What begins in the
/// meantime does not move a page.
#[utoipa::path(get, path = "/api/v1/billing/top-ups", tag = "billing",
    params(TopUpsQuery), responses((status = 200, body = [TopUpTransaction])))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<TopUpsQuery>,
) -> Result<Reply<Vec<TopUpTransaction>>, Problem> {
    let TopUpsQuery { organization_id, limit, cursor } = query;
    let tenant = caller.one_tenant(organization_id, "organizationId", ParameterSource::Query)?;
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let reason = format!("must be 1 to {PAGE_MAX}");
        return Err(fault("limit", reason, ParameterSource::Query));
    }
    let head = state.views().head();
    let through = cursor.map_or(head, |cursor| head.min(Sequence::new(cursor)));
    let page = state.views().top_ups(&tenant, through, limit);
    let page = page.ok_or_else(|| Problem::not_found("organization"))?;
    Ok(Reply::read(head, page.top_ups).with_next(page.next))
}

/// One payment through Stripe.
#[utoipa::path(get, path = "/api/v1/billing/top-ups/{topUp}", tag = "billing",
    params(("topUp" = String, Path, description = "Its id")),
    responses((status = 200, body = TopUpTransaction)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(id): Path<TopUpId>,
) -> Result<Reply<TopUpTransaction>, Problem> {
    let scope = caller.tenant_scope(None)?;
    let (sequence, top_up) = state.views().top_up(id, scope.tenant.as_ref());
    Ok(Reply::read(sequence, top_up.ok_or(NO_SUCH_TOP_UP)?))
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        let told = error.to_string();
        match error {
            PaymentError::Off(_) => Self::new(Kind::Unavailable, "payments_off", told),
            PaymentError::UnderWay => {
                Self::new(Kind::Conflict, "payment_under_way", told).with_retry_after(1)
            }
            PaymentError::Failed(_) => Self::new(Kind::PaymentRequired, "payment_failed", told),
            PaymentError::Unknown => {
                Self::new(Kind::Unavailable, "payment_outcome_unknown", told).with_retry_after(5)
            }
            PaymentError::Currency => Self::new(Kind::Unprocessable, "currency_unsupported", told),
            PaymentError::Submit(error) => error.into(),
        }
    }
}
