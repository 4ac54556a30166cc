//! Reads JSON bodies, strictly: the right content type, no longer than allowed, UTF-8, and exactly
//! the fields that are known. A body is parsed once; only one that fails is parsed again, to name
//! the field.

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{HeaderMap, header},
};
use bytes::BytesMut;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use tokio_stream::StreamExt;

use super::{
    AppState,
    problem::{InvalidParameter, Kind, ParameterSource, Problem},
};

/// Longest reason that is repeated to the caller, in characters.
const REASON_CHARS_MAX: usize = 240;

/// A JSON object in the body of a request.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let bytes = json_bytes(request, state.limits().body_bytes_max).await?;
        parse_object(&bytes).map(Self)
    }
}

/// A body that may be left out, and then need not say what it is.
impl<T: DeserializeOwned> OptionalFromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Option<Self>, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(None);
        }
        <Self as FromRequest<AppState>>::from_request(request, state).await.map(Some)
    }
}

/// The bytes of a body that says it is JSON, at most `bytes_max` of them.
///
/// # Errors
/// When it says it is something else, is too long, or does not arrive.
pub async fn json_bytes(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "unsupported_media_type",
            "the body must be JSON and say so with `Content-Type: application/json`",
        ));
    }
    read(request.into_body(), bytes_max).await
}

/// `application/json` or `application/…+json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    if value == "application/json" {
        return true;
    }
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// Reads a body of at most `bytes_max` bytes. One that comes in one piece is not copied.
///
/// # Errors
/// When it is longer, or the connection breaks.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            Kind::TooLarge,
            "body_too_large",
            format!("the body is longer than {bytes_max} bytes"),
        )
    };
    let declared = axum::body::HttpBody::size_hint(&body).lower();
    let declared = usize::try_from(declared).unwrap_or(usize::MAX);
    let mut pieces = body.into_data_stream();
    if declared > bytes_max {
        if declared <= bytes_max.saturating_mul(2) {
            discard(&mut pieces, bytes_max).await;
        }
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(Kind::Invalid, "incomplete_body", "the body ended before it was complete")
        })?;
        let length = first.len().max(joined.len()).saturating_add(piece.len());
        if length > bytes_max {
            discard(&mut pieces, bytes_max).await;
            return Err(too_large());
        }
        if joined.is_empty() && first.is_empty() {
            first = piece;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&piece);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// Reads what is left of a body that is not much too long: a connection that is closed with bytes in
/// it can take the answer with it.
async fn discard(pieces: &mut BodyDataStream, bytes_max: usize) {
    let mut length = 0_usize;
    while length <= bytes_max
        && let Some(Ok(piece)) = pieces.next().await
    {
        length = length.saturating_add(piece.len().max(1));
    }
}

/// Reads one JSON object.
///
/// # Errors
/// When the bytes are not UTF-8, not JSON, not an object, or not the object that is expected.
pub fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = as_text(bytes)?;
    // A list would be read as the fields of the object in their order.
    if text.trim_ascii_start().starts_with('[') {
        return Err(Problem::invalid(InvalidParameter {
            field: "body".into(),
            rule: "type",
            reason: "must be an object, not a list".into(),
            source: ParameterSource::Body,
        }));
    }
    parse_text(text)
}

/// Reads any one JSON value.
///
/// # Errors
/// When the bytes are not UTF-8, not JSON, or not the value that is expected.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    parse_text(as_text(bytes)?)
}

/// The text of a body; checked as a whole, because ignored fields are not looked at any more.
///
/// # Errors
/// When the bytes are not UTF-8.
pub fn as_text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        Problem::new(
            Kind::Invalid,
            "body_not_utf8",
            format!("the body is not UTF-8 from byte {} on", error.valid_up_to()),
        )
    })
}

fn parse_text<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| explain::<T>(text, &error))
}

/// Names what is wrong, and where.
#[cold]
fn explain<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    if text.trim_ascii().is_empty() {
        return Problem::new(Kind::Invalid, "body_not_json", "the body is empty");
    }
    if error.to_string().starts_with("recursion limit exceeded") {
        return Problem::new(Kind::Invalid, "body_too_deep", "the body is nested too deeply");
    }
    // A choice that is given as a number is said to be no JSON as well.
    let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
    if error.classify() != Category::Data && !is_json() {
        return Problem::new(
            Kind::Invalid,
            "body_not_json",
            format!("the body is not JSON: {error}"),
        );
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(located) => {
            let path = located.path().to_string();
            let message = located.inner().to_string();
            let message = without_position(&message);
            Problem::invalid(named(&path, message, ParameterSource::Body))
        }
        Ok(_) => Problem::internal(&format_args!("a body was refused once only: {error}")),
    }
}

fn without_position(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(message, _)| message)
}

/// Turns serde's words into a field, a rule and a reason.
pub(super) fn named(path: &str, message: &str, source: ParameterSource) -> InvalidParameter {
    let path = path.trim_start_matches('.');
    let (rule, field) = if let Some(field) = quoted_after(message, "missing field `") {
        ("required", Some(field))
    } else if let Some(field) = quoted_after(message, "unknown field `") {
        ("unknown", Some(field))
    } else if let Some(field) = quoted_after(message, "duplicate field `") {
        ("duplicate", Some(field))
    } else if message.starts_with("invalid type: ") {
        ("type", None)
    } else {
        ("value", None)
    };
    let reason = match rule {
        "required" => "is missing".to_owned(),
        "unknown" => "is not known here".to_owned(),
        "duplicate" => "is given twice".to_owned(),
        _ if message == "expected value" => "has a value of another kind".to_owned(),
        _ => reworded(message),
    };
    InvalidParameter { field: joined(path, field), rule, reason, source }
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split_once('`').map(|(field, _)| field)
}

