//! `GET /api/v1/organization/users/{user}/consumption`: what one user used.

use axum::extract::State;
use schemas::{Money, Name};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        auth::Caller,
        consumption::{span, sum, usage},
        ledger::{AtLeast, Reply, point},
        params::{Path, Query},
        problem::Problem,
    },
    views::Dimension,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(user_consumption))
}

/// When.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DatesQuery {
    /// From then on: a day of the tenant's, or an RFC 3339 moment.
    start_date: Option<String>,
    /// Up to then, included: a day of the tenant's, or an RFC 3339 moment.
    end_date: Option<String>,
}

/// What a user used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserConsumption {
    /// The user.
    #[serde(rename = "_id")]
    id: String,
    /// All tokens.
    total_tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    total_cost: Money,
    /// Calls.
    request_count: u64,
}

/// What a user used: for an administrator, as far as their tenant paid. Zeros when there was nothing.
#[utoipa::path(get, path = "/api/v1/organization/users/{user}/consumption", tag = "organization",
    params(("user" = String, Path, description = "The user's id"), DatesQuery),
    responses((status = 200, body = UserConsumption)))]
async fn user_consumption(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(user): Path<Name>,
    Query(query): Query<DatesQuery>,
) -> Result<Reply<UserConsumption>, Problem> {
    let scope = caller.user_scope(None, Some(user.clone()))?;
    let span = span(query.start_date.as_deref(), query.end_date.as_deref())?;
    let point = point(&state, None)?;
    let (sequence, days) = usage(&state, &scope, span, Dimension::Tenant, point).await?;
    let totals = sum(days.values());
    let consumption = UserConsumption {
        id: user.as_str().to_owned(),
        total_tokens: totals.total_tokens,
        total_cost: totals.cost,
        request_count: totals.requests,
    };
    Ok(Reply::read(sequence, consumption))
}
