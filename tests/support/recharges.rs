//! Strategies, jobs and what became of them, as an operator sees it.

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};

use super::http::{Answer, with};
use super::service::{Service, Setup};

impl Setup {
    /// Standing at `moment`, with strategies scanned and quota written off only when a test says so.
    pub fn unscheduled(self, moment: &str) -> Self {
        self.manual_clock(moment)
            .variable("TALLYBOOK__SCHEDULE__STRATEGY_SCAN", "0 0 1 1 *")
            .variable("TALLYBOOK__SCHEDULE__QUOTA_EXPIRY", "0 0 1 1 *")
    }

    /// The same, started, with all done that is done at a start.
    pub async fn start_unscheduled(self, moment: &str) -> Service {
        let service = self.unscheduled(moment).start().await;
        service.advance_clock_to(moment).await;
        service
    }
}

impl Service {
    /// Posts without a body.
    pub async fn press(&self, path: &str) -> Answer {
        Answer::to(self.ask(Method::POST, path)).await
    }

    /// Puts a body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.ask(Method::PUT, path).json(body)).await
    }

    /// Makes a strategy that gives everyone 10 once, but for these fields; gives its number.
    pub async fn strategy(&self, name: &str, fields: &Value) -> u64 {
        let body = with(json!({"name": name, "type": "single", "amount": 10}), fields);
        let made = self.send("/api/v1/strategies", &body).await.expect(201).json();
        made["id"].as_u64().expect("a number")
    }

    /// Lets every strategy give what it owes, and tells the report.
    pub async fn scan(&self) -> Value {
        self.press("/api/v1/admin/jobs/strategy-scan").await.expect(200).json()
    }

    /// Makes these users known, many at a time, each with one credit until the end of the century.
    pub async fn know(&self, users: impl IntoIterator<Item = String>) {
        let grants = users.into_iter().map(|user| async move { self.grant(&user, 1).await });
        stream::iter(grants).buffer_unordered(64).collect::<Vec<()>>().await;
    }

    /// All events of this type, oldest first.
    pub async fn events_of(&self, type_name: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut after = 0;
        loop {
            let page = self.get(&format!("/api/v1/events?limit=1000&after={after}")).await;
            let events = page["events"].as_array().expect("events");
            found.extend(events.iter().filter(|event| event["type"] == type_name).cloned());
            if page["has_more"] != true {
                return found;
            }
            after = page["next"].as_u64().expect("a sequence");
        }
    }

    /// `strategy user tick` of every recharge that strategies made, in order.
    pub async fn gifts(&self) -> Vec<String> {
        let events = self.events_of("strategy_executed").await;
        let line = |event: &Value| {
            let data = &event["data"];
            let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", data["strategy_id"], text("user_id"), text("tick"))
        };
        events.iter().map(line).collect()
    }

    /// Who got what this strategy gives, in order, each as often as it happened.
    pub async fn gifted(&self, strategy: u64) -> Vec<String> {
        let start = format!("{strategy} ");
        let gifts = self.gifts().await;
        let of_it = gifts.iter().filter_map(|gift| gift.strip_prefix(&start)?.split(' ').next());
        of_it.map(str::to_owned).collect()
    }
}
