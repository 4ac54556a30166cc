//! How a tenant's wallet fills itself.

use axum::{extract::State, http::StatusCode};
use schemas::{AutoTopUp, Command, Money, Name, SetAutoTopUp, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Rejection, TopUpRejection},
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{AtLeast, IdempotencyKey, Reply, submit},
        params::Path,
        problem::{ParameterSource, Problem},
    },
    stripe::Cents,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, set))
}

/// How a wallet fills itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewSettings {
    /// Whether it does.
    enabled: bool,
    /// Below which available amount, in USD.
    #[serde(default)]
    #[schema(value_type = f64)]
    threshold: Money,
    /// By how much, in USD: 10 to 10 000, in whole cents.
    #[serde(default)]
    #[schema(value_type = f64)]
    amount: Money,
    /// Stripe's id of the means of payment, `pm_…`; needed when enabled.
    #[schema(value_type = Option<String>)]
    payment_method_id: Option<Name>,
    /// Stripe's id of who pays, `cus_…`: of one tenant alone, as the means of payment is.
    #[schema(value_type = Option<String>)]
    customer_id: Option<Name>,
}

/// How a wallet fills itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Settings {
    /// Whether it does.
    enabled: bool,
    /// Below which available amount, in USD.
    #[schema(value_type = f64)]
    threshold: Money,
    /// By how much, in USD.
    #[schema(value_type = f64)]
    amount: Money,
    /// Stripe's id of the means of payment.
    payment_method_id: Option<String>,
    /// Stripe's id of who pays.
    customer_id: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
struct Done {
    /// In words.
    message: &'static str,
}

/// How a tenant's wallet fills itself.
#[utoipa::path(get, path = "/api/v1/organization/{tenant}/auto-top-up", tag = "organization",
    params(("tenant" = String, Path, description = "Whose wallet")),
    responses((status = 200, body = Settings)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(id): Path<Name>,
) -> Result<Reply<Settings>, Problem> {
    let tenant = caller.one_tenant(Some(id), "tenant", ParameterSource::Path)?;
    let (sequence, settings) = state.views().look_now(|reading| {
        let tenant: TenantId = reading.books.names.find(tenant.as_str())?;
        Some(reading.books.tenants.terms(tenant).auto_top_up.clone())
    });
    let settings = settings.ok_or(Rejection::TopUp(TopUpRejection::NoSuchOrganization))?;
    let AutoTopUp { enabled, threshold, amount, payment_method, customer } = settings;
    let settings = Settings {
        enabled,
        threshold,
        amount,
        payment_method_id: payment_method,
        customer_id: customer,
    };
    Ok(Reply::read(sequence, settings))
}

/// Sets how a tenant's wallet fills itself: whenever less than the threshold is available, the
/// means of payment is charged.
#[utoipa::path(put, path = "/api/v1/organization/{tenant}/auto-top-up", tag = "organization",
    params(("tenant" = String, Path, description = "Whose wallet")), request_body = NewSettings,
    responses((status = 200, body = Done)))]
async fn set(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<Name>,
    body::Json(settings): body::Json<NewSettings>,
) -> Result<Reply<Done>, Problem> {
    let tenant = caller.one_tenant(Some(id), "tenant", ParameterSource::Path)?;
    let NewSettings { enabled, threshold, amount, payment_method_id, customer_id } = settings;
    if !amount.is_negative() && Cents::try_from(amount).is_err() {
        let reason = "must have at most 2 decimals";
        return Err(crate::http::ledger::fault("amount", reason, ParameterSource::Body));
    }
    let text = |name: Name| name.as_str().to_owned();
    let auto_top_up = AutoTopUp {
        enabled,
        threshold,
        amount,
        payment_method: payment_method_id.map(text),
        customer: customer_id.map(text),
    };
    let command = Command::SetAutoTopUp(Box::new(SetAutoTopUp { tenant, auto_top_up }));
    let receipt = submit(&state, &caller, key, command).await?;
    let head = state.views().head();
    let done = Done { message: "Auto-top-up settings updated" };
    Ok(Reply::written(&receipt, done).at(head).with_status(StatusCode::OK))
}
