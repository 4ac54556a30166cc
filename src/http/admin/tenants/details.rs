//! `GET /api/v1/admin/tenants/{tenant}/details`: a tenant with its usage of this month and its latest
//! bills.

use axum::extract::State;
use schemas::{Day, Money, Name, TenantId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    no_such_tenant,
    organization::{Organization, Sealed},
};
use crate::{
    http::{
        AppState,
        consumption::sum,
        ledger::{AtLeast, Reply, reading},
        params::Path,
        problem::Problem,
    },
    views::Bill,
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
        let today = now.day_in(books.tenants.terms(tenant).zone.now().0);
        let used = reading.usage.days(tenant, today.first_of_month(), today);
        let used = sum(used.map(|(_, used)| &used.totals));
        let month = Stats {
            user_count: books.directory.tenant(tenant).users.len(),
            total_tokens: used.total_tokens,
            total_cost: used.cost,
        };
        Some((tenant, Sealed::new(reading, tenant), month))
    });
    let (id, tenant, month) = found.ok_or_else(no_such_tenant)?;
    let views = state.views().clone();
    let ever = (Day::from_days(i32::MIN), Day::from_days(i32::MAX));
    let page = reading(move || views.bills(id, ever, sequence, BILLS_MAX)).await?;
    let tenant = tenant.unseal(state.vault());
    Ok(Reply::read(sequence, Details { tenant, stats: month, billing_history: page.bills }))
}
