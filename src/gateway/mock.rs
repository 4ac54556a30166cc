//! A gateway for tests and demonstrations: two counters a user, in memory, behind the paths that the
//! plugins serve. It answers as it should, or, when told so, as gateways do on a bad day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::client::Counter;

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 1 << 16;
/// Below it lie all operations.
const QUOTA: &str = "/v1/chat/completions/quota";

/// Which operations the gateway has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// All of them.
    #[default]
    Full,
    /// All but the one that sets what is used.
    NoUsedRefresh,
    /// None that knows what is used.
    NoUsed,
}

/// How a mock gateway is set up.
#[derive(Debug, Clone)]
pub struct MockConfig {
    /// Callers must show it in `header` or as `Authorization: Bearer`; absent: anyone may call.
    pub admin_key: Option<String>,
    /// The header that carries the key.
    pub header: HeaderName,
    /// Which operations there are.
    pub dialect: Dialect,
}

/// How requests are treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// As they should be.
    #[default]
    Ok,
    /// All are answered 503, and nothing is done.
    Down,
    /// All are answered 500, and nothing is done.
    Error,
    /// All wait. Whoever hangs up meanwhile is forgotten.
    Slow,
    /// Changes are made at once, and answered late.
    AnswerAfterTimeout,
    /// Changes are made late, even if the caller has hung up.
    ApplyLate,
}

impl Mode {
    /// Whether it is only about requests that change something.
    const fn is_about_changes(self) -> bool {
        matches!(self, Self::AnswerAfterTimeout | Self::ApplyLate)
    }
}

/// How the next requests are treated.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    mode: Mode,
    /// For the modes that wait.
    #[serde(default)]
    delay_ms: u64,
    /// How many requests; until the next order when left out.
    times: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Counters {
    quota: i64,
    used: i64,
}

#[derive(Debug, Default, Serialize)]
struct Book {
    counters: BTreeMap<String, Counters>,
    /// How many requests for an operation have come in.
    requests: u64,
    /// How many of them have changed a counter, or set it to what it was.
    changes: u64,
    #[serde(skip)]
    behaviour: Behaviour,
}

struct Shared {
    config: MockConfig,
    book: Mutex<Book>,
}

/// Serves a gateway on `listener` until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    config: MockConfig,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let shared = Arc::new(Shared { config, book: Mutex::default() });
    let router = Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/mock/behaviour", post(behave))
        .route("/mock/counters", get(counters))
        .fallback(operate)
        .with_state(shared);
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served.context("cannot serve HTTP"),
        () = stop.cancelled() => Ok(()),
    }
}

async fn behave(
    State(shared): State<Arc<Shared>>,
    Json(behaviour): Json<Behaviour>,
) -> Json<Value> {
    shared.book.lock().behaviour = behaviour;
    Json(json!({"message": "as you wish"}))
}

async fn counters(State(shared): State<Arc<Shared>>) -> Response {
    Json(&*shared.book.lock()).into_response()
}

/// What a gateway answers.
type Answer = (StatusCode, Value);

