//! From a message whose fields are each well-formed to a report that makes sense as a whole.

use schemas::{
    CallNames, ConsumptionReport, RequestDetails, RequestReport, ResponseReport, Timestamp, Usage,
};

use super::error::ReportError;
use super::field::{Count, FromText, SmallCount};
use super::message::{
    ConsumptionMessage, Message, RequestMessage, ResponseField, ResponseMessage, UsageMessage,
};

/// 2000-01-01T00:00:00Z: nobody called a model before.
const EARLIEST: Timestamp = Timestamp::from_micros(946_684_800_000_000);
/// How far a sender's clock may be ahead of ours.
const AHEAD_SECONDS_MAX: i64 = 24 * 60 * 60;

impl<const STRICT: bool> RequestMessage<STRICT> {
    pub(super) fn into_report(self, now: Timestamp) -> Result<RequestReport, ReportError> {
        let call = CallNames {
            tenant: required("organizationId", self.tenant)?,
            request_id: required("requestId", self.request_id)?,
            user: self.user,
            model: self.model,
            assistant: self.assistant,
            document: self.document,
            conversation: self.conversation,
        };
        let timestamp = required("timestamp", self.timestamp)?;
        let details = RequestDetails {
            timestamp: plausible("timestamp", timestamp, now)?,
            character_count: count(self.character_count),
            token_count: count(self.token_count),
            request_type: self.request_type.unwrap_or_default(),
            tool_count: small_count(self.tool_count),
            message_count: small_count(self.message_count),
        };
        Ok(RequestReport { call, details })
    }
}

impl<const STRICT: bool> ResponseMessage<STRICT> {
    pub(super) fn into_report(self, now: Timestamp) -> Result<ResponseReport, ReportError> {
        let call = CallNames {
            tenant: required("organizationId", self.tenant)?,
            request_id: required("requestId", self.request_id)?,
            user: self.user,
            model: self.model,
            assistant: self.assistant,
            document: self.document,
            conversation: self.conversation,
        };
        let timestamp = required("timestamp", self.timestamp)?;
        if self.usage.is_none() && self.token_count.is_none() {
            return Err(ReportError {
                reason: "is required where there is no `tokenCount`".to_owned(),
                ..ReportError::missing("usage")
            });
        }
        Ok(ResponseReport {
            call,
            timestamp: plausible("timestamp", timestamp, now)?,
            usage: self
                .usage
                .map(UsageMessage::into_usage)
                .transpose()
                .map_err(|error| error.within("usage"))?,
            tier: self.tier.unwrap_or_default(),
            finish_reason: self.finish_reason,
            character_count: count(self.character_count),
            token_count: count(self.token_count),
            response_time_ms: count(self.response_time_ms),
            has_tool_calls: self.has_tool_calls.unwrap_or_default(),
            tool_call_count: small_count(self.tool_call_count),
        })
    }
}

impl<const STRICT: bool> UsageMessage<STRICT> {
    fn into_usage(self) -> Result<Usage, ReportError> {
        let prompt = required("promptTokens", self.prompt)?.0;
        let completion = count(self.completion);
        let cache_read = count(self.cache_read);
        let cache_write = count(self.cache_write);
        let cache_write_1h = count(self.cache_write_1h);
        let audio_input = count(self.audio_input);
        let reasoning = count(self.reasoning);
        let audio_output = count(self.audio_output);
        fit(
            ("promptTokens", prompt),
            [
                ("cacheReadTokens", cache_read),
                ("cacheWriteTokens", cache_write),
                ("cacheWrite1hTokens", cache_write_1h),
                ("audioInputTokens", audio_input),
            ],
        )?;
        fit(
            ("completionTokens", completion),
            [("reasoningTokens", reasoning), ("audioOutputTokens", audio_output)],
        )?;
        let total = match count(self.total) {
            0 => prompt.saturating_add(completion),
            total => total,
        };
        Ok(Usage {
            prompt,
            completion,
            total,
            cache_read,
            cache_write,
            cache_write_1h,
            audio_input,
            reasoning,
            audio_output,
        })
    }
}