/// The path of `field`, which the path of its parent may or may not end in already.
fn joined(path: &str, field: Option<&str>) -> String {
    match field {
        Some(field) if path.is_empty() => field.to_owned(),
        Some(field) if path == field || path.ends_with(&format!(".{field}")) => path.to_owned(),
        Some(field) => format!("{path}.{field}"),
        None if path.is_empty() => "body".to_owned(),
        None => path.to_owned(),
    }
}

/// `invalid type: string "x", expected u64` becomes `must be u64, got string "x"`.
fn reworded(message: &str) -> String {
    let parts = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.rsplit_once(", expected "));
    let text = match parts {
        Some((got, expected)) => format!("must be {expected}, got {got}"),
        None => message.to_owned(),
    };
    if text.chars().count() > REASON_CHARS_MAX {
        let mut short: String = text.chars().take(REASON_CHARS_MAX).collect();
        short.push('…');
        return short;
    }
    text
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        name: String,
        items: Vec<Item>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        amount: u64,
        #[serde(default)]
        extra: Option<serde_json::Value>,
    }

    /// `code field rule: detail`
    fn refusal(body: &[u8]) -> String {
        let problem = parse_object::<Order>(body).expect_err("must be refused");
        assert_eq!(problem.kind(), Kind::Invalid);
        let parameters: Vec<_> = problem
            .parameters()
            .iter()
            .map(|parameter| format!(" {} {}", parameter.field, parameter.rule))
            .collect();
        format!("{}{}: {}", problem.code(), parameters.concat(), problem.detail())
    }

    #[test]
    fn a_faulty_body_is_refused_with_the_path_of_the_field() {
        for (body, expected) in [
            ("", "body_not_json: the body is empty"),
            (
                "{\"name\"",
                "body_not_json: the body is not JSON: EOF while parsing an object at line 1 column 7",
            ),
            ("{} {}", "invalid_parameter name required: `name` is missing"),
            ("nonsense", "body_not_json: the body is not JSON: expected ident at line 1 column 2"),
            (r#"["a", []]"#, "invalid_parameter body type: `body` must be an object, not a list"),
            ("7", "invalid_parameter body type: `body` must be struct Order, got integer `7`"),
            (r#"{"name":"a"}"#, "invalid_parameter items required: `items` is missing"),
            (
                r#"{"name":"a","items":[{"amount":1},{}]}"#,
                "invalid_parameter items[1].amount required: `items[1].amount` is missing",
            ),
            (
                r#"{"name":"a","items":[{"amount":"1"}]}"#,
                "invalid_parameter items[0].amount type: `items[0].amount` must be u64, got string \"1\"",
            ),
            (
                r#"{"name":"a","items":[{"amount":-1}]}"#,
                "invalid_parameter items[0].amount value: `items[0].amount` must be u64, got integer `-1`",
            ),
            (
                r#"{"name":"a","items":[{"amount":1,"colour":2}]}"#,
                "invalid_parameter items[0].colour unknown: `items[0].colour` is not known here",
            ),
            (
                r#"{"name":"a","name":"b","items":[]}"#,
                "invalid_parameter name duplicate: `name` is given twice",
            ),
            (
                r#"{"name":"a","items":[]} x"#,
                "body_not_json: the body is not JSON: trailing characters at line 1 column 25",
            ),
        ] {
            assert_eq!(refusal(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_body_that_is_not_utf8_or_too_deep_is_refused() {
        assert_eq!(
            refusal(b"{\"name\":\"\xff\",\"items\":[]}"),
            "body_not_utf8: the body is not UTF-8 from byte 9 on"
        );
        let deep = format!(
            r#"{{"name":"a","items":[{{"amount":1,"extra":{}{}}}]}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(refusal(deep.as_bytes()), "body_too_deep: the body is nested too deeply");
    }

    #[test]
    fn a_long_value_is_not_repeated_in_full() {
        let body = format!(r#"{{"name":"a","items":"{}"}}"#, "x".repeat(100_000));
        let told = refusal(body.as_bytes());
        assert!(told.len() < 600, "{} bytes", told.len());
        assert!(told.starts_with("invalid_parameter items type: `items` must be "), "{told}");
    }

    #[test]
    fn only_json_is_json() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(with("application/json"));
        assert!(with("Application/JSON; charset=utf-8"));
        assert!(with("application/cloudevents+json"));
        assert!(!with("text/json"));
        assert!(!with("application/x-www-form-urlencoded"));
        assert!(!with("application/jsonp"));
        assert!(!is_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
        let pieces = |sizes: &'static [usize]| {
            Body::from_stream(futures_util::stream::iter(
                sizes.iter().map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size])),
            ))
        };
        for sizes in [&[8][..], &[3, 5], &[1, 1, 6], &[0, 8, 0]] {
            let read = read(pieces(sizes), 8).await.unwrap();
            assert_eq!(read, vec![b'x'; 8], "{sizes:?}");
        }
        for sizes in [&[9][..], &[8, 1], &[1, 1, 7]] {
            let problem = read(pieces(sizes), 8).await.unwrap_err();
            assert_eq!(problem.kind(), Kind::TooLarge, "{sizes:?}");
        }
        assert_eq!(read(Body::from("123456789"), 8).await.unwrap_err().code(), "body_too_large");
        let broken = Body::from_stream(futures_util::stream::iter([
            Ok("{"),
            Err(std::io::Error::other("gone")),
        ]));
        assert_eq!(read(broken, 8).await.unwrap_err().code(), "incomplete_body");
    }
}
