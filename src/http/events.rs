//! The log itself, from outside: by pages and as a stream. Both go on from any event.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        Sse,
        sse::{Event as ServerEvent, KeepAlive},
    },
};
use futures_util::Stream;
use schemas::Sequence;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    ledger::{AtLeast, Reply, fault, reading},
    params::Query,
    problem::{ParameterSource, Problem},
};
use crate::views::{EventView, Views};

const PAGE_DEFAULT: u64 = 100;
const PAGE_MAX: u64 = 1000;
/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(stream))
}

/// Which part of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Events after this one; from the first when left out.
    after: Option<u64>,
    /// The `next` of the page before: the same as `after`.
    cursor: Option<u64>,
    /// How many at most; 100 when left out, never more than 1000.
    limit: Option<u64>,
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
struct EventPage {
    /// The events, in order.
    #[schema(value_type = Vec<Object>)]
    events: Vec<EventView>,
    /// The `cursor` of the next page; the last event of this one.
    #[schema(value_type = u64)]
    next: Sequence,
    /// Whether there is more.
    has_more: bool,
}

/// The log, a page at a time.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(EventsQuery), responses((status = 200, body = EventPage)))]
async fn events(
    State(state): State<AppState>,
    _: AtLeast,
    Query(query): Query<EventsQuery>,
) -> Result<Reply<EventPage>, Problem> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(fault("limit", format!("must be 1 to {PAGE_MAX}"), ParameterSource::Query));
    }
    let after = Sequence::new(query.cursor.or(query.after).unwrap_or(0));
    let views = state.views().clone();
    let (head, events) = reading(move || {
        let head = views.head();
        views
            .events(after, limit.min(head.get().saturating_sub(after.get())))
            .map(|page| (head, page))
    })
    .await?;
    let next = events.last().map_or(after, |event| event.sequence);
    Ok(Reply::read(head, EventPage { events, next, has_more: next < head }))
}

/// From where a stream goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Events after this one; only new ones when left out. `Last-Event-ID` comes first.
    after: Option<u64>,
}

/// The log as server-sent events, as it grows.
///
/// Each event's `id` is its sequence; a client that comes back with `Last-Event-ID` misses nothing.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events", params(StreamQuery),
    responses((status = 200, description = "The stream", content_type = "text/event-stream")))]
async fn stream(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Sse<impl Stream<Item = Result<ServerEvent, Infallible>>>, Problem> {
    let last = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            Some(value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                fault("Last-Event-ID", "must be a sequence", ParameterSource::Header)
            })?)
        }
    };
    let views = state.views().clone();
    let after = last.or(query.after).map_or_else(|| views.head(), Sequence::new);
    let follower = Follower {
        head: views.watch_head(),
        views,
        after,
        page: Vec::new().into_iter(),
        stop: state.stop().clone(),
    };
    let events = futures_util::stream::unfold(follower, Follower::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// Goes along the log as it grows.
struct Follower {
    views: Views,
    head: watch::Receiver<Sequence>,
    after: Sequence,
    page: std::vec::IntoIter<EventView>,
    stop: CancellationToken,
}

impl Follower {
    /// The next event, once there is one; the end when the service stops or the log cannot be read.
    async fn next(mut self) -> Option<(Result<ServerEvent, Infallible>, Self)> {
        loop {
            if let Some(view) = self.page.next() {
                self.after = view.sequence;
                let event = ServerEvent::default()
                    .id(view.sequence.to_string())
                    .event(view.type_name)
                    .json_data(&view);
                return match event {
                    Ok(event) => Some((Ok(event), self)),
                    Err(error) => {
                        tracing::error!(%error, "an event could not be streamed");
                        None
                    }
                };
            }
            let after = self.after;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                reached = self.head.wait_for(|head| *head > after) => drop(reached.ok()?),
            }
            let views = self.views.clone();
            self.page = reading(move || views.events(after, PAGE_MAX)).await.ok()?.into_iter();
        }
    }
}
