//! `/api/v1/holds`: may this call go ahead? Keeps money, quota and tokens free for it.

use axum::{extract::State, http::StatusCode};
use schemas::{Command, ExternalId, Money, Name, PlaceHold, ReleaseHold, Role, Sequence};
use serde::{Deserialize, Deserializer, de};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, as_of, fault, point, reading, submit},
    params::{Path, Query},
    problem::{ParameterSource, Problem},
};
use crate::{
    domain::{HoldRejection, Rejection},
    views::{AsOf, HoldView},
};

/// How long something is kept free when nobody says, in seconds.
const TTL_SECONDS: u32 = 600;
/// How many holds a page has when nobody says, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, place)).routes(routes!(get)).routes(routes!(release))
}

/// A call that is about to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = HoldRequest)]
struct Call {
    /// Who will pay; the caller's own when left out.
    #[schema(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Who will call: whose quota it draws. Whoever holds for one tenant alone draws on nothing of a
    /// user who has called for no tenant yet, and must name none of another tenant.
    #[schema(value_type = Option<String>)]
    user_id: Option<Name>,
    /// With which model.
    #[schema(value_type = Option<String>)]
    model: Option<Name>,
    /// The call: the id that its usage will be reported under.
    #[serde(deserialize_with = "external_id")]
    #[schema(value_type = String)]
    request_id: ExternalId,
    /// Input tokens that it will use at most.
    prompt_tokens: u64,
    /// Output tokens that it will use at most.
    max_tokens: u64,
    /// USD that it will cost at most; by the model's price when left out.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    amount: Option<Money>,
    /// How long to keep it free: 600 when left out, at most 86400.
    ttl_seconds: Option<u32>,
}

fn external_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExternalId, D::Error> {
    let text = String::deserialize(deserializer)?;
    ExternalId::try_from(text.as_str()).map_err(de::Error::custom)
}

/// Keeps free what a call may cost, draw and use; refused when there is no room for it.
///
/// The usage that is reported under the same organization and request id settles it. Asked again
/// while it is open, the same is answered.
#[utoipa::path(post, path = "/api/v1/holds", tag = "holds", request_body = Call,
    responses((status = 201, body = HoldView), (status = 200, body = HoldView)))]
async fn place(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(call): body::Json<Call>,
) -> Result<Reply<HoldView>, Problem> {
    let Call {
        organization_id,
        user_id,
        model,
        request_id,
        prompt_tokens,
        max_tokens,
        amount,
        ttl_seconds,
    } = call;
    let tenant = caller.one_tenant(organization_id, "organizationId", ParameterSource::Body)?;
    let within = Some(&tenant).filter(|_| caller.role != Role::Developer).cloned();
    let command = Command::PlaceHold(Box::new(PlaceHold {
        tenant,
        user: user_id,
        within,
        model,
        request_id,
        prompt_tokens,
        completion_tokens: max_tokens,
        amount,
        ttl_seconds: ttl_seconds.unwrap_or(TTL_SECONDS),
    }));
    let receipt = submit(&state, &caller, key, command).await?;
    let now = state.clock().now();
    let found = match receipt.recorded() {
        Some(recorded) => state.views().placed_hold(recorded, None, now),
        None => find(&state, receipt.sequence, None).await?,
    };
    let (_, hold) = found.ok_or_else(|| Problem::internal(&"a hold is not on record"))?;
    Ok(Reply::written(&receipt, hold))
}

/// A hold, open or ended.
#[utoipa::path(get, path = "/api/v1/holds/{hold}", tag = "holds",
    params(("hold" = u64, Path, description = "Its id")),
    responses((status = 200, body = HoldView)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(hold): Path<u64>,
) -> Result<Reply<HoldView>, Problem> {
    let tenant = caller.tenant_scope(None)?.tenant;
    let found = find(&state, Sequence::new(hold), tenant).await?;
    let (sequence, hold) = found.ok_or_else(no_such_hold)?;
    Ok(Reply::read(sequence, hold))
}

/// Lets go what was kept free: there will be no call. One that has ended stays as it is.
#[utoipa::path(post, path = "/api/v1/holds/{hold}/release", tag = "holds",
    params(("hold" = u64, Path, description = "Its id")),
    responses((status = 200, body = HoldView)))]
async fn release(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(hold): Path<u64>,
) -> Result<Reply<HoldView>, Problem> {
    let hold = Sequence::new(hold);
    let tenant = caller.tenant_scope(None)?.tenant;
    find(&state, hold, tenant.clone()).await?.ok_or_else(no_such_hold)?;
    let command = Command::ReleaseHold(ReleaseHold { hold, tenant: tenant.clone() });
    let receipt = submit(&state, &caller, key, command).await?;
    let (sequence, released) = find(&state, hold, tenant).await?.ok_or_else(no_such_hold)?;
    let reply = Reply::written(&receipt, released).with_status(StatusCode::OK);
    Ok(reply.or_at(sequence))
}

/// Whose holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of", rename = "as_of")]
    #[param(value_type = Option<String>, rename = "as_of")]
    as_of: Option<AsOf>,
    /// Only those after this one: the `x-next-cursor` of the page before.
    after: Option<u64>,
    /// How many at most: 1 to 1000; 100 when left out.
    limit: Option<usize>,
}

/// The open holds of a tenant, the oldest first, now or as of any moment.
///
/// A page that is not the last one says in `x-next-cursor` where to go on.
#[utoipa::path(get, path = "/api/v1/holds", tag = "holds",
    params(ListQuery), responses((status = 200, body = [HoldView])))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<ListQuery>,
) -> Result<Reply<Vec<HoldView>>, Problem> {
    let name =
        caller.one_tenant(query.organization_id, "organizationId", ParameterSource::Query)?;
    let tenant = state.views().look(|reading| reading.books.names.find(name.as_str()));
    let tenant = tenant.ok_or_else(|| Problem::not_found("organization"))?;
    let after = Sequence::new(query.after.unwrap_or(0));
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(fault("limit", "must be 1 to 1000", ParameterSource::Query));
    }
    let point = point(&state, query.as_of)?;
    let (sequence, holds, next) = if point.is_now {
        state.views().open_holds(tenant, after, limit, &point)?
    } else {
        let views = state.views().clone();
        reading(move || views.open_holds(tenant, after, limit, &point)).await?
    };
    Ok(Reply::read(sequence, holds).with_next(next))
}

async fn find(
    state: &AppState,
    hold: Sequence,
    tenant: Option<Name>,
) -> Result<Option<(Sequence, HoldView)>, Problem> {
    let (views, now) = (state.views().clone(), state.clock().now());
    reading(move || views.hold(hold, tenant.as_ref(), now)).await
}

fn no_such_hold() -> Problem {
    Rejection::from(HoldRejection::NoSuchHold).into()
}
