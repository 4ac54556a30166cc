//! The gateway under test: the binary's own, which counts in memory and can misbehave.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::eventually;
use super::service::{Service, Setup};

/// Requests may take as long as this before the service under test gives them up.
pub const TIMEOUT_MS: u64 = 300;

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    process: Child,
    url: String,
    client: Client,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Gateway {
    /// Starts one with these arguments after `mock-gateway`.
    pub fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tallybook"))
            .arg("mock-gateway")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut url = String::new();
        let output = process.stdout.take().expect("an output");
        BufReader::new(output).read_line(&mut url).expect("an address");
        Self { process, url: url.trim_end().to_owned(), client: Client::new() }
    }

    /// A service that keeps it in step, and compares everyone at the start only.
    pub fn follower(&self) -> Setup {
        follower_of(&self.url)
    }

    /// A request for one of its paths, not sent yet.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Treats the next requests like this.
    pub async fn behave(&self, behaviour: Value) {
        let answer = self.ask(Method::POST, "/mock/behaviour").json(&behaviour).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    /// What it counts, and how.
    pub async fn book(&self) -> Value {
        let answer = self.ask(Method::GET, "/mock/counters").send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Waits until the service says that the gateway is in step; then its counters must be these,
    /// `{user: [quota, used]}`.
    pub async fn is_in_step(&self, service: &Service, expected: Value) {
        eventually("the gateway is in step", async || {
            let status = status(service).await;
            let is_in_step = status["lag_events"] == 0
                && status["users_out_of_step_total"] == 0
                && status["last_reconciled_at"].is_string();
            if is_in_step { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        assert_eq!(self.counters().await, expected);
    }

    /// Waits until its counters are these, `{user: [quota, used]}`.
    pub async fn comes_to(&self, expected: Value) {
        eventually("the gateway counts right", async || {
            let counters = self.counters().await;
            if counters == expected { Ok(()) } else { Err(counters.to_string()) }
        })
        .await;
    }

    async fn counters(&self) -> Value {
        let book = self.book().await;
        let counters = book["counters"].as_object().expect("counters");
        let pair = |counters: &Value| json!([counters["quota"], counters["used"]]);
        counters.iter().map(|(user, counters)| (user.clone(), pair(counters))).collect()
    }
}

/// A service that keeps the gateway at `url` in step, and compares everyone at the start only.
pub fn follower_of(url: &str) -> Setup {
    Setup::new()
        .variable("AIGATEWAY_BASE_URL", url)
        .variable("TALLYBOOK__GATEWAY__TIMEOUT_MS", &TIMEOUT_MS.to_string())
        .variable("TALLYBOOK__GATEWAY__RECONCILE_SECONDS", "0")
}

/// What the service says of the gateway.
pub async fn status(service: &Service) -> Value {
    service.get("/api/v1/admin/gateway").await
}
