//! `GET /api/v1/admin/tenants/{tenant}/details`: a tenant with its usage of this month and its latest
//! bills.

use axum::extract::State;
use projections::bills::BillSummary;
use schemas::{Money, Name, Sequence, TenantId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    no_such_tenant,
    organization::{Organization, Sealed},
};
use crate::http::{
    AppState,
    ledger::{AtLeast, Reply},
    params::Path,
    problem::Problem,
};

/// How many bills are told.
const BILLS_MAX: usize = 10;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(details))
}

/// A tenant with what it used and was billed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantDetails)]
struct Details {
    /// The tenant.
    tenant: Organization,
    /// This month, on the tenant's clocks.
    stats: Stats,
    /// Its latest ten bills, newest first.
    billing_history: Vec<Bill>,
}

/// What a tenant used in its month.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantStats)]
struct Stats {
    /// How many users are known.
    user_count: usize,
    /// Tokens.
    total_tokens: u64,
    /// USD, as far as it is rated.
    #[schema(value_type = f64)]
    total_cost: Money,
}

/// A bill.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LatestBill)]
struct Bill {
    /// Its name: its position in the log.
    #[schema(value_type = u64)]
    id: Sequence,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    billing_date: Timestamp,
    /// Tokens.
    total_tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    total_cost: Money,
    /// Always `completed`: a bill is posted whole.
    status: &'static str,
}

impl From<&BillSummary> for Bill {
    fn from(bill: &BillSummary) -> Self {
        Self {
            id: bill.id,
            billing_date: bill.posted_at,
            total_tokens: bill.tokens,
            total_cost: bill.cost,
            status: "completed",
        }
    }
}

/// A tenant with its usage of this month and its latest bills.
#[utoipa::path(get, path = "/api/v1/admin/tenants/{tenant}/details", tag = "admin",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, body = Details)))]
async fn details(
    State(state): State<AppState>,
    _: AtLeast,
    Path(name): Path<Name>,
) -> Result<Reply<Details>, Problem> {
    let now = state.clock().now();
    let (sequence, found) = state.views().look_now(|reading| {
        let books = &reading.books;
        let tenant: TenantId = books.names.find(name.as_str())?;
        let zone = books.tenants.terms(tenant).zone.now().0;
        let month = now.day_in(zone).first_of_month();
        let used = books.limit_usage.used_in_month(tenant, month);
        let used_now = Stats {
            user_count: books.directory.tenant(tenant).users.len(),
            total_tokens: used.tokens,
            total_cost: used.cost,
        };
        let bills = books.bills.of(tenant).iter().rev().take(BILLS_MAX);
        let bills: Vec<Bill> = bills.map(Bill::from).collect();
        Some((Sealed::new(reading, tenant), used_now, bills))
    });
    let (tenant, used_now, billing_history) = found.ok_or_else(no_such_tenant)?;
    let tenant = tenant.unseal(state.vault());
    Ok(Reply::read(sequence, Details { tenant, stats: used_now, billing_history }))
}