impl<const STRICT: bool> ConsumptionMessage<STRICT> {
    pub(super) fn into_report(self, now: Timestamp) -> Result<ConsumptionReport, ReportError> {
        let nested = self.nested_request.is_some()
            || matches!(self.nested_response, Some(ResponseField::Message(_)));
        let report = if nested { self.into_pair(now)? } else { self.into_flat(now)? };
        let call = &report.response.call;
        let field = |name: &str| if nested { format!("response.{name}") } else { name.to_owned() };
        if call.user.is_none() {
            return Err(ReportError::missing(&field("userId")));
        }
        if call.model.is_none() {
            return Err(ReportError::missing(&field("model")));
        }
        Ok(report)
    }

    /// A response message with fields of its request beside it.
    fn into_flat(self, now: Timestamp) -> Result<ConsumptionReport, ReportError> {
        let request = self.request_details(now)?;
        let character_count = one_of(
            ("characterCount", self.character_count),
            ("responseCharacterCount", self.response_character_count),
        )?;
        let token_count = one_of(
            ("tokenCount", self.token_count),
            ("responseTokenCount", self.response_token_count),
        )?;
        let response = ResponseMessage::<STRICT> {
            request_id: self.request_id,
            timestamp: self.timestamp,
            user: self.user,
            tenant: self.tenant,
            model: self.model,
            character_count,
            token_count,
            finish_reason: self.finish_reason,
            usage: self.usage,
            tier: self.tier,
            response_time_ms: self.response_time_ms,
            has_tool_calls: self.has_tool_calls,
            tool_call_count: self.tool_call_count,
            assistant: self.assistant,
            document: self.document,
            conversation: self.conversation,
        };
        Ok(ConsumptionReport { response: response.into_report(now)?, request })
    }

    /// What is known of the request, when anything is; without a time of its own it is as old as
    /// the response.
    fn request_details(&self, now: Timestamp) -> Result<Option<RequestDetails>, ReportError> {
        let known = self.request_timestamp.is_some()
            || self.request_character_count.is_some()
            || self.request_token_count.is_some()
            || self.request_type.is_some()
            || self.tool_count.is_some()
            || self.message_count.is_some();
        let Some(timestamp) = self.request_timestamp.or(self.timestamp).filter(|_| known) else {
            return Ok(None);
        };
        Ok(Some(RequestDetails {
            timestamp: plausible("requestTimestamp", timestamp, now)?,
            character_count: count(self.request_character_count),
            token_count: count(self.request_token_count),
            request_type: self.request_type.unwrap_or_default(),
            tool_count: small_count(self.tool_count),
            message_count: small_count(self.message_count),
        }))
    }

    /// Both messages under their own names. What the response does not say, the request does.
    fn into_pair(mut self, now: Timestamp) -> Result<ConsumptionReport, ReportError> {
        let (request, response) = (self.nested_request.take(), self.nested_response.take());
        if let Some(field) = self.first_field() {
            return Err(ReportError::invalid(field, "cannot stand beside `request` or `response`"));
        }
        let Some(ResponseField::Message(response)) = response else {
            return Err(ReportError::missing("response"));
        };
        let mut response = response.into_report(now).map_err(|error| error.within("response"))?;
        let Some(request) = request else {
            return Ok(ConsumptionReport { response, request: None });
        };
        let request = request.into_report(now).map_err(|error| error.within("request"))?;
        agree("organizationId", &request.call.tenant, &response.call.tenant)?;
        agree("requestId", &request.call.request_id, &response.call.request_id)?;
        let call = &mut response.call;
        call.user = call.user.take().or(request.call.user);
        call.model = call.model.take().or(request.call.model);
        call.assistant = call.assistant.take().or(request.call.assistant);
        call.document = call.document.take().or(request.call.document);
        call.conversation = call.conversation.take().or(request.call.conversation);
        Ok(ConsumptionReport { response, request: Some(request.details) })
    }
}

