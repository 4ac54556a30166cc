//! The calls of a bill as CSV: read a page at a time as fast as the client takes them, so that it
//! makes no difference how many there are.

use std::io;

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use schemas::{Sequence, TenantId};

use crate::{
    http::exports::cell,
    views::{TokenConsumption, Views},
};

const COLUMNS: [&str; 14] = [
    "Date",
    "Request ID",
    "User ID",
    "Organization ID",
    "Assistant Type",
    "Project ID",
    "Model",
    "Prompt Tokens",
    "Completion Tokens",
    "Total Tokens",
    "Cost",
    "Price Version",
    "Status",
    "Sequence",
];
/// How many calls are read at once.
const CALLS_AT_ONCE: usize = 1000;

/// Where the answer is.
enum Place {
    /// Before the first line.
    Beginning(Sequence),
    /// The next call is this one, or comes after it.
    Call(Sequence),
}

/// All calls of a bill from the event `from` on.
pub(super) fn answer(views: Views, tenant: TenantId, id: Sequence, from: Sequence) -> Response {
    let pages = stream::try_unfold(Some(Place::Beginning(from)), move |place| {
        let views = views.clone();
        async move {
            let Some(place) = place else { return Ok(None) };
            let read = move || page(&views, tenant, id, &place);
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?.map(Some)
        }
    });
    let disposition = format!("attachment; filename=\"bill-{id}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, Body::from_stream(pages)).into_response()
}

/// The lines of a page of calls, and where the next one begins.
fn page(
    views: &Views,
    tenant: TenantId,
    id: Sequence,
    place: &Place,
) -> io::Result<(Vec<u8>, Option<Place>)> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let from = match place {
        Place::Beginning(from) => {
            writer.write_record(COLUMNS)?;
            *from
        }
        Place::Call(from) => *from,
    };
    let page = views.bill_calls(tenant, id, from, CALLS_AT_ONCE).map_err(io::Error::other)?;
    let page = page.unwrap_or_default();
    for call in &page.calls {
        writer.write_record(cells(call))?;
    }
    let lines = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok((lines, page.next.map(Place::Call)))
}

fn cells(call: &TokenConsumption) -> [String; COLUMNS.len()] {
    let cost = call.cost.map(|cost| cost.to_string()).unwrap_or_default();
    let text = |text: &str| cell(text).into_owned();
    let version = call.price_version.map(|version| version.0.to_string()).unwrap_or_default();
    [
        call.timestamp.to_string(),
        text(&call.request_id),
        text(&call.user_id),
        text(&call.organization_id),
        text(&call.assistant_type),
        text(&call.project_id),
        text(&call.model),
        call.prompt_tokens.to_string(),
        call.completion_tokens.to_string(),
        call.total_tokens.to_string(),
        cost,
        version,
        call.status.to_owned(),
        call.sequence.to_string(),
    ]
}
