//! One call as readers see it: the seed's `TokenConsumption`, with what the ledger adds.

use projections::names::Names;
use projections::tenants::Terms;
use schemas::{
    CallContext, Consumption, ConsumptionRated, Credits, ExternalId, Money, PriceVersion, Recorded,
    RequestDetails, RequestHalf, RequestType, ResponseDetails, ResponseHalf, Sequence, ServiceTier,
    Timestamp, Usage, UsageOrigin,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::percent;

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenConsumption {
    /// The record's own id: its sequence, as text.
    pub id: String,
    /// The sender's id of the call.
    pub request_id: String,
    /// When it was complete.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Who called.
    pub user_id: String,
    /// Who pays.
    pub organization_id: String,
    /// The kind of assistant.
    pub assistant_type: String,
    /// The document worked on.
    pub document_id: String,
    /// The conversation.
    pub conversation_id: String,
    /// The document, or else the conversation.
    pub project_id: String,
    /// The model.
    pub model: String,
    /// When the request was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub request_timestamp: Option<Timestamp>,
    /// Characters sent.
    pub request_character_count: u64,
    /// Tokens sent, estimated.
    pub request_token_count: u64,
    /// `stream`, `non-stream`, or empty.
    #[schema(value_type = String)]
    pub request_type: RequestType,
    /// Tools offered.
    pub tool_count: u32,
    /// Messages sent.
    pub message_count: u32,
    /// When the response was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub response_timestamp: Option<Timestamp>,
    /// Characters received.
    pub response_character_count: u64,
    /// Tokens received, estimated.
    pub response_token_count: u64,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Output tokens.
    pub completion_tokens: u64,
    /// All tokens.
    pub total_tokens: u64,
    /// Of the input: read from a cache.
    pub cache_read_tokens: u64,
    /// Of the input: written to a cache.
    pub cache_write_tokens: u64,
    /// Of the input: written to a cache for an hour or more.
    pub cache_write1h_tokens: u64,
    /// Of the input: audio.
    pub audio_input_tokens: u64,
    /// Of the output: reasoning.
    pub reasoning_tokens: u64,
    /// Of the output: audio.
    pub audio_output_tokens: u64,
    /// Whether the counts were reported or estimated.
    #[schema(value_type = String)]
    pub usage_origin: UsageOrigin,
    /// The class of service.
    #[schema(value_type = String)]
    pub service_tier: ServiceTier,
    /// Why the response ended.
    pub finish_reason: String,
    /// How long it took.
    pub response_time_ms: u64,
    /// Whether tools were called.
    pub has_tool_calls: bool,
    /// How many.
    pub tool_call_count: u32,
    /// USD, exact; `null` while the model has no price.
    #[schema(value_type = Option<f64>)]
    pub cost: Option<Money>,
    /// What the cost holds on top of the price, in percent of it; less than nothing is a discount. Left
    /// out where it is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub markup_percent: Option<Credits>,
    /// The price book applied; `null` while there is none, 0 for the built-in one.
    #[schema(value_type = Option<u32>)]
    pub price_version: Option<PriceVersion>,
    /// `complete`, `request-only` or `response-only`.
    pub status: &'static str,
    /// What was drawn from the user's quota.
    #[schema(value_type = f64)]
    pub quota_drawn: Credits,
    /// The lots it was drawn from.
    pub quota_lots: Vec<DrawnLot>,
    /// Of it, what no lot covered.
    #[schema(value_type = f64)]
    pub quota_overdraft: Credits,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Its position in the log.
    #[schema(value_type = u64)]
    pub sequence: Sequence,
}

/// A part of a draw that one lot covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct DrawnLot {
    /// The lot, by the sequence of its recharge.
    #[schema(value_type = u64)]
    pub lot: Sequence,
    /// How much of it.
    #[schema(value_type = f64)]
    pub amount: Credits,
}

