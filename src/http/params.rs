//! Reads query strings, forms and path parameters, strictly: unknown, repeated and ill-formed parameters
//! are refused by name. A type that is read from a query denies unknown fields.

use std::sync::Arc;

use axum::{
    extract::{
        FromRequestParts, MatchedPath, Request, State, path::ErrorKind, rejection::PathRejection,
    },
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn},
};

use super::{
    body::{named, parse_object},
    problem::{InvalidParameter, Kind, ParameterSource, Problem},
};

/// The parameters of a query string.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string.
///
/// # Errors
/// Names the parameter that is unknown, repeated, missing or of the wrong kind.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    check_percents(query, ParameterSource::Query)?;
    let pairs = form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let path = error.path().to_string();
        Problem::invalid(named(&path, &error.inner().to_string(), ParameterSource::Query))
    })
}

/// Reads a form in a body, as strictly, and as JSON whose values are all texts: so an amount is read
/// the same way in both.
///
/// # Errors
/// Names the field that is unknown, repeated, missing or of the wrong kind.
pub fn parse_form<T: DeserializeOwned>(form: &str) -> Result<T, Problem> {
    check_percents(form, ParameterSource::Body)?;
    let fields: Vec<String> = form_urlencoded::parse(form.as_bytes())
        .map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)))
        .collect();
    parse_object(format!("{{{}}}", fields.join(",")).as_bytes())
}

fn check_percents(pairs: &str, source: ParameterSource) -> Result<(), Problem> {
    for pair in pairs.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(reason) = percent_fault(name).or_else(|| percent_fault(value)) {
            return Err(Problem::invalid(InvalidParameter {
                field: name.chars().take(64).collect(),
                rule: "value",
                reason: reason.to_owned(),
                source,
            }));
        }
    }
    Ok(())
}

/// The routes that read a query string, each by its method and its path.
#[derive(Debug, Clone)]
pub(super) struct QueryRoutes(Arc<[(&'static str, String)]>);

impl QueryRoutes {
    /// Those that are described with a parameter in the query.
    pub(super) fn of(described: &OpenApi) -> Self {
        let reads_query = |operation: &Operation| {
            let mut parameters = operation.parameters.iter().flatten();
            parameters.any(|parameter| match parameter {
                RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
                RefOr::Ref(_) => true,
            })
        };
        let routes = described.paths.paths.iter().flat_map(|(path, item)| {
            let operations = [
                ("GET", &item.get),
                ("PUT", &item.put),
                ("POST", &item.post),
                ("DELETE", &item.delete),
                ("PATCH", &item.patch),
            ];
            operations
                .into_iter()
                .filter(|(_, operation)| operation.as_ref().is_some_and(reads_query))
                .map(|(method, _)| (method, path.clone()))
        });
        Self(routes.collect())
    }

    fn reads_query(&self, request: &Request) -> bool {
        let method = match request.method().as_str() {
            "HEAD" => "GET",
            method => method,
        };
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        self.0.iter().any(|(read, route)| *read == method && route == path)
    }
}

/// Refuses a query string where none is read: whoever sends one expects it to mean something.
pub(super) async fn refuse_unread_query(
    State(routes): State<QueryRoutes>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).next() else {
        return next.run(request).await;
    };
    if routes.reads_query(&request) {
        return next.run(request).await;
    }
    Problem::invalid(InvalidParameter {
        field: name.chars().take(64).collect(),
        rule: "unknown",
        reason: "is not known here".to_owned(),
        source: ParameterSource::Query,
    })
    .into_response()
}

/// What is wrong with the percent-encoding, which readers otherwise mend in silence.
fn percent_fault(text: &str) -> Option<&'static str> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Some("has a `%` that is not followed by two hexadecimal digits");
        };
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    std::str::from_utf8(&decoded).is_err().then_some("is not UTF-8")
}

/// The parameters in the path of a request.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(rejection)) => {
                let matched = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
                Err(path_problem(rejection.into_kind(), matched.unwrap_or_default()))
            }
            Err(other) => Err(Problem::internal(&other)),
        }
    }
}

