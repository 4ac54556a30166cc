//! `GET /api/v1/analytics/…`: usage and revenue, seen from several sides.

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
