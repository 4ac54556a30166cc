//! What is known of every request: an id, how long it took, how it ended. The outermost layer, and
//! on the way of every request: it looks up handles that were made at the start and allocates
//! little.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use metrics::{Counter, Histogram, Unit, counter, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use utoipa::openapi::OpenApi;

use super::problem::Problem;

/// Carries the id of a request, from the caller or to them.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller.
const REQUEST_ID_BYTES_MAX: usize = 128;

const SECONDS: &str = "http_request_duration_seconds";
const REQUESTS: &str = "http_requests_total";
/// Upper ends of the histogram, in seconds.
const BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Measurements are gathered this often, so that they do not pile up between two readings.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process, which all parts write to.
///
/// # Errors
/// When another recorder was installed before.
pub(super) fn recorder() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let installed = HANDLE.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(SECONDS.to_owned()), &BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .inspect(|_| {
                metrics::describe_histogram!(SECONDS, Unit::Seconds, "how long requests took");
                metrics::describe_counter!(REQUESTS, "requests by route and class of status");
                metrics::describe_gauge!("holds_open", "holds whose end is not on record");
            })
            .map_err(|error| error.to_string())
    });
    installed.clone().map_err(anyhow::Error::msg).context("cannot record metrics")
}

/// Gathers measurements for ever.
pub(super) async fn keep_up(recorder: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        recorder.run_upkeep();
    }
}

/// The handles of every route.
#[derive(Clone)]
pub(super) struct Telemetry(Arc<Inner>);

struct Inner {
    routes: HashMap<String, Vec<(Method, RouteMetrics)>>,
    others: RouteMetrics,
    id_prefix: u64,
    id_next: AtomicU64,
}

struct RouteMetrics {
    seconds: Histogram,
    /// By class of status, `1xx` to `5xx`.
    requests: [Counter; 5],
}

impl RouteMetrics {
    fn new(method: &str, route: &str) -> Self {
        let labels = [("method", method.to_owned()), ("route", route.to_owned())];
        let class = |status: &'static str| {
            let [method, route] = labels.clone();
            counter!(REQUESTS, &[method, route, ("status", status.to_owned())])
        };
        Self {
            seconds: histogram!(SECONDS, &labels),
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
        }
    }

    fn record(&self, status: StatusCode, took: Duration) {
        self.seconds.record(took);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(requests) = self.requests.get(class) {
            requests.increment(1);
        }
    }
}

impl Telemetry {
    /// Handles for the routes that are described; all others count as one.
    pub(super) fn new(described: &OpenApi) -> Self {
        let routes = described.paths.paths.iter().map(|(route, item)| {
            let methods = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
                (Method::PATCH, &item.patch),
            ];
            let handles = methods
                .into_iter()
                .filter(|(_, operation)| operation.is_some())
                .map(|(method, _)| {
                    let metrics = RouteMetrics::new(method.as_str(), route);
                    (method, metrics)
                })
                .collect();
            (route.clone(), handles)
        });
        Self(Arc::new(Inner {
            routes: routes.collect(),
            others: RouteMetrics::new("other", "other"),
            // Differs from start to start; that is all it is for.
            id_prefix: RandomState::new().hash_one(std::process::id()),
            id_next: AtomicU64::new(0),
        }))
    }

    fn of(&self, request: &Request) -> &RouteMetrics {
        let matched = request.extensions().get::<MatchedPath>();
        matched
            .and_then(|route| self.0.routes.get(route.as_str()))
            .and_then(|methods| methods.iter().find(|(method, _)| method == request.method()))
            .map_or(&self.0.others, |(_, metrics)| metrics)
    }

    /// The caller's id if it is a decent one, or one of ours.
    fn request_id(&self, request: &Request) -> HeaderValue {
        let given = request.headers().get(REQUEST_ID).filter(|id| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.as_bytes().iter().all(u8::is_ascii_graphic)
        });
        given.cloned().unwrap_or_else(|| {
            let number = self.0.id_next.fetch_add(1, Ordering::Relaxed);
            HeaderValue::try_from(format!("{:016x}-{number:x}", self.0.id_prefix))
                .expect("invariant: hexadecimal digits fit in a header")
        })
    }
}

/// Goes around everything.
pub(super) async fn observe(
    State(telemetry): State<Telemetry>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let metrics = telemetry.of(&request);
    let id = telemetry.request_id(&request);
    let (method, uri) = (request.method().clone(), request.uri().clone());

    let mut response = next.run(request).await;

    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = problem.body(Some(uri.path()));
        tracing::debug!(%method, path = uri.path(), ?id, %problem, "refused");
    }
    let took = started.elapsed();
    metrics.record(response.status(), took);
    tracing::trace!(%method, path = uri.path(), ?id, status = response.status().as_u16(), ?took);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}
