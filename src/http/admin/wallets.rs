//! Wallets by hand: money that came in, corrections, refunds and credits.

use axum::extract::State;
use schemas::{
    AdjustWallet, Command, CreditKind, CreditWallet, Money, Name, Sequence, TopUpWallet,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    AppState,
    auth::Caller,
    body,
    ledger::{IdempotencyKey, Reply, submit},
    params::Path,
    problem::Problem,
};

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(adjust))
        .routes(routes!(top_up))
        .routes(routes!(refund))
        .routes(routes!(credit))
}

/// A correction of a wallet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    /// USD, signed, not zero, with at most 18 decimals.
    #[schema(value_type = f64)]
    amount: Money,
    /// Why, in words.
    #[schema(value_type = String)]
    reason: Name,
}

/// Money that came in from outside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TopUp {
    /// USD, above zero, with at most 18 decimals.
    #[schema(value_type = f64)]
    amount: Money,
    /// The payment's reference outside.
    #[schema(value_type = String)]
    reference: Name,
}

/// Money that is given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Refund {
    /// USD, above zero, with at most 18 decimals.
    #[schema(value_type = f64)]
    amount: Money,
    /// Why, in words.
    #[schema(value_type = String)]
    reason: Name,
    /// The bill of which it is given back: its id, as text or as a number. All refunds of a bill
    /// together are no more than it.
    #[serde(default, deserialize_with = "bill_id")]
    #[schema(value_type = Option<String>)]
    bill_id: Option<Sequence>,
}

/// Money that is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credit {
    /// USD, above zero, with at most 18 decimals.
    #[schema(value_type = f64)]
    amount: Money,
    /// Why, in words.
    #[schema(value_type = String)]
    reason: Name,
}

/// A movement of a wallet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Moved {
    /// Whose wallet.
    organization_id: String,
    /// USD, signed.
    #[schema(value_type = f64)]
    amount: Money,
    /// The reason or the reference.
    reason: String,
    /// Its position in the log.
    #[schema(value_type = u64)]
    sequence: Sequence,
}

/// Corrects a tenant's wallet.
#[utoipa::path(post, path = "/api/v1/admin/wallets/{tenant}/adjustments", tag = "admin",
    params(("tenant" = String, Path, description = "Whose wallet")), request_body = Adjustment,
    responses((status = 201, body = Moved), (status = 200, body = Moved)))]
async fn adjust(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
    body::Json(Adjustment { amount, reason }): body::Json<Adjustment>,
) -> Result<Reply<Moved>, Problem> {
    let reason = reason.as_str().to_owned();
    let command = Command::AdjustWallet(AdjustWallet {
        tenant: tenant.clone(),
        amount,
        reason: reason.clone(),
    });
    moved(&state, &caller, key, command, (tenant, amount, reason)).await
}

/// Books money that came into a tenant's wallet from outside.
#[utoipa::path(post, path = "/api/v1/admin/wallets/{tenant}/top-ups", tag = "admin",
    params(("tenant" = String, Path, description = "Whose wallet")), request_body = TopUp,
    responses((status = 201, body = Moved), (status = 200, body = Moved)))]
async fn top_up(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
    body::Json(TopUp { amount, reference }): body::Json<TopUp>,
) -> Result<Reply<Moved>, Problem> {
    let reference = reference.as_str().to_owned();
    let command = Command::TopUpWallet(TopUpWallet {
        tenant: tenant.clone(),
        amount,
        reference: reference.clone(),
    });
    moved(&state, &caller, key, command, (tenant, amount, reference)).await
}

/// Gives a tenant back what it was billed.
#[utoipa::path(post, path = "/api/v1/admin/wallets/{tenant}/refunds", tag = "admin",
    params(("tenant" = String, Path, description = "Whose wallet")), request_body = Refund,
    responses((status = 201, body = Moved), (status = 200, body = Moved)))]
async fn refund(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
    body::Json(Refund { amount, reason, bill_id }): body::Json<Refund>,
) -> Result<Reply<Moved>, Problem> {
    let reason = reason.as_str().to_owned();
    let command = Command::CreditWallet(CreditWallet {
        tenant: tenant.clone(),
        amount,
        kind: CreditKind::Refund,
        bill: bill_id,
        reason: reason.clone(),
    });
    moved(&state, &caller, key, command, (tenant, amount, reason)).await
}

/// Gives a tenant money that nobody has paid.
#[utoipa::path(post, path = "/api/v1/admin/wallets/{tenant}/credits", tag = "admin",
    params(("tenant" = String, Path, description = "Whose wallet")), request_body = Credit,
    responses((status = 201, body = Moved), (status = 200, body = Moved)))]
async fn credit(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
    body::Json(Credit { amount, reason }): body::Json<Credit>,
) -> Result<Reply<Moved>, Problem> {
    let reason = reason.as_str().to_owned();
    let command = Command::CreditWallet(CreditWallet {
        tenant: tenant.clone(),
        amount,
        kind: CreditKind::Credit,
        bill: None,
        reason: reason.clone(),
    });
    moved(&state, &caller, key, command, (tenant, amount, reason)).await
}

/// A bill's id as text, as it is shown, or as a number.
fn bill_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sequence>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    let text = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    if text == "null" {
        return Ok(None);
    }
    let position = text.parse().map_err(|_| de::Error::custom("must be the id of a bill"))?;
    Ok(Some(Sequence::new(position)))
}

async fn moved(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    command: Command,
    (tenant, amount, reason): (Name, Money, String),
) -> Result<Reply<Moved>, Problem> {
    let receipt = submit(state, caller, key, command).await?;
    let organization_id = tenant.as_str().to_owned();
    let sequence = receipt.sequence;
    Ok(Reply::written(&receipt, Moved { organization_id, amount, reason, sequence }))
}
