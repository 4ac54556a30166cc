//! A producer that is not ours: Python's `pika`, sending in the shape and the disorder of real
//! gateways, and telling exactly what it sent.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;

use super::broker::Names;
use super::variable;

/// What the producer is asked to send.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Whole calls.
    pub pairs: u32,
    /// Users who make them.
    pub users: u32,
    /// Halves that are sent a second time.
    pub duplicates: u32,
    /// Pairs whose second half is sent after everything else.
    pub delayed: u32,
    /// Requests whose response never comes.
    pub requests_only: u32,
    /// Messages that nobody can understand.
    pub malformed: u32,
    /// Decides the order and every number.
    pub seed: u32,
}

/// One line of the producer's report.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "sent", rename_all = "snake_case")]
enum Line {
    Pair {
        request_id: String,
        user: String,
        model: String,
        prompt: u64,
        completion: u64,
        total: u64,
    },
    RequestOnly {
        request_id: String,
    },
    Malformed {
        body: String,
        field: String,
    },
}

/// One whole call, as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub user: String,
    pub model: String,
    pub prompt: u64,
    pub completion: u64,
    pub total: u64,
}

/// What was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// By request id.
    pub pairs: BTreeMap<String, Pair>,
    /// Request ids.
    pub requests_only: Vec<String>,
    /// Body, and the field that is wrong with it.
    pub malformed: Vec<(String, String)>,
}

impl Sent {
    /// What each user has used.
    pub fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for pair in self.pairs.values() {
            *totals.entry(pair.user.clone()).or_default() += pair.total;
        }
        totals
    }
}

/// Sends `traffic` for `organization`; everything is with the broker when this returns.
pub async fn send(url: &str, names: &Names, organization: &str, traffic: Traffic) -> Sent {
    let Traffic { pairs, users, duplicates, delayed, requests_only, malformed, seed } = traffic;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pika/producer.py");
    let mut command = std::process::Command::new(variable("TALLYBOOK_TEST_PYTHON"));
    command.arg(script).args(["--url", url, "--exchange", &names.exchange]);
    command.args(["--organization", organization]);
    for (flag, number) in [
        ("--pairs", pairs),
        ("--users", users),
        ("--duplicates", duplicates),
        ("--delayed", delayed),
        ("--requests-only", requests_only),
        ("--malformed", malformed),
        ("--seed", seed),
    ] {
        command.arg(flag).arg(number.to_string());
    }
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("not cancelled").expect("python starts");
    assert!(output.status.success(), "the producer ended with {}", output.status);

    let mut sent = Sent::default();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line).expect("a line of the report") {
            Line::Pair { request_id, user, model, prompt, completion, total } => {
                let pair = Pair { user, model, prompt, completion, total };
                assert_eq!(sent.pairs.insert(request_id, pair), None, "sent once");
            }
            Line::RequestOnly { request_id } => sent.requests_only.push(request_id),
            Line::Malformed { body, field } => sent.malformed.push((body, field)),
        }
    }
    sent
}
