//! What a caller reads when a request is refused or fails: RFC 9457 problem details. The only file
//! that knows status codes of failures. A problem says who is to blame; what the operator must read
//! besides goes to the log, not to the caller.

use std::{any::Any, borrow::Cow, fmt};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Every kind of refusal and failure, by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be understood.
    Invalid,
    /// Who calls is not known.
    Unauthenticated,
    /// There is not enough money or quota for it.
    PaymentRequired,
    /// Who calls may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The book's present state does not allow it.
    Conflict,
    /// The body is longer than allowed.
    TooLarge,
    /// The body is of a kind that is not read here.
    UnsupportedMediaType,
    /// Understood, and refused by a rule.
    Unprocessable,
    /// Too often, or more than a limit in time allows.
    TooManyRequests,
    /// Our fault.
    Internal,
    /// Try again soon.
    Unavailable,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::PaymentRequired,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::TooManyRequests,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The same words whenever the kind is the same.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid request",
            Self::Unauthenticated => "Not authenticated",
            Self::PaymentRequired => "Payment required",
            Self::Forbidden => "Not permitted",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Conflict => "Conflict",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::Unprocessable => "Refused",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "Internal error",
            Self::Unavailable => "Temporarily unavailable",
        }
    }
}

/// Where in a request a fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterSource {
    /// The JSON body.
    Body,
    /// The query string.
    Query,
    /// The path.
    Path,
    /// A header.
    Header,
}

/// One faulty part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvalidParameter {
    /// Its name; inside a body its path, like `items[3].amount`.
    pub field: String,
    /// Which rule it breaks: `required`, `unknown`, `duplicate`, `type` or `value`.
    pub rule: &'static str,
    /// In words.
    pub reason: String,
    /// Where it is.
    pub source: ParameterSource,
}

/// A refusal or failure on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    code: &'static str,
    detail: Cow<'static, str>,
    invalid_parameters: Vec<InvalidParameter>,
    retry_after_seconds: Option<u32>,
    challenge: Option<&'static str>,
}

/// The body of every refusal and failure (RFC 9457, `application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// A URN that ends in `code`.
    #[serde(rename = "type")]
    kind: String,
    /// The same words whenever the kind is the same.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// What is wrong, for programs: stable, in `snake_case`.
    code: &'static str,
    /// The parts of the request that are at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    invalid_parameters: &'a [InvalidParameter],
    /// Repeats `detail`, for clients of the services that were here before.
    error: &'a str,
}

impl Problem {
    /// A problem of `kind`, with a stable `code` in `snake_case` and a `detail` in words.
    #[must_use]
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            code,
            detail: detail.into(),
            invalid_parameters: Vec::new(),
            retry_after_seconds: None,
            challenge: None,
        }))
    }

    /// A part of the request that cannot be understood.
    #[must_use]
    pub fn invalid(parameter: InvalidParameter) -> Self {
        let detail = format!("`{}` {}", parameter.field, parameter.reason);
        let mut problem = Self::new(Kind::Invalid, "invalid_parameter", detail);
        problem.0.invalid_parameters.push(parameter);
        problem
    }

    /// As [`Self::invalid`], told in the words that clients know.
    #[must_use]
    pub fn worded(detail: &'static str, parameter: InvalidParameter) -> Self {
        Self::new(Kind::Invalid, "invalid_parameter", detail).with_parameters(vec![parameter])
    }

    /// There is no such `thing`.
    #[must_use]
    pub fn not_found(thing: &str) -> Self {
        Self::new(Kind::NotFound, "not_found", format!("there is no such {thing}"))
    }

    /// The caller's role or tenant does not allow it.
    #[must_use]
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, "forbidden", detail)
    }

    /// The writer has more waiting than it may hold.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(Kind::Unavailable, "busy", "more requests are waiting than can be taken")
            .with_retry_after(1)
    }

    /// Our fault: the cause goes to the log.
    #[must_use]
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(Kind::Internal, "internal", "the request failed, and the operator has been told")
    }

    /// The answer to a handler that panicked.
    #[must_use]
    pub fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::internal(&text.unwrap_or("a panic without a text"))
    }

    /// Says when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// Says how to authenticate, in `WWW-Authenticate`.
    #[must_use]
    pub fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    /// Names the parts of the request that are at fault.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Vec<InvalidParameter>) -> Self {
        self.0.invalid_parameters = parameters;
        self
    }

    /// What is wrong, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The parts of the request that are at fault.
    #[must_use]
    pub fn parameters(&self) -> &[InvalidParameter] {
        &self.0.invalid_parameters
    }

    /// The body of the answer to a request for the path `instance`.
    pub(super) fn body(&self, instance: Option<&str>) -> Body {
        let Inner { kind, code, detail, invalid_parameters, retry_after_seconds: _, challenge: _ } =
            self.0.as_ref();
        let body = ProblemBody {
            kind: format!("urn:tallybook:problem:{code}"),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail,
            instance,
            code,
            invalid_parameters,
            error: detail,
        };
        let bytes = serde_json::to_vec(&body).expect("invariant: a problem is plain text");
        Body::from(bytes)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.code, self.0.detail)
    }
}

impl IntoResponse for Problem {
    /// The problem stays with the response, so that the outermost layer can add the `instance`.
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body(None));
        *response.status_mut() = self.0.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.0.kind == Kind::TooLarge {
            // What is left of the body is not read, so that nothing can follow it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.0.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_rfc_9457_with_the_old_error_member() {
        let problem = Problem::invalid(InvalidParameter {
            field: "items[3].amount".into(),
            rule: "type",
            reason: "must be a number".into(),
            source: ParameterSource::Body,
        });
        let response = problem.clone().into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = futures_lite::future::block_on(axum::body::to_bytes(
            problem.body(Some("/api/v1/things")),
            usize::MAX,
        ))
        .unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
            serde_json::json!({
                "type": "urn:tallybook:problem:invalid_parameter",
                "title": "Invalid request",
                "status": 400,
                "detail": "`items[3].amount` must be a number",
                "instance": "/api/v1/things",
                "code": "invalid_parameter",
                "invalid_parameters": [{
                    "field": "items[3].amount",
                    "rule": "type",
                    "reason": "must be a number",
                    "source": "body",
                }],
                "error": "`items[3].amount` must be a number",
            })
        );
    }

    #[test]
    fn every_kind_is_a_failure_with_a_status_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL {
            let status = kind.status();
            assert!(status.is_client_error() || status.is_server_error());
            assert!(seen.insert(status), "{status} twice");
        }
    }

    #[test]
    fn a_busy_writer_says_when_to_come_back() {
        let response = Problem::busy().into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }

    #[test]
    fn a_panic_is_told_to_the_operator_only() {
        let problem = Problem::of_panic(&"the vault code is 1234");
        assert_eq!(problem.kind(), Kind::Internal);
        assert!(!problem.detail().contains("1234"));
    }
}