/// What is on record of a call, in whichever state.
#[derive(Debug, Clone, Copy)]
pub enum Consumed<'a> {
    /// Complete; with the rating that came later, if one did.
    Complete(&'a Consumption, Option<&'a ConsumptionRated>),
    /// Timed out without a response.
    RequestOnly(&'a RequestHalf),
    /// Timed out without a request.
    ResponseOnly(&'a ResponseHalf),
}

impl TokenConsumption {
    /// The record of `consumed`, which was made by the event `recorded`.
    #[must_use]
    pub fn new(names: &Names, recorded: &Recorded, consumed: Consumed<'_>) -> Self {
        match consumed {
            Consumed::Complete(consumption, later) => {
                Self::complete(names, recorded, consumption, later)
            }
            Consumed::RequestOnly(half) => Self {
                status: "request-only",
                ..Self::bare(names, recorded, &half.context, half.details.timestamp)
                    .with_request(Some(half.details))
                    .with_usage(&estimate(half.details.token_count, 0), UsageOrigin::Estimated)
            },
            Consumed::ResponseOnly(half) => {
                let usage = half.usage.unwrap_or_else(|| estimate(0, half.details.token_count));
                let origin = match half.usage {
                    Some(_) => UsageOrigin::Reported,
                    None => UsageOrigin::Estimated,
                };
                Self {
                    status: "response-only",
                    service_tier: half.tier,
                    ..Self::bare(names, recorded, &half.context, half.timestamp)
                        .with_response(names, half.timestamp, &half.details)
                        .with_usage(&usage, origin)
                }
            }
        }
    }

    /// The same, saying what a tenant of these terms pays on top of the price.
    #[must_use]
    pub fn with_markup(self, terms: &Terms) -> Self {
        let markup = self.cost.map(|_| terms.markup_basis_points.at(self.sequence));
        let markup_percent = markup.filter(|markup| *markup != 0).map(percent);
        Self { markup_percent, ..self }
    }

    fn complete(
        names: &Names,
        recorded: &Recorded,
        consumption: &Consumption,
        later: Option<&ConsumptionRated>,
    ) -> Self {
        let charge = consumption.charge.or(later.map(|rated| rated.charge));
        // What goes by cost is drawn when the cost is known.
        let draws = [Some(&consumption.draw), later.map(|rated| &rated.draw)];
        let draws = || draws.into_iter().flatten();
        let lots = || draws().flat_map(|draw| &draw.lots);
        let overdraft = sum(draws().map(|draw| draw.overdraft));
        let total = sum(lots().map(|lot| lot.amount).chain([overdraft]));
        Self {
            cost: charge.map(|charge| charge.cost),
            price_version: charge.map(|charge| charge.version),
            service_tier: consumption.tier,
            quota_drawn: total,
            quota_lots: lots().map(|lot| DrawnLot { lot: lot.lot, amount: lot.amount }).collect(),
            quota_overdraft: overdraft,
            ..Self::bare(names, recorded, &consumption.context, consumption.timestamp)
                .with_request(consumption.request)
                .with_response(names, consumption.timestamp, &consumption.response)
                .with_usage(&consumption.usage, consumption.origin)
        }
    }

    /// Who and what for; everything else empty.
    fn bare(
        names: &Names,
        recorded: &Recorded,
        context: &CallContext,
        timestamp: Timestamp,
    ) -> Self {
        let text =
            |id: &Option<ExternalId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            id: recorded.sequence.to_string(),
            request_id: context.request_id.to_string(),
            timestamp,
            user_id: context.user.map(|user| names.text(user).to_string()).unwrap_or_default(),
            organization_id: names.text(context.tenant).to_string(),
            assistant_type: context
                .assistant
                .map(|assistant| names.text(assistant).to_string())
                .unwrap_or_default(),
            document_id: text(&context.document),
            conversation_id: text(&context.conversation),
            project_id: context.project().map(ToString::to_string).unwrap_or_default(),
            model: context.model.map(|model| names.text(model).to_string()).unwrap_or_default(),
            request_timestamp: None,
            request_character_count: 0,
            request_token_count: 0,
            request_type: RequestType::Unknown,
            tool_count: 0,
            message_count: 0,
            response_timestamp: None,
            response_character_count: 0,
            response_token_count: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            total_tokens: 0,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            cache_write1h_tokens: 0,
            audio_input_tokens: 0,
            reasoning_tokens: 0,
            audio_output_tokens: 0,
            usage_origin: UsageOrigin::Reported,
            service_tier: ServiceTier::Standard,
            finish_reason: String::new(),
            response_time_ms: 0,
            has_tool_calls: false,
            tool_call_count: 0,
            cost: None,
            markup_percent: None,
            price_version: None,
            status: "complete",
            quota_drawn: Credits::ZERO,
            quota_lots: Vec::new(),
            quota_overdraft: Credits::ZERO,
            created_at: recorded.recorded_at,
            sequence: recorded.sequence,
        }
    }

    fn with_request(self, request: Option<RequestDetails>) -> Self {
        let Some(request) = request else { return self };
        let RequestDetails {
            timestamp,
            character_count,
            token_count,
            request_type,
            tool_count,
            message_count,
        } = request;
        Self {
            request_timestamp: Some(timestamp),
            request_character_count: character_count,
            request_token_count: token_count,
            request_type,
            tool_count,
            message_count,
            ..self
        }
    }

    fn with_response(
        self,
        names: &Names,
        timestamp: Timestamp,
        response: &ResponseDetails,
    ) -> Self {
        let ResponseDetails {
            character_count,
            token_count,
            finish_reason,
            response_time_ms,
            has_tool_calls,
            tool_call_count,
        } = *response;
        Self {
            response_timestamp: Some(timestamp),
            response_character_count: character_count,
            response_token_count: token_count,
            finish_reason: finish_reason
                .map(|reason| names.text(reason).to_string())
                .unwrap_or_default(),
            response_time_ms,
            has_tool_calls,
            tool_call_count,
            ..self
        }
    }

    fn with_usage(self, usage: &Usage, origin: UsageOrigin) -> Self {
        let Usage {
            prompt,
            completion,
            total,
            cache_read,
            cache_write,
            cache_write_1h,
            audio_input,
            reasoning,
            audio_output,
        } = *usage;
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: total,
            cache_read_tokens: cache_read,
            cache_write_tokens: cache_write,
            cache_write1h_tokens: cache_write_1h,
            audio_input_tokens: audio_input,
            reasoning_tokens: reasoning,
            audio_output_tokens: audio_output,
            usage_origin: origin,
            ..self
        }
    }
}

fn sum(mut amounts: impl Iterator<Item = Credits>) -> Credits {
    amounts
        .try_fold(Credits::ZERO, Credits::checked_add)
        .expect("invariant: what one call draws is in range")
}

fn estimate(prompt: u64, completion: u64) -> Usage {
    let total = prompt.saturating_add(completion);
    Usage { prompt, completion, total, ..Usage::default() }
}
