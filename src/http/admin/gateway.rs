//! How the counters of the gateway stand to the ledger.

use axum::{Json, extract::State};
use schemas::{Sequence, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    gateway,
    http::{AppState, problem::Problem},
};

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(status))
}

/// How the counters of the gateway stand to the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct GatewayStatus {
    /// Whether there is a gateway; otherwise the rest says nothing.
    configured: bool,
    /// The gateway reflects the log up to this event, except for users that it refuses.
    #[schema(value_type = u64)]
    cursor: Sequence,
    /// The last event of the log.
    #[schema(value_type = u64)]
    head: Sequence,
    /// How many events lie between the two.
    lag_events: u64,
    /// Users of whom it is not known that their counters are right; at most a hundred.
    users_out_of_step: Vec<String>,
    /// How many there are.
    users_out_of_step_total: usize,
    /// What went wrong last, also when it is well again.
    last_error: Option<String>,
    /// When everyone had last been compared.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_reconciled_at: Option<Timestamp>,
}

/// How the counters of the gateway stand to the ledger.
#[utoipa::path(get, path = "/api/v1/admin/gateway", tag = "admin",
    responses((status = 200, body = GatewayStatus)))]
async fn status(State(state): State<AppState>) -> Result<Json<GatewayStatus>, Problem> {
    let status = state.gateway();
    let configured = status.is_some();
    let gateway::Status {
        contact: _,
        cursor,
        out_of_step,
        out_of_step_total,
        last_error,
        last_reconciled_at,
    } = status.unwrap_or_default();
    let (head, users_out_of_step) = state.views().look_now(|reading| {
        let names = &reading.books.names;
        out_of_step.iter().map(|user| names.text(*user).to_string()).collect()
    });
    Ok(Json(GatewayStatus {
        configured,
        cursor,
        head,
        lag_events: if configured { head.get().saturating_sub(cursor.get()) } else { 0 },
        users_out_of_step,
        users_out_of_step_total: out_of_step_total,
        last_error,
        last_reconciled_at,
    }))
}
