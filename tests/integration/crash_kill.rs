//! Acknowledged means on disk: the process is killed again and again under load from every side, and
//! in the end each command is there exactly once, and the totals are those of the commands.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use reqwest::{Client, Method};
use schemas::Money;
use serde_json::{Value, json};

use crate::support::broker::{Amqp, Names, shared_url};
use crate::support::calls::{Call, NOON, settle};
use crate::support::http::{Answer, call, with};
use crate::support::service::{API_KEY, Service, Setup};
use crate::support::{chance, rounds, signal};

const CONSUMPTION: &str = "/api/v1/consumption";
const BATCH: &str = "/api/v1/consumption/batch";
const BATCH_CALLS: u64 = 15;
/// Decides what is sent and when the process is killed.
const SEED: u64 = 20_250_301;

/// One request, with what was answered to it.
#[derive(Debug, Clone)]
struct Sent {
    path: String,
    key: Option<String>,
    body: Value,
    /// Of a single request: the body of the answer.
    answer: Option<String>,
}

impl Sent {
    async fn send(&self, client: &Client, service: &Service) -> Option<Answer> {
        let mut request = client.request(Method::POST, service.url(&self.path));
        request = request.header("X-API-Key", API_KEY).json(&self.body);
        if let Some(key) = &self.key {
            request = request.header("Idempotency-Key", key);
        }
        Answer::try_to(request).await.ok()
    }

    /// The calls in it.
    fn calls(&self) -> Vec<&Value> {
        match &self.body {
            Value::Array(calls) => calls.iter().collect(),
            body if body.get("requestId").is_some() => vec![body],
            _ => Vec::new(),
        }
    }
}

/// What a client of some kind sends as its `number`-th request of a round.
fn request(kind: usize, round: u64, number: u64, seed: &mut u64) -> Sent {
    let mut one = |id: String| {
        let (prompt, completion) = (chance(seed) % 5000, chance(seed) % 2000);
        let model = ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"]
            [usize::try_from(chance(seed) % 3).expect("small")];
        let tenant = format!("tenant-{}", kind % 2);
        let names =
            json!({"model": model, "organizationId": tenant, "userId": format!("{tenant}-user")});
        with(call(&id, prompt, completion), &names)
    };
    let id = format!("r{round}-c{kind}-n{number}");
    let (path, key, body) = match kind {
        0..=2 => (CONSUMPTION.to_owned(), None, one(id)),
        3 => {
            let calls = (0..BATCH_CALLS).map(|place| one(format!("{id}-{place}")));
            (BATCH.to_owned(), None, calls.collect())
        }
        _ => {
            let units = chance(seed) % 1_000_000 + 1;
            let amount = Money::from_units(i128::from(units)).to_string();
            let path = "/api/v1/admin/wallets/tenant-0/adjustments".to_owned();
            (path, Some(id), json!({"amount": amount, "reason": "a test"}))
        }
    };
    Sent { path, key, body, answer: None }
}

/// Sends one request after the other until the service is gone.
async fn send_until_gone(service: &Service, kind: usize, round: u64) -> Vec<Sent> {
    let client = Client::new();
    let mut seed = round * 100 + kind as u64;
    let mut all = Vec::new();
    loop {
        let mut sent = request(kind, round, all.len() as u64, &mut seed);
        let answer = sent.send(&client, service).await;
        sent.answer = answer.map(|answer| {
            assert!([200, 201].contains(&answer.status), "{}", answer.text);
            answer.text
        });
        let is_gone = sent.answer.is_none();
        all.push(sent);
        if is_gone {
            return all;
        }
    }
}

/// Publishes whole calls until it is told to end; what is returned is with the broker.
async fn publish_until(amqp: &Amqp, round: u64, end: &tokio::sync::Notify) -> Vec<Call> {
    let mut calls = Vec::new();
    let publishing = async {
        loop {
            let call = Call::new(&format!("m{round}-{}", calls.len()), "tenant-1");
            // Kept before it is sent: nothing may be recorded that is not counted.
            calls.push(call.clone());
            amqp.request(&call.request()).await;
            amqp.response(&call.response()).await;
        }
    };
    tokio::select! {
        () = publishing => {}
        () = end.notified() => {}
    }
    // The last one may be half published.
    if let Some(last) = calls.last() {
        amqp.request(&last.request()).await;
        amqp.response(&last.response()).await;
    }
    calls
}

