//! `POST /api/v1/quota/transfer-in`: redeems a voucher. Whatever becomes of it, the answer is a 200 whose
//! body says so: shapes and words are those of the first quota manager.

use axum::{extract::State, http::StatusCode};
use schemas::{
    Command, Credits, Event, ItemOutcome, Name, OpenedVoucher, Recorded, RedeemVoucher,
    TransferItem, VoucherItem, ZonedTimestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::Rejection,
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{IdempotencyKey, Reply, offer, reading},
        problem::Problem,
    },
    writer::SubmitError,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(transfer_in))
}

/// What to redeem.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferIn {
    /// As the giver handed it over.
    voucher_code: String,
}

/// What became of a voucher.
#[derive(Debug, Default, Serialize, ToSchema)]
struct TransferredIn {
    /// Who gave it.
    giver_id: String,
    /// What people call the giver.
    giver_name: String,
    /// The giver's phone number.
    giver_phone: String,
    /// The giver's GitHub user name.
    giver_github: String,
    /// Who redeems it.
    receiver_id: String,
    /// What became of its parts; `null` when nothing was tried.
    quota_list: Option<Vec<ReceivedPart>>,
    /// As it was sent.
    voucher_code: String,
    /// `TRANSFER_IN`, or empty.
    operation: &'static str,
    /// All that the caller got.
    #[schema(value_type = f64)]
    amount: Credits,
    /// `SUCCESS`, `PARTIAL_SUCCESS`, `FAILED` or `ALREADY_REDEEMED`.
    status: &'static str,
    /// In words.
    message: String,
}

/// What became of a part of a voucher.
#[derive(Debug, Serialize, ToSchema)]
struct ReceivedPart {
    /// How much.
    #[schema(value_type = f64)]
    amount: Credits,
    /// Until when it is valid.
    #[schema(value_type = String, format = DateTime)]
    expiry_date: ZonedTimestamp,
    /// It had expired.
    is_expired: bool,
    /// It is the caller's.
    success: bool,
    /// `EXPIRED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
}

const FAILED: &str = "FAILED";
const NOT_RECORDED: &str = "Failed to record voucher redemption";

/// Redeems a voucher that is made out to the caller.
///
/// Every outcome is a 200; `status` and `message` say which. Parts that have expired are nobody's any
/// more.
#[utoipa::path(post, path = "/api/v1/quota/transfer-in", tag = "quota",
    request_body = TransferIn, responses((status = 200, body = TransferredIn)))]
async fn transfer_in(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(TransferIn { voucher_code: code }): body::Json<TransferIn>,
) -> Result<Reply<TransferredIn>, Problem> {
    let receiver = caller.own_user()?.clone();
    let keys = state.signing_keys().ok_or(Rejection::VouchersOff)?;
    let refused = |answer| Ok(Reply::read(state.views().head(), answer));
    let Ok(opened) = keys.open(&code) else { return refused(failed(&Rejection::VoucherUnknown)) };
    if opened.payload.receiver_id != receiver.as_str() {
        return refused(failed(&Rejection::VoucherOfAnother));
    }
    let Ok(giver) = Name::try_from(opened.payload.giver_id.as_str()) else {
        return refused(failed(&Rejection::VoucherUnknown));
    };
    let items = opened.payload.items.iter().copied().map(TransferItem::from).collect();
    let command = RedeemVoucher { voucher: opened.id, giver, receiver, items };
    let command = Command::RedeemVoucher(Box::new(command));
    let receipt = match offer(&state, &caller, key, command).await {
        Ok(receipt) => receipt,
        Err(SubmitError::Rejected(rejection)) => {
            return match refusal(&opened, code, rejection) {
                Ok(answer) => refused(answer),
                Err(rejection) => Err(Problem::from(rejection)),
            };
        }
        Err(error) => return Err(Problem::from(error)),
    };
    // As the log says it, so that whoever asks again is told the same.
    let (views, last) = (state.views().clone(), receipt.sequence);
    let events = reading(move || views.command_until(last)).await?;
    let answer = settled(&opened, code, &events);
    Ok(Reply::written(&receipt, answer).with_status(StatusCode::OK))
}

/// Nothing but why not.
fn failed(rejection: &Rejection) -> TransferredIn {
    TransferredIn { status: FAILED, message: rejection.to_string(), ..TransferredIn::default() }
}

/// The answer to a voucher of the caller's that brings nothing; the refusals that have none are
/// handed back.
fn refusal(
    opened: &OpenedVoucher,
    code: String,
    rejection: Rejection,
) -> Result<TransferredIn, Rejection> {
    let (status, message) = match rejection {
        Rejection::VoucherUnknown | Rejection::VoucherOfAnother => return Ok(failed(&rejection)),
        Rejection::VoucherRedeemed => ("ALREADY_REDEEMED", rejection.to_string()),
        Rejection::VoucherCancelled | Rejection::VoucherLapsed => (FAILED, rejection.to_string()),
        Rejection::TooLong | Rejection::AmountOutOfRange { .. } => {
            (FAILED, NOT_RECORDED.to_owned())
        }
        other => return Err(other),
    };
    Ok(TransferredIn { status, message, ..of_voucher(opened, code) })
}

/// What a voucher says, before anything has become of it.
fn of_voucher(opened: &OpenedVoucher, voucher_code: String) -> TransferredIn {
    let payload = opened.payload.clone();
    TransferredIn {
        giver_id: payload.giver_id,
        giver_name: payload.giver_name,
        giver_phone: payload.giver_phone,
        giver_github: payload.giver_github,
        receiver_id: payload.receiver_id,
        voucher_code,
        operation: "TRANSFER_IN",
        ..TransferredIn::default()
    }
}

/// What the events of a redemption made of each part.
fn settled(opened: &OpenedVoucher, code: String, events: &[Recorded]) -> TransferredIn {
    let items = events.iter().filter_map(|recorded| match &recorded.event {
        Event::VoucherItemSettled(item) => Some(item),
        _ => None,
    });
    let amount = events.iter().find_map(|recorded| match &recorded.event {
        Event::VoucherClosed(closed) => Some(closed.amount),
        _ => None,
    });
    let part = |(item, sent): (&schemas::VoucherItemSettled, &VoucherItem)| {
        let is_expired = item.outcome == ItemOutcome::Expired;
        ReceivedPart {
            amount: item.amount,
            expiry_date: sent.expires_at,
            is_expired,
            success: !is_expired,
            failure_reason: is_expired.then_some("EXPIRED"),
        }
    };
    let parts: Vec<ReceivedPart> = items.zip(&opened.payload.items).map(part).collect();
    let good = parts.iter().filter(|part| part.success).count();
    let (status, message) = match (good, parts.len()) {
        (0, _) => (FAILED, "All quota transfers failed".to_owned()),
        (good, all) if good == all => {
            ("SUCCESS", "All quota transfers completed successfully".to_owned())
        }
        (good, all) => {
            ("PARTIAL_SUCCESS", format!("{good} of {all} quota transfers completed successfully"))
        }
    };
    TransferredIn {
        quota_list: Some(parts),
        amount: amount.unwrap_or_default(),
        status,
        message,
        ..of_voucher(opened, code)
    }
}
