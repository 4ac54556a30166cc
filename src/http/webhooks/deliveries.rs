//! What is still to be delivered to an endpoint, what became of the rest, and how to send again.

use axum::{extract::State, http::StatusCode};
use projections::notices::Notice;
use schemas::{Command, RequestDelivery, Sequence, WebhookId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::find;
use crate::{
    domain::{Rejection, WebhookRejection},
    http::{
        AppState,
        alerts::page_size,
        auth::Caller,
        ledger::{AtLeast, IdempotencyKey, Reply, reading, submit},
        params::{Path, Query},
        problem::{Kind, Problem},
    },
    views::{AttemptEntry, PendingDelivery},
    webhooks::Attempt,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(test))
}

/// Which part of the past.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveriesQuery {
    /// How many attempts at most, and how many pending deliveries; 100 when left out, never more than
    /// 1000.
    limit: Option<usize>,
    /// Where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

/// Deliveries to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
struct Deliveries {
    /// What is still to be delivered, the earliest event first.
    pending: Vec<PendingDelivery>,
    /// Every attempt that was made, newest first.
    attempts: Vec<AttemptEntry>,
}

/// What is still to be delivered to an endpoint, and every attempt that was made.
///
/// A page that is not the last one says in `x-next-cursor` where the attempts go on.
#[utoipa::path(get, path = "/api/v1/webhooks/endpoints/{endpoint}/deliveries", tag = "webhooks",
    params(("endpoint" = String, Path, description = "Its id"), DeliveriesQuery),
    responses((status = 200, body = Deliveries)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(id): Path<WebhookId>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Reply<Deliveries>, Problem> {
    let (head, _) = find(&state, &caller, id)?;
    let limit = page_size(query.limit)?;
    let through = query.cursor.map_or(head, |cursor| head.min(Sequence::new(cursor)));
    let views = state.views().clone();
    let (pending, page) = reading(move || {
        let pending = views.pending_deliveries(id, limit)?;
        Ok((pending, views.delivery_attempts(id, through, limit)?))
    })
    .await?;
    Ok(Reply::read(head, Deliveries { pending, attempts: page.entries }).with_next(page.next))
}

/// What will be sent again.
#[derive(Debug, Serialize, ToSchema)]
struct Requested {
    /// The event.
    #[schema(value_type = u64)]
    event: Sequence,
}

/// Sends an event again, at once and then as often as any: one that was delivered, given up, or waits
/// for its next attempt. Any event may be sent that the endpoint's tenant is told of, also one that
/// was recorded before the endpoint was made.
#[utoipa::path(post, path = "/api/v1/webhooks/endpoints/{endpoint}/deliveries/{event}/retry",
    tag = "webhooks",
    params(("endpoint" = String, Path, description = "The endpoint's id"),
        ("event" = u64, Path, description = "The event")),
    responses((status = 202, body = Requested)))]
async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path((id, event)): Path<(WebhookId, u64)>,
) -> Result<Reply<Requested>, Problem> {
    let (_, endpoint) = find(&state, &caller, id)?;
    let event = Sequence::new(event);
    let views = state.views().clone();
    let recorded = reading(move || views.log().read(event)).await?;
    let told = recorded.and_then(|recorded| Notice::of(&recorded.event));
    let is_foreign = |tenant| endpoint.tenant.is_some_and(|own| own != tenant);
    if told.is_none_or(|(tenant, _)| is_foreign(tenant)) {
        return Err(Rejection::from(WebhookRejection::NoSuchDelivery).into());
    }
    let command = Command::RequestDelivery(RequestDelivery { webhook: id, event });
    let receipt = submit(&state, &caller, key, command).await?;
    let reply = Reply::written(&receipt, Requested { event });
    Ok(reply.with_status(StatusCode::ACCEPTED))
}

/// How the endpoint answered.
#[derive(Debug, Serialize, ToSchema)]
struct TestReport {
    /// Whether it took it.
    delivered: bool,
    /// The status of its answer; none when there was none.
    status: Option<u16>,
    /// Why it did not arrive; none when it did.
    error: Option<String>,
}

/// What is sent to try an endpoint.
#[derive(Debug, Serialize)]
struct TestNotice {
    #[serde(rename = "type")]
    name: &'static str,
    timestamp: schemas::Timestamp,
    data: TestData,
}

#[derive(Debug, Serialize)]
struct TestData {}

/// Sends a `webhook.test` to an endpoint, once, and tells how it was answered. It leaves nothing in
/// the log.
#[utoipa::path(post, path = "/api/v1/webhooks/endpoints/{endpoint}/test", tag = "webhooks",
    params(("endpoint" = String, Path, description = "Its id")),
    responses((status = 200, body = TestReport)))]
async fn test(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Reply<TestReport>, Problem> {
    let (head, endpoint) = find(&state, &caller, id)?;
    let _permit = state.webhook_tests().try_acquire().map_err(|_| {
        let detail = "as many endpoints are being tried as can be at once";
        Problem::new(Kind::TooManyRequests, "too_many_tests", detail).with_retry_after(1)
    })?;
    let now = state.clock().now();
    let notice = TestNotice { name: "webhook.test", timestamp: now, data: TestData {} };
    let body = serde_json::to_vec(&notice).map_err(|error| Problem::internal(&error))?;
    let message = format!("test_{}", uuid::Uuid::now_v7().simple());
    let Attempt { status, error } =
        state.webhook_sender().send(&endpoint, &message, now, body).await;
    let report = TestReport {
        delivered: error.is_empty(),
        status: Some(status).filter(|status| *status > 0),
        error: Some(error).filter(|error| !error.is_empty()),
    };
    Ok(Reply::read(head, report))
}
