//! `/api/v1/organization/…`: what a tenant's administrators see to.

mod auto_top_up;
mod limits;
mod projects;
mod users;

use utoipa_axum::router::OpenApiRouter;

use super::AppState;
pub(super) use limits::{Limits, LimitsView};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(auto_top_up::router())
        .merge(limits::router())
        .merge(projects::router())
        .merge(users::router())
}