/// What must be on record, reckoned from the requests alone.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    calls: BTreeMap<String, BTreeSet<String>>,
    tokens: BTreeMap<String, u64>,
    nano_usd: BTreeMap<String, u64>,
    adjusted: i128,
    adjustments: usize,
}

impl Sums {
    fn add_call(&mut self, id: &str, tenant: &str, model: &str, prompt: u64, completion: u64) {
        let is_new = self.calls.entry(tenant.to_owned()).or_default().insert(id.to_owned());
        assert!(is_new, "{id} twice");
        let (input, output) = match model {
            "gpt-4" => (30_000, 60_000),
            "gpt-4-turbo" => (10_000, 30_000),
            "gpt-3.5-turbo" => (1_500, 2_000),
            other => panic!("no price of {other}"),
        };
        *self.tokens.entry(tenant.to_owned()).or_default() += prompt + completion;
        *self.nano_usd.entry(tenant.to_owned()).or_default() +=
            prompt * input + completion * output;
    }

    fn of(sent: &[Sent], messages: &[Call]) -> Self {
        let mut sums = Self::default();
        for sent in sent {
            for call in sent.calls() {
                let text = |name: &str| call[name].as_str().expect("a text");
                let count = |name: &str| call["usage"][name].as_u64().expect("a count");
                let (prompt, completion) = (count("promptTokens"), count("completionTokens"));
                let (id, tenant, model) =
                    (text("requestId"), text("organizationId"), text("model"));
                sums.add_call(id, tenant, model, prompt, completion);
            }
            if let Some(amount) = sent.body["amount"].as_str() {
                sums.adjusted += Money::parse(amount).expect("an amount").units();
                sums.adjustments += 1;
            }
        }
        for call in messages {
            sums.add_call(&call.id, &call.organization, "gpt-4", call.prompt, call.completion);
        }
        sums
    }
}

/// Everything in the log, by type.
async fn log(service: &Service) -> BTreeMap<String, Vec<Value>> {
    let mut by_type = BTreeMap::<_, Vec<_>>::new();
    let mut after = 0;
    loop {
        let path = format!("/api/v1/events?limit=1000&after={after}");
        let page = service.read(&path).await.expect(200).json();
        for event in page["events"].as_array().expect("events") {
            let kind = event["type"].as_str().expect("a type").to_owned();
            by_type.entry(kind).or_default().push(event["data"].clone());
        }
        after = page["next"].as_u64().expect("a sequence");
        if page["has_more"] == false {
            return by_type;
        }
    }
}

async fn on_record_exactly_once(service: &Service, sums: &Sums) {
    let log = log(service).await;
    let mut recorded = BTreeMap::<String, BTreeSet<String>>::new();
    for call in log.get("consumption_recorded").expect("calls") {
        let text = |name: &str| call[name].as_str().expect("a text").to_owned();
        let (tenant, id) = (text("organizationId"), text("requestId"));
        if tenant.starts_with("tenant") {
            let is_new = recorded.entry(tenant).or_default().insert(id.clone());
            assert!(is_new, "{id} is on record twice");
        }
    }
    assert_eq!(recorded, sums.calls);
    let count = |kind: &str| log.get(kind).map_or(0, Vec::len);
    assert_eq!(count("wallet_adjusted"), sums.adjustments);
    assert_eq!(count("quota_recharged"), 2);
    for kind in [
        "quota_expired",
        "wallet_topped_up",
        "conflict_observed",
        "consumption_rated",
        "pairing_timed_out",
    ] {
        assert_eq!(count(kind), 0, "{kind}");
    }
    for (tenant, tokens) in &sums.tokens {
        let quota = service.read(&format!("/api/v1/quota?user_id={tenant}-user")).await.expect(200);
        assert_eq!(quota.number("used_quota"), tokens.to_string());
        let path = format!("/api/v1/billing/wallet?organizationId={tenant}");
        let wallet = service.read(&path).await.expect(200);
        let nano_usd = i128::from(sums.nano_usd[tenant]);
        let cost = Money::from_units(nano_usd * 1_000_000_000).to_string();
        assert_eq!(wallet.number("accrued"), cost);
        let balance = if tenant == "tenant-0" { sums.adjusted } else { 0 };
        assert_eq!(wallet.number("balance"), Money::from_units(balance).to_string());
        let path = format!("/api/v1/consumption/aggregates?organizationId={tenant}");
        let totals = service.read(&path).await.expect(200).json();
        assert_eq!(totals["totals"]["totalTokens"], *tokens);
        assert_eq!(totals["totals"]["requests"], sums.calls[tenant].len());
    }
}

