//! Calls as the gateways report them.

use serde_json::{Value, json};

use super::broker::Amqp;
use super::service::Service;

/// The moment at which services with a manual clock start.
pub const NOON: &str = "2025-03-01T12:00:00Z";
/// A text that stands in every prompt and answer.
pub const SECRET: &str = "a-prompt-that-nobody-may-keep";

/// One call of a user.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub organization: String,
    pub user: String,
    pub prompt: u64,
    pub completion: u64,
}

impl Call {
    /// A call of 300 + 150 tokens by the user named like the organization.
    pub fn new(id: &str, organization: &str) -> Self {
        Self {
            id: id.to_owned(),
            organization: organization.to_owned(),
            user: format!("{organization}-user"),
            prompt: 300,
            completion: 150,
        }
    }

    /// All its tokens.
    pub fn total(&self) -> u64 {
        self.prompt + self.completion
    }

    /// Its request message.
    pub fn request(&self) -> Value {
        json!({
            "requestId": self.id, "timestamp": "2025-03-01T11:59:00Z", "userId": self.user,
            "organizationId": self.organization, "model": "gpt-4",
            "messages": [{"role": "user", "content": SECRET}], "systemPrompt": SECRET,
            "tools": [], "characterCount": 1234, "tokenCount": 308, "requestType": "stream",
            "toolCount": 2, "messageCount": 5, "temperature": 0.7, "maxTokens": 2000, "topP": 1.0,
            "assistantType": "word", "documentId": "doc-1"
        })
    }

    /// Its response message.
    pub fn response(&self) -> Value {
        json!({
            "requestId": self.id, "timestamp": "2025-03-01T11:59:05Z", "userId": self.user,
            "organizationId": self.organization, "model": "gpt-4",
            "response": SECRET, "characterCount": 567, "tokenCount": 142, "finishReason": "stop",
            "usage": {
                "promptTokens": self.prompt, "completionTokens": self.completion,
                "totalTokens": self.total()
            },
            "responseTimeMs": 5234, "hasToolCalls": true, "toolCallCount": 2,
            "assistantType": "word", "documentId": "doc-1"
        })
    }
}

/// Waits until everything that was published before has been taken in: a call that is published
/// now, in both queues, is recorded after it.
pub async fn settle(amqp: &Amqp, service: &Service) {
    let call = Call::new("marker", &super::unique("marker"));
    amqp.request(&call.request()).await;
    amqp.response(&call.response()).await;
    service.history_of(&call.organization, 1).await;
}

/// The record of a call among others.
pub fn record_of<'a>(records: &'a [Value], call: &Call) -> &'a Value {
    let mut found = records.iter().filter(|record| record["requestId"] == call.id.as_str());
    let record = found.next().unwrap_or_else(|| panic!("no record of {}: {records:?}", call.id));
    assert_eq!(found.next(), None, "one record a call");
    record
}
