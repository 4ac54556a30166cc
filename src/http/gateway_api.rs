//! `/v1/chat/completions/quota…`: the admin API of an AI gateway, as its plugins and managers speak
//! it, answered out of the ledger. A counter that is moved is a recharge, a withdrawal, a draw or a
//! refund of lots.

use axum::{
    body::Bytes,
    extract::{FromRequest, RawQuery, Request, State},
    http::{HeaderMap, StatusCode, header},
};
use schemas::{Command, Counter, Credits, Move, MoveCounter, Name, Sequence};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    ledger::{AtLeast, IdempotencyKey, Reply, point, submit},
    problem::{InvalidParameter, Kind, ParameterSource, Problem},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(total))
        .routes(routes!(refresh_total))
        .routes(routes!(move_total))
        .routes(routes!(used))
        .routes(routes!(refresh_used))
        .routes(routes!(move_used))
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
    params(("user_id" = Option<String>, Query), ("consumer" = Option<String>, Query)),
    responses((status = 200, body = Standing)))]
async fn total(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    RawQuery(query): RawQuery,
) -> Result<Reply<Standing>, Problem> {
    read(&state, &caller, query.as_deref(), Counter::Total)
}

/// What a user has used of it, and beyond.
#[utoipa::path(get, path = "/v1/chat/completions/quota/used", tag = "gateway",
    params(("user_id" = Option<String>, Query), ("consumer" = Option<String>, Query)),
    responses((status = 200, body = Standing)))]
async fn used(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    RawQuery(query): RawQuery,
) -> Result<Reply<Standing>, Problem> {
    read(&state, &caller, query.as_deref(), Counter::Used)
}

/// Sets what a user was given: the difference is a recharge, or is taken back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/refresh", tag = "gateway",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Refreshed)))]
async fn refresh_total(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    form: Form,
) -> Result<Reply<Refreshed>, Problem> {
    refresh(&state, &caller, key, &form, Counter::Total, "quota refreshed").await
}

/// Sets what a user has used: the difference is drawn from lots, or given back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/used/refresh", tag = "gateway",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Refreshed)))]
async fn refresh_used(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    form: Form,
) -> Result<Reply<Refreshed>, Problem> {
    refresh(&state, &caller, key, &form, Counter::Used, "used quota refreshed").await
}

/// Adds to what a user was given, or takes back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/delta", tag = "gateway",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Moved)))]
async fn move_total(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    form: Form,
) -> Result<Reply<Moved>, Problem> {
    by_delta(&state, &caller, key, &form, Counter::Total, "quota updated").await
}

/// A consumption of so many credits, drawn from lots; below zero, given back.
#[utoipa::path(post, path = "/v1/chat/completions/quota/used/delta", tag = "gateway",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Moved)))]
async fn move_used(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    form: Form,
) -> Result<Reply<Moved>, Problem> {
    by_delta(&state, &caller, key, &form, Counter::Used, "used quota updated").await
}

fn read(
    state: &AppState,
    caller: &Caller,
    query: Option<&str>,
    counter: Counter,
) -> Result<Reply<Standing>, Problem> {
    caller.require_developer()?;
    let user = Fields::of_pairs(query.unwrap_or_default().as_bytes()).user()?;
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
    form: &Form,
    counter: Counter,
    message: &'static str,
) -> Result<Reply<Refreshed>, Problem> {
    caller.require_developer()?;
    let (user, to) = (form.0.user()?, form.0.amount("quota")?);
    let reply = moved(state, caller, key, &user, counter, Move::To(to)).await?;
    let name = user.as_str().to_owned();
    Ok(reply.map(|quota| Refreshed { message, consumer: name.clone(), user_id: name, quota }))
}

async fn by_delta(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    form: &Form,
    counter: Counter,
    message: &'static str,
) -> Result<Reply<Moved>, Problem> {
    caller.require_developer()?;
    let (user, delta) = (form.0.user()?, form.0.amount("value")?);
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

/// What a gateway sends, by name.
#[derive(Debug, Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of_pairs(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Texts and numbers of an object.
    fn of_json(body: &[u8]) -> Result<Self, Problem> {
        let fields: serde_json::Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| refusal("body", &error.to_string()))?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self(fields.into_iter().map(|(name, value)| (name, text(value))).collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, value)| field == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn user(&self) -> Result<Name, Problem> {
        let text = self
            .get("user_id")
            .or_else(|| self.get("consumer"))
            .ok_or_else(|| refusal("user_id", "can't be empty"))?;
        Name::try_from(text).map_err(|error| refusal("user_id", &error.to_string()))
    }

    fn amount(&self, name: &'static str) -> Result<Credits, Problem> {
        let text =
            self.get(name).ok_or_else(|| refusal(name, "must be a number, and is missing"))?;
        Credits::parse(text).map_err(|error| refusal(name, &format!("must be a number: {error}")))
    }
}

/// A form, or a JSON object, and what the query says besides.
#[derive(Debug)]
struct Form(Fields);

impl FromRequest<AppState> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let query = request.uri().query().unwrap_or_default().as_bytes().to_vec();
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| refusal("body", &error.body_text()))?;
        let mut fields = if is_json { Fields::of_json(&body)? } else { Fields::of_pairs(&body) };
        fields.0.extend(Fields::of_pairs(&query).0);
        Ok(Self(fields))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| media_type.starts_with("application/json"))
}

fn refusal(field: &'static str, reason: &str) -> Problem {
    let detail = format!("Request denied by ai quota check. {field} {reason}");
    Problem::new(Kind::Invalid, "ai-quota.invalid_params", detail).with_parameters(vec![
        InvalidParameter {
            field: field.to_owned(),
            rule: "value",
            reason: reason.to_owned(),
            source: ParameterSource::Body,
        },
    ])
}
