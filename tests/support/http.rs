//! Requests with every detail in the caller's hands, and answers to the byte.

use std::sync::atomic::Ordering;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::eventually;
use super::service::{API_KEY, Service};

/// What the service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body to the byte: amounts are compared as they are written, never as floats.
    pub text: String,
}

impl Answer {
    /// Sends a request and takes the whole answer.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::try_to(request).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The same, where the service may die in the middle.
    pub async fn try_to(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Self { status, headers, text: answer.text().await? })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The event that the answer reflects.
    pub fn sequence(&self) -> u64 {
        self.header("x-ledger-sequence").parse().unwrap_or_else(|_| panic!("no sequence: {self:?}"))
    }

    /// The text of one number, as it is written: `"name":<number>` must occur.
    pub fn number(&self, name: &str) -> &str {
        number_of(&self.text, name)
    }

    /// The same answer, if it has this status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// The text of the first number with this name in a JSON text, as it is written.
pub fn number_of<'a>(text: &'a str, name: &str) -> &'a str {
    let start = format!("\"{name}\":");
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no `{name}` in {text}"));
    rest.split([',', '}', ']']).next().unwrap_or_default()
}

impl Service {
    /// A request of the developer, not sent yet.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.ask_as_nobody(method, path).header("X-API-Key", API_KEY)
    }

    /// A request without credentials, not sent yet.
    pub fn ask_as_nobody(&self, method: Method, path: &str) -> RequestBuilder {
        self.client().request(method, self.url(path))
    }

    /// What the developer reads.
    pub async fn read(&self, path: &str) -> Answer {
        Answer::to(self.ask(Method::GET, path)).await
    }

    /// What the developer's post is answered.
    pub async fn send(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.ask(Method::POST, path).json(body)).await
    }

    /// The same, under a key of the sender's.
    pub async fn send_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        let request = self.ask(Method::POST, path).header("Idempotency-Key", key);
        Answer::to(request.json(body)).await
    }

    /// The last event, once the alerts that follow from what was recorded are on record as well.
    pub async fn head(&self) -> u64 {
        let head = self.head_now().await;
        if head == self.settled.load(Ordering::Relaxed) {
            return head;
        }
        let head = eventually("the alerts are reviewed", async || {
            // In this order: an alert that is raised in between moves the head.
            let reviewed = self.metric("alerts_reviewed_events").await;
            let head = self.head_now().await;
            if reviewed == Some(head) { Ok(head) } else { Err(format!("{reviewed:?} of {head}")) }
        })
        .await;
        self.settled.store(head, Ordering::Relaxed);
        head
    }

    /// The last event right now, whatever follows from it.
    pub async fn head_now(&self) -> u64 {
        self.read("/api/v1/events?limit=1").await.sequence()
    }

    /// What a metric without labels stands at.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        let text = self.read("/metrics").await.expect(200).text;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next()?.parse().ok()
    }
}

/// A call as `POST /api/v1/consumption` takes it: of `acme`'s `ann`, by `gpt-4`.
pub fn call(id: &str, prompt: u64, completion: u64) -> Value {
    json!({
        "requestId": id, "organizationId": "acme", "userId": "ann", "model": "gpt-4",
        "timestamp": "2025-03-01T11:59:00Z",
        "usage": {
            "promptTokens": prompt, "completionTokens": completion,
            "totalTokens": prompt + completion,
        },
    })
}

/// The same with other values for some of its fields.
pub fn with(mut body: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}
