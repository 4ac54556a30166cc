//! `GET /api/v1/analytics/{overview,consumption-trends,top-tenants}`.

use axum::extract::State;
use projections::usage::Totals;
use schemas::{Money, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{SpanQuery, both, both_or_none, scope_of};
use crate::{
    http::{
        AppState,
        auth::Caller,
        consumption::look,
        ledger::{AtLeast, Reply, fault},
        params::Query,
        problem::{ParameterSource, Problem},
    },
    views::{Span, Used},
};

const TENANTS_DEFAULT: usize = 10;
const TENANTS_MAX: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(consumption_trends))
        .routes(routes!(top_tenants))
}

/// How much there is of everything that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Overview {
    /// Active are those that may begin something new.
    tenants: OverviewCounts,
    /// Active are those who have called this month.
    users: OverviewCounts,
    /// What was used.
    consumption: OverviewConsumption,
    /// The tokens of all time, by tenant, rounded half to even at the eighteenth decimal.
    #[schema(value_type = f64)]
    average_consumption_per_tenant: Money,
}

/// How many there are.
#[derive(Debug, Serialize, ToSchema)]
struct OverviewCounts {
    /// All.
    total: usize,
    /// Of them, the active ones.
    active: usize,
}

/// What was used, over several times. Days and months are those of whoever pays.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OverviewConsumption {
    /// Today.
    today: OverviewUsage,
    /// This month.
    this_month: OverviewUsage,
    /// Ever.
    all_time: OverviewUsage,
}

/// What was used.
#[derive(Debug, Serialize, ToSchema)]
struct OverviewUsage {
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
}

impl From<Totals> for OverviewUsage {
    fn from(totals: Totals) -> Self {
        Self { tokens: totals.total_tokens, cost: totals.cost }
    }
}

/// How much there is of everything that the caller may see.
#[utoipa::path(get, path = "/api/v1/analytics/overview", tag = "analytics",
    responses((status = 200, body = Overview)))]
async fn overview(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
) -> Result<Reply<Overview>, Problem> {
    let scope = caller.tenant_scope(None)?;
    let now = state.clock().now();
    let only: Option<UserId> = scope
        .user
        .as_ref()
        .and_then(|user| state.views().look(|reading| reading.books.names.find(user.as_str())));
    let (sequence, seen) =
        look(&state, &scope, Span::ALWAYS, move |used| used.overview(now, only)).await?;
    let (total, active) = seen.tenants;
    let average = average(seen.all_time.total_tokens, total);
    let overview = Overview {
        tenants: OverviewCounts { total, active },
        users: OverviewCounts { total: seen.users.0, active: seen.users.1 },
        consumption: OverviewConsumption {
            today: seen.today.into(),
            this_month: seen.this_month.into(),
            all_time: seen.all_time.into(),
        },
        average_consumption_per_tenant: average,
    };
    Ok(Reply::read(sequence, overview))
}

/// A count shared among so many, as exactly as an amount is kept; zero among none.
fn average(count: u64, among: usize) -> Money {
    let one = Money::parse("1").expect("invariant: a number");
    let among = u64::try_from(among).unwrap_or(u64::MAX);
    one.checked_times(count)
        .filter(|_| among > 0)
        .and_then(|sum| sum.checked_ratio(1, among))
        .unwrap_or_default()
}

/// A day's usage.
#[derive(Debug, Serialize, ToSchema)]
struct ConsumptionTrend {
    /// The day, as `YYYY-MM-DD`.
    #[serde(rename = "_id")]
    id: String,
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
}

/// Usage by day, the earliest first; only days with calls.
#[utoipa::path(get, path = "/api/v1/analytics/consumption-trends", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [ConsumptionTrend])))]
async fn consumption_trends(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<ConsumptionTrend>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both(query.start_date.as_deref(), query.end_date.as_deref())?;
    let (sequence, days) = look(&state, &scope, span, Used::by_day).await?;
    let trend = |(day, totals): (schemas::Day, Totals)| ConsumptionTrend {
        id: day.to_string(),
        tokens: totals.total_tokens,
        cost: totals.cost,
    };
    Ok(Reply::read(sequence, days.into_iter().map(trend).collect()))
}

/// How many tenants, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct TopQuery {
    /// At most this many: 1 to 1000, 10 when left out.
    limit: Option<usize>,
    /// From then on: a day, or an RFC 3339 moment. Only together with `endDate`.
    start_date: Option<String>,
    /// Up to then, included: a day, or an RFC 3339 moment.
    end_date: Option<String>,
}

/// A tenant's usage.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TopTenant {
    /// The tenant.
    #[serde(rename = "_id")]
    id: String,
    /// All tokens.
    total_tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    total_cost: Money,
}

/// The tenants that used the most tokens, of those that the caller may see.
#[utoipa::path(get, path = "/api/v1/analytics/top-tenants", tag = "analytics",
    params(TopQuery), responses((status = 200, body = [TopTenant])))]
async fn top_tenants(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<TopQuery>,
) -> Result<Reply<Vec<TopTenant>>, Problem> {
    let scope = caller.tenant_scope(None)?;
    let limit = query.limit.unwrap_or(TENANTS_DEFAULT);
    if !(1..=TENANTS_MAX).contains(&limit) {
        let reason = format!("must be 1 to {TENANTS_MAX}");
        return Err(fault("limit", reason, ParameterSource::Query));
    }
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let (sequence, top) = look(&state, &scope, span, move |used| used.top_tenants(limit)).await?;
    let view = |top: crate::views::TenantTotals| TopTenant {
        id: top.tenant,
        total_tokens: top.totals.total_tokens,
        total_cost: top.totals.cost,
    };
    Ok(Reply::read(sequence, top.into_iter().map(view).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_keeps_every_decimal_there_is() {
        for (count, among, told) in [
            (10, 4, "2.5"),
            (2, 3, "0.666666666666666667"),
            (0, 3, "0"),
            (5, 0, "0"),
            (u64::MAX, 1, "18446744073709551615"),
        ] {
            assert_eq!(average(count, among).to_string(), told, "{count} among {among}");
        }
    }
}
