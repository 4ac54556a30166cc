//! `GET /api/v1/strategies/{strategy}/executions`: every recharge that a strategy made or failed to
//! make, newest first.

use axum::extract::State;
use projections::names::Names;
use schemas::{
    Credits, Event, Name, Recorded, Sequence, StrategyExecuted, StrategyFailed, StrategyId,
    Timestamp, Tz,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::strategy_id;
use crate::{
    domain::Rejection,
    http::{
        AppState,
        ledger::{AtLeast, Reply, reading},
        params::{Path, Query, page},
        problem::Problem,
    },
    views::ExecutionFilter,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(executions))
}

/// Which executions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExecutionsQuery {
    /// `completed` or `failed`; both when left out.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    /// Of this user; of everyone when left out.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// Only those before this event: the `x-next-cursor` of the page before. Pages count from there.
    before: Option<u64>,
    /// From 1.
    page: Option<i64>,
    /// 10 when left out, never more than 1000.
    page_size: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Completed,
    Failed,
}

/// Executions of a strategy.
#[derive(Debug, Serialize, ToSchema)]
struct Executions {
    /// How many there are of the status asked for; left out with `user_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// A page of them, newest first.
    executions: Vec<Execution>,
}

/// One attempt to give a user what a strategy gives.
#[derive(Debug, Serialize, ToSchema)]
struct Execution {
    /// Its position in the log, and the name of the lot that it made.
    #[schema(value_type = u64)]
    id: Sequence,
    /// The strategy.
    #[schema(value_type = u32)]
    strategy_id: StrategyId,
    /// Who got it, or did not.
    user: String,
    /// `YYYYMMDDHH` of the tick, or, without one, of the recording, on the configured clocks.
    batch_number: String,
    /// `completed` or `failed`.
    #[schema(value_type = String)]
    status: Status,
    /// When what was given expires; `null` when nothing was.
    #[schema(value_type = Option<String>, format = DateTime)]
    expiry_date: Option<Timestamp>,
    /// What was given.
    #[schema(value_type = f64)]
    amount: Credits,
    /// The tick of a periodic strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    tick: Option<Timestamp>,
    /// Why nothing was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    create_time: Timestamp,
    /// The same: an execution is recorded once.
    #[schema(value_type = String, format = DateTime)]
    update_time: Timestamp,
}

impl Execution {
    fn new(names: &Names, zone: Tz, recorded: &Recorded) -> Option<Self> {
        let (strategy_id, user, tick, given, failure_reason) = match &recorded.event {
            Event::StrategyExecuted(run) => {
                let StrategyExecuted { strategy, user, tick, amount, expires_at, .. } = *run;
                (strategy, user, tick, Some((amount, expires_at)), None)
            }
            Event::StrategyFailed(StrategyFailed { strategy, user, tick, reason }) => {
                (*strategy, *user, *tick, None, Some(reason.clone()))
            }
            _ => return None,
        };
        Some(Self {
            id: recorded.sequence,
            strategy_id,
            user: names.text(user).to_string(),
            batch_number: tick.unwrap_or(recorded.recorded_at).hour_in(zone),
            status: if given.is_some() { Status::Completed } else { Status::Failed },
            expiry_date: given.map(|(_, expires_at)| expires_at),
            amount: given.map(|(amount, _)| amount).unwrap_or_default(),
            tick,
            failure_reason,
            create_time: recorded.recorded_at,
            update_time: recorded.recorded_at,
        })
    }
}

/// Every recharge that a strategy made or failed to make, newest first; of a deleted one as well.
///
/// A page that is not the last one says in `x-next-cursor` where to go on. What is recorded in the
/// meantime does not move a page that is found that way.
#[utoipa::path(get, path = "/api/v1/strategies/{strategy}/executions", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number"), ExecutionsQuery),
    responses((status = 200, body = Executions)))]
async fn executions(
    State(state): State<AppState>,
    _: AtLeast,
    Path(id): Path<String>,
    Query(query): Query<ExecutionsQuery>,
) -> Result<Reply<Executions>, Problem> {
    let strategy = strategy_id(&id)?;
    let (head, (is_known, user)) = state.views().look_now(|reading| {
        let is_known = reading.books.strategies.find(strategy).is_some();
        (is_known, query.user_id.as_ref().map(|user| reading.books.names.find(user.as_str())))
    });
    if !is_known {
        return Err(Rejection::NoSuchStrategy.into());
    }
    let user = match user {
        Some(None) => {
            return Ok(Reply::read(head, Executions { total: None, executions: Vec::new() }));
        }
        asked_for => asked_for.flatten(),
    };
    let failed = query.status.map(|status| status == Status::Failed);
    let filter = ExecutionFilter { strategy, failed, user };
    let (skip, size) = page(query.page, query.page_size);
    let before = query.before.map(|before| Sequence::new(before.saturating_sub(1)));
    let through = before.map_or(head, |before| before.min(head));
    let views = state.views().clone();
    let page = reading(move || views.executions(&filter, through, skip, size)).await?;
    let zone = state.jobs().zone();
    let executions = state.views().look(|reading| {
        let names = &reading.books.names;
        page.executions.iter().filter_map(|one| Execution::new(names, zone, one)).collect()
    });
    Ok(Reply::read(head, Executions { total: page.total, executions }).with_next(page.next))
}
