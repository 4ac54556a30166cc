//! `/api/v1/organization/{tenant}/consumption-limits`: how much a tenant may use, and what of it is
//! used and held now.

use axum::{extract::State, http::StatusCode};
use schemas::{
    Change, Command, ConsumptionLimits, Day, LimitChanges, Name, SetConsumptionLimits, TenantId,
    UserId, Zone,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Rejection, TenantRejection},
    http::{
        AppState,
        auth::Caller,
        body,
        changes::value,
        ledger::{AtLeast, IdempotencyKey, Reply, fault, submit},
        params::{Path, Query},
        problem::{ParameterSource, Problem},
    },
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, set))
}

/// How many tokens a tenant may use. What is left out stays as it is; 0 and `null`: no limit.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = ConsumptionLimitChanges)]
pub(in crate::http) struct Limits {
    /// In a month of the tenant's.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<u64>)]
    monthly_limit: Change<u64>,
    /// In a day of the tenant's.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<u64>)]
    daily_limit: Change<u64>,
    /// Each of its users, in a month of the tenant's.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<u64>)]
    per_user_limit: Change<u64>,
}

impl Limits {
    /// As a command has them.
    pub(in crate::http) const fn changes(&self) -> LimitChanges {
        let Self { monthly_limit, daily_limit, per_user_limit } = *self;
        LimitChanges { monthly: monthly_limit, daily: daily_limit, per_user: per_user_limit }
    }
}

/// How many tokens a tenant may use; 0: no limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumptionLimits)]
pub(in crate::http) struct LimitsView {
    /// In a month of the tenant's.
    monthly_limit: u64,
    /// In a day of the tenant's.
    daily_limit: u64,
    /// Each of its users, in a month of the tenant's.
    per_user_limit: u64,
}

impl From<ConsumptionLimits> for LimitsView {
    fn from(limits: ConsumptionLimits) -> Self {
        let ConsumptionLimits { monthly, daily, per_user } = limits;
        Self { monthly_limit: monthly, daily_limit: daily, per_user_limit: per_user }
    }
}

/// Limits, and what counts towards them now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumptionLimitsNow)]
struct LimitsNow {
    /// The limits.
    #[serde(flatten)]
    limits: LimitsView,
    /// Tokens used this month.
    monthly_used: u64,
    /// Tokens used today.
    daily_used: u64,
    /// Tokens that open holds keep free: they count towards both.
    held: u64,
    /// The user that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserNow>,
    /// The first day of this month, on the tenant's clocks.
    #[schema(value_type = String)]
    month: Day,
    /// Today, on the tenant's clocks.
    #[schema(value_type = String)]
    day: Day,
    /// Whose clocks.
    #[schema(value_type = String)]
    time_zone: Zone,
}

/// What counts towards the limit of a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumptionLimitOfUser)]
struct UserNow {
    /// The user.
    user_id: String,
    /// Tokens used this month.
    monthly_used: u64,
    /// Tokens that open holds keep free.
    held: u64,
}

/// Whose part of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct LimitsQuery {
    /// Also what this user has used of the limit of each.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
}

/// How many tokens a tenant may use, and what of it is used and held now.
#[utoipa::path(get, path = "/api/v1/organization/{tenant}/consumption-limits",
    tag = "organization",
    params(("tenant" = String, Path, description = "Its id"), LimitsQuery),
    responses((status = 200, body = LimitsNow)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(name): Path<Name>,
    Query(query): Query<LimitsQuery>,
) -> Result<Reply<LimitsNow>, Problem> {
    let name = caller.one_tenant(Some(name), "tenant", ParameterSource::Path)?;
    let now = state.clock().now();
    let (sequence, limits) = state.views().look_now(|reading| {
        let books = &reading.books;
        let tenant: TenantId = books.names.find(name.as_str())?;
        let terms = books.tenants.terms(tenant);
        let day = now.day_in(terms.zone.now().0);
        let month = day.first_of_month();
        let user = query.user_id.map(|user_id| {
            let user: Option<UserId> = books.names.find(user_id.as_str());
            let used = |user| books.limit_usage.user_month(tenant, user, month);
            let held = |user| books.holds.held_user_tokens(tenant, user, now);
            UserNow {
                user_id: user_id.as_str().to_owned(),
                monthly_used: user.map_or(0, used),
                held: user.map_or(0, held),
            }
        });
        Some(LimitsNow {
            limits: LimitsView::from(terms.limits),
            monthly_used: books.limit_usage.month(tenant, month),
            daily_used: books.limit_usage.day(tenant, day),
            held: books.holds.held_tokens(tenant, now),
            user,
            month,
            day,
            time_zone: terms.zone.now(),
        })
    });
    let missing = || Problem::from(Rejection::from(TenantRejection::NoSuchOrganization));
    Ok(Reply::read(sequence, limits.ok_or_else(missing)?))
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UpdatedLimits)]
struct Done {
    /// In words.
    message: &'static str,
}

/// Sets how many tokens a tenant may use. New holds keep to it.
#[utoipa::path(put, path = "/api/v1/organization/{tenant}/consumption-limits",
    tag = "organization", params(("tenant" = String, Path, description = "Its id")),
    request_body = Limits, responses((status = 200, body = Done)))]
async fn set(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(name): Path<Name>,
    body::Json(limits): body::Json<Limits>,
) -> Result<Reply<Done>, Problem> {
    let tenant = caller.one_tenant(Some(name), "tenant", ParameterSource::Path)?;
    if limits == Limits::default() {
        return Err(fault("body", "must name at least one limit", ParameterSource::Body));
    }
    let limits = limits.changes();
    let command = Command::SetConsumptionLimits(SetConsumptionLimits { tenant, limits });
    let receipt = submit(&state, &caller, key, command).await?;
    let reply = Reply::written(&receipt, Done { message: "Consumption limits updated" });
    Ok(reply.with_status(StatusCode::OK).or_at(state.views().head()))
}
