//! What the service answers over HTTP, beside a bare axum server that reads the same bodies and
//! answers as many bytes, each in a process of its own and under the same load.
#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints rates"
)]

use std::collections::BTreeMap;
use std::fs;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::routing;
use clap::Parser;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use support::book::{Book, record};
use support::company::{Series, tenant_name};
use support::http::{self, Done, Numbers, Template};
use support::process::{self, Program};
use support::report::{Figure, Output, Report, Target, Unit, percentile};
use support::service::{self, CONSUMPTION, CONSUMPTION_BATCH, HOLDS, Service};
use support::{cpu, disk};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many bodies differ in more than their ids.
const BODIES: u64 = 256;
const BATCH: u64 = 100;
/// Connections that post while reads are measured.
const WRITERS: u64 = 16;

/// Measures the service's HTTP beside a bare axum server.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds of each figure, taking turns with its floor.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Seconds of a round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Kept-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Calls that are on record before anything is measured.
    #[arg(long, default_value_t = 200_000)]
    preload: u64,
    /// Calls a second that are posted while reads are measured.
    #[arg(long, default_value_t = 1000)]
    write_rate: u64,
    /// The service's program; by default the one that was built with this benchmark.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_tallybook"))]
    service: String,
    /// Be the bare server, on this port, with the answers in the given file.
    #[arg(long, hide = true)]
    bare: Option<u16>,
    #[arg(long, hide = true)]
    answers: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(port) = options.bare {
        let answers = options.answers.context("`--bare` needs `--answers`")?;
        return runtime.enable_all().build()?.block_on(serve_bare(port, &answers));
    }
    // The load leaves the cores to the servers.
    runtime.worker_threads(1).enable_all().build()?.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::new("http", options.output);
    let directory = disk::temporary("http")?;
    report.progress("recording what is there before");
    preload(directory.path(), options.preload).await?;
    let service = Service::start(&options.service, directory.path(), None)?;
    let singles = Arc::new(singles()?);
    let batches = Arc::new(batches()?);
    let holds = Arc::new(holds()?);
    let tenant = tenant_name(7);
    let at_least = Target::RatioAtLeast(0.7);
    let reads = [
        ("GET wallet", service::wallet_path(&tenant), at_least),
        ("GET aggregates, a month by day", service::days_path(&tenant), at_least),
        ("GET aggregates, by day and model", service::models_path(&tenant), Target::None),
    ];
    let mut answers =
        BTreeMap::from([(CONSUMPTION.to_owned(), answer(&service, singles.first())?)]);
    answers.insert(CONSUMPTION_BATCH.to_owned(), answer(&service, batches.first())?);
    answers.insert(HOLDS.to_owned(), answer(&service, holds.first())?);
    for (_, path, _) in &reads {
        answers.insert(path.clone(), answer(&service, Some(&http::get(path)))?);
    }
    let bare = Bare::start(&answers)?;
    let mut bench = Bench { options, service: &service, bare: &bare, numbers: Numbers::default() };
    for (name, posts, target) in [
        ("POST consumption, 1 call each", &singles, 0.6),
        ("POST consumption/batch, 100 calls each", &batches, 0.3),
        ("POST holds, may this call go ahead?", &holds, 0.6),
    ] {
        bench.compare(&mut report, name, posts, None, Target::RatioAtLeast(target)).await?;
    }
    for (name, path, target) in &reads {
        let bytes = answers.get(path).map_or(0, String::len);
        let name = format!("{name} ({bytes} B), {} calls/s posted beside it", options.write_rate);
        let reads = Arc::new(vec![http::get(path)]);
        bench.compare(&mut report, &name, &reads, Some(&singles), *target).await?;
    }
    service.stop()?;
    report.finish();
    Ok(())
}

async fn preload(directory: &Path, calls: u64) -> anyhow::Result<()> {
    let book = Book::open(directory, None)?;
    book.set_up().await?;
    let series = Series { seed: 1, calls };
    for first in (0..calls).step_by(10_000) {
        let count = (calls - first).min(10_000);
        record(&book.writer, series.consumptions(first, count)).await?;
    }
    book.close()
}

fn singles() -> anyhow::Result<Vec<Template>> {
    let series = Series { seed: 2, calls: BODIES };
    (0..BODIES)
        .map(|number| {
            let call = series.call(number);
            http::post(CONSUMPTION, &call.body(), &[call.id_text()])
        })
        .collect()
}

