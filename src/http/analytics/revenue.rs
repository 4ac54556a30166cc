//! `GET /api/v1/analytics/{revenue-trends,revenue/…}`: money that came in, and money that was billed.

use std::collections::BTreeMap;

use axum::extract::State;
use schemas::{Day, Money, Sequence, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{SpanQuery, both, both_or_none, scope_of};
use crate::{
    http::{
        AppState,
        auth::{Caller, Scope},
        ledger::{AtLeast, Reply, point, reading},
        params::Query,
        problem::Problem,
    },
    views::{Billed, Payments, Span},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(revenue_trends))
        .routes(routes!(top_up_frequency))
        .routes(routes!(billing_deductions))
        .routes(routes!(by_tenant))
}

/// The tenant in a scope: one, or all. `None`: nothing is known of it.
#[expect(clippy::option_option, reason = "known or not, one or all")]
fn tenant_in(state: &AppState, scope: &Scope) -> Option<Option<TenantId>> {
    let Some(tenant) = &scope.tenant else { return Some(None) };
    state.views().look(|reading| reading.books.names.find(tenant.as_str())).map(Some)
}

/// As [`Views::bills_by`](crate::views::Views::bills_by), on a thread where it may take its time.
async fn bills_by<K: Ord + Send + 'static>(
    state: &AppState,
    tenant: Option<TenantId>,
    span: Span,
    key: impl Fn(TenantId, Day) -> K + Send + 'static,
) -> Result<(Sequence, BTreeMap<K, Billed>), Problem> {
    let views = state.views().clone();
    reading(move || Ok(views.bills_by(tenant, span, key))).await
}

/// A day's revenue.
#[derive(Debug, Serialize, ToSchema)]
struct RevenueDay {
    /// The UTC day that was billed, or on which a refund without a bill was given, as `YYYY-MM-DD`.
    #[serde(rename = "_id")]
    id: String,
    /// USD: what bills took, less what of it was given back, and less refunds without a bill.
    #[schema(value_type = f64)]
    revenue: Money,
}

/// Revenue by the day that was billed, the earliest first; only days with bills, or with refunds
/// without a bill. It adds up to the revenue of the ledger.
#[utoipa::path(get, path = "/api/v1/analytics/revenue-trends", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [RevenueDay])))]
async fn revenue_trends(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<RevenueDay>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both(query.start_date.as_deref(), query.end_date.as_deref())?;
    let Some(tenant) = tenant_in(&state, &scope) else {
        return Ok(Reply::read(state.views().head(), Vec::new()));
    };
    let (sequence, days) = bills_by(&state, tenant, span, |_, day| day).await?;
    let view = |(day, billed): (Day, Billed)| RevenueDay {
        id: day.to_string(),
        revenue: billed.revenue(),
    };
    Ok(Reply::read(sequence, days.into_iter().map(view).collect()))
}

/// A day's top-ups.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TopUpDay {
    /// The UTC day on which they came in, as `YYYY-MM-DD`.
    #[serde(rename = "_id")]
    id: String,
    /// How many.
    count: u64,
    /// Their sum, in USD.
    #[schema(value_type = f64)]
    total_amount: Money,
    /// Their average, rounded half to even at the eighteenth decimal.
    #[schema(value_type = f64)]
    average_amount: Money,
}

/// Top-ups that came in, by hand or through the payment provider, by day; only days with some.
#[utoipa::path(get, path = "/api/v1/analytics/revenue/top-up-frequency", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [TopUpDay])))]
async fn top_up_frequency(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<TopUpDay>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let point = point(&state, None)?;
    let Some(tenant) = tenant_in(&state, &scope) else {
        return Ok(Reply::read(point.sequence, Vec::new()));
    };
    let views = state.views().clone();
    let days = reading(move || views.top_ups_by_day(tenant, span, point.sequence)).await?;
    let view = |(day, payments): (Day, Payments)| TopUpDay {
        id: day.to_string(),
        count: payments.count,
        total_amount: payments.total,
        average_amount: payments.average(),
    };
    Ok(Reply::read(point.sequence, days.into_iter().map(view).collect()))
}

/// A day's bills.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeductionDay {
    /// The UTC day that was billed, as `YYYY-MM-DD`.
    #[serde(rename = "_id")]
    id: String,
    /// What they took, in USD.
    #[schema(value_type = f64)]
    total_deductions: Money,
    /// The tokens of their calls.
    total_tokens: u64,
    /// How many.
    count: u64,
}

/// What bills took, by the day that was billed; only days with bills.
#[utoipa::path(get, path = "/api/v1/analytics/revenue/billing-deductions", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [DeductionDay])))]
async fn billing_deductions(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<DeductionDay>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let Some(tenant) = tenant_in(&state, &scope) else {
        return Ok(Reply::read(state.views().head(), Vec::new()));
    };
    let (sequence, days) = bills_by(&state, tenant, span, |_, day| day).await?;
    let days = days.into_iter().filter(|(_, billed)| billed.count > 0);
    let view = |(day, billed): (Day, Billed)| DeductionDay {
        id: day.to_string(),
        total_deductions: billed.cost,
        total_tokens: billed.tokens,
        count: billed.count,
    };
    Ok(Reply::read(sequence, days.map(view).collect()))
}

/// When.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DatesQuery {
    /// From then on: a day, or an RFC 3339 moment. Only together with `endDate`.
    start_date: Option<String>,
    /// Up to then, included: a day, or an RFC 3339 moment.
    end_date: Option<String>,
}

/// A tenant's revenue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TenantRevenue {
    /// The tenant.
    #[serde(rename = "_id")]
    id: String,
    /// USD: what bills took, less what of it was given back, and less refunds without a bill.
    #[schema(value_type = f64)]
    total_revenue: Money,
    /// The tokens of their calls.
    total_tokens: u64,
    /// How many bills.
    billing_count: u64,
}

/// Revenue by tenant, of those that the caller may see, the most first; only tenants with
/// bills, or with refunds without a bill.
#[utoipa::path(get, path = "/api/v1/analytics/revenue/by-tenant", tag = "analytics",
    params(DatesQuery), responses((status = 200, body = [TenantRevenue])))]
async fn by_tenant(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<DatesQuery>,
) -> Result<Reply<Vec<TenantRevenue>>, Problem> {
    let scope = caller.tenant_scope(None)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let Some(tenant) = tenant_in(&state, &scope) else {
        return Ok(Reply::read(state.views().head(), Vec::new()));
    };
    let (sequence, tenants) = bills_by(&state, tenant, span, |tenant, _| tenant).await?;
    let names = state.views().look(|reading| reading.books.names.clone());
    let view = |(tenant, billed): (TenantId, Billed)| TenantRevenue {
        id: names.text(tenant).to_string(),
        total_revenue: billed.revenue(),
        total_tokens: billed.tokens,
        billing_count: billed.count,
    };
    let mut tenants: Vec<TenantRevenue> = tenants.into_iter().map(view).collect();
    tenants.sort_by(|left, right| {
        right.total_revenue.cmp(&left.total_revenue).then_with(|| left.id.cmp(&right.id))
    });
    Ok(Reply::read(sequence, tenants))
}
