//! The HTTP edge: reads requests strictly, knows who calls, and answers in JSON. It decides nothing
//! about quota or money; that is asked of the writer and the read models.

mod admin;
mod alerts;
mod analytics;
mod api_keys;
pub mod auth;
mod billing;
pub mod body;
mod changes;
mod cloud_events;
mod consumption;
mod docs;
mod events;
mod exports;
mod gateway_api;
pub mod health;
mod holds;
mod ledger;
mod metrics;
mod observe;
mod openapi;
mod organization;
pub mod params;
mod personal;
pub mod problem;
mod quota;
mod reports;
mod sign_in;
mod strategies;
mod webhooks;

use std::{future::IntoFuture, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, Uri, header},
    middleware::from_fn_with_state,
    response::IntoResponse,
    serve::ListenerExt,
};
use metrics_exporter_prometheus::PrometheusHandle;
use schemas::SigningKeys;
use tokio::{
    net::TcpListener,
    sync::{RwLock, Semaphore, watch},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    clock::Clock,
    config, gateway,
    jobs::{AutoTopUps, Jobs},
    passwords::Passwords,
    payments::Payments,
    personal::Vault,
    views::Views,
    webhooks as webhooks_out,
    writer::Writer,
};
use auth::Authenticator;
use health::Readiness;
use problem::{Kind, Problem};

/// How long open requests may take to end when the service is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How many endpoints are tried by hand at once.
const WEBHOOK_TESTS_MAX: usize = 8;

/// What the routes work with. The rest of the service is handed in here.
#[derive(Debug)]
pub struct Services {
    /// The present moment.
    pub clock: Clock,
    /// Who may call.
    pub authenticator: Authenticator,
    /// How people sign in.
    pub accounts: config::Accounts,
    /// What one request may ask for.
    pub limits: config::Limits,
    /// How the parts of the service are doing.
    pub readiness: Readiness,
    /// Where commands go in.
    pub writer: Writer,
    /// What readers read.
    pub views: Views,
    /// The keys of what the log holds sealed.
    pub vault: Vault,
    /// Opens vouchers; `None`: there are none.
    pub signing_keys: Option<Arc<SigningKeys>>,
    /// What falls due.
    pub jobs: Jobs,
    /// Payments through the provider.
    pub payments: Payments,
    /// Looks after the wallets that fill themselves.
    pub auto_top_ups: AutoTopUps,
    /// How the gateway's counters stand to the ledger, when there is a gateway.
    pub gateway: Option<watch::Receiver<gateway::Status>>,
    /// Sends webhooks.
    pub webhooks: webhooks_out::Sender,
    /// Ends the service, and with it the answers that would go on for ever.
    pub stop: CancellationToken,
}

/// [`Services`], and what HTTP itself keeps. Cheap to clone: every request does.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    services: Services,
    new_keys: personal::NewKeys,
    passwords: Passwords,
    attempts: sign_in::Attempts,
    openapi: Bytes,
    recorder: PrometheusHandle,
    /// Held alone by whoever describes or erases a user, together by those who seal for vouchers.
    describing: RwLock<()>,
    /// Held by whoever has an endpoint tried.
    webhook_tests: Semaphore,
}

impl AppState {
    pub(crate) fn clock(&self) -> &Clock {
        &self.0.services.clock
    }

    fn authenticator(&self) -> &Authenticator {
        &self.0.services.authenticator
    }

    fn accounts(&self) -> &config::Accounts {
        &self.0.services.accounts
    }

    fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    fn attempts(&self) -> &sign_in::Attempts {
        &self.0.attempts
    }

    pub(crate) fn limits(&self) -> &config::Limits {
        &self.0.services.limits
    }

    fn readiness(&self) -> &Readiness {
        &self.0.services.readiness
    }

    fn writer(&self) -> &Writer {
        &self.0.services.writer
    }

    fn views(&self) -> &Views {
        &self.0.services.views
    }

    fn vault(&self) -> &Vault {
        &self.0.services.vault
    }

    fn jobs(&self) -> &Jobs {
        &self.0.services.jobs
    }

    fn payments(&self) -> &Payments {
        &self.0.services.payments
    }

    fn auto_top_ups(&self) -> &AutoTopUps {
        &self.0.services.auto_top_ups
    }

    fn gateway(&self) -> Option<gateway::Status> {
        self.0.services.gateway.as_ref().map(|status| status.borrow().clone())
    }

    fn webhook_sender(&self) -> &webhooks_out::Sender {
        &self.0.services.webhooks
    }

    fn signing_keys(&self) -> Option<&SigningKeys> {
        self.0.services.signing_keys.as_deref()
    }

    fn new_keys(&self) -> &personal::NewKeys {
        &self.0.new_keys
    }

    fn stop(&self) -> &CancellationToken {
        &self.0.services.stop
    }

    fn openapi(&self) -> Bytes {
        self.0.openapi.clone()
    }

    fn describing(&self) -> &RwLock<()> {
        &self.0.describing
    }