fn batches() -> anyhow::Result<Vec<Template>> {
    let series = Series { seed: 3, calls: BODIES * BATCH };
    (0..BODIES)
        .map(|number| {
            let calls = (0..BATCH).map(|place| series.call(number * BATCH + place));
            let (bodies, ids): (Vec<String>, Vec<String>) =
                calls.map(|call| (call.body(), call.id_text())).unzip();
            http::post(CONSUMPTION_BATCH, &service::batch_body(&bodies), &ids)
        })
        .collect()
}

fn holds() -> anyhow::Result<Vec<Template>> {
    let series = Series { seed: 4, calls: BODIES };
    (0..BODIES)
        .map(|number| {
            let call = series.call(number);
            http::post(HOLDS, &call.hold_body(), &[call.id_text()])
        })
        .collect()
}

struct Bench<'a> {
    options: &'a Options,
    service: &'a Service,
    bare: &'a Bare,
    numbers: Numbers,
}

impl Bench<'_> {
    /// Rounds of the same load on both servers in turn, with the same `writes` beside it.
    async fn compare(
        &mut self,
        report: &mut Report,
        name: &str,
        load: &Arc<Vec<Template>>,
        writes: Option<&Arc<Vec<Template>>>,
        target: Target,
    ) -> anyhow::Result<()> {
        report.progress(name);
        let &Options { rounds, seconds, connections, write_rate, .. } = self.options;
        let (ours, theirs) = (self.service.address(), self.bare.address);
        for address in [ours, theirs] {
            self.round(address, load, writes, Duration::from_secs(1)).await?;
        }
        let time = Duration::from_secs(seconds);
        let (mut rates, mut floors) = (Vec::new(), Vec::new());
        let (mut slow, mut floor_slow) = (Vec::new(), Vec::new());
        let mut least = 1.0_f64;
        let mut core = [Duration::ZERO; 2];
        let mut requests = [0; 2];
        for _ in 0..rounds {
            for (side, address, process, rates, slow) in [
                (0_usize, ours, self.service.id(), &mut rates, &mut slow),
                (1, theirs, self.bare.program.id(), &mut floors, &mut floor_slow),
            ] {
                let before = cpu::process(process);
                let (done, took, kept_up) = self.round(address, load, writes, time).await?;
                least = least.min(kept_up);
                let used = cpu::process(process).saturating_sub(before);
                if let (Some(core), Some(requests)) = (core.get_mut(side), requests.get_mut(side)) {
                    *core += used;
                    *requests += done.requests;
                }
                rates.push(done.requests as f64 / took.as_secs_f64());
                slow.extend(done.times);
            }
        }
        let floor = ("bare axum", floors.as_slice());
        let figure = Figure::of_rounds(name, Unit::PerSecond, &rates, floor, target);
        let connections = u64::try_from(connections)?;
        let sizes = [
            ("connections", connections),
            ("seconds", seconds),
            ("rounds", rounds),
            ("write_rate", writes.map_or(0, |_| write_rate)),
        ];
        report.add(&figure.sized(&sizes));
        slow.sort_unstable();
        floor_slow.sort_unstable();
        let [our_core, bare_core] = core;
        let [our_requests, bare_requests] = requests;
        let each = |core: Duration, requests: u64| core.as_secs_f64() * 1e6 / requests as f64;
        report.note(format!(
            "{name}: p50 {:.2?}, p99 {:.2?} (bare {:.2?}, {:.2?}); core time a request {:.1} µs \
             (bare {:.1} µs)",
            percentile(&slow, 50),
            percentile(&slow, 99),
            percentile(&floor_slow, 50),
            percentile(&floor_slow, 99),
            each(our_core, our_requests),
            each(bare_core, bare_requests),
        ));
        if least < 0.9 {
            let share = least * 100.0;
            report
                .note(format!("{name}: NOT COMPARABLE, only {share:.0} % of the posts were sent"));
        }
        Ok(())
    }

    /// What was done, what it took, and the share of the writes that could be sent beside it.
    async fn round(
        &self,
        address: SocketAddr,
        load: &Arc<Vec<Template>>,
        writes: Option<&Arc<Vec<Template>>>,
        time: Duration,
    ) -> anyhow::Result<(Done, Duration, f64)> {
        let &Options { connections, write_rate, .. } = self.options;
        let until = Instant::now() + time;
        let mut writing = Vec::new();
        for _ in 0..writes.map_or(0, |_| WRITERS) {
            let writes = writes.cloned().unwrap_or_default();
            let (numbers, rate) = (self.numbers.clone(), write_rate / WRITERS);
            writing.push(tokio::spawn(http::steady(address, writes, numbers, rate, until)));
        }
        let started = Instant::now();
        let done = http::load(address, load, &self.numbers, connections, time).await?;
        let took = started.elapsed();
        let (mut sent, mut wanted) = (0, 0);
        for writer in writing {
            sent += writer.await??;
            wanted += write_rate / WRITERS * time.as_secs();
        }
        let kept_up = if wanted == 0 { 1.0 } else { sent as f64 / wanted as f64 };
        Ok((done, took, kept_up))
    }
}

