//! Moves a manual clock, so that a month can be driven from outside. Not there otherwise.

use axum::{Json, extract::State};
use schemas::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    clock::ClockError,
    http::{
        AppState, body,
        problem::{Kind, Problem},
    },
};

/// Where a manual clock is to stand, or stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Now {
    /// RFC 3339; never earlier than before.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
}

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, advance))
}

/// Where the manual clock stands.
#[utoipa::path(get, path = "/api/v1/admin/clock", tag = "admin",
    responses((status = 200, body = Now)))]
async fn read(State(state): State<AppState>) -> Result<Json<Now>, Problem> {
    Ok(Json(Now { now: state.clock().now() }))
}

/// Moves the manual clock forward, and does what falls due by then.
#[utoipa::path(post, path = "/api/v1/admin/clock", tag = "admin", request_body = Now,
    responses((status = 200, body = Now)))]
async fn advance(
    State(state): State<AppState>,
    body::Json(Now { now }): body::Json<Now>,
) -> Result<Json<Now>, Problem> {
    state.clock().advance_to(now)?;
    if let Err(error) = state.jobs().run_due().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "what is due now was put off");
    }
    Ok(Json(Now { now: state.clock().now() }))
}

impl From<ClockError> for Problem {
    fn from(error: ClockError) -> Self {
        let code = match error {
            ClockError::NotManual => "clock_not_manual",
            ClockError::Backwards { .. } => "clock_backwards",
        };
        Self::new(Kind::Conflict, code, error.to_string())
    }
}
