//! Why bytes are not a report: the field, the reason, and a stable code.

use std::fmt;

use thiserror::Error;

/// What kind of fault a report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportCode {
    /// The body is not JSON, or not UTF-8.
    NotJson,
    /// A field that must be there is not.
    MissingField,
    /// A field is not known here.
    UnknownField,
    /// A field is given twice.
    DuplicateField,
    /// A field's value cannot be what it says.
    InvalidField,
}

impl ReportCode {
    /// The code as clients read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::MissingField => "missing_field",
            Self::UnknownField => "unknown_field",
            Self::DuplicateField => "duplicate_field",
            Self::InvalidField => "invalid_field",
        }
    }
}

/// Why bytes are not a report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ReportError {
    /// The path of the field, as `usage.promptTokens`; empty when it is the body as a whole.
    pub field: String,
    /// What is wrong with it, to be read after the field's name.
    pub reason: String,
    /// The kind of fault.
    pub code: ReportCode,
}

pub(super) const UNKNOWN: &str = "is not a known field";
pub(super) const TWICE: &str = "is given twice";
const REASON_CHARS_MAX: usize = 200;
/// Unknown fields have names as long as their senders please.
const FIELD_CHARS_MAX: usize = 200;

impl ReportError {
    pub(super) fn missing(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            reason: "is required".to_owned(),
            code: ReportCode::MissingField,
        }
    }

    pub(super) fn invalid(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into(), code: ReportCode::InvalidField }
    }

    /// The same, for a field of the object at `parent`.
    pub(super) fn within(self, parent: &str) -> Self {
        let field = match self.field.as_str() {
            _ if parent.is_empty() => return self,
            "" => parent.to_owned(),
            field if field.starts_with('[') => format!("{parent}{field}"),
            field => format!("{parent}.{field}"),
        };
        Self { field, ..self }
    }

    /// Finds the field of a body that could not be read.
    pub(super) fn locate<T: serde::de::DeserializeOwned>(body: &[u8]) -> Self {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let (field, error) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(error) => (error.path().to_string(), error.into_inner()),
            Ok(_) => match deserializer.end() {
                Err(error) => (String::new(), error),
                Ok(()) => {
                    return Self {
                        field: String::new(),
                        reason: "is not UTF-8".to_owned(),
                        code: ReportCode::NotJson,
                    };
                }
            },
        };
        let field = if field == "." { "" } else { &field };
        let field: String = field.chars().take(FIELD_CHARS_MAX).collect();
        if error.is_data() {
            return Self::of_data(field, &error);
        }
        let not_utf8 = error.to_string().starts_with("invalid unicode code point");
        Self {
            field: if not_utf8 { field } else { String::new() },
            reason: format!("is not JSON: {error}"),
            code: ReportCode::NotJson,
        }
    }

    fn of_data(field: String, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let text = text.strip_suffix(&position).unwrap_or(&text);
        let code = match text {
            UNKNOWN => ReportCode::UnknownField,
            TWICE => ReportCode::DuplicateField,
            _ => ReportCode::InvalidField,
        };
        let wrong_type =
            text.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "));
        let reason = match wrong_type {
            Some((got, expected)) => format!("must be {expected}, not {got}"),
            None => text.to_owned(),
        };
        Self { field, reason: reason.chars().take(REASON_CHARS_MAX).collect(), code }
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, reason, code: _ } = self;
        if field.is_empty() {
            write!(formatter, "the body {reason}")
        } else {
            write!(formatter, "`{field}` {reason}")
        }
    }
}
