//! Consumption: calls are recorded here, and read back one by one or added up.

mod aggregates;
mod history;
mod record;
mod usage;

use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub(super) use history::{Wanted, filter, whose};
pub(super) use record::{ItemOutcome, outcome_of};
pub(super) use usage::{look, required, span, sum, usage};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(record::router())
        .merge(history::router())
        .merge(aggregates::router())
}
