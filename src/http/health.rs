//! Whether the service lives, and whether it can do its work.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, problem::Kind};

/// How a part of the service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Not there yet.
    Starting,
    /// Doing its work.
    Ok,
    /// Not configured.
    Off,
    /// Doing its work with another service.
    Connected,
    /// Looking for the other service; what can be done without it is done.
    Reconnecting,
    /// Cannot do its work any more.
    Failed,
}

impl Check {
    /// Whether requests can be served like this.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        match self {
            Self::Ok | Self::Off | Self::Connected | Self::Reconnecting => true,
            Self::Starting | Self::Failed => false,
        }
    }
}

/// How the parts are doing, as they report it.
#[derive(Debug, Clone)]
pub struct Readiness {
    log: watch::Receiver<Check>,
    writer: watch::Receiver<Check>,
    intake: watch::Receiver<Check>,
    outbox: watch::Receiver<Check>,
    gateway: watch::Receiver<Check>,
    mail: watch::Receiver<Check>,
}

/// Where each part reports how it is doing. One that is dropped keeps its last report.
#[derive(Debug)]
pub struct Reporters {
    /// The log.
    pub log: watch::Sender<Check>,
    /// The writer.
    pub writer: watch::Sender<Check>,
    /// The intake.
    pub intake: watch::Sender<Check>,
    /// The outbox.
    pub outbox: watch::Sender<Check>,
    /// What keeps the gateway in step.
    pub gateway: watch::Sender<Check>,
    /// Mail.
    pub mail: watch::Sender<Check>,
}

impl Readiness {
    /// Everything is starting, until it reports otherwise.
    #[must_use]
    pub fn starting() -> (Self, Reporters) {
        let (log_reporter, log) = watch::channel(Check::Starting);
        let (writer_reporter, writer) = watch::channel(Check::Starting);
        let (intake_reporter, intake) = watch::channel(Check::Starting);
        let (outbox_reporter, outbox) = watch::channel(Check::Starting);
        let (gateway_reporter, gateway) = watch::channel(Check::Starting);
        let (mail_reporter, mail) = watch::channel(Check::Starting);
        (
            Self { log, writer, intake, outbox, gateway, mail },
            Reporters {
                log: log_reporter,
                writer: writer_reporter,
                intake: intake_reporter,
                outbox: outbox_reporter,
                gateway: gateway_reporter,
                mail: mail_reporter,
            },
        )
    }

    fn checks(&self) -> BTreeMap<&'static str, Check> {
        let Self { log, writer, intake, outbox, gateway, mail } = self;
        BTreeMap::from([
            ("log", *log.borrow()),
            ("writer", *writer.borrow()),
            ("intake", *intake.borrow()),
            ("outbox", *outbox.borrow()),
            ("gateway", *gateway.borrow()),
            ("mail", *mail.borrow()),
        ])
    }
}

/// The service lives.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service can do its work.
#[derive(Debug, Serialize, ToSchema)]
struct ReadinessReport {
    /// `ok` or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Each part by its name.
    checks: BTreeMap<&'static str, Check>,
}

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready))
}

/// Whether the service lives.
#[utoipa::path(get, path = "/health", tag = "service", security(()),
    responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the service can do its work, part by part.
#[utoipa::path(get, path = "/health/ready", tag = "service", security(()),
    responses((status = 200, body = ReadinessReport), (status = 503, body = ReadinessReport)))]
async fn ready(State(state): State<AppState>) -> Response {
    let checks = state.readiness().checks();
    if checks.values().all(|check| check.is_ready()) {
        Json(ReadinessReport { status: "ok", checks }).into_response()
    } else {
        let report = ReadinessReport { status: "unavailable", checks };
        (Kind::Unavailable.status(), Json(report)).into_response()
    }
}
