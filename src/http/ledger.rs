//! What the routes of the ledger share: reading at a position and saying which, handing commands in
//! and turning what the writer answers into answers.

use std::borrow::Cow;
use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use replay::ReadError;
use schemas::{Command, Envelope, Name, Role, Sequence, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

use super::{
    AppState,
    auth::Caller,
    problem::{InvalidParameter, Kind, ParameterSource, Problem},
};
use crate::{
    domain::{Blame, Rejection},
    reports::ReportError,
    views::{AsOf, AsOfError, Point},
    writer::{Outcome, Receipt, SubmitError},
};

/// Says which event an answer reflects.
pub(super) const SEQUENCE: HeaderName = HeaderName::from_static("x-ledger-sequence");
/// Asks for an answer that reflects at least this event.
const MIN_SEQUENCE: HeaderName = HeaderName::from_static("x-ledger-min-sequence");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_HIT: HeaderName = HeaderName::from_static("idempotency-hit");
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long a reader waits for the event it asks for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A JSON answer that says which event it reflects.
#[derive(Debug)]
pub(super) struct Reply<T> {
    status: StatusCode,
    sequence: Sequence,
    headers: HeaderMap,
    body: T,
}

impl<T> Reply<T> {
    /// What was read at a position.
    pub(super) fn read(sequence: Sequence, body: T) -> Self {
        Self { status: StatusCode::OK, sequence, headers: HeaderMap::new(), body }
    }

    /// What a command led to: created, or there already.
    pub(super) fn written(receipt: &Receipt, body: T) -> Self {
        let mut reply = Self::read(receipt.sequence, body);
        match receipt.outcome {
            Outcome::Recorded => reply.status = StatusCode::CREATED,
            Outcome::AlreadyRecorded => {
                reply.headers.insert(IDEMPOTENCY_HIT, HeaderValue::from_static("true"));
            }
            Outcome::Nothing => {}
        }
        reply
    }

    /// The same with another body.
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Reply<U> {
        let Self { status, sequence, headers, body } = self;
        Reply { status, sequence, headers, body: map(body) }
    }

    /// The same, to be kept by nobody on its way.
    pub(super) fn without_store(mut self) -> Self {
        self.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self
    }

    /// The same, reflecting another event.
    pub(super) fn at(self, sequence: Sequence) -> Self {
        Self { sequence, ..self }
    }

    /// The same; of a command that had nothing to do, reflecting this event.
    pub(super) fn or_at(self, sequence: Sequence) -> Self {
        if self.sequence == Sequence::ZERO { self.at(sequence) } else { self }
    }

    /// The same with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same, telling where the next page begins.
    pub(super) fn with_next(mut self, next: Option<Sequence>) -> Self {
        if let Some(next) = next {
            self.headers.insert("x-next-cursor", HeaderValue::from(next.get()));
        }
        self
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let Self { status, sequence, mut headers, body } = self;
        let body = match serde_json::to_vec(&body) {
            Ok(body) => body,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        headers.insert(SEQUENCE, HeaderValue::from(sequence.get()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (status, headers, body).into_response()
    }
}

/// Makes sure that the reader sees at least the event it asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtLeast;

impl FromRequestParts<AppState> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(MIN_SEQUENCE) else { return Ok(Self) };
        let wanted = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            fault(MIN_SEQUENCE.as_str(), "must be a sequence", ParameterSource::Header)
        })?;
        if state.views().reach(Sequence::new(wanted), PATIENCE).await {
            return Ok(Self);
        }
        let detail = format!("event {wanted} is not recorded yet");
        Err(Problem::new(Kind::Unavailable, "not_reached", detail).with_retry_after(1))
    }
}

/// The sender's own key for a command, when it gives one.
#[derive(Debug, Clone)]
pub(super) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// For a command that is the same however often it comes.
    pub(super) const NONE: Self = Self(None);

    /// The same key, or one that nobody repeats.
    pub(super) fn or_new(self) -> Self {
        Self(Some(self.0.unwrap_or_else(|| Uuid::now_v7().to_string())))
    }

    /// As the sender gave it.
    pub(super) fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let key = value.to_str().unwrap_or_default();
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            let reason = "must be 1 to 255 visible characters";
            return Err(fault("Idempotency-Key", reason, ParameterSource::Header));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// Hands a command of `caller` in. Without a key of the sender's it is recognised by nothing, but for
