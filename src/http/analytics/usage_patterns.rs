//! `GET /api/v1/analytics/usage-patterns/…`: when, with what and by whom calls are made.

use axum::extract::State;
use projections::usage::Totals;
use schemas::{Money, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{SpanQuery, both_or_none, scope_of};
use crate::{
    http::{
        AppState,
        auth::Caller,
        consumption::look,
        ledger::{AtLeast, Reply},
        params::Query,
        problem::Problem,
    },
    views::{Dimension, Used, UserActivity},
};

const USERS_MAX: usize = 20;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(peak_times))
        .routes(routes!(day_of_week))
        .routes(routes!(assistant_type))
        .routes(routes!(user_activity))
}

/// One line of a pattern by number.
#[derive(Debug, Serialize, ToSchema)]
struct NumberedUsage {
    /// The hour, 0 to 23, or the day of the week, 1 (Sunday) to 7.
    #[serde(rename = "_id")]
    id: u8,
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
    /// Calls.
    count: u64,
}

impl From<(u8, Totals)> for NumberedUsage {
    fn from((id, totals): (u8, Totals)) -> Self {
        Self { id, tokens: totals.total_tokens, cost: totals.cost, count: totals.requests }
    }
}

/// Usage by the hour of the day on the clock of whoever pays; only hours with calls.
#[utoipa::path(get, path = "/api/v1/analytics/usage-patterns/peak-times", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [NumberedUsage])))]
async fn peak_times(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<NumberedUsage>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let (sequence, hours) = look(&state, &scope, span, Used::by_hour).await?;
    Ok(Reply::read(sequence, hours.into_iter().map(NumberedUsage::from).collect()))
}

/// Usage by the day of the week, 1 (Sunday) to 7; only days with calls.
#[utoipa::path(get, path = "/api/v1/analytics/usage-patterns/day-of-week", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [NumberedUsage])))]
async fn day_of_week(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<NumberedUsage>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let (sequence, days) = look(&state, &scope, span, Used::by_day_of_week).await?;
    Ok(Reply::read(sequence, days.into_iter().map(NumberedUsage::from).collect()))
}

/// One line of a pattern by name.
#[derive(Debug, Serialize, ToSchema)]
struct NamedUsage {
    /// The kind of assistant; empty for calls that named none.
    #[serde(rename = "_id")]
    id: String,
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
    /// Calls.
    count: u64,
}

/// Usage by kind of assistant, the most tokens first.
#[utoipa::path(get, path = "/api/v1/analytics/usage-patterns/assistant-type", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [NamedUsage])))]
async fn assistant_type(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<NamedUsage>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let (sequence, kinds) =
        look(&state, &scope, span, |used| used.by_name(Dimension::Assistant)).await?;
    let view = |(id, totals): (String, Totals)| NamedUsage {
        id,
        tokens: totals.total_tokens,
        cost: totals.cost,
        count: totals.requests,
    };
    Ok(Reply::read(sequence, kinds.into_iter().map(view).collect()))
}

/// A user's usage.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActiveUser {
    /// The user.
    #[serde(rename = "_id")]
    id: String,
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
    /// Calls.
    count: u64,
    /// When the last of them was complete.
    #[schema(value_type = String, format = DateTime)]
    last_active: Timestamp,
}

/// The twenty users who used the most tokens.
#[utoipa::path(get, path = "/api/v1/analytics/usage-patterns/user-activity", tag = "analytics",
    params(SpanQuery), responses((status = 200, body = [ActiveUser])))]
async fn user_activity(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<SpanQuery>,
) -> Result<Reply<Vec<ActiveUser>>, Problem> {
    let scope = scope_of(&caller, &query)?;
    let span = both_or_none(query.start_date.as_deref(), query.end_date.as_deref())?;
    let (sequence, users) = look(&state, &scope, span, |used| used.top_users(USERS_MAX)).await?;
    let view = |UserActivity { user, active }| ActiveUser {
        id: user,
        tokens: active.totals.total_tokens,
        cost: active.totals.cost,
        count: active.totals.requests,
        last_active: active.last,
    };
    Ok(Reply::read(sequence, users.into_iter().map(view).collect()))
}
