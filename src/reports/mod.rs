//! From bytes on the wire to checked commands: the request and response messages of the gateways,
//! whole calls over REST, and both inside CloudEvents. Knows neither brokers nor HTTP. Prompts,
//! answers and tools are skipped and never kept.

mod call;
mod cloud_event;
mod error;
mod field;
mod message;
#[cfg(test)]
mod tests;

use schemas::{ConsumptionReport, RequestReport, ResponseReport, Timestamp};

pub use cloud_event::{EventAttributes, parse_event, parse_event_batch, parse_event_parts};
pub use error::{ReportCode, ReportError};

use message::{ConsumptionMessage, RequestMessage, ResponseMessage, read};

/// Reads a request message. `now` is what its time is judged by. Fields that the contract does not
/// name are ignored.
///
/// # Errors
/// When the message cannot be understood; the error names the field.
pub fn parse_request(body: &[u8], now: Timestamp) -> Result<RequestReport, ReportError> {
    read::<RequestMessage<false>>(body)?.into_report(now)
}

/// Reads a response message. `now` is what its time is judged by. Fields that the contract does
/// not name are ignored.
///
/// # Errors
/// When the message cannot be understood; the error names the field.
pub fn parse_response(body: &[u8], now: Timestamp) -> Result<ResponseReport, ReportError> {
    read::<ResponseMessage<false>>(body)?.into_report(now)
}

/// Reads a whole call as REST takes it: a response message with what is known of its request
/// beside it, or `{"request": …, "response": …}`. Unknown fields are refused, so that no typing
/// error becomes a free call.
///
/// # Errors
/// When the call cannot be understood; the error names the field.
pub fn parse_consumption(body: &[u8], now: Timestamp) -> Result<ConsumptionReport, ReportError> {
    read::<ConsumptionMessage<true>>(body)?.into_report(now)
}