fn path_problem(kind: ErrorKind, matched: &str) -> Problem {
    let (field, reason) = match kind {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => {
            (Some(key), format!("must be {expected_type}, got `{value}`"))
        }
        ErrorKind::ParseErrorAtIndex { index, value, expected_type } => {
            (names(matched).nth(index), format!("must be {expected_type}, got `{value}`"))
        }
        ErrorKind::ParseError { value, expected_type } => {
            (None, format!("must be {expected_type}, got `{value}`"))
        }
        ErrorKind::DeserializeError { key, value: _, message } => (Some(key), message),
        ErrorKind::InvalidUtf8InPathParam { key } => (Some(key), "is not UTF-8".to_owned()),
        ErrorKind::Message(message) => (None, message),
        other => {
            return Problem::new(Kind::Invalid, "invalid_parameter", other.to_string());
        }
    };
    Problem::invalid(InvalidParameter {
        field: field.or_else(|| names(matched).next()).unwrap_or_else(|| "path".to_owned()),
        rule: "value",
        reason,
        source: ParameterSource::Path,
    })
}

/// The names in a route like `/users/{id}/lots`.
fn names(matched: &str) -> impl Iterator<Item = String> {
    matched.split('/').filter_map(|part| {
        Some(part.strip_prefix('{')?.strip_suffix('}')?.trim_start_matches('*').to_owned())
    })
}

const PAGE_SIZE_DEFAULT: i64 = 10;
const PAGE_SIZE_MAX: i64 = 1000;

/// How many come before the page that `page` and `page_size` ask for, and how many it may hold.
pub(super) fn page(page: Option<i64>, size: Option<i64>) -> (usize, usize) {
    let page = page.filter(|page| *page > 0).unwrap_or(1);
    let size = size.filter(|size| *size > 0).unwrap_or(PAGE_SIZE_DEFAULT).min(PAGE_SIZE_MAX);
    let skip = usize::try_from(page.saturating_sub(1).saturating_mul(size));
    (skip.unwrap_or(usize::MAX), usize::try_from(size).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use schemas::{Name, Timestamp};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Filter {
        page: Option<u32>,
        user: Option<Name>,
        from: Option<Timestamp>,
    }

    #[test]
    fn a_query_is_read_and_unescaped() {
        let filter: Filter =
            parse_query("page=2&user=j%C3%BC+rgen&from=2025-01-01T00:00:00%2B01:00").unwrap();
        assert_eq!(filter.page, Some(2));
        assert_eq!(filter.user.unwrap().as_str(), "jü rgen");
        assert_eq!(filter.from.unwrap().to_string(), "2024-12-31T23:00:00Z");
        assert_eq!(parse_query::<Filter>("").unwrap(), Filter::default());
    }

    #[test]
    fn a_faulty_query_is_refused_with_the_name_of_the_parameter() {
        for (query, field, rule, reason) in [
            ("page=x", "page", "value", "invalid digit found in string"),
            ("page=-1", "page", "value", "invalid digit found in string"),
            ("pages=1", "pages", "unknown", "is not known here"),
            ("page=1&page=2", "page", "duplicate", "is given twice"),
            ("user=", "user", "value", "must not be empty"),
            ("from=yesterday", "from", "value", "`yesterday` is not an RFC 3339 time"),
            ("user=%ff", "user", "value", "is not UTF-8"),
            (
                "user=%f",
                "user",
                "value",
                "has a `%` that is not followed by two hexadecimal digits",
            ),
            (
                "user=%zz",
                "user",
                "value",
                "has a `%` that is not followed by two hexadecimal digits",
            ),
        ] {
            let problem = parse_query::<Filter>(query).unwrap_err();
            let [fault] = problem.parameters() else { panic!("one fault in {query}") };
            assert_eq!(
                (fault.field.as_str(), fault.rule, fault.reason.as_str()),
                (field, rule, reason),
                "{query}"
            );
            assert_eq!((problem.kind(), fault.source), (Kind::Invalid, ParameterSource::Query));
        }
    }
}
