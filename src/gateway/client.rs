//! The gateway's administration over HTTP: reads and changes the two counters of one user. It knows
//! what an answer means for whoever wants to try again, and nothing of quota.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::config::{Gateway, Secret};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 16;
/// As much of an answer is quoted in an error.
const QUOTED_CHARS_MAX: usize = 200;

/// What the gateway counts for each user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    /// What was granted.
    Total,
    /// What of it was used.
    Used,
}

impl Counter {
    const fn path(self) -> &'static str {
        match self {
            Self::Total => "",
            Self::Used => "/used",
        }
    }
}

/// What a counter stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The gateway knows no such counter.
    NotKept,
    /// A whole number of units.
    Whole(i64),
    /// A number that is not whole, or beyond 64 bits.
    Other,
}

/// Whether it makes sense to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The gateway cannot be reached or cannot do its work now: soon.
    Unavailable,
    /// The gateway has answered that it failed. When it answers for others, it is about this user.
    Failing,
    /// The gateway understood, or was not understood: hardly.
    Refused,
}

/// Why a request did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub(super) struct Failure {
    /// Whether to try again.
    pub(super) kind: FailureKind,
    /// Whether a change may have been made, or may yet be made, all the same.
    pub(super) outcome_unknown: bool,
    /// For the operator.
    pub(super) reason: String,
}

impl Failure {
    pub(super) const fn refused(reason: String) -> Self {
        Self { kind: FailureKind::Refused, outcome_unknown: false, reason }
    }
}

/// What the gateway answered: JSON with `quota`, perhaps in an envelope, or, to changes, any text.
#[derive(Default, Deserialize)]
struct Answer<'a> {
    success: Option<bool>,
    #[serde(borrow)]
    quota: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    quota: Option<&'a RawValue>,
}

/// One gateway.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Ends with `/quota`.
    quota: Url,
}

impl Client {
    /// A client of the gateway at `base_url`, as `config` says.
    ///
    /// # Errors
    /// When the system's certificates cannot be read, or `config` was not checked.
    pub(super) fn new(base_url: &str, config: &Gateway) -> anyhow::Result<Self> {
        let secret = |secret: &Secret, prefix: &str| -> anyhow::Result<HeaderValue> {
            let mut value = HeaderValue::try_from(format!("{prefix}{}", secret.expose()))
                .context("a credential for the gateway")?;
            value.set_sensitive(true);
            Ok(value)
        };
        let mut headers = HeaderMap::new();
        if let Some(value) = &config.auth_value {
            let name =
                HeaderName::try_from(&config.auth_header).context("`gateway.auth_header`")?;
            headers.insert(name, secret(value, "")?);
        }
        if let Some(credential) = &config.credential {
            headers.insert(AUTHORIZATION, secret(credential, "Bearer ")?);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(Duration::from_millis(u64::from(config.timeout_ms)))
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        let (base, path) =
            (base_url.trim_end_matches('/'), config.admin_path.trim_end_matches('/'));
        let quota =
            Url::parse(&format!("{base}{path}/quota")).context("the address of the gateway")?;
        Ok(Self { http, quota })
    }

    /// What a user's counter stands at.
    pub(super) async fn read(&self, counter: Counter, user: &str) -> Result<Held, Failure> {
        let mut url = self.url(counter.path());
        url.set_query(Some(&form(user, &[])));
        let action = format!("GET {}", url.path());
        let (status, text) = self.call(&action, self.http.get(url), false).await?;
        if is_unknown(status) {
            return Ok(Held::NotKept);
        }
        let answer: Answer<'_> = serde_json::from_str(&text).unwrap_or_default();
        let quota = answer.quota.or(answer.data.and_then(|data| data.quota));
        let number = quota.and_then(|quota| held(quota.get()));
        number.ok_or_else(|| {
            count_failure();
            Failure::refused(format!("{action}: no number in {}", quoted(&text)))
        })
    }

    /// Sets a user's counter; `false` when the gateway does not know how.
    pub(super) async fn set(
        &self,
        counter: Counter,
        user: &str,
        value: i64,
    ) -> Result<bool, Failure> {
        let path = format!("{}/refresh", counter.path());
        self.change(&path, form(user, &[("quota", &value.to_string())])).await
    }

    /// Adds to, or takes from, a user's counter; `false` when the gateway does not know how. Done
    /// twice, it counts twice.
    pub(super) async fn add(
        &self,
        counter: Counter,
        user: &str,
        difference: i64,
    ) -> Result<bool, Failure> {
        let path = format!("{}/delta", counter.path());
        self.change(&path, form(user, &[("value", &difference.to_string())])).await
    }

    async fn change(&self, path: &str, form: String) -> Result<bool, Failure> {
        let url = self.url(path);
        let action = format!("POST {}", url.path());
        let request = self
            .http
            .request(Method::POST, url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let (status, _) = self.call(&action, request, true).await?;
        Ok(!is_unknown(status))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.quota.clone();
        url.set_path(&format!("{}{path}", self.quota.path()));
        url
    }

    /// Sends a request, and takes the answer if it says that the request was done, or that there is
    /// nothing at this address.
    async fn call(
        &self,
        action: &str,
        request: RequestBuilder,
        changes: bool,
    ) -> Result<(StatusCode, String), Failure> {
        let failure = |kind, outcome_unknown, reason| {
            count_failure();
            Failure { kind, outcome_unknown, reason: format!("{action}: {reason}") }
        };
        let lost = |error: reqwest::Error| {
            let unknown = changes && !error.is_connect();
            failure(FailureKind::Unavailable, unknown, told(error))
        };
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if bytes.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
                let reason = "the answer is too long".to_owned();
                return Err(failure(FailureKind::Refused, false, reason));
            }
            bytes.extend_from_slice(&piece);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answer: Answer<'_> = serde_json::from_str(&text).unwrap_or_default();
        if is_unknown(status) || status.is_success() && answer.success != Some(false) {
            return Ok((status, text));
        }
        let kind = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => FailureKind::Unavailable,
            StatusCode::INTERNAL_SERVER_ERROR => FailureKind::Failing,
            _ if status.is_server_error() => FailureKind::Unavailable,
            _ => FailureKind::Refused,
        };
        // Somebody between us and the gateway has given up on it.
        let unknown = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
        Err(failure(kind, changes && unknown, format!("{status}: {}", quoted(&text))))
    }
}

