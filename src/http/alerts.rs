//! `GET /api/v1/alerts`: what wants attention now, and what did.

use axum::extract::State;
use schemas::{Name, Sequence};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    ledger::{AtLeast, Reply, fault, reading},
    params::Query,
    problem::{ParameterSource, Problem},
};
use crate::views::AlertEntry;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct AlertsQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Whether those of the past are meant, instead of those that are raised now.
    #[serde(default)]
    history: bool,
    /// Of the past, how many at most; 100 when left out, never more than 1000.
    limit: Option<usize>,
    /// Of the past, where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

/// Alerts.
#[derive(Debug, Serialize, ToSchema)]
struct Alerts {
    /// Those that are raised now: the tenant's, then its users'. Of the past: what was raised and
    /// cleared, newest first.
    alerts: Vec<AlertEntry>,
}

/// A tenant's alerts: those that are raised now, or, with `history`, everything that became of any.
///
/// A page of the past that is not the last one says in `x-next-cursor` where to go on.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts",
    params(AlertsQuery), responses((status = 200, body = Alerts)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<AlertsQuery>,
) -> Result<Reply<Alerts>, Problem> {
    let name =
        caller.one_tenant(query.organization_id, "organizationId", ParameterSource::Query)?;
    let limit = page_size(query.limit)?;
    for (field, is_given) in [("limit", query.limit.is_some()), ("cursor", query.cursor.is_some())]
    {
        if is_given && !query.history {
            return Err(fault(field, "needs `history=true`", ParameterSource::Query));
        }
    }
    let tenant = state.views().look(|reading| reading.books.names.find(name.as_str()));
    let tenant = tenant.ok_or_else(|| Problem::not_found("organization"))?;
    if !query.history {
        let (sequence, alerts) = state.views().alerts(tenant);
        return Ok(Reply::read(sequence, Alerts { alerts }));
    }
    let views = state.views().clone();
    let head = views.head();
    let through = query.cursor.map_or(head, |cursor| head.min(Sequence::new(cursor)));
    let page = reading(move || views.alert_history(tenant, through, limit)).await?;
    Ok(Reply::read(head, Alerts { alerts: page.entries }).with_next(page.next))
}

/// How many entries a page may have.
pub(super) fn page_size(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(fault("limit", format!("must be 1 to {PAGE_MAX}"), ParameterSource::Query))
}
