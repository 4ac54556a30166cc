//! `GET /api/v1/reports/monthly`: a tenant's month beside the one before.

use axum::extract::State;
use schemas::{Day, Name, Sequence};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    consumption::whose,
    ledger::{AtLeast, Reply, point, reading},
    organization::organization_and_month,
    params::Query,
    problem::Problem,
};
use crate::views::MonthlyReport;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(monthly))
}

/// Whose month.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct MonthQuery {
    /// Who pays. Required.
    #[param(value_type = Option<String>)]
    pub(super) organization_id: Option<Name>,
    /// `YYYY-MM`, of the tenant's. Required.
    pub(super) month: Option<String>,
}

/// A tenant's month beside the one before, in the tenant's zone; for a user, their own part of it.
#[utoipa::path(get, path = "/api/v1/reports/monthly", tag = "reports",
    params(MonthQuery), responses((status = 200, body = MonthlyReport)))]
async fn monthly(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<MonthQuery>,
) -> Result<Reply<MonthlyReport>, Problem> {
    let (sequence, report) = report(&state, &caller, query).await?;
    Ok(Reply::read(sequence, report))
}

/// The report that a query asks for, as far as the caller may see it, and the event it reflects.
pub(super) async fn report(
    state: &AppState,
    caller: &Caller,
    query: MonthQuery,
) -> Result<(Sequence, MonthlyReport), Problem> {
    let (organization, month): (Name, (Day, Day)) =
        organization_and_month(query.organization_id, query.month)?;
    let scope = caller.tenant_scope(Some(organization.clone()))?;
    let unknown = || Problem::not_found("organization");
    let tenant = state.views().look(|reading| reading.books.names.find(organization.as_str()));
    let tenant = tenant.ok_or_else(unknown)?;
    let whose = whose(state, &scope).ok_or_else(unknown)?;
    let point = point(state, None)?;
    let views = state.views().clone();
    reading(move || views.monthly_report((tenant, whose), month, &point)).await
}
