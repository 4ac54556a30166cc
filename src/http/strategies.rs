//! `/api/v1/strategies`: recharge strategies, what they gave, and what they would give. Developers
//! only: a strategy gives quota away.

mod draft;
mod executions;
mod preview;

use std::num::{IntErrorKind, NonZeroU32};

use axum::{Json, extract::State, http::StatusCode};
use projections::{books::Reading, strategies::Strategy};
use schemas::{Command, Credits, Sequence, StrategyId, StrategyKind, Timestamp, UpdateStrategy};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, reading, submit},
    params::{Path, Query},
    problem::{InvalidParameter, Kind, ParameterSource, Problem},
};
use crate::domain::Rejection;
use draft::{Amendment, Draft};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(scan))
        .merge(executions::router())
        .merge(preview::router())
}

/// A strategy as it stands.
#[derive(Debug, Serialize, ToSchema)]
struct StrategyView {
    /// Its number.
    #[schema(value_type = u32)]
    id: StrategyId,
    /// Unique among the strategies there are.
    name: String,
    /// For people.
    title: String,
    /// `single`: once to each user, ever; `periodic`: at every tick of `periodic_expr`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: StrategyKind,
    /// What it gives each time.
    #[schema(value_type = f64)]
    amount: Credits,
    /// What its lots are labelled with; empty: nothing.
    model: String,
    /// The schedule of a periodic strategy.
    periodic_expr: String,
    /// To whom it gives; empty: to everyone.
    condition: String,
    /// Whether it gives at all.
    status: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    create_time: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    update_time: Timestamp,
    /// How often a user gets it at most; 0: no cap.
    max_exec_per_user: u32,
    /// Of a periodic strategy: ticks up to this moment are handled, or are not owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    handled_until: Option<Timestamp>,
    /// How many recharges it made.
    executed: u64,
    /// How many it failed to make.
    failed: u64,
    /// How many ticks were passed over, because more were missed than may be caught up.
    skipped_ticks: u64,
}

impl StrategyView {
    fn new(reading: &Reading, id: StrategyId, strategy: &Strategy) -> Self {
        let Strategy {
            definition,
            created_at,
            updated_at,
            deleted: _,
            handled_until,
            executed,
            failed,
            skipped,
        } = strategy.clone();
        let is_periodic = definition.kind == StrategyKind::Periodic;
        Self {
            id,
            name: definition.name,
            title: definition.title,
            kind: definition.kind,
            amount: definition.amount,
            model: definition
                .model
                .map_or_else(String::new, |model| reading.books.names.text(model).to_string()),
            periodic_expr: definition.periodic_expr,
            condition: definition.condition,
            status: definition.enabled,
            create_time: created_at,
            update_time: updated_at,
            max_exec_per_user: definition.max_exec_per_user,
            handled_until: is_periodic.then_some(handled_until),
            executed,
            failed,
            skipped_ticks: skipped,
        }
    }
}

/// What was done, in words.
#[derive(Debug, Serialize, ToSchema)]
struct Message {
    /// In words.
    message: &'static str,
}

/// The strategy that a path names.
///
/// # Errors
/// When it is no number from 1, or one that no strategy can have.
fn strategy_id(text: &str) -> Result<StrategyId, Problem> {
    match text.parse::<NonZeroU32>() {
        Ok(id) => Ok(StrategyId(id.get())),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => {
            Err(Rejection::NoSuchStrategy.into())
        }
        Err(_) => {
            let problem = Problem::new(Kind::Invalid, "invalid_parameter", "invalid strategy id");
            Err(problem.with_parameters(vec![InvalidParameter {
                field: "strategy".to_owned(),
                rule: "value",
                reason: "must be a whole number from 1".to_owned(),
                source: ParameterSource::Path,
            }]))
        }
    }
}

/// Which strategies.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `enabled` or `true`; `disabled` or `false`; all when left out.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    #[serde(alias = "true")]
    Enabled,
    #[serde(alias = "false")]
    Disabled,
}

/// Strategies.
#[derive(Debug, Serialize, ToSchema)]
struct List {
    /// In the order of their numbers.
    strategies: Vec<StrategyView>,
    /// How many there are.
    total: usize,
}

/// All strategies, or those that are switched on or off.
#[utoipa::path(get, path = "/api/v1/strategies", tag = "strategies",
    params(ListQuery), responses((status = 200, body = List)))]
async fn list(
    State(state): State<AppState>,
    _: AtLeast,
    Query(query): Query<ListQuery>,
) -> Result<Reply<List>, Problem> {
    let wanted = query.status.map(|status| status == Status::Enabled);
    let (sequence, strategies) = state.views().look_now(|reading| {
        let all = reading.books.strategies.all();
        let asked_for = all.filter(|(_, strategy)| {
            wanted.is_none_or(|enabled| strategy.definition.enabled == enabled)
        });
        asked_for.map(|(id, strategy)| StrategyView::new(reading, id, strategy)).collect::<Vec<_>>()
    });
    let total = strategies.len();
    Ok(Reply::read(sequence, List { strategies, total }))
}

