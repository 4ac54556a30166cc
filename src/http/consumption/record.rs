//! `POST /api/v1/consumption`: one call, or up to as many as the limits allow, each recorded once for
//! ever by its request id.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use schemas::{Command, Envelope, Event, Money, Sequence};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{Reply, fault, reading},
        problem::{ParameterSource, Problem},
    },
    reports::{ReportError, parse_consumption},
    views::{Consumed, TokenConsumption},
    writer::{Outcome, Receipt, SubmitError},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(record)).routes(routes!(record_batch))
}

/// Records one call.
///
/// The body has the fields of the response message, flat or as `response` beside `request`. The same
/// call again answers 200 with the same body; the same `requestId` with another content, 422.
#[utoipa::path(post, path = "/api/v1/consumption", tag = "consumption",
    request_body = Object,
    responses(
        (status = 201, description = "Recorded", body = TokenConsumption),
        (status = 200, description = "Recorded before", body = TokenConsumption)))]
async fn record(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Reply<TokenConsumption>, Problem> {
    let bytes = body::json_bytes(request, state.limits().body_bytes_max).await?;
    let report = parse_consumption(&bytes, state.clock().now())?;
    let command = Command::RecordConsumption(Box::new(report));
    let receipt = state.writer().submit(Envelope::new(caller.actor, command)).await?;
    let call = recorded_call(&state, &receipt).await?;
    Ok(Reply::written(&receipt, call))
}

/// The call that a receipt speaks of.
async fn recorded_call(state: &AppState, receipt: &Receipt) -> Result<TokenConsumption, Problem> {
    if let Some(recorded) = receipt.recorded()
        && let Event::ConsumptionRecorded(call) = &recorded.event
    {
        return Ok(state.views().look(|reading| {
            let books = &reading.books;
            TokenConsumption::new(&books.names, recorded, Consumed::Complete(call, None))
                .with_markup(books.tenants.terms(call.context.tenant))
        }));
    }
    let (views, sequence) = (state.views().clone(), receipt.sequence);
    let call = reading(move || views.call_at(sequence)).await?;
    call.ok_or_else(|| Problem::internal(&format_args!("event {sequence} is no call")))
}

/// What became of each call of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BatchReport {
    /// New ones.
    recorded: usize,
    /// Those that had been recorded before, with the same content.
    already_recorded: usize,
    /// Those that were refused; nothing was recorded of them.
    rejected: usize,
    /// In the order of the request.
    results: Vec<ItemOutcome>,
}

/// What became of one item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ItemOutcome {
    /// Its place in the request, from 0.
    index: usize,
    /// The status that it would have had alone.
    status: u16,
    /// `recorded`, `already_recorded` or `rejected`.
    outcome: &'static str,
    /// The sender's id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Its position in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    sequence: Option<Sequence>,
    /// USD, of a new one; `null` while the model has no price.
    #[schema(value_type = Option<f64>)]
    cost: Option<Money>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ItemError>,
}

/// Why an item was refused.
#[derive(Debug, Serialize, ToSchema)]
struct ItemError {
    /// For programs.
    code: &'static str,
    /// The field at fault.
    field: String,
    /// In words.
    detail: String,
}

/// Records many calls, each with its own outcome.
///
/// The body is a list of what `POST /api/v1/consumption` takes. A call that is refused does not keep
/// the others from being recorded.
#[utoipa::path(post, path = "/api/v1/consumption/batch", tag = "consumption",
    request_body = Vec<Object>,
    responses((status = 200, description = "What became of each", body = BatchReport)))]
async fn record_batch(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Reply<BatchReport>, Problem> {
    let limits = state.limits();
    let bytes = body::json_bytes(request, limits.body_bytes_max).await?;
    let items: Vec<&RawValue> = body::parse(&bytes)?;
    if items.len() > limits.batch_items_max {
        let reason = format!("must not have more than {} items", limits.batch_items_max);
        return Err(fault("body", reason, ParameterSource::Body));
    }
    let now = state.clock().now();
    let mut refused = Vec::new();
    let mut accepted = Vec::with_capacity(items.len());
    let mut envelopes = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match parse_consumption(item.get().as_bytes(), now) {
            Ok(report) => {
                accepted.push((index, report.response.call.request_id.to_string()));
                let command = Command::RecordConsumption(Box::new(report));
                envelopes.push(Envelope::new(caller.actor.clone(), command));
            }
            Err(error) => refused.push(ItemOutcome::refused(index, error)),
        }
    }
    let answers = if envelopes.is_empty() {
        Vec::new()
    } else {
        state.writer().try_submit_all(envelopes).await?
    };
    let mut results = refused;
    for ((index, request_id), answer) in accepted.into_iter().zip(answers) {
        results.push(outcome_of(index, request_id, answer)?);
    }
    results.sort_unstable_by_key(|item| item.index);
    let count = |outcome| results.iter().filter(|item| item.outcome == outcome).count();
    let report = BatchReport {
        recorded: count("recorded"),
        already_recorded: count("already_recorded"),
        rejected: count("rejected"),
        results,
    };
    Ok(Reply::read(state.views().head(), report))
}

/// What became of one item of a batch.
pub(in crate::http) fn outcome_of(
    index: usize,
    request_id: String,
    answer: Result<Receipt, SubmitError>,
) -> Result<ItemOutcome, Problem> {
    let request_id = Some(request_id);
    let receipt = match answer {
        Ok(receipt) => receipt,
        Err(SubmitError::Rejected(rejection)) => {
            let status = Problem::from(rejection.clone()).kind().status().as_u16();
            let error = ItemError {
                code: rejection.code(),
                field: rejection.field().unwrap_or_default().into_owned(),
                detail: rejection.to_string(),
            };
            let (outcome, sequence, cost) = ("rejected", None, None);
            let error = Some(error);
            return Ok(ItemOutcome { index, status, outcome, request_id, sequence, cost, error });
        }
        Err(error) => return Err(error.into()),
    };
    let cost = receipt.recorded().and_then(|recorded| match &recorded.event {
        Event::ConsumptionRecorded(call) => call.charge.map(|charge| charge.cost),
        _ => None,
    });
    let (status, outcome) = match receipt.outcome {
        Outcome::Recorded => (StatusCode::CREATED.as_u16(), "recorded"),
        Outcome::AlreadyRecorded | Outcome::Nothing => {
            (StatusCode::OK.as_u16(), "already_recorded")
        }
    };
    let sequence = Some(receipt.sequence);
    Ok(ItemOutcome { index, status, outcome, request_id, sequence, cost, error: None })
}

impl ItemOutcome {
    fn refused(index: usize, error: ReportError) -> Self {
        let field = if error.field.is_empty() { "item".to_owned() } else { error.field };
        Self {
            index,
            status: StatusCode::BAD_REQUEST.as_u16(),
            outcome: "rejected",
            request_id: None,
            sequence: None,
            cost: None,
            error: Some(ItemError {
                code: error.code.as_str(),
                detail: format!("`{field}` {}", error.reason),
                field,
            }),
        }
    }
}
