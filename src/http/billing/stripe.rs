//! `/api/v1/billing/stripe/…`: payments on the provider's page, and what the provider tells of them.

use utoipa_axum::router::OpenApiRouter;

use crate::http::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
