//! Consumption: calls are recorded here, and read back one by one or added up.

mod aggregates;
mod history;
mod record;

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) use record::{ItemOutcome, outcome_of};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(record::router())
        .merge(history::router())
        .merge(aggregates::router())
}