/// Treats a request as the present behaviour says.
async fn operate(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = body::to_bytes(Body::new(body), BODY_BYTES_MAX).await else {
        return answer(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"));
    };
    let Some((method, operation, counter)) = shared.find(head.uri.path()) else {
        return answer(refused(StatusCode::NOT_FOUND, "not found"));
    };
    if head.method != method {
        return answer(refused(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
    }
    let behaviour = shared.next_behaviour(operation);
    let delay = Duration::from_millis(behaviour.delay_ms);
    let act = move || {
        if !shared.knows(&head.headers) {
            return refused(StatusCode::UNAUTHORIZED, "invalid authorization");
        }
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let parameters = if operation == Operation::Read { query } else { &body };
        shared.book.lock().operate(operation, counter, &Parameters::read(parameters))
    };
    answer(match behaviour.mode {
        Mode::Ok => act(),
        Mode::Down => refused(StatusCode::SERVICE_UNAVAILABLE, "out of order"),
        Mode::Error => refused(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong"),
        Mode::Slow => {
            tokio::time::sleep(delay).await;
            act()
        }
        Mode::AnswerAfterTimeout => {
            let acted = act();
            tokio::time::sleep(delay).await;
            acted
        }
        Mode::ApplyLate => {
            // A task of its own: this one ends when the caller hangs up.
            let late = tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                act()
            });
            late.await.unwrap_or_else(|_| {
                refused(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
            })
        }
    })
}

fn answer((status, body): Answer) -> Response {
    (status, Json(body)).into_response()
}

fn refused(status: StatusCode, error: &str) -> Answer {
    (status, json!({"error": error}))
}

impl Shared {
    /// How a request is to be treated, which may be the last one like this.
    fn next_behaviour(&self, operation: Operation) -> Behaviour {
        let mut book = self.book.lock();
        book.requests += 1;
        let behaviour = book.behaviour;
        if behaviour.mode.is_about_changes() && operation == Operation::Read {
            return Behaviour::default();
        }
        match &mut book.behaviour.times {
            None => {}
            Some(0) => {
                book.behaviour = Behaviour::default();
                return Behaviour::default();
            }
            Some(times) => *times -= 1,
        }
        behaviour
    }

    /// What is done at a path, and by which method.
    fn find(&self, path: &str) -> Option<(Method, Operation, Counter)> {
        let path = path.strip_prefix(QUOTA)?;
        let (counter, verb) = match path.strip_prefix("/used") {
            Some(verb) => (Counter::Used, verb),
            None => (Counter::Total, path),
        };
        let (method, operation) = match verb {
            "" => (Method::GET, Operation::Read),
            "/refresh" => (Method::POST, Operation::Set),
            "/delta" => (Method::POST, Operation::Add),
            _ => return None,
        };
        let is_there = match self.config.dialect {
            Dialect::Full => true,
            Dialect::NoUsedRefresh => (counter, operation) != (Counter::Used, Operation::Set),
            Dialect::NoUsed => counter != Counter::Used,
        };
        is_there.then_some((method, operation, counter))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.config.admin_key else { return true };
        let bearer = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
        let bearer = bearer.and_then(|value| value.strip_prefix(b"Bearer "));
        let own = headers.get(&self.config.header).map(header::HeaderValue::as_bytes);
        [own, bearer].into_iter().flatten().any(|shown| shown.ct_eq(key.as_bytes()).into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Set,
    Add,
}

struct Parameters {
    user: String,
    quota: Option<String>,
    value: Option<String>,
}

impl Parameters {
    /// From a query string or a form. A user is called `user_id` or `consumer`.
    fn read(text: &[u8]) -> Self {
        let mut pairs: BTreeMap<String, String> =
            form_urlencoded::parse(text).into_owned().collect();
        let user = pairs.remove("user_id").filter(|user| !user.is_empty());
        let user = user.or_else(|| pairs.remove("consumer")).unwrap_or_default();
        Self { user, quota: pairs.remove("quota"), value: pairs.remove("value") }
    }
}

impl Counters {
    const fn of(&mut self, counter: Counter) -> &mut i64 {
        match counter {
            Counter::Total => &mut self.quota,
            Counter::Used => &mut self.used,
        }
    }
}

impl Book {
    fn operate(
        &mut self,
        operation: Operation,
        counter: Counter,
        parameters: &Parameters,
    ) -> Answer {
        let Parameters { user, quota, value } = parameters;
        let mut counters = self.counters.get(user).copied().unwrap_or_default();
        let held = counters.of(counter);
        let (number, required, invalid) = match operation {
            Operation::Read => (None, "consumer is required", ""),
            Operation::Set => {
                (quota.as_ref(), "consumer and quota are required", "invalid quota value")
            }
            Operation::Add => (value.as_ref(), "consumer and value are required", "invalid value"),
        };
        if user.is_empty() || operation != Operation::Read && number.is_none() {
            return refused(StatusCode::BAD_REQUEST, required);
        }
        let Some(number) = number else {
            return (StatusCode::OK, json!({"quota": *held, "consumer": user, "user_id": user}));
        };
        let number = number.parse::<i64>().ok();
        let new = match operation {
            Operation::Read | Operation::Set => number,
            Operation::Add => number.and_then(|number| held.checked_add(number)),
        };
        let (Some(number), Some(new)) = (number, new) else {
            return refused(StatusCode::BAD_REQUEST, invalid);
        };
        *held = new;
        self.changes += 1;
        self.counters.insert(user.clone(), counters);
        let (name, new_name) = match counter {
            Counter::Total => ("quota", "new_quota"),
            Counter::Used => ("used quota", "new_used"),
        };
        let body = if operation == Operation::Set {
            let message = format!("{name} refreshed");
            json!({"message": message, "consumer": user, "user_id": user, "quota": new})
        } else {
            let message = format!("{name} updated");
            json!({
                "message": message, "consumer": user, "user_id": user, "delta": number,
                new_name: new,
            })
        };
        (StatusCode::OK, body)
    }
}
