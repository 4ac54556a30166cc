//! `/v1/chat/completions/quota…`: the admin API of an AI gateway, as its plugins and managers speak
//! it, answered out of the ledger. A counter that is moved is a recharge, a withdrawal, a draw or a
//! refund of lots.

use axum::{
    extract::{FromRequest, FromRequestParts, Request, State},
    http::{StatusCode, header, request::Parts},
};
use schemas::{Command, Counter, Credits, Move, MoveCounter, Name, Sequence};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, fault, point, submit},
    params,
    problem::{Kind, ParameterSource, Problem},
};

const FORM: &str = "application/x-www-form-urlencoded";
/// What every refusal to a gateway begins with.
const DENIED: &str = "Request denied by ai quota check.";

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(total))
        .routes(routes!(refresh_total))
        .routes(routes!(move_total))
        .routes(routes!(used))
        .routes(routes!(refresh_used))
        .routes(routes!(move_used))
}

/// Whose counter is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// Whose it is.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// The same, as other gateways call it; one of the two must be there.
    #[param(value_type = Option<String>)]
    consumer: Option<Name>,
}

/// A counter to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    user_id: Option<Name>,
    /// The same, as other gateways call it; one of the two must be there.
    #[schema(value_type = Option<String>)]
    consumer: Option<Name>,
    /// Where it is to stand, not below zero, with at most 6 decimals.
    #[schema(value_type = f64)]
    quota: Credits,
}

/// A counter to be moved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Delta {
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    user_id: Option<Name>,
    /// The same, as other gateways call it; one of the two must be there.
    #[schema(value_type = Option<String>)]
    consumer: Option<Name>,
    /// By how much, up or down, with at most 6 decimals.
    #[serde(deserialize_with = "signed")]
    #[schema(value_type = f64)]
    value: Credits,
}

/// An amount that may have a plus in front, which forms often turn into a space.
fn signed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Credits, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    let text = raw.trim_matches('"').trim_start();
    Credits::parse(text.strip_prefix('+').unwrap_or(text)).map_err(de::Error::custom)
}

/// Where a counter stands.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
    /// Where it stands.
    #[schema(value_type = f64)]
    quota: Credits,
    /// Whose it is.
    user_id: String,
    /// The same, as other gateways call it.
    consumer: String,
    /// `total_quota` or `used_quota`.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// A counter that was set.
#[derive(Debug, Serialize, ToSchema)]
struct Refreshed {
    message: &'static str,
    user_id: String,
    consumer: String,
    /// Where it stands now.
    #[schema(value_type = f64)]
    quota: Credits,
}

/// A counter that was moved.
#[derive(Debug, Serialize, ToSchema)]
struct Moved {
    message: &'static str,
    user_id: String,
    consumer: String,
    /// By how much.
    #[schema(value_type = f64)]
    delta: Credits,
    /// Where the total stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    new_quota: Option<Credits>,
    /// Where what was used stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    new_used: Option<Credits>,
}

/// What a user was given, of what has not expired.
#[utoipa::path(get, path = "/v1/chat/completions/quota", tag = "gateway",
    params(Whose), responses((status = 200, body = Standing)))]
async fn total(
    State(state): State<AppState>,
    _: AtLeast,
    Query(whose): Query,
) -> Result<Reply<Standing>, Problem> {
    read(&state, whose, Counter::Total)
}

/// What a user has used of it, and beyond.
#[utoipa::path(get, path = "/v1/chat/completions/quota/used", tag = "gateway",
    params(Whose), responses((status = 200, body = Standing)))]
async fn used(
    State(state): State<AppState>,
    _: AtLeast,
    Query(whose): Query,
) -> Result<Reply<Standing>, Problem> {
    read(&state, whose, Counter::Used)
}

/// Sets what a user was given: the difference is a recharge, or is taken back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/refresh", tag = "gateway",
    request_body(content((Refresh = "application/x-www-form-urlencoded"), (Refresh = "application/json"))),
    responses((status = 200, body = Refreshed)))]
async fn refresh_total(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Form(form): Form<Refresh>,
) -> Result<Reply<Refreshed>, Problem> {
    refresh(&state, &caller, key, form, Counter::Total, "quota refreshed").await
}

/// Sets what a user has used: the difference is drawn from lots, or given back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/used/refresh", tag = "gateway",
    request_body(content((Refresh = "application/x-www-form-urlencoded"), (Refresh = "application/json"))),
    responses((status = 200, body = Refreshed)))]
async fn refresh_used(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Form(form): Form<Refresh>,
) -> Result<Reply<Refreshed>, Problem> {
    refresh(&state, &caller, key, form, Counter::Used, "used quota refreshed").await
}

/// Adds to what a user was given, or takes back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/delta", tag = "gateway",
    request_body(content((Delta = "application/x-www-form-urlencoded"), (Delta = "application/json"))),
    responses((status = 200, body = Moved)))]
async fn move_total(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Form(form): Form<Delta>,
) -> Result<Reply<Moved>, Problem> {
    by_delta(&state, &caller, key, form, Counter::Total, "quota updated").await
}

