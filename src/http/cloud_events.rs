//! `POST /api/v1/events`: usage as CloudEvents, one or a batch.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use schemas::{Command, Envelope};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    body,
    consumption::{ItemOutcome, outcome_of},
    ledger::{Reply, fault},
    problem::{ParameterSource, Problem},
};
use crate::reports::{parse_event, parse_event_batch};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(ingest))
}

/// What became of each event.
#[derive(Debug, Serialize, ToSchema)]
struct Accepted {
    /// In the order of the request.
    results: Vec<ItemOutcome>,
}

/// Takes usage in as CloudEvents: `llm.consumption`, `llm.request` or `llm.response`.
///
/// A batch with a faulty event is refused as a whole, naming the place. An event that contradicts
/// what is on record is refused when it comes alone, and marked in the outcome of a batch.
#[utoipa::path(post, path = "/api/v1/events", tag = "events",
    request_body(content(
        (Object = "application/cloudevents+json"),
        (Vec<Object> = "application/cloudevents-batch+json"))),
    responses((status = 202, description = "On record", body = Accepted)))]
async fn ingest(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Reply<Accepted>, Problem> {
    let is_batch = is_batch(request.headers());
    let limits = state.limits();
    let bytes = body::json_bytes(request, limits.body_bytes_max).await?;
    let now = state.clock().now();
    let commands = if is_batch {
        parse_event_batch(&bytes, now)?.into_iter().collect::<Result<Vec<_>, _>>()?
    } else {
        vec![parse_event(&bytes, now)?]
    };
    if commands.len() > limits.batch_items_max {
        let reason = format!("must not have more than {} events", limits.batch_items_max);
        return Err(fault("body", reason, ParameterSource::Body));
    }
    let ids: Vec<String> = commands.iter().map(request_id).collect();
    let envelopes =
        commands.into_iter().map(|command| Envelope::new(caller.actor.clone(), command)).collect();
    let answers = state.writer().try_submit_all(envelopes).await?;
    if !is_batch && let [Err(refused)] = answers.as_slice() {
        return Err(refused.clone().into());
    }
    let results = ids
        .into_iter()
        .zip(answers)
        .enumerate()
        .map(|(index, (id, answer))| outcome_of(index, id, answer))
        .collect::<Result<_, _>>()?;
    let reply = Reply::read(state.views().head(), Accepted { results });
    Ok(reply.with_status(StatusCode::ACCEPTED))
}

fn is_batch(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/cloudevents-batch+json")
}

fn request_id(command: &Command) -> String {
    match command {
        Command::RecordConsumption(report) => report.response.call.request_id.to_string(),
        Command::ReceiveRequest(report) => report.call.request_id.to_string(),
        Command::ReceiveResponse(report) => report.call.request_id.to_string(),
        _ => String::new(),
    }
}
