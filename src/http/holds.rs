//! `/api/v1/holds`: may this call go ahead? Keeps money, quota and tokens free for it.

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
