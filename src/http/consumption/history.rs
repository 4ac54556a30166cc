//! `GET /api/v1/consumption/history`: the calls themselves, newest first.

use axum::extract::State;
use schemas::{Name, Sequence, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        auth::{Caller, Scope},
        ledger::{AtLeast, Reply, as_of, fault, point, reading},
        params::Query,
        problem::{ParameterSource, Problem},
    },
    views::{AsOf, CallFilter, TokenConsumption, Whose},
};

const PAGE_DEFAULT: usize = 1000;
const PAGE_MAX: usize = 10_000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(history))
}

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
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
    /// How many at most; 1000 when left out, never more than 10000.
    limit: Option<usize>,
    /// Where to go on: the `x-next-cursor` of the page before.
    cursor: Option<u64>,
}

/// Recorded calls, newest first.
///
/// A page that is not the last one says in `x-next-cursor` where to go on. What arrives in the
/// meantime does not move a page; with `as_of` set to the first page's `X-Ledger-Sequence` it also
/// changes nothing in the pages after it.
#[utoipa::path(get, path = "/api/v1/consumption/history", tag = "consumption",
    params(HistoryQuery), responses((status = 200, body = [TokenConsumption])))]
async fn history(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<HistoryQuery>,
) -> Result<Reply<Vec<TokenConsumption>>, Problem> {
    let scope = caller.user_scope(query.organization_id.clone(), query.user_id.clone())?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let reason = format!("must be 1 to {PAGE_MAX}");
        return Err(fault("limit", reason, ParameterSource::Query));
    }
    let point = point(&state, query.as_of)?;
    let wanted = Wanted {
        assistant: query.assistant_type,
        model: query.model,
        from: query.start_date,
        to: query.end_date,
        tokens_min: query.min_tokens,
        tokens_max: query.max_tokens,
    };
    let Some(filter) = filter(&state, &scope, &wanted) else {
        return Ok(Reply::read(point.sequence, Vec::new()));
    };
    let from = query.cursor.map_or(point.sequence, Sequence::new);
    let views = state.views().clone();
    let page = reading(move || views.calls(&filter, point.sequence, from, limit)).await?;
    Ok(Reply::read(point.sequence, page.calls).with_next(page.next))
}

/// Which of the calls in a scope.
#[derive(Debug, Default)]
pub(in crate::http) struct Wanted {
    /// Of this kind of assistant.
    pub(in crate::http) assistant: Option<Name>,
    /// Of this model.
    pub(in crate::http) model: Option<Name>,
    /// From this moment on.
    pub(in crate::http) from: Option<Timestamp>,
    /// Up to this moment, included.
    pub(in crate::http) to: Option<Timestamp>,
    /// With at least this many tokens.
    pub(in crate::http) tokens_min: Option<u64>,
    /// With at most this many tokens.
    pub(in crate::http) tokens_max: Option<u64>,
}

/// What is wanted in numbers; `None` when a name in it has never been used, so that nothing matches.
pub(in crate::http) fn filter(
    state: &AppState,
    scope: &Scope,
    wanted: &Wanted,
) -> Option<CallFilter> {
    let whose = whose(state, scope)?;
    let Wanted { assistant, model, from, to, tokens_min, tokens_max } = wanted;
    let (assistant, model) = state.views().look(|reading| {
        let names = &reading.books.names;
        let assistant = assistant.as_ref().map(|name| names.find(name.as_str()));
        let model = model.as_ref().map(|name| names.find(name.as_str()));
        (assistant, model)
    });
    Some(CallFilter {
        whose,
        assistant: transpose(assistant)?,
        model: transpose(model)?,
        from: *from,
        to: *to,
        tokens_min: *tokens_min,
        tokens_max: *tokens_max,
    })
}

/// `None` when something was asked for that nothing is known of.
#[expect(clippy::option_option, reason = "asked for or not, known or not")]
const fn transpose<T: Copy>(asked: Option<Option<T>>) -> Option<Option<T>> {
    match asked {
        None => Some(None),
        Some(None) => None,
        Some(known) => Some(known),
    }
}

/// Whose calls a scope means; `None` when nothing is known of them.
pub(in crate::http) fn whose(state: &AppState, scope: &Scope) -> Option<Whose> {
    state.views().look(|reading| {
        let names = &reading.books.names;
        let find = |name: &Name| names.find(name.as_str());
        Some(match (&scope.tenant, &scope.user) {
            (None, None) => Whose::Everyone,
            (Some(tenant), None) => Whose::Tenant(find(tenant)?),
            (None, Some(user)) => Whose::User(names.find(user.as_str())?),
            (Some(tenant), Some(user)) => Whose::UserOf(find(tenant)?, names.find(user.as_str())?),
        })
    })
}