/// One strategy.
#[utoipa::path(get, path = "/api/v1/strategies/{strategy}", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number")),
    responses((status = 200, body = StrategyView)))]
async fn get(
    State(state): State<AppState>,
    _: AtLeast,
    Path(id): Path<String>,
) -> Result<Reply<StrategyView>, Problem> {
    let id = strategy_id(&id)?;
    let (sequence, strategy) = state.views().look_now(|reading| {
        let strategy = reading.books.strategies.live(id)?;
        Some(StrategyView::new(reading, id, strategy))
    });
    Ok(Reply::read(sequence, strategy.ok_or(Rejection::NoSuchStrategy)?))
}

/// Makes a strategy. It owes the ticks from now on.
#[utoipa::path(post, path = "/api/v1/strategies", tag = "strategies", request_body = Draft,
    responses((status = 201, body = StrategyView), (status = 200, body = StrategyView)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(draft): body::Json<Draft>,
) -> Result<Reply<StrategyView>, Problem> {
    let command = Command::CreateStrategy(draft.into());
    let receipt = submit(&state, &caller, key, command).await?;
    let id = created_by(&state, receipt.sequence).await?;
    let strategy = state.views().look(|reading| {
        let strategy = reading.books.strategies.find(id)?;
        Some(StrategyView::new(reading, id, strategy))
    });
    Ok(Reply::written(&receipt, strategy.ok_or(Rejection::NoSuchStrategy)?))
}

/// The strategy that was made at `sequence`.
async fn created_by(state: &AppState, sequence: Sequence) -> Result<StrategyId, Problem> {
    let views = state.views().clone();
    match reading(move || views.log().read(sequence)).await?.map(|recorded| recorded.event) {
        Some(schemas::Event::StrategyCreated(defined)) => Ok(defined.strategy),
        _ => Err(Problem::internal(&format_args!("event {sequence} makes no strategy"))),
    }
}

/// Changes what is named of a strategy. One that is switched on, or gets another schedule, owes the
/// ticks from now on.
#[utoipa::path(put, path = "/api/v1/strategies/{strategy}", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number")), request_body = Amendment,
    responses((status = 200, body = Message)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<String>,
    body::Json(amendment): body::Json<Amendment>,
) -> Result<Reply<Message>, Problem> {
    let command = amendment.of(strategy_id(&id)?);
    change(&state, &caller, key, command, "strategy updated successfully").await
}

/// Switches a strategy on. It owes the ticks from now on.
#[utoipa::path(post, path = "/api/v1/strategies/{strategy}/enable", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number")),
    responses((status = 200, body = Message)))]
async fn enable(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Reply<Message>, Problem> {
    let command = switch(strategy_id(&id)?, true);
    change(&state, &caller, key, command, "strategy enabled successfully").await
}

/// Switches a strategy off. It gives nothing, and owes nothing for the time.
#[utoipa::path(post, path = "/api/v1/strategies/{strategy}/disable", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number")),
    responses((status = 200, body = Message)))]
async fn disable(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Reply<Message>, Problem> {
    let command = switch(strategy_id(&id)?, false);
    change(&state, &caller, key, command, "strategy disabled successfully").await
}

fn switch(strategy: StrategyId, enabled: bool) -> Command {
    let update = UpdateStrategy { enabled: Some(enabled), ..UpdateStrategy::of(strategy) };
    Command::UpdateStrategy(Box::new(update))
}

/// Deletes a strategy: it gives nothing any more. What it gave stays given, and on record.
#[utoipa::path(delete, path = "/api/v1/strategies/{strategy}", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number")),
    responses((status = 200, body = Message)))]
async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Reply<Message>, Problem> {
    let command = Command::DeleteStrategy { strategy: strategy_id(&id)? };
    change(&state, &caller, key, command, "strategy deleted successfully").await
}

/// Hands a change in. Nothing is made by one, so that it is never 201.
async fn change(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    command: Command,
    message: &'static str,
) -> Result<Reply<Message>, Problem> {
    let receipt = submit(state, caller, key, command).await?;
    Ok(Reply::written(&receipt, Message { message }).with_status(StatusCode::OK))
}

/// Lets every strategy give what it owes by now, without waiting for it.
#[utoipa::path(post, path = "/api/v1/strategies/scan", tag = "strategies",
    responses((status = 200, body = Message)))]
async fn scan(State(state): State<AppState>) -> Result<Json<Message>, Problem> {
    let jobs = state.jobs().clone();
    tokio::spawn(async move {
        if let Err(error) = jobs.scan_strategies().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a scan was cut off");
        }
    });
    Ok(Json(Message { message: "strategy scan triggered" }))
}
