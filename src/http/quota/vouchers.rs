//! `GET /api/v1/quota/vouchers`: the vouchers that the caller gave, and how to take one back.

use axum::{extract::State, http::StatusCode};
use schemas::{Command, UserId, VoucherId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::Rejection,
    http::{
        AppState,
        auth::Caller,
        ledger::{AtLeast, IdempotencyKey, Reply, reading, submit},
        params::{Path, Query, page},
        problem::Problem,
    },
    views::{VoucherEntry, VoucherStatus},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(cancel))
}

/// Which vouchers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VouchersQuery {
    /// Only those that stand so.
    #[param(inline)]
    status: Option<VoucherStatus>,
    /// From 1.
    page: Option<i64>,
    /// 10 when left out, never more than 1000.
    page_size: Option<i64>,
}

/// Vouchers that the caller gave.
#[derive(Debug, Serialize, ToSchema)]
struct Vouchers {
    /// How many there are.
    total: usize,
    /// A page of them, newest first.
    vouchers: Vec<VoucherEntry>,
}

/// The vouchers that the caller gave, newest first.
#[utoipa::path(get, path = "/api/v1/quota/vouchers", tag = "quota",
    params(VouchersQuery), responses((status = 200, body = Vouchers)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<VouchersQuery>,
) -> Result<Reply<Vouchers>, Problem> {
    let giver = caller.own_user()?;
    let now = state.clock().now();
    let (head, vouchers) = state.views().look_now(|reading| {
        let books = &reading.books;
        let giver: Option<UserId> = books.names.find(giver.as_str());
        let all = giver.map(|giver| books.vouchers.given_by(giver)).unwrap_or_default();
        let fits = |id: &&VoucherId| {
            let status = books.vouchers.find(**id).map(|voucher| VoucherStatus::of(voucher, now));
            query.status.is_none() || query.status == status
        };
        all.iter().rev().filter(fits).copied().collect::<Vec<VoucherId>>()
    });
    let total = vouchers.len();
    let (skip, size) = page(query.page, query.page_size);
    let (views, vault) = (state.views().clone(), state.vault().clone());
    let vouchers = reading(move || {
        let page = vouchers.into_iter().skip(skip).take(size);
        let vouchers = page.map(|id| views.voucher(&vault, id, now));
        vouchers.filter_map(Result::transpose).collect()
    });
    Ok(Reply::read(head, Vouchers { total, vouchers: vouchers.await? }))
}

/// One of them.
#[utoipa::path(get, path = "/api/v1/quota/vouchers/{voucher}", tag = "quota",
    params(("voucher" = String, Path, description = "Its id")),
    responses((status = 200, body = VoucherEntry)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(id): Path<VoucherId>,
) -> Result<Reply<VoucherEntry>, Problem> {
    let giver = caller.own_user()?;
    let (head, is_own) = state.views().look_now(|reading| {
        let giver: Option<UserId> = reading.books.names.find(giver.as_str());
        let voucher = reading.books.vouchers.find(id);
        voucher.is_some_and(|voucher| giver == Some(voucher.giver))
    });
    let entry = if is_own { entry(&state, id).await? } else { None };
    let entry = entry.ok_or(Rejection::NoSuchVoucher)?;
    Ok(Reply::read(head, entry))
}

async fn entry(state: &AppState, id: VoucherId) -> Result<Option<VoucherEntry>, Problem> {
    let (views, vault, now) = (state.views().clone(), state.vault().clone(), state.clock().now());
    reading(move || views.voucher(&vault, id, now)).await
}

/// Takes one back: its quota is the caller's again, but for what has expired.
#[utoipa::path(post, path = "/api/v1/quota/vouchers/{voucher}/cancel", tag = "quota",
    params(("voucher" = String, Path, description = "Its id")),
    responses((status = 200, body = VoucherEntry)))]
async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<VoucherId>,
) -> Result<Reply<VoucherEntry>, Problem> {
    let giver = caller.own_user()?.clone();
    let command = Command::CancelVoucher { voucher: id, giver };
    let receipt = submit(&state, &caller, key, command).await?;
    let entry = entry(&state, id).await?.ok_or(Rejection::NoSuchVoucher)?;
    Ok(Reply::written(&receipt, entry).with_status(StatusCode::OK))
}
