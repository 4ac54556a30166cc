//! What the routes that tell of usage share: over which time, and a look at what a scope used.

use projections::usage::Totals;
use schemas::{Day, Sequence, Timestamp};

use super::history::whose;
use crate::{
    http::{
        AppState,
        auth::Scope,
        ledger::{fault, point, reading},
        problem::{InvalidParameter, ParameterSource, Problem},
    },
    views::{Breakdown, Dimension, Edge, Point, Span, Used, is_quick},
};

/// A parameter that is missing, in the words that clients know.
pub(in crate::http) fn required(field: &str, detail: &'static str) -> Problem {
    let parameter = InvalidParameter {
        field: field.to_owned(),
        rule: "required",
        reason: "is required".to_owned(),
        source: ParameterSource::Query,
    };
    Problem::worded(detail, parameter)
}

/// What a look at the usage in a scope shows; the default where nothing is known of it.
pub(in crate::http) async fn look<T: Default + Send + 'static>(
    state: &AppState,
    scope: &Scope,
    span: Span,
    look: impl FnOnce(&Used) -> T + Send + 'static,
) -> Result<(Sequence, T), Problem> {
    let point = point(state, None)?;
    let Some(whose) = whose(state, scope) else { return Ok((point.sequence, T::default())) };
    let views = state.views().clone();
    reading(move || views.used(whose, span, &point, look)).await
}

/// The usage in a scope at a point, by day and by `dimension`.
pub(in crate::http) async fn usage(
    state: &AppState,
    scope: &Scope,
    span: Span,
    dimension: Dimension,
    point: Point,
) -> Result<(Sequence, Breakdown), Problem> {
    let Some(whose) = whose(state, scope) else { return Ok((point.sequence, Breakdown::new())) };
    if is_quick(whose, span, dimension, &point) {
        return Ok(state.views().usage(whose, span, dimension, &point)?);
    }
    let views = state.views().clone();
    reading(move || views.usage(whose, span, dimension, &point)).await
}

/// The span between two texts; all time where they are left out.
pub(in crate::http) fn span(start: Option<&str>, end: Option<&str>) -> Result<Span, Problem> {
    let Span::Between(first, last) = Span::ALWAYS else { return Ok(Span::ALWAYS) };
    let first = start.map_or(Ok(first), |text| edge("startDate", text))?;
    let last = end.map_or(Ok(last), |text| edge("endDate", text))?;
    let span = Span::Between(first, last);
    if span.is_empty() {
        return Err(fault("endDate", "must not lie before `startDate`", ParameterSource::Query));
    }
    Ok(span)
}

fn edge(field: &str, text: &str) -> Result<Edge, Problem> {
    Day::parse(text)
        .map(Edge::Day)
        .or_else(|| Timestamp::parse(text).ok().map(Edge::Moment))
        .ok_or_else(|| {
            fault(field, "must be `YYYY-MM-DD` or an RFC 3339 time", ParameterSource::Query)
        })
}

pub(in crate::http) fn sum<'a>(all: impl Iterator<Item = &'a Totals>) -> Totals {
    all.fold(Totals::default(), |mut sum, totals| {
        sum.add(totals);
        sum
    })
}