/// The floor: axum and serde, and nothing behind them.
struct Bare {
    program: Program,
    address: SocketAddr,
    _directory: TempDir,
}

impl Bare {
    /// Starts it with the answers that the service gives, by path and query.
    fn start(answers: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let directory = disk::temporary("bare")?;
        let file = directory.path().join("answers.json");
        fs::write(&file, serde_json::to_vec(answers)?)?;
        let port = process::free_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--bare", &port.to_string(), "--answers"]).arg(file);
        let output = directory.path().join("bare.out");
        let mut program = Program::start("the bare server", &mut command, &output)?;
        program.wait_until(Duration::from_secs(20), || {
            http::once(address, &http::get("/health/ready")).is_ok()
        })?;
        Ok(Self { program, address, _directory: directory })
    }
}

/// What the service answers.
fn answer(service: &Service, template: Option<&Template>) -> anyhow::Result<String> {
    let answer = http::once(service.address(), template.context("there are no requests")?)?;
    let body = String::from_utf8(answer.body)?;
    if !(200..300).contains(&answer.status) {
        bail!("answered {}: {body}", answer.status);
    }
    Ok(body)
}

/// The fields of a call, as anyone would read them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read and dropped: reading it is what is measured")]
struct BareCall {
    request_id: String,
    user_id: String,
    organization_id: String,
    model: String,
    assistant_type: Option<String>,
    conversation_id: Option<String>,
    document_id: Option<String>,
    timestamp: schemas::Timestamp,
    request_timestamp: Option<schemas::Timestamp>,
    request_character_count: Option<u64>,
    request_token_count: Option<u64>,
    request_type: Option<String>,
    message_count: Option<u32>,
    character_count: Option<u64>,
    token_count: Option<u64>,
    finish_reason: Option<String>,
    usage: Option<BareUsage>,
    response_time_ms: Option<u64>,
    has_tool_calls: Option<bool>,
    tool_call_count: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read and dropped: reading it is what is measured")]
#[expect(clippy::struct_field_names, reason = "they are named so in the body")]
struct BareUsage {
    prompt_tokens: u64,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

/// The fields of what is asked before a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read and dropped: reading it is what is measured")]
struct BareHold {
    request_id: String,
    user_id: String,
    organization_id: String,
    model: String,
    prompt_tokens: u64,
    max_tokens: u64,
}

async fn serve_bare(port: u16, answers: &Path) -> anyhow::Result<()> {
    let answers: BTreeMap<String, Bytes> =
        serde_json::from_slice::<BTreeMap<String, String>>(&fs::read(answers)?)?
            .into_iter()
            .map(|(path, body)| (path, Bytes::from(body)))
            .collect();
    let of = |path: &str| answers.get(path).cloned().unwrap_or_default();
    let (one, many, held) = (of(CONSUMPTION), of(CONSUMPTION_BATCH), of(HOLDS));
    let answers = Arc::new(answers);
    let give = move |uri: Uri| {
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let answer = answers.get(path).cloned();
        async move { answer.map(json).ok_or(StatusCode::NOT_FOUND) }
    };
    let router = Router::new()
        .route("/health/ready", routing::get(|| async { "" }))
        .route(CONSUMPTION, routing::post(move |body| read::<BareCall>(body, one.clone())))
        .route(
            CONSUMPTION_BATCH,
            routing::post(move |body| read::<Vec<BareCall>>(body, many.clone())),
        )
        .route(HOLDS, routing::post(move |body| read::<BareHold>(body, held.clone())))
        .fallback(give);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, router).await?)
}

/// Reads the body, and gives the answer that is always given.
#[expect(clippy::needless_pass_by_value, reason = "the router gives it away")]
fn read<T: DeserializeOwned>(body: Bytes, answer: Bytes) -> Ready<Result<Json, Refused>> {
    ready(match serde_json::from_slice::<T>(&body) {
        Ok(_) => Ok(json(answer)),
        Err(error) => Err((StatusCode::BAD_REQUEST, error.to_string())),
    })
}

type Json = ([(HeaderName, &'static str); 1], Bytes);
type Refused = (StatusCode, String);

fn json(body: Bytes) -> Json {
    ([(header::CONTENT_TYPE, "application/json")], body)
}