/// The operator's own check finds nothing: neither in the log nor in what was derived from it.
pub fn verify(service: &Service) {
    let output = Command::new(env!("CARGO_BIN_EXE_tallybook"))
        .args(["replay", "verify", "--json", "--data-dir"])
        .arg(service.data_dir())
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(report["checkpoints_equal"].as_u64().is_some_and(|count| count > 0), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_every_command_is_there_exactly_once() {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let setup = Setup::new().manual_clock(NOON).broker(&shared_url(), &names);
    let setup = setup.variable("TALLYBOOK__CHECKPOINT__EVERY_EVENTS", "400");
    let mut service = setup.start().await;
    for tenant in ["tenant-0", "tenant-1"] {
        service.grant(&format!("{tenant}-user"), 1_000_000_000).await;
    }
    let mut acknowledged: Vec<Sent> = Vec::new();
    let mut unknown: Vec<Sent> = Vec::new();
    let mut messages: Vec<Call> = Vec::new();
    let mut seed = SEED;
    for round in 0..rounds(10) {
        let end = tokio::sync::Notify::new();
        let pause = Duration::from_micros(chance(&mut seed) % 900_000 + 20_000);
        let pid = service.pid();
        let loads = (0..6).map(|kind| send_until_gone(&service, kind, round));
        let (sent, published, ()) = tokio::join!(
            futures_util::future::join_all(loads),
            publish_until(&amqp, round, &end),
            async {
                tokio::time::sleep(pause).await;
                signal("KILL", &pid.to_string());
                end.notify_one();
            }
        );
        service.kill();
        messages.extend(published);
        for sent in sent.into_iter().flatten() {
            let list = if sent.answer.is_some() { &mut acknowledged } else { &mut unknown };
            list.push(sent);
        }
        service.start_again().await;
        // What was acknowledged is answered as before.
        for _ in 0..20_usize.min(acknowledged.len()) {
            let place = usize::try_from(chance(&mut seed)).expect("64 bits") % acknowledged.len();
            let sent = &acknowledged[place];
            let again = sent.send(service.client(), &service).await.expect("an answer");
            let is_same = if sent.path == BATCH {
                again.json()["alreadyRecorded"] == BATCH_CALLS
            } else {
                again.status == 200 && Some(&again.text) == sent.answer.as_ref()
            };
            assert!(is_same, "round {round}: {sent:?} is answered with {}", again.text);
        }
    }
    // Whoever got no answer asks again.
    for sent in &unknown {
        let answer = sent.send(service.client(), &service).await.expect("an answer");
        assert!([200, 201].contains(&answer.status), "{}", answer.text);
    }
    settle(&amqp, &service).await;
    assert!(acknowledged.len() > 100, "{} acknowledged", acknowledged.len());
    let all: Vec<Sent> = acknowledged.into_iter().chain(unknown).collect();
    let sums = Sums::of(&all, &messages);
    on_record_exactly_once(&service, &sums).await;
    service.kill();
    service.start_again().await;
    on_record_exactly_once(&service, &sums).await;
    service.stop().await;
    verify(&service);
}
