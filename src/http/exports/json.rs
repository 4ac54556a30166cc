//! `GET /api/v1/export/consumption/json`: the calls as the history tells of them, in one array.

use axum::{body::Body, extract::State, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Calls, CallsQuery, file, sent};
use crate::{
    http::{AppState, auth::Caller, ledger::AtLeast, params::Query, problem::Problem},
    views::TokenConsumption,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(consumption))
}

/// Calls as JSON, newest first: those that were recorded when it was asked for.
#[utoipa::path(get, path = "/api/v1/export/consumption/json", tag = "exports",
    params(CallsQuery), responses((status = 200, body = [TokenConsumption])))]
async fn consumption(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<CallsQuery>,
) -> Result<Response, Problem> {
    let calls = Calls::of(&state, &caller, query)?;
    let through = calls.through;
    let body = Body::from_stream(sent(calls, ("[", "\n]\n"), write));
    Ok(file(through, "application/json", &format!("consumption-{through}.json"), body))
}

fn write(page: &[TokenConsumption], is_first: bool) -> Result<Vec<u8>, anyhow::Error> {
    let mut bytes = Vec::new();
    for (place, call) in page.iter().enumerate() {
        bytes.extend_from_slice(if is_first && place == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut bytes, call)?;
    }
    Ok(bytes)
}
