//! `GET /api/v1/quota`: what a user may still use, and everything that moved it.

mod transfer_in;
mod transfer_out;
mod vouchers;

use axum::extract::State;
use projections::quota::Account;
use schemas::{Credits, Name, Role, Sequence, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    ledger::{AtLeast, Reply, as_of, fault, point, reading},
    params::{Query, page},
    problem::{ParameterSource, Problem},
};
use crate::views::{AsOf, QuotaEntry};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(quota))
        .routes(routes!(audit))
        .merge(transfer_out::router())
        .merge(transfer_in::router())
        .merge(vouchers::router())
}

/// Whose quota.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct QuotaQuery {
    /// Who; the caller when left out.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of")]
    #[param(value_type = Option<String>)]
    as_of: Option<AsOf>,
}

/// What a user may still use.
#[derive(Debug, Serialize, ToSchema)]
struct Balance {
    /// What the lots that have not expired began with.
    #[schema(value_type = f64)]
    total_quota: Credits,
    /// What was drawn from them, and beyond them.
    #[schema(value_type = f64)]
    used_quota: Credits,
    /// What they hold, by its expiry, soonest first.
    quota_list: Vec<QuotaItem>,
    /// What is left; minus the overdraft when there is one.
    #[schema(value_type = f64)]
    available_quota: Credits,
    /// What was drawn beyond all lots; the next recharge pays it first.
    #[schema(value_type = f64)]
    overdraft: Credits,
    /// Whose it is.
    user_id: String,
}

/// A part of a quota that expires.
#[derive(Debug, Serialize, ToSchema)]
struct QuotaItem {
    /// What its lots hold.
    #[schema(value_type = f64)]
    amount: Credits,
    /// The moment after which it is worth nothing.
    #[schema(value_type = String, format = DateTime)]
    expiry_date: Timestamp,
    /// The lots, oldest first, each by the sequence of its recharge.
    #[schema(value_type = Vec<u64>)]
    lots: Vec<Sequence>,
}

/// What lots hold that have not expired, those of the same expiry together.
fn by_expiry(account: &Account, now: Timestamp) -> Vec<QuotaItem> {
    let mut items: Vec<QuotaItem> = Vec::new();
    for lot in account.lots_at(now).filter(|lot| lot.remaining.is_positive()) {
        match items.last_mut().filter(|item| item.expiry_date == lot.expires_at) {
            Some(item) => {
                item.amount = item.amount.checked_add(lot.remaining).unwrap_or(item.amount);
                item.lots.push(lot.id);
            }
            None => items.push(QuotaItem {
                amount: lot.remaining,
                expiry_date: lot.expires_at,
                lots: vec![lot.id],
            }),
        }
    }
    items
}

/// What a user may still use.
#[utoipa::path(get, path = "/api/v1/quota", tag = "quota",
    params(QuotaQuery), responses((status = 200, body = Balance)))]
async fn quota(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<QuotaQuery>,
) -> Result<Reply<Balance>, Problem> {
    let (name, user) = subject(&state, &caller, query.user_id)?;
    let point = point(&state, query.as_of)?;
    let (sequence, account) = match user {
        None => (point.sequence, Account::default()),
        Some(user) if point.is_now => state.views().quota_at(user, &point)?,
        Some(user) => {
            let views = state.views().clone();
            reading(move || views.quota_at(user, &point)).await?
        }
    };
    let balance = Balance {
        total_quota: account.total_at(point.moment),
        used_quota: account.used_at(point.moment),
        quota_list: by_expiry(&account, point.moment),
        available_quota: account.available_at(point.moment),
        overdraft: account.overdraft(),
        user_id: name.as_str().to_owned(),
    };
    Ok(Reply::read(sequence, balance))
}

/// Whose movements, and which.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Who; the caller when left out.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of")]
    #[param(value_type = Option<String>)]
    as_of: Option<AsOf>,
    /// From 1.
    page: Option<i64>,
    /// 10 when left out, never more than 1000.
    page_size: Option<i64>,
    /// Only what lies before this event: the `x-next-cursor` of the page before.
    before: Option<u64>,
}

/// Movements of a quota.
#[derive(Debug, Serialize, ToSchema)]
struct Audit {
    /// How many there are.
    total: usize,
    /// A page of them, newest first.
    #[schema(value_type = Vec<Object>)]
    records: Vec<QuotaEntry>,
}

/// Everything that moved a user's quota but calls, newest first.
///
/// A page that is not the last one says in `x-next-cursor` where to go on. What arrives in the
/// meantime does not move a page that is asked for by `before`.
#[utoipa::path(get, path = "/api/v1/quota/audit", tag = "quota",
    params(AuditQuery), responses((status = 200, body = Audit)))]
async fn audit(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<AuditQuery>,
) -> Result<Reply<Audit>, Problem> {
    let (_, user) = subject(&state, &caller, query.user_id)?;
    let point = point(&state, query.as_of)?;
    let Some(user) = user else {
        return Ok(Reply::read(point.sequence, Audit { total: 0, records: Vec::new() }));
    };
    let (skip, size) = page(query.page, query.page_size);
    let through = point.sequence;
    let from = query.before.map_or(through, |before| Sequence::new(before.saturating_sub(1)));
    let (views, vault) = (state.views().clone(), state.vault().clone());
    let read = move || views.quota_audit(&vault, user, through, from, skip, size);
    let (total, records, has_more) = reading(read).await?;
    let next = records.last().filter(|_| has_more).map(|last| last.sequence);
    Ok(Reply::read(through, Audit { total, records }).with_next(next))
}

/// The user that a request is about, and the user's number when the book knows the name.
fn subject(
    state: &AppState,
    caller: &Caller,
    requested: Option<Name>,
) -> Result<(Name, Option<UserId>), Problem> {
    let name = match (&caller.role, requested) {
        (Role::TenantUser, requested) => {
            let own = caller.own_user()?;
            if requested.is_some_and(|requested| requested != *own) {
                return Err(Problem::forbidden("this belongs to another user"));
            }
            own.clone()
        }
        (_, Some(requested)) => requested,
        (_, None) => caller
            .user
            .clone()
            .ok_or_else(|| fault("user_id", "is required", ParameterSource::Query))?,
    };
    let (user, home) = state.views().look(|reading| {
        let names = &reading.books.names;
        let user: Option<UserId> = names.find(name.as_str());
        let home = user
            .and_then(|user| reading.books.directory.user(user).tenant)
            .map(|tenant| names.text(tenant).to_string());
        (user, home)
    });
    let own = caller.user.as_ref() == Some(&name);
    let of_own_tenant = home.as_deref() == caller.tenant.as_ref().map(Name::as_str);
    if caller.role == Role::TenantAdmin && !own && !(home.is_some() && of_own_tenant) {
        return Err(Problem::forbidden("this user belongs to another tenant"));
    }
    Ok((name, user))
}