    fn webhook_tests(&self) -> &Semaphore {
        &self.0.webhook_tests
    }

    fn recorder(&self) -> &PrometheusHandle {
        &self.0.recorder
    }
}

/// The routes that anyone may call.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(health::router())
        .merge(openapi::router())
        .merge(billing::stripe::open_router())
}

/// The routes behind the guard.
fn guarded(has_manual_clock: bool) -> OpenApiRouter<AppState> {
    let router = OpenApiRouter::new()
        .merge(consumption::router())
        .merge(cloud_events::router())
        .merge(events::router())
        .merge(quota::router())
        .merge(strategies::router())
        .merge(billing::router())
        .merge(holds::router())
        .merge(organization::router())
        .merge(api_keys::router())
        .merge(analytics::router())
        .merge(reports::router())
        .merge(exports::router())
        .merge(alerts::router())
        .merge(webhooks::router())
        .merge(sign_in::router())
        .merge(admin::grants::router())
        .merge(admin::wallets::router())
        .merge(admin::prices::router())
        .merge(admin::tenants::router())
        .merge(admin::users::router())
        .merge(admin::jobs::router())
        .merge(admin::gateway::router())
        .merge(metrics::router());
    if has_manual_clock { router.merge(admin::clock::router()) } else { router }
}

/// The whole edge.
///
/// # Errors
/// When the metrics of the process cannot be recorded.
pub fn router(services: Services) -> anyhow::Result<Router> {
    let guarded = guarded(services.clock.is_manual());
    assemble(open(), guarded, services)
}

fn assemble(
    open: OpenApiRouter<AppState>,
    guarded: OpenApiRouter<AppState>,
    services: Services,
) -> anyhow::Result<Router> {
    let (open, open_document) = open.split_for_parts();
    let (guarded, guarded_document) = guarded.split_for_parts();
    let (gateways, gateways_document) = gateway_api::router().split_for_parts();
    let (doors, doors_document) = sign_in::doors().split_for_parts();
    let mut document = openapi::base();
    document.merge(open_document);
    document.merge(guarded_document);
    document.merge(gateways_document);
    document.merge(doors_document);
    let document = openapi::with_problems(document);

    let recorder = observe::recorder()?;
    let telemetry = observe::Telemetry::new(&document);
    let query_routes = params::QueryRoutes::of(&document);
    let openapi = document.to_json().context("the description of the API")?.into();
    let state = AppState(Arc::new(Shared {
        services,
        new_keys: personal::NewKeys::default(),
        passwords: Passwords::default(),
        attempts: sign_in::Attempts::default(),
        openapi,
        recorder,
        describing: RwLock::default(),
        webhook_tests: Semaphore::new(WEBHOOK_TESTS_MAX),
    }));

    let gateways = gateways
        .route_layer(from_fn_with_state(query_routes.clone(), params::refuse_unread_query))
        .route_layer(from_fn_with_state(state.clone(), auth::guard_gateways));
    let doors = doors
        .route_layer(from_fn_with_state(query_routes.clone(), params::refuse_unread_query))
        .route_layer(auth::same_site());
    let guarded = guarded
        .route_layer(from_fn_with_state(query_routes, params::refuse_unread_query))
        .route_layer(from_fn_with_state(state.clone(), auth::guard));
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(telemetry, observe::observe))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            Problem::of_panic(panic.as_ref()).into_response()
        }));
    Ok(open
        .merge(private(guarded))
        .merge(private(gateways))
        .merge(private(doors))
        .merge(docs::router())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(layers)
        .with_state(state))
}

/// Nothing on the way keeps what these routes answer, unless a route says otherwise, and no browser
/// takes it for anything but what it says it is.
fn private(routes: Router<AppState>) -> Router<AppState> {
    [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")]
        .into_iter()
        .fold(routes, |routes, (name, value)| {
            let value = HeaderValue::from_static(value);
            routes.route_layer(SetResponseHeaderLayer::if_not_present(name, value))
        })
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(Kind::NotFound, "no_such_path", format!("there is nothing at `{}`", uri.path()))
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "method_not_allowed",
        "this path does not take this method; `Allow` says which it takes",
    )
}

/// Keeps what is measured from now on. What is measured before is lost.
///
/// # Errors
/// When the metrics of the process cannot be recorded.
pub fn keep_metrics() -> anyhow::Result<()> {
    observe::recorder().map(drop)
}

/// Serves until the services are to stop, then ends the open requests.
///
/// # Errors
/// When the metrics of the process cannot be recorded.
pub async fn serve(listener: TcpListener, services: Services) -> anyhow::Result<()> {
    let stop = services.stop.clone();
    let upkeep = tokio::spawn(observe::keep_up(observe::recorder()?));
    let served = serve_router(listener, router(services)?, stop).await;
    upkeep.abort();
    served
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set `TCP_NODELAY`");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service)
        .with_graceful_shutdown(stop.clone().cancelled_owned())
        .into_future();
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.context("cannot serve HTTP")?,
        () = out_of_patience => tracing::warn!("some requests had not ended and were cut off"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
