//! `GET /api/v1/billing/history`: bills, down to the calls that each of them takes.

mod csv;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use schemas::{Day, Name, Sequence, TenantId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::subject;
use crate::{
    http::{
        AppState,
        auth::Caller,
        ledger::{AtLeast, Reply, fault, reading},
        params::{Path, Query},
        problem::{ParameterSource, Problem},
    },
    views::{Bill, TokenConsumption},
};

const BILLS_DEFAULT: usize = 100;
const BILLS_MAX: usize = 1000;
const CALLS_DEFAULT: usize = 1000;
const CALLS_MAX: usize = 10_000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(history))
        .routes(routes!(bill))
        .routes(routes!(consumptions))
}

/// Which bills.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Of this day and later ones: `YYYY-MM-DD`.
    #[param(format = Date)]
    start_date: Option<String>,
    /// Of this day and earlier ones: `YYYY-MM-DD`.
    #[param(format = Date)]
    end_date: Option<String>,
    /// How many at most; 100 when left out, never more than 1000.
    limit: Option<usize>,
    /// Where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

/// A tenant's bills, newest first.
///
/// A page that is not the last one says in `x-next-cursor` where to go on. Bills that are made out in
/// the meantime do not move a page.
#[utoipa::path(get, path = "/api/v1/billing/history", tag = "billing",
    params(HistoryQuery), responses((status = 200, body = [Bill])))]
async fn history(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<HistoryQuery>,
) -> Result<Reply<Vec<Bill>>, Problem> {
    let limit = limit(query.limit, BILLS_DEFAULT, BILLS_MAX)?;
    let first = day("startDate", query.start_date, i32::MIN)?;
    let last = day("endDate", query.end_date, i32::MAX)?;
    let (_, tenant) = subject(&state, &caller, query.organization_id)?;
    let views = state.views().clone();
    let head = views.head();
    let through = query.cursor.map_or(head, |cursor| head.min(Sequence::new(cursor)));
    let page = reading(move || views.bills(tenant, (first, last), through, limit)).await?;
    Ok(Reply::read(head, page.bills).with_next(page.next))
}

/// Whose bill.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct BillQuery {
    /// Whose; may be left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
}

/// One bill.
#[utoipa::path(get, path = "/api/v1/billing/history/{bill}", tag = "billing",
    params(("bill" = u64, Path, description = "Its id"), BillQuery),
    responses((status = 200, body = Bill)))]
async fn bill(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<BillQuery>,
    Path(bill): Path<u64>,
) -> Result<Reply<Bill>, Problem> {
    let id = Sequence::new(bill);
    let tenant = payer(&state, &caller, id, query.organization_id).await?;
    let views = state.views().clone();
    let head = views.head();
    let found = reading(move || views.bill(tenant, id)).await?;
    found.map(|bill| Reply::read(head, bill)).ok_or_else(no_such_bill)
}

/// In which form, and which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ConsumptionsQuery {
    /// Whose; may be left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// `json` or `csv`; when left out, what `Accept` says, or else `json`.
    #[param(value_type = Option<String>)]
    format: Option<Format>,
    /// How many at most in JSON; 1000 when left out, never more than 10000. CSV has them all.
    limit: Option<usize>,
    /// Where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

impl Format {
    /// What the client accepts, where it asks for nothing.
    fn accepted(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let is_csv = accepted.is_some_and(|accepted| accepted.trim().starts_with("text/csv"));
        if is_csv { Self::Csv } else { Self::Json }
    }
}

/// The calls that a bill takes, in the order in which they were charged. Their costs add up to it.
///
/// In JSON, a page that is not the last one says in `x-next-cursor` where to go on. CSV has all of
/// them.
#[utoipa::path(get, path = "/api/v1/billing/history/{bill}/consumptions", tag = "billing",
    params(("bill" = u64, Path, description = "The bill's id"), ConsumptionsQuery),
    responses((status = 200, content(([TokenConsumption] = "application/json"),
        (String = "text/csv")))))]
async fn consumptions(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    headers: HeaderMap,
    Query(query): Query<ConsumptionsQuery>,
    Path(bill): Path<u64>,
) -> Result<Response, Problem> {
    let limit = limit(query.limit, CALLS_DEFAULT, CALLS_MAX)?;
    let id = Sequence::new(bill);
    let tenant = payer(&state, &caller, id, query.organization_id).await?;
    let from = Sequence::new(query.cursor.unwrap_or_default());
    let views = state.views().clone();
    let head = views.head();
    if query.format.unwrap_or_else(|| Format::accepted(&headers)) == Format::Csv {
        return Ok(csv::answer(views, tenant, id, from));
    }
    let page = reading(move || views.bill_calls(tenant, id, from, limit)).await?;
    let page = page.ok_or_else(no_such_bill)?;
    Ok(Reply::read(head, page.calls).with_next(page.next).into_response())
}

/// Whose bill this is, when the caller may see it. Another's is no bill at all.
async fn payer(
    state: &AppState,
    caller: &Caller,
    id: Sequence,
    requested: Option<Name>,
) -> Result<TenantId, Problem> {
    let scope = caller.tenant_scope(requested)?;
    let views = state.views().clone();
    let payer = reading(move || views.payer(id)).await?.ok_or_else(no_such_bill)?;
    let is_seen = state.views().look(|reading| {
        let books = &reading.books;
        let is_theirs = scope
            .tenant
            .as_ref()
            .is_none_or(|tenant| books.names.find(tenant.as_str()) == Some(payer));
        is_theirs && books.bills.bill(payer, id).is_some()
    });
    if is_seen { Ok(payer) } else { Err(no_such_bill()) }
}

fn no_such_bill() -> Problem {
    Problem::not_found("bill")
}

/// How many a page has at most.
pub(super) fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(fault("limit", format!("must be 1 to {most}"), ParameterSource::Query))
}

fn day(field: &'static str, text: Option<String>, otherwise: i32) -> Result<Day, Problem> {
    let Some(text) = text else { return Ok(Day::from_days(otherwise)) };
    let day = Day::parse(&text);
    day.ok_or_else(|| fault(field, "must be a day, as in `2025-03-01`", ParameterSource::Query))
}