/// What an event says of the call inside it, as text.
pub(super) struct EventDefaults {
    pub(super) id: String,
    pub(super) time: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) organization_id: Option<String>,
}

/// A message that can stand inside an event.
pub(super) trait InEvent {
    /// Takes from the event what the message does not say itself.
    fn fill(&mut self, event: &EventDefaults) -> Result<(), ReportError>;
}

macro_rules! in_event {
    ($($message:ident),+) => {$(
        impl<const STRICT: bool> InEvent for $message<STRICT> {
            fn fill(&mut self, event: &EventDefaults) -> Result<(), ReportError> {
                fill(&mut self.request_id, "id", Some(&event.id))?;
                fill(&mut self.timestamp, "time", event.time.as_deref())?;
                fill(&mut self.user, "subject", event.subject.as_deref())?;
                fill(&mut self.tenant, "organizationid", event.organization_id.as_deref())
            }
        }
    )+};
}
in_event!(RequestMessage, ResponseMessage);

impl<const STRICT: bool> InEvent for ConsumptionMessage<STRICT> {
    fn fill(&mut self, event: &EventDefaults) -> Result<(), ReportError> {
        if let Some(ResponseField::Message(response)) = &mut self.nested_response {
            return response.fill(event);
        }
        fill(&mut self.request_id, "id", Some(&event.id))?;
        fill(&mut self.timestamp, "time", event.time.as_deref())?;
        fill(&mut self.user, "subject", event.subject.as_deref())?;
        fill(&mut self.tenant, "organizationid", event.organization_id.as_deref())
    }
}

fn fill<T: FromText>(
    field: &mut Option<T>,
    attribute: &str,
    text: Option<&str>,
) -> Result<(), ReportError> {
    if field.is_none()
        && let Some(text) = text.filter(|text| !text.is_empty())
    {
        let value = T::from_text(text).map_err(|reason| ReportError::invalid(attribute, reason))?;
        *field = Some(value);
    }
    Ok(())
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, ReportError> {
    value.ok_or_else(|| ReportError::missing(field))
}

fn plausible(field: &str, moment: Timestamp, now: Timestamp) -> Result<Timestamp, ReportError> {
    if moment < EARLIEST {
        Err(ReportError::invalid(field, "must not be before 2000"))
    } else if moment > now.plus_seconds(AHEAD_SECONDS_MAX) {
        Err(ReportError::invalid(field, "must not be more than a day in the future"))
    } else {
        Ok(moment)
    }
}

/// The parts must not add up to more than the whole that they are part of.
fn fit<const N: usize>(
    (whole_field, whole): (&str, u64),
    parts: [(&str, u64); N],
) -> Result<(), ReportError> {
    let mut rest = whole;
    for (field, part) in parts {
        rest = rest.checked_sub(part).ok_or_else(|| {
            let reason = format!(
                "must be part of `{whole_field}`: its parts add up to more than its {whole}"
            );
            ReportError::invalid(field, reason)
        })?;
    }
    Ok(())
}

/// Two names for the same number.
fn one_of(
    (name, one): (&str, Option<Count>),
    (field, other): (&str, Option<Count>),
) -> Result<Option<Count>, ReportError> {
    match (one, other) {
        (Some(Count(one)), Some(Count(other))) if one != other => {
            Err(ReportError::invalid(field, format!("must be {one} as `{name}` is, got {other}")))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn agree<T: PartialEq>(field: &str, request: &T, response: &T) -> Result<(), ReportError> {
    if request == response {
        Ok(())
    } else {
        Err(ReportError::invalid(field, "must be the same as in `response`").within("request"))
    }
}

fn count(count: Option<Count>) -> u64 {
    count.map_or(0, |count| count.0)
}

fn small_count(count: Option<SmallCount>) -> u32 {
    count.map_or(0, |count| count.0)
}
