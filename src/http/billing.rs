//! `GET /api/v1/billing/wallet`: a tenant's money, and every movement of it.

mod history;
pub(super) mod stripe;
mod top_ups;

use axum::extract::State;
use projections::tenants::Terms;
use schemas::{Money, Name, Sequence, TenantId, TenantStatus};
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

const ENTRIES_DEFAULT: usize = 1000;
const ENTRIES_MAX: usize = 10_000;

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

/// Which movements of whose wallet.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of", rename = "as_of")]
    #[param(value_type = Option<String>, rename = "as_of")]
    as_of: Option<AsOf>,
    /// How many at most; 1000 when left out, never more than 10000.
    limit: Option<usize>,
    /// Where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

/// A tenant's money, in USD.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Wallet {
    /// What was paid in and corrected, less what was billed.
    #[schema(value_type = f64)]
    balance: Money,
    /// The same: what is settled.
    #[schema(value_type = f64)]
    settled: Money,
    /// What is kept free for calls that have begun.
    #[schema(value_type = f64)]
    held: Money,
    /// What was used and not billed yet.
    #[schema(value_type = f64)]
    accrued: Money,
    /// What is left to use: balance minus accrued minus held.
    #[schema(value_type = f64)]
    available: Money,
    /// How far below zero it may go.
    #[schema(value_type = f64)]
    credit_limit: Money,
    /// Whether its tenant may begin anything new: `active`, `suspended` or `inactive`.
    #[schema(value_type = String)]
    status: TenantStatus,
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
    let (sequence, (wallet, held, terms)) = if point.is_now {
        state.views().look_now(|reading| {
            let books = &reading.books;
            let held = books.holds.held_money(tenant, point.moment);
            let terms = of_terms(books.tenants.terms(tenant));
            (*books.wallets.wallet(tenant), held, terms)
        })
    } else {
        let views = state.views().clone();
        reading(move || {
            let (sequence, wallet) = views.wallet_at(tenant, &point)?;
            let terms = of_terms(&views.terms_at(tenant, &point)?);
            let (_, held) = views.held_at(tenant, &point)?;
            Ok((sequence, (wallet, held, terms)))
        })
        .await?
    };
    let (credit_limit, status) = terms;
    let available = wallet.available().and_then(|available| available.checked_sub(held));
    let available = available.ok_or_else(|| Problem::internal(&"a wallet beyond the range"))?;
    let body = Wallet {
        balance: wallet.balance,
        settled: wallet.balance,
        held,
        accrued: wallet.accrued,
        available,
        credit_limit,
        status,
        currency: "USD",
        organization_id: name.as_str().to_owned(),
    };
    Ok(Reply::read(sequence, body))
}

fn of_terms(terms: &Terms) -> (Money, TenantStatus) {
    (terms.credit_limit.unwrap_or_default(), terms.status)
}

/// Movements of a wallet.
#[derive(Debug, Serialize, ToSchema)]
struct Audit {
    /// Newest first.
    #[schema(value_type = Vec<Object>)]
    records: Vec<WalletEntry>,
}

/// Every movement of a tenant's wallet, newest first: top-ups, adjustments, bills, refunds, credits.
///
/// A page that is not the last one says in `x-next-cursor` where to go on. What arrives in the
/// meantime does not move a page.
#[utoipa::path(get, path = "/api/v1/billing/wallet/audit", tag = "billing",
    params(AuditQuery), responses((status = 200, body = Audit)))]
async fn audit(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<AuditQuery>,
) -> Result<Reply<Audit>, Problem> {
    let limit = history::limit(query.limit, ENTRIES_DEFAULT, ENTRIES_MAX)?;
    let (_, tenant) = subject(&state, &caller, query.organization_id)?;
    let point = point(&state, query.as_of)?;
    let through =
        query.cursor.map_or(point.sequence, |cursor| point.sequence.min(Sequence::new(cursor)));
    let views = state.views().clone();
    let page = reading(move || views.wallet_audit(tenant, through, limit)).await?;
    Ok(Reply::read(point.sequence, Audit { records: page.entries }).with_next(page.next))
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