/// What stands for "there is no such operation".
fn is_unknown(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

fn count_failure() {
    metrics::counter!("gateway_requests_failed_total").increment(1);
}

/// The parameters of a request. Gateways disagree on what a user is called, so both names are sent.
/// Spaces are written as `%20`, which also those understand who do not read `+` as one.
fn form(user: &str, others: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("user_id", user).append_pair("consumer", user).extend_pairs(others);
    form.finish().replace('+', "%20")
}

/// Reads a JSON number, or a string with one.
fn held(text: &str) -> Option<Held> {
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if let Ok(whole) = text.parse() {
        return Some(Held::Whole(whole));
    }
    // Gateways that count in floats write whole numbers as `5.000000`.
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    let number = number.to_string();
    let whole = match number.split_once('.') {
        Some((whole, rest)) if rest.bytes().all(|digit| digit == b'0') => whole.parse().ok(),
        _ => None,
    };
    Some(whole.map_or(Held::Other, Held::Whole))
}

/// An error with its causes and without the address, which names the user.
fn told(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    format!("{:#}", anyhow::Error::new(error.without_url()))
}

fn quoted(text: &str) -> String {
    let on_one_line = |char: char| if char.is_control() { ' ' } else { char };
    format!("`{}`", text.chars().take(QUOTED_CHARS_MAX).map(on_one_line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (text, expected) in [
            ("12", Some(Held::Whole(12))),
            ("-3", Some(Held::Whole(-3))),
            ("\"7\"", Some(Held::Whole(7))),
            ("5.000000", Some(Held::Whole(5))),
            ("-5.0", Some(Held::Whole(-5))),
            ("5.250000", Some(Held::Other)),
            ("9223372036854775808", Some(Held::Other)),
            ("9223372036854775808.0", Some(Held::Other)),
            ("null", None),
            ("\"\"", None),
            ("{}", None),
        ] {
            assert_eq!(held(text), expected, "{text}");
        }
    }

    #[test]
    fn a_user_is_written_so_that_everybody_reads_the_same() {
        let escaped = "%20a%2B%26%7C%3D%25%23%C3%A9";
        assert_eq!(
            form(" a+&|=%#é", &[("quota", "-1")]),
            format!("user_id={escaped}&consumer={escaped}&quota=-1")
        );
    }
}
