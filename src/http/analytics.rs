//! `GET /api/v1/analytics/…`: usage and revenue, seen from several sides. Days and hours of usage are
//! those of whoever pays; revenue goes by UTC days, as bills do.

mod overview;
mod revenue;
mod usage_patterns;

use schemas::Name;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::{
    AppState,
    auth::{Caller, Scope},
    consumption::{required, span},
    problem::Problem,
};
use crate::views::Span;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(overview::router())
        .merge(usage_patterns::router())
        .merge(revenue::router())
}

/// Whose usage or money, and when.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct SpanQuery {
    /// Who pays. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// From then on: a day, or an RFC 3339 moment. Only together with `endDate`.
    start_date: Option<String>,
    /// Up to then, included: a day, or an RFC 3339 moment.
    end_date: Option<String>,
}

/// The span between two texts, of which there must be both or neither.
fn both_or_none(start: Option<&str>, end: Option<&str>) -> Result<Span, Problem> {
    if start.is_some() != end.is_some() {
        return Err(both_required(start.is_some()));
    }
    span(start, end)
}

/// The span between two texts, both of which must be there.
fn both(start: Option<&str>, end: Option<&str>) -> Result<Span, Problem> {
    if start.is_none() || end.is_none() {
        return Err(both_required(start.is_some()));
    }
    span(start, end)
}

fn both_required(has_start: bool) -> Problem {
    let field = if has_start { "endDate" } else { "startDate" };
    required(field, "startDate and endDate are required")
}

/// What the caller sees of the tenant they ask for.
fn scope_of(caller: &Caller, query: &SpanQuery) -> Result<Scope, Problem> {
    caller.tenant_scope(query.organization_id.clone())
}
