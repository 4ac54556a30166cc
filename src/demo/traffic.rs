//! The generated traffic: request and response messages as gateways send them, with everything that
//! goes wrong in real life. What is sent follows from the seed and the times that are given alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use schemas::Timestamp;
use serde_json::{Value, json};

use super::company::Company;
use super::random::Random;

/// Models of the public price map.
const MODELS: [&str; 9] = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5-mini",
    "o3-mini",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "gemini/gemini-2.5-flash",
];
/// Models that nobody has given a price.
const UNKNOWN_MODELS: [&str; 2] = ["acme-finetune-7b", "in-house-summarizer"];
const ASSISTANTS: [&str; 4] = ["word", "excel", "chat", "code"];

/// Which half of a call a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Half {
    Request,
    Response,
}

/// A message and when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Message {
    due: Timestamp,
    /// Keeps the order of messages that are due at once.
    number: u64,
    pub(super) half: Half,
    pub(super) body: Vec<u8>,
}

/// Everything that is still to be sent.
pub(super) struct Traffic {
    company: Company,
    random: Random,
    number: u64,
    to_come: BinaryHeap<Reverse<Message>>,
}

impl Traffic {
    pub(super) const fn new(company: Company, seed: u64) -> Self {
        Self { company, random: Random::new(seed), number: 0, to_come: BinaryHeap::new() }
    }

    /// Begins a call at `now`: its messages come when they are due.
    pub(super) fn begin(&mut self, now: Timestamp) {
        let answered_at = now.plus_seconds(self.seconds(0, 3));
        let (request, response) = self.call(now, answered_at);
        let is_late = self.random.chance(30);
        let response_due =
            if is_late { answered_at.plus_seconds(self.seconds(20, 60)) } else { answered_at };
        let (is_unanswered, is_unasked) = (self.random.chance(10), self.random.chance(5));
        if !is_unasked {
            self.send(now, Half::Request, request.to_string());
        }
        if !is_unanswered {
            self.send(response_due, Half::Response, response.to_string());
        }
        if self.random.chance(30) {
            let again = response_due.plus_seconds(self.seconds(1, 10));
            self.send(again, Half::Request, request.to_string());
            self.send(again, Half::Response, response.to_string());
        }
        if self.random.chance(8) {
            let mut other = response.clone();
            if let Some(tokens) = other.pointer_mut("/usage/completionTokens") {
                *tokens = json!(self.random.between(1, 9));
            }
            self.send(response_due.plus_seconds(2), Half::Response, other.to_string());
        }
        if self.random.chance(10) {
            self.send_malformed(response_due, response);
        }
    }

    /// A call that ended in the past, both halves due at once.
    pub(super) fn past_call(&mut self, moment: Timestamp) {
        let (request, response) = self.call(moment.plus_seconds(-2), moment);
        self.send(moment, Half::Request, request.to_string());
        self.send(moment, Half::Response, response.to_string());
    }

