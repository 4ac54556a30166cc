//! `/api/v1/webhooks/…`: endpoints that events are sent to, and what became of each delivery.

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
