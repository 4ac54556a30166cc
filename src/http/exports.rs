//! `GET /api/v1/export/…`: consumption and reports as files. What may be long is read page by page
//! and sent on as it is read, so that memory does not grow with it. When reading fails in the middle
//! the connection is cut, so that nobody takes a part for the whole.

mod csv;
mod focus;
mod json;
mod pdf;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use projections::collections::PostingList;
use replay::ReadError;
use schemas::{Name, Sequence, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::{
    AppState,
    auth::Caller,
    consumption::{Wanted, filter},
    ledger::{SEQUENCE, as_of, point},
    problem::Problem,
};
use crate::views::{AsOf, CallFilter, TokenConsumption, Views};
pub(in crate::http) use csv::cell;

/// How many calls are read and sent at once.
const PAGE: usize = 1000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(csv::router())
        .merge(json::router())
        .merge(focus::router())
        .merge(pdf::router())
}

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct CallsQuery {
    /// Who paid. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Who called.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// Of this kind of assistant.
    #[param(value_type = Option<String>)]
    assistant_type: Option<Name>,
    /// Of this model.
    #[param(value_type = Option<String>)]
    model: Option<Name>,
    /// From this moment on.
    #[param(value_type = Option<String>, format = DateTime)]
    start_date: Option<Timestamp>,
    /// Up to this moment, included.
    #[param(value_type = Option<String>, format = DateTime)]
    end_date: Option<Timestamp>,
    /// With at least this many tokens.
    min_tokens: Option<u64>,
    /// With at most this many tokens.
    max_tokens: Option<u64>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of", rename = "as_of")]
    #[param(value_type = Option<String>, rename = "as_of")]
    as_of: Option<AsOf>,
}

/// Calls on their way out: those up to one event, whatever arrives meanwhile.
struct Calls {
    views: Views,
    /// What is wanted, and where it stands in the log; `None`: nothing is known of it.
    wanted: Option<(CallFilter, PostingList)>,
    through: Sequence,
    /// Where the next page begins; `None` after the last.
    next: Option<Sequence>,
}

impl Calls {
    fn of(state: &AppState, caller: &Caller, query: CallsQuery) -> Result<Self, Problem> {
        let scope = caller.user_scope(query.organization_id, query.user_id)?;
        let through = point(state, query.as_of)?.sequence;
        let wanted = Wanted {
            assistant: query.assistant_type,
            model: query.model,
            from: query.start_date,
            to: query.end_date,
            tokens_min: query.min_tokens,
            tokens_max: query.max_tokens,
        };
        let views = state.views().clone();
        let wanted = filter(state, &scope, &wanted).map(|filter| {
            let list = views.calls_list(filter.whose);
            (filter, list)
        });
        Ok(Self { views, wanted, through, next: Some(through) })
    }

    /// The next page; `None` after the last.
    fn page(&mut self) -> Result<Option<Vec<TokenConsumption>>, ReadError> {
        let (Some(from), Some((filter, list))) = (self.next.take(), &self.wanted) else {
            return Ok(None);
        };
        let page = self.views.calls_of(list, filter, self.through, from, PAGE)?;
        self.next = page.next;
        Ok(Some(page.calls))
    }
}

/// Where a file being sent stands.
enum Stage {
    Begin,
    Pages,
    End,
}

/// `head`, what `write` makes of page after page, and `tail`.
fn sent(
    calls: Calls,
    (head, tail): (&'static str, &'static str),
    write: fn(&[TokenConsumption], is_first: bool) -> Result<Vec<u8>, anyhow::Error>,
) -> impl Stream<Item = Result<Bytes, anyhow::Error>> {
    let start = (calls, Stage::Begin, true);
    stream::try_unfold(start, move |(mut calls, stage, is_first)| async move {
        match stage {
            Stage::Begin => {
                let head = Bytes::from_static(head.as_bytes());
                Ok(Some((head, (calls, Stage::Pages, is_first))))
            }
            Stage::Pages => {
                let reading = tokio::task::spawn_blocking(move || {
                    let Some(page) = calls.page()? else { return Ok((calls, None)) };
                    let bytes = write(&page, is_first)?;
                    Ok::<_, anyhow::Error>((calls, Some((bytes, page.is_empty()))))
                });
                let read = reading.await.map_err(anyhow::Error::from).and_then(|read| read);
                let (calls, bytes) = read.inspect_err(|error| {
                    tracing::error!("an export was cut off: {error:#}");
                })?;
                if let Some((bytes, is_empty)) = bytes {
                    let is_first = is_first && is_empty;
                    Ok(Some((Bytes::from(bytes), (calls, Stage::Pages, is_first))))
                } else {
                    let tail = Bytes::from_static(tail.as_bytes());
                    Ok(Some((tail, (calls, Stage::End, is_first))))
                }
            }
            Stage::End => Ok(None),
        }
    })
}

/// A file to be kept under this name.
fn file(sequence: Sequence, media_type: &'static str, name: &str, body: Body) -> Response {
    let disposition = format!("attachment; filename=\"{}\"", plain(name));
    let disposition = HeaderValue::try_from(disposition)
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (SEQUENCE, HeaderValue::from(sequence.get())),
    ];
    (headers, body).into_response()
}

/// A name that every file system takes.
fn plain(name: &str) -> String {
    let keeps = |letter: &char| letter.is_ascii_alphanumeric() || "-_.".contains(*letter);
    name.chars().map(|letter| if keeps(&letter) { letter } else { '_' }).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_plainly() {
        assert_eq!(plain("report-acme-2025-03.pdf"), "report-acme-2025-03.pdf");
        assert_eq!(plain("a\"b/..\\c\r\nü.csv"), "a_b_.._c___.csv");
        assert_eq!(plain(&"x".repeat(500)).len(), 120);
    }
}