    /// What is due at `now`, in order.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Message> {
        let mut due = Vec::new();
        while self.to_come.peek().is_some_and(|Reverse(message)| message.due <= now) {
            due.extend(self.to_come.pop().map(|Reverse(message)| message));
        }
        due
    }

    fn send(&mut self, due: Timestamp, half: Half, body: String) {
        self.number = self.number.saturating_add(1);
        let (number, body) = (self.number, body.into_bytes());
        self.to_come.push(Reverse(Message { due, number, half, body }));
    }

    fn send_malformed(&mut self, due: Timestamp, response: Value) {
        let body = match self.random.between(0, 2) {
            0 => response.to_string().chars().take(60).collect(),
            1 => {
                let mut negative = response;
                if let Some(tokens) = negative.pointer_mut("/usage/promptTokens") {
                    *tokens = json!(-1);
                }
                negative.to_string()
            }
            _ => {
                let mut nameless = response;
                if let Some(fields) = nameless.as_object_mut() {
                    fields.remove("requestId");
                }
                nameless.to_string()
            }
        };
        self.send(due, Half::Response, body);
    }

    /// The two messages of a call.
    fn call(&mut self, asked_at: Timestamp, answered_at: Timestamp) -> (Value, Value) {
        let Self { company, random, .. } = self;
        let tenant = random.pick(&company.tenants);
        let user = random.pick(&tenant.users);
        let id = uuid::Uuid::from_u64_pair(random.next(), random.next()).to_string();
        let models: &[&str] = if random.chance(15) { &UNKNOWN_MODELS } else { &MODELS };
        let model = *random.pick(models);
        let assistant = *random.pick(&ASSISTANTS);
        let document = format!("doc-{}", random.skewed(1, 200));
        let prompt = random.skewed(40, 12_000);
        let completion = random.skewed(10, 2_500);
        let cached = if random.chance(250) { random.between(0, prompt) } else { 0 };
        let tools = if random.chance(300) { random.between(1, 4) } else { 0 };
        let is_stream = random.chance(600);
        let request = json!({
            "requestId": id, "timestamp": asked_at, "userId": user, "organizationId": tenant.id,
            "model": model, "assistantType": assistant, "documentId": document,
            "characterCount": prompt.saturating_mul(4), "tokenCount": prompt,
            "requestType": if is_stream { "stream" } else { "non-stream" },
            "toolCount": tools, "messageCount": random.skewed(1, 30),
        });
        let response = json!({
            "requestId": id, "timestamp": answered_at, "userId": user,
            "organizationId": tenant.id, "model": model, "assistantType": assistant,
            "documentId": document, "characterCount": completion.saturating_mul(4),
            "tokenCount": completion, "finishReason": "stop",
            "usage": {
                "promptTokens": prompt, "completionTokens": completion,
                "totalTokens": prompt.saturating_add(completion), "cacheReadTokens": cached,
            },
            "responseTimeMs": random.skewed(150, 9_000),
            "hasToolCalls": tools > 0, "toolCallCount": tools,
        });
        (request, response)
    }

    fn seconds(&mut self, low: u64, high: u64) -> i64 {
        i64::try_from(self.random.between(low, high)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use schemas::PriceMap;

    use super::*;
    use crate::reports::{parse_request, parse_response};

    fn messages(seed: u64) -> Vec<Message> {
        let start = Timestamp::parse("2025-03-01T12:00:00Z").expect("a time");
        let mut traffic = Traffic::new(Company::new(seed), seed);
        (0..2_000).for_each(|second| traffic.begin(start.plus_seconds(second)));
        traffic.due(start.plus_seconds(10_000))
    }

    #[test]
    fn a_seed_gives_one_traffic() {
        assert_eq!(messages(7), messages(7));
        assert_ne!(messages(7), messages(8));
    }

    #[test]
    fn most_messages_are_understood_and_some_are_not() {
        let now = Timestamp::parse("2025-03-01T13:00:00Z").expect("a time");
        let messages = messages(7);
        let refused = messages.iter().filter(|message| match message.half {
            Half::Request => parse_request(&message.body, now).is_err(),
            Half::Response => parse_response(&message.body, now).is_err(),
        });
        let refused = refused.count();
        assert!(messages.len() > 3_900, "{}", messages.len());
        assert!((5..60).contains(&refused), "{refused}");
    }

    #[test]
    fn the_models_have_prices_and_the_unknown_ones_have_none() {
        let map =
            PriceMap::read(include_str!("../../schemas/data/model_prices_and_context_window.json"));
        let sheets = map.expect("readable").sheets;
        let has_price = |model: &&str| sheets.iter().any(|(name, _)| name.as_str() == *model);
        assert!(MODELS.iter().all(|model| has_price(&model)), "all priced");
        assert!(!UNKNOWN_MODELS.iter().any(|model| has_price(&model)), "none priced");
    }
}
