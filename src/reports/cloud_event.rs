//! `CloudEvents` 1.0 around the messages: structured JSON, alone or in a batch, and attributes
//! beside the data, as in AMQP headers. The data is the message that the type names; what the data
//! leaves out, the event says: `id` is the request id, `time` the timestamp, `subject` the user,
//! and the extension `organizationid` the organization.

use schemas::{Command, Timestamp};
use serde_json::value::RawValue;

use super::call::{EventDefaults, InEvent};
use super::error::ReportError;
use super::message::{ConsumptionMessage, EventMessage, RequestMessage, ResponseMessage, read};

/// The attributes of an event, as text.
#[derive(Debug, Clone, Default)]
pub struct EventAttributes {
    /// Must be `1.0`.
    pub specversion: Option<String>,
    /// Unique within the source.
    pub id: Option<String>,
    /// Who sends it.
    pub source: Option<String>,
    /// `llm.request`, `llm.response` or `llm.consumption`.
    pub kind: Option<String>,
    /// The user.
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    pub time: Option<String>,
    /// The media type of the data; JSON when not said.
    pub content_type: Option<String>,
    /// The extension `organizationid`.
    pub organization_id: Option<String>,
}

impl EventAttributes {
    /// Sets the attribute called `name`; attributes that mean nothing here are ignored.
    pub fn set(&mut self, name: &str, value: &str) {
        let attribute = match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.kind,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "datacontenttype" => &mut self.content_type,
            "organizationid" => &mut self.organization_id,
            _ => return,
        };
        *attribute = Some(value.to_owned());
    }
}

/// Reads one event in structured JSON. `now` is what times are judged by.
///
/// # Errors
/// When the event cannot be understood; the error names the attribute, or the field below `data`.
pub fn parse_event(body: &[u8], now: Timestamp) -> Result<Command, ReportError> {
    let event = read::<EventMessage<false>>(body)?;
    if event.data_base64.is_some() {
        return Err(ReportError::invalid("data_base64", "is not supported, send `data`"));
    }
    let attributes = EventAttributes {
        specversion: event.specversion,
        id: event.id,
        source: event.source,
        kind: event.kind,
        subject: event.subject,
        time: event.time,
        content_type: event.content_type,
        organization_id: event.organization_id,
    };
    let data = event.data.as_deref().map_or("{}", RawValue::get);
    parse_parts(attributes, data.as_bytes(), "data", now)
}

/// Reads a batch of events: a JSON array. Every event has its own outcome; the fields of errors
/// start with the event's place, as `[3].data.userId`.
///
/// # Errors
/// When the body is not a JSON array.
pub fn parse_event_batch(
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<Result<Command, ReportError>>, ReportError> {
    let events = read::<Vec<Box<RawValue>>>(body)?;
    Ok(events
        .iter()
        .enumerate()
        .map(|(place, event)| {
            parse_event(event.get().as_bytes(), now)
                .map_err(|error| error.within(&format!("[{place}]")))
        })
        .collect())
}

/// Reads one event whose attributes stand beside its data. `now` is what times are judged by.
///
/// # Errors
/// When the event cannot be understood; the error names the attribute, or the field of the data.
pub fn parse_event_parts(
    attributes: EventAttributes,
    data: &[u8],
    now: Timestamp,
) -> Result<Command, ReportError> {
    parse_parts(attributes, data, "", now)
}

fn parse_parts(
    attributes: EventAttributes,
    data: &[u8],
    data_field: &str,
    now: Timestamp,
) -> Result<Command, ReportError> {
    let EventAttributes {
        specversion,
        id,
        source,
        kind,
        subject,
        time,
        content_type,
        organization_id,
    } = attributes;
    match specversion.as_deref() {
        Some("1.0") => {}
        None => return Err(ReportError::missing("specversion")),
        Some(_) => return Err(ReportError::invalid("specversion", "must be `1.0`")),
    }
    let id = id.ok_or_else(|| ReportError::missing("id"))?;
    source.ok_or_else(|| ReportError::missing("source"))?;
    let kind = kind.ok_or_else(|| ReportError::missing("type"))?;
    if content_type.as_deref().is_some_and(|media_type| !is_json(media_type)) {
        return Err(ReportError::invalid("datacontenttype", "must be JSON"));
    }
    let event = EventDefaults { id, time, subject, organization_id };
    let in_data = |error: ReportError| error.within(data_field);
    match kind.as_str() {
        "llm.request" => {
            let mut message = read::<RequestMessage<false>>(data).map_err(in_data)?;
            message.fill(&event)?;
            let report = message.into_report(now).map_err(in_data)?;
            Ok(Command::ReceiveRequest(Box::new(report)))
        }
        "llm.response" => {
            let mut message = read::<ResponseMessage<false>>(data).map_err(in_data)?;
            message.fill(&event)?;
            let report = message.into_report(now).map_err(in_data)?;
            Ok(Command::ReceiveResponse(Box::new(report)))
        }
        "llm.consumption" => {
            let mut message = read::<ConsumptionMessage<true>>(data).map_err(in_data)?;
            message.fill(&event)?;
            let report = message.into_report(now).map_err(in_data)?;
            Ok(Command::RecordConsumption(Box::new(report)))
        }
        _ => Err(ReportError::invalid(
            "type",
            "must be `llm.request`, `llm.response` or `llm.consumption`",
        )),
    }
}

/// `application/json`, `text/json` and `…+json`, whatever their parameters.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.is_empty() || essence.ends_with("/json") || essence.ends_with("+json")
}
