//! `POST /api/v1/quota/transfer-out`: puts quota of the caller's into a voucher for somebody else.

use axum::{extract::State, http::StatusCode};
use schemas::{
    Command, Credits, IssueVoucher, Name, Sequence, Timestamp, TransferOrder, VoucherId,
    VoucherItem, ZonedTimestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{IdempotencyKey, Reply, reading, submit},
        personal,
        problem::{InvalidParameter, Kind, ParameterSource, Problem},
    },
    views::VoucherPart,
    writer::Outcome,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(transfer_out))
}

/// What to give, and to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferOut {
    /// The only one who may redeem the voucher; a user who is known here.
    receiver_id: String,
    /// What it carries; each expiry once.
    quota_list: Vec<Part>,
    /// The moment after which the quota goes back to the caller; none when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    voucher_expires_at: Option<Timestamp>,
}

/// Quota of one expiry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// How much, above zero, with at most 6 decimals.
    #[schema(value_type = f64)]
    amount: Credits,
    /// Which quota: that which expires at this moment, in whatever offset it is written.
    #[schema(value_type = String, format = DateTime)]
    expiry_date: ZonedTimestamp,
}

/// Quota that is on its way.
#[derive(Debug, Serialize, ToSchema)]
struct TransferredOut {
    /// What the receiver redeems; absent once what it says of the giver has been erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    voucher_code: Option<String>,
    /// Who may redeem it.
    related_user: String,
    /// `TRANSFER_OUT`.
    operation: &'static str,
    /// What it carries.
    quota_list: Vec<VoucherPart>,
    /// By which the voucher is recognised.
    #[schema(value_type = String)]
    voucher_id: VoucherId,
    /// The moment after which the quota goes back to the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    voucher_expires_at: Option<Timestamp>,
    /// The voucher's position in the log.
    #[schema(value_type = u64)]
    sequence: Sequence,
}

/// Puts quota of the caller's into a voucher.
///
/// The quota leaves the caller's lots at once. Of lots with the same expiry the oldest go first.
#[utoipa::path(post, path = "/api/v1/quota/transfer-out", tag = "quota",
    request_body = TransferOut, responses((status = 200, body = TransferredOut)))]
async fn transfer_out(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(order): body::Json<TransferOut>,
) -> Result<Reply<TransferredOut>, Problem> {
    let giver = caller.own_user()?.clone();
    let TransferOut { receiver_id, quota_list, voucher_expires_at } = order;
    let receiver = receiver(receiver_id)?;
    let item =
        |Part { amount, expiry_date }| VoucherItem { amount, expires_at: expiry_date }.into();
    let items = quota_list.into_iter().map(item).collect();
    let order = TransferOrder { giver, receiver, items, lapses_at: voucher_expires_at };
    let sealing = state.clone();
    let (identity, receipt) = personal::sealing(state.clone(), async move {
        let (identity, sealed) = personal::giver(&sealing, &order.giver, &caller.identity).await?;
        let command = IssueVoucher { order, identity: identity.clone(), sealed };
        let command = Command::IssueVoucher(Box::new(command));
        Ok((identity, submit(&sealing, &caller, key, command).await?))
    })
    .await?;

    // As the log says it, so that whoever asks again is told the same.
    let (views, sequence) = (state.views().clone(), receipt.sequence);
    let issued = reading(move || views.issued_voucher(sequence)).await?;
    let issued = issued.ok_or_else(|| Problem::internal(&"a voucher is not in the log"))?;
    let voucher_code = match receipt.outcome {
        Outcome::Recorded => issued.code(&identity),
        Outcome::AlreadyRecorded | Outcome::Nothing => issued.code_from(state.vault()),
    };
    let transferred = TransferredOut {
        voucher_code,
        quota_list: issued.items.iter().map(VoucherPart::from).collect(),
        related_user: issued.receiver,
        operation: "TRANSFER_OUT",
        voucher_id: issued.id,
        voucher_expires_at: issued.lapses_at,
        sequence,
    };
    Ok(Reply::written(&receipt, transferred).with_status(StatusCode::OK))
}

fn receiver(text: String) -> Result<Name, Problem> {
    let parameter = |reason| InvalidParameter {
        field: "receiver_id".to_owned(),
        rule: "value",
        reason,
        source: ParameterSource::Body,
    };
    if text.is_empty() {
        let detail = "receiver_id cannot be empty";
        return Err(Problem::new(Kind::Invalid, "invalid_parameter", detail)
            .with_parameters(vec![parameter("cannot be empty".to_owned())]));
    }
    Name::try_from(text).map_err(|error| Problem::invalid(parameter(error.to_string())))
}
