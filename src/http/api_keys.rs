//! `/api/v1/organization/api-keys`: keys for programs. A key is shown once, and kept hashed.

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
