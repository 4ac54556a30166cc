//! `GET /api/v1/reports/monthly`: a tenant's month beside the one before.

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
