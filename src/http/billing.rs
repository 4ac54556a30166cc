//! `GET /api/v1/billing/wallet`: a tenant's money, and every top-up and adjustment of it.

mod history;
pub(super) mod stripe;
mod top_ups;

use axum::extract::State;
use schemas::{Money, Name, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    ledger::{AtLeast, Reply, as_of, point, reading},
    params::Query,
    problem::{ParameterSource, Problem},
};
use crate::views::{AsOf, WalletEntry};

const ENTRIES_MAX: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(wallet))
        .routes(routes!(audit))
        .merge(history::router())
        .merge(stripe::router())
        .merge(top_ups::router())
}

/// Whose wallet.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct WalletQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of", rename = "as_of")]
    #[param(value_type = Option<String>, rename = "as_of")]
    as_of: Option<AsOf>,
}

/// A tenant's money, in USD.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Wallet {
    /// What was paid in and corrected, less what was billed.
    #[schema(value_type = f64)]
    balance: Money,
    /// What was used and not billed yet.
    #[schema(value_type = f64)]
    accrued: Money,
    /// What is left to use: balance minus accrued.
    #[schema(value_type = f64)]
    available: Money,
    /// Always `USD`.
    currency: &'static str,
    /// Whose it is.
    organization_id: String,
}

/// A tenant's money.
#[utoipa::path(get, path = "/api/v1/billing/wallet", tag = "billing",
    params(WalletQuery), responses((status = 200, body = Wallet)))]
async fn wallet(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<WalletQuery>,
) -> Result<Reply<Wallet>, Problem> {
    let (name, tenant) = subject(&state, &caller, query.organization_id)?;
    let point = point(&state, query.as_of)?;
    let (sequence, wallet) = if point.is_now {
        state.views().wallet_at(tenant, &point)?
    } else {
        let views = state.views().clone();
        reading(move || views.wallet_at(tenant, &point)).await?
    };
    let available =
        wallet.available().ok_or_else(|| Problem::internal(&"a wallet beyond the range"))?;
    Ok(Reply::read(
        sequence,
        Wallet {
            balance: wallet.balance,
            accrued: wallet.accrued,
            available,
            currency: "USD",
            organization_id: name.as_str().to_owned(),
        },
    ))
}

/// Movements of a wallet.
#[derive(Debug, Serialize, ToSchema)]
struct Audit {
    /// Newest first, at most 1000.
    #[schema(value_type = Vec<Object>)]
    records: Vec<WalletEntry>,
}

/// Every top-up and adjustment of a tenant's wallet, newest first.
#[utoipa::path(get, path = "/api/v1/billing/wallet/audit", tag = "billing",
    params(WalletQuery), responses((status = 200, body = Audit)))]
async fn audit(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<WalletQuery>,
) -> Result<Reply<Audit>, Problem> {
    let (_, tenant) = subject(&state, &caller, query.organization_id)?;
    let point = point(&state, query.as_of)?;
    let views = state.views().clone();
    let records = reading(move || views.wallet_audit(tenant, point.sequence, ENTRIES_MAX)).await?;
    Ok(Reply::read(point.sequence, Audit { records }))
}

/// The tenant that a request is about.
fn subject(
    state: &AppState,
    caller: &Caller,
    requested: Option<Name>,
) -> Result<(Name, TenantId), Problem> {
    let name = caller.one_tenant(requested, "organizationId", ParameterSource::Query)?;
    let tenant = state.views().look(|reading| reading.books.names.find(name.as_str()));
    match tenant {
        Some(tenant) => Ok((name, tenant)),
        None => Err(Problem::not_found("organization")),
    }
}