/// what it asks for.
pub(super) async fn submit(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    command: Command,
) -> Result<Receipt, Problem> {
    Ok(offer(state, caller, key, command).await?)
}

/// As [`submit`], for whoever has an answer of their own to a refusal.
pub(super) async fn offer(
    state: &AppState,
    caller: &Caller,
    IdempotencyKey(key): IdempotencyKey,
    command: Command,
) -> Result<Receipt, SubmitError> {
    let envelope = Envelope::new(caller.actor.clone(), command);
    let envelope = match key {
        Some(key) => envelope.with_key(&key_scope(caller), &key),
        None => envelope,
    };
    state.writer().submit(envelope).await
}

/// Whose keys are told apart from whose: developers' by tenant, everyone else's by who they are. A
/// name has no control characters, so that the two never meet.
pub(super) fn key_scope(caller: &Caller) -> Cow<'_, str> {
    let tenant = caller.tenant.as_ref().map_or("", Name::as_str);
    match caller.role {
        Role::Developer => tenant.into(),
        Role::TenantAdmin | Role::TenantUser => {
            format!("{tenant}\u{1f}{}\u{1f}{}", caller.role.as_str(), caller.actor).into()
        }
    }
}

/// `as_of` in a query: RFC 3339, or a sequence.
pub(super) fn as_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AsOf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if let Ok(sequence) = text.parse() {
        return Ok(Some(AsOf::Sequence(Sequence::new(sequence))));
    }
    match Timestamp::parse(&text) {
        Ok(moment) => Ok(Some(AsOf::Time(moment))),
        Err(_) => Err(de::Error::custom("must be an RFC 3339 time or a sequence")),
    }
}

/// The point of the log that a query asks for.
pub(super) fn point(state: &AppState, as_of: Option<AsOf>) -> Result<Point, Problem> {
    let point = state.views().point(as_of, state.clock().now());
    point.map_err(|error| match error {
        AsOfError::Future { .. } => fault("as_of", error.to_string(), ParameterSource::Query),
        AsOfError::Read(error) => Problem::from(error),
    })
}

/// Reads out of the log, on a thread where that may take its time.
pub(super) async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(read).await {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => Err(Problem::internal(&panic)),
    }
}

/// A parameter with a wrong value.
pub(super) fn fault(
    field: impl Into<String>,
    reason: impl Into<String>,
    source: ParameterSource,
) -> Problem {
    Problem::invalid(InvalidParameter {
        field: field.into(),
        rule: "value",
        reason: reason.into(),
        source,
    })
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::internal(&format_args!("{:#}", anyhow::Error::from(error)))
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(rejection) => Self::from(rejection),
            SubmitError::Busy => Self::busy(),
            SubmitError::Stopped => {
                Self::new(Kind::Unavailable, "stopped", error.to_string()).with_retry_after(5)
            }
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let kind = match rejection.blame() {
            Blame::Command => Kind::Invalid,
            Blame::Missing => Kind::NotFound,
            Blame::State => Kind::Conflict,
            Blame::Key => Kind::Unprocessable,
            Blame::Operator => Kind::Unavailable,
            Blame::Funds => Kind::PaymentRequired,
            Blame::Limit => Kind::TooManyRequests,
            Blame::Status => Kind::Forbidden,
        };
        let problem = Self::new(kind, rejection.code(), rejection.to_string());
        let problem = match rejection.retry_after() {
            Some(seconds) => problem.with_retry_after(seconds),
            None => problem,
        };
        let Some(field) = rejection.field() else { return problem };
        let source = match rejection {
            Rejection::KeyReused => ParameterSource::Header,
            _ => ParameterSource::Body,
        };
        problem.with_parameters(vec![InvalidParameter {
            field: field.into_owned(),
            rule: "value",
            reason: rejection.to_string(),
            source,
        }])
    }
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        let field = if error.field.is_empty() { "body".to_owned() } else { error.field };
        let detail = format!("`{field}` {}", error.reason);
        let code = error.code.as_str();
        Self::new(Kind::Invalid, code, detail).with_parameters(vec![InvalidParameter {
            field,
            rule: code,
            reason: error.reason,
            source: ParameterSource::Body,
        }])
    }
}
