//! The metrics of the process, for Prometheus.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, problem::Problem};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// The metrics of the process, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, description = "Prometheus text", content_type = "text/plain")))]
async fn metrics(
    State(state): State<AppState>,
) -> Result<([(HeaderName, HeaderValue); 1], String), Problem> {
    let open = state.views().look(|reading| reading.books.holds.count());
    metrics::gauge!("holds_open").set(u32::try_from(open).unwrap_or(u32::MAX));
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, content_type)], state.recorder().render()))
}
