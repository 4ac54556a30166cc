//! `POST /api/v1/admin/quota/grants`: gives a user quota.

use axum::extract::State;
use schemas::{Command, Credits, LotSource, Name, RechargeQuota, Sequence, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    AppState,
    auth::Caller,
    body,
    ledger::{IdempotencyKey, Reply, submit},
    problem::Problem,
};

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(grant))
}

/// Quota for a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Grant {
    /// Who gets it.
    #[schema(value_type = String)]
    user_id: Name,
    /// How much, above zero, with at most 6 decimals.
    #[schema(value_type = f64)]
    amount: Credits,
    /// The moment after which it is worth nothing.
    #[schema(value_type = String, format = DateTime)]
    expiry_date: Timestamp,
    /// Why, in words.
    #[serde(default)]
    reason: String,
}

/// A lot of quota.
#[derive(Debug, Serialize, ToSchema)]
struct Granted {
    /// Who has it.
    user_id: String,
    /// How much was given.
    #[schema(value_type = f64)]
    amount: Credits,
    /// The moment after which it is worth nothing.
    #[schema(value_type = String, format = DateTime)]
    expiry_date: Timestamp,
    /// Why, in words.
    reason: String,
    /// Its name, and its position in the log.
    #[schema(value_type = u64)]
    sequence: Sequence,
}

/// Gives a user quota. What the user drew beyond earlier lots is paid from it first.
#[utoipa::path(post, path = "/api/v1/admin/quota/grants", tag = "admin", request_body = Grant,
    responses((status = 201, body = Granted), (status = 200, body = Granted)))]
async fn grant(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(grant): body::Json<Grant>,
) -> Result<Reply<Granted>, Problem> {
    let Grant { user_id, amount, expiry_date, reason } = grant;
    let command = Command::RechargeQuota(RechargeQuota {
        user: user_id.clone(),
        amount,
        expires_at: expiry_date,
        source: LotSource::Grant,
        reason: reason.clone(),
    });
    let receipt = submit(&state, &caller, key, command).await?;
    let sequence = receipt.sequence;
    let user_id = user_id.as_str().to_owned();
    Ok(Reply::written(&receipt, Granted { user_id, amount, expiry_date, reason, sequence }))
}