/// A consumption of so many credits, drawn from lots; below zero, given back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/used/delta", tag = "gateway",
    request_body(content((Delta = "application/x-www-form-urlencoded"), (Delta = "application/json"))),
    responses((status = 200, body = Moved)))]
async fn move_used(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Form(form): Form<Delta>,
) -> Result<Reply<Moved>, Problem> {
    by_delta(&state, &caller, key, form, Counter::Used, "used quota updated").await
}

fn read(
    state: &AppState,
    Whose { user_id, consumer }: Whose,
    counter: Counter,
) -> Result<Reply<Standing>, Problem> {
    let user = one_user(user_id, consumer, ParameterSource::Query)?;
    let (sequence, quota) = stands(state, &user, counter)?;
    let kind = match counter {
        Counter::Total => "total_quota",
        Counter::Used => "used_quota",
    };
    let name = user.as_str().to_owned();
    Ok(Reply::read(sequence, Standing { quota, consumer: name.clone(), user_id: name, kind }))
}

async fn refresh(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    Refresh { user_id, consumer, quota: to }: Refresh,
    counter: Counter,
    message: &'static str,
) -> Result<Reply<Refreshed>, Problem> {
    let user = one_user(user_id, consumer, ParameterSource::Body)?;
    let reply = moved(state, caller, key, &user, counter, Move::To(to)).await?;
    let name = user.as_str().to_owned();
    Ok(reply.map(|quota| Refreshed { message, consumer: name.clone(), user_id: name, quota }))
}

async fn by_delta(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    Delta { user_id, consumer, value: delta }: Delta,
    counter: Counter,
    message: &'static str,
) -> Result<Reply<Moved>, Problem> {
    let user = one_user(user_id, consumer, ParameterSource::Body)?;
    let reply = moved(state, caller, key, &user, counter, Move::By(delta)).await?;
    let name = user.as_str().to_owned();
    Ok(reply.map(|stands| Moved {
        message,
        consumer: name.clone(),
        user_id: name,
        delta,
        new_quota: (counter == Counter::Total).then_some(stands),
        new_used: (counter == Counter::Used).then_some(stands),
    }))
}

/// Moves a counter, and tells where it stands then.
async fn moved(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    user: &Name,
    counter: Counter,
    movement: Move,
) -> Result<Reply<Credits>, Problem> {
    let command = MoveCounter { user: user.clone(), counter, movement };
    let receipt = submit(state, caller, key, Command::MoveCounter(command)).await?;
    let (sequence, stands) = stands(state, user, counter)?;
    Ok(Reply::written(&receipt, stands).with_status(StatusCode::OK).at(sequence))
}

/// Where a counter stands, and as of which event. A user that nobody has spoken of has nothing.
fn stands(state: &AppState, user: &Name, counter: Counter) -> Result<(Sequence, Credits), Problem> {
    let now = point(state, None)?.moment;
    Ok(state.views().look_now(|reading| {
        let Some(user) = reading.books.names.find(user.as_str()) else { return Credits::ZERO };
        let account = reading.books.quota.account(user);
        match counter {
            Counter::Total => account.total_at(now),
            Counter::Used => account.used_at(now),
        }
    }))
}

/// A caller who may not, in the words that gateways have for it.
pub(super) fn unauthorized(problem: &Problem) -> Problem {
    let detail = format!("{DENIED} Unauthorized admin operation.");
    Problem::new(problem.kind(), "ai-quota.unauthorized", detail)
}

/// The user that a request names under either name.
fn one_user(
    user_id: Option<Name>,
    consumer: Option<Name>,
    source: ParameterSource,
) -> Result<Name, Problem> {
    match (user_id, consumer) {
        (Some(user_id), Some(consumer)) if user_id != consumer => {
            Err(denied(&fault("consumer", "is another user than `user_id`", source)))
        }
        (Some(user), _) | (None, Some(user)) => Ok(user),
        (None, None) => Err(denied(&fault("user_id", "is missing", source))),
    }
}

/// A faulty request, in the words that gateways have for it. Other problems stay what they are.
fn denied(problem: &Problem) -> Problem {
    if problem.kind() != Kind::Invalid {
        return problem.clone();
    }
    let detail = format!("{DENIED} {}", problem.detail());
    Problem::new(Kind::Invalid, "ai-quota.invalid_params", detail)
        .with_parameters(problem.parameters().to_vec())
}

/// Whose counter is read, out of the query.
#[derive(Debug)]
struct Query(Whose);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = params::Query::from_request_parts(parts, state).await;
        read.map(|params::Query(whose)| Self(whose)).map_err(|problem| denied(&problem))
    }
}

/// The fields of a form, or of a JSON object. A body that does not say what it is is a form.
#[derive(Debug)]
struct Form<T>(T);

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let bytes_max = state.limits().body_bytes_max;
        let is_form = request.headers().get(header::CONTENT_TYPE).is_none_or(|kind| {
            let kind = kind.to_str().unwrap_or_default();
            kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
        });
        let read = if is_form {
            let bytes = body::read(request.into_body(), bytes_max).await?;
            params::parse_form(body::as_text(&bytes)?)
        } else {
            body::parse_object(&body::json_bytes(request, bytes_max).await?)
        };
        read.map(Self).map_err(|problem| denied(&problem))
    }
}
