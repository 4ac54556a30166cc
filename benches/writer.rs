//! What the writer records durably, beside what a database or a raw file does on the same disk:
//! every command is recognised for ever, checked against quota, priced, folded for the deciders and
//! for the readers, hashed, and on disk before it is answered.
#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints rates"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use replay::BatchEncoder;
use schemas::{Envelope, Event, Sequence, Timestamp};
use tallybook::writer::{Outcome, Writer};
use tokio::sync::Barrier;

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use support::book::{Book, record, submit_all};
use support::company::Series;
use support::cpu;
use support::disk::{self, RawFile};
use support::postgres::{self, Load, Postgres};
use support::report::{Figure, Output, Report, Target, Unit, median, per_second, percentile};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What stands around the records of a frame: header and hash.
const FRAME_OVERHEAD_BYTES: usize = 117;

/// Measures the writer beside PostgreSQL and a raw file.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds of each figure, taking turns with its floor.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Calls that are on record before anything is measured.
    #[arg(long, default_value_t = 200_000)]
    preload: u64,
    /// Commands of a round of 1000 clients, one at a time each.
    #[arg(long, default_value_t = 300_000)]
    commands: u64,
    /// Submissions of 100 commands of a round of 16 clients.
    #[arg(long, default_value_t = 3_000)]
    submissions: u64,
    /// Commands of a round of one client.
    #[arg(long, default_value_t = 2_000)]
    single: u64,
    /// Commands of a round of 32 clients.
    #[arg(long, default_value_t = 32_000)]
    latency: u64,
    /// Seconds of a round of PostgreSQL.
    #[arg(long, default_value_t = 5)]
    postgres_seconds: u64,
    /// A checkpoint is taken after so many events; by default as the service does.
    #[arg(long)]
    checkpoint_events: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::new("writer", options.output);
    let directory = disk::temporary("writer")?;
    let book = Book::open(directory.path(), options.checkpoint_events)?;
    let mut bench = Bench { options, writer: book.writer.clone(), series: 1 };
    report.progress("recording what is there before");
    book.set_up().await?;
    let first_call = book.reader.head().sequence.next();
    record(&book.writer, bench.next_calls(options.preload)).await?;
    let command_bytes = bytes_of_a_command(&book, first_call)?;

    let postgres = postgres::programs().map(Postgres::start).transpose()?;
    one_each(&mut bench, &mut report, postgres.as_ref()).await?;
    hundreds(&mut bench, &mut report, postgres.as_ref()).await?;
    drop(postgres);
    raw_file(&mut bench, &mut report, directory.path(), command_bytes).await?;

    let events = book.reader.head().sequence.get();
    report.note(format!(
        "{events} events on record in the end; a call takes {command_bytes} bytes in a frame of \
         its own. Commands are made before the clock starts."
    ));
    let Bench { writer, .. } = bench;
    drop(writer);
    book.close()?;
    report.finish();
    Ok(())
}

/// The writer, and the calls that nobody has reported yet.
struct Bench<'a> {
    options: &'a Options,
    writer: Writer,
    series: u64,
}

impl Bench<'_> {
    fn next_calls(&mut self, count: u64) -> Vec<Envelope> {
        self.series += 1;
        Series { seed: self.series, calls: count }.consumptions(0, count)
    }

    /// Clients that each hand in one command at a time; gives what all took, and each alone.
    async fn one_at_a_time(
        &mut self,
        clients: u64,
        commands: u64,
    ) -> anyhow::Result<(Duration, Vec<Duration>)> {
        let each = usize::try_from(commands.div_ceil(clients))?;
        let mut calls = self.next_calls(commands).into_iter();
        let shares: Vec<Vec<Envelope>> =
            (0..clients).map(|_| calls.by_ref().take(each).collect()).collect();
        let start = Arc::new(Barrier::new(shares.len() + 1));
        let mut tasks = Vec::new();
        for share in shares {
            let (writer, start) = (self.writer.clone(), Arc::clone(&start));
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::with_capacity(share.len());
                start.wait().await;
                for envelope in share {
                    let started = Instant::now();
                    if writer.submit(envelope).await?.outcome != Outcome::Recorded {
                        bail!("a new call was known");
                    }
                    times.push(started.elapsed());
                }
                Ok(times)
            }));
        }
        start.wait().await;
        let started = Instant::now();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        Ok((started.elapsed(), all))
    }

    /// Clients that each hand in a hundred commands at a time; gives what all took.
    async fn hundred_at_a_time(
        &mut self,
        clients: u64,
        submissions: u64,
    ) -> anyhow::Result<Duration> {
        let each = submissions.div_ceil(clients);
        let mut tasks = Vec::new();
        let start = Arc::new(Barrier::new(usize::try_from(clients)? + 1));
        for _ in 0..clients {
            let share: Vec<_> = (0..each).map(|_| self.next_calls(100)).collect();
            let (writer, start) = (self.writer.clone(), Arc::clone(&start));
            tasks.push(tokio::spawn(async move {
                start.wait().await;
                for envelopes in share {
                    submit_all(&writer, envelopes).await?;
                }
                anyhow::Ok(())
            }));
        }
        start.wait().await;
        let started = Instant::now();
        for task in tasks {
            task.await??;
        }
        Ok(started.elapsed())
    }
}

/// 1000 clients, beside PostgreSQL with as many as serve it best.
async fn one_each(
    bench: &mut Bench<'_>,
    report: &mut Report,
    postgres: Option<&Postgres>,
) -> anyhow::Result<()> {
    let name = "1000 clients × 1, calls recorded";
    let &Options { rounds, commands, postgres_seconds: seconds, .. } = bench.options;
    report.progress(name);
    if let Some(postgres) = postgres {
        postgres.rate(Load::One, 32, 2)?;
    }
    let (mut ours, mut theirs, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut threads = std::collections::BTreeMap::<String, Duration>::new();
    for _ in 0..rounds {
        let before = cpu::threads(std::process::id());
        let (took, each) = bench.one_at_a_time(1000, commands).await?;
        for (thread, time) in cpu::since(&before) {
            *threads.entry(thread).or_default() += time;
        }
        ours.push(per_second(commands, took));
        times.extend(each);
        if let Some(postgres) = postgres {
            let rate = tokio::task::block_in_place(|| postgres.rate(Load::One, 32, seconds))?;
            theirs.push(rate);
        }
    }
    let sizes = [("clients", 1000), ("commands", commands), ("rounds", rounds)];
    if theirs.is_empty() {
        report
            .add(&Figure::alone(name, Unit::PerSecond, median(&ours), Target::None).sized(&sizes));
        report.skip("1000 clients × 1 beside PostgreSQL", postgres::MISSING);
    } else {
        let floor = ("PostgreSQL, 32 clients", theirs.as_slice());
        let target = Target::RatioAtLeast(50.0);
        let figure = Figure::of_rounds(name, Unit::PerSecond, &ours, floor, target);
        report.add(&figure.sized(&sizes));
    }
    times.sort_unstable();
    report.note(format!(
        "1000 clients × 1: p50 {:.2?}, p99 {:.2?}",
        percentile(&times, 50),
        percentile(&times, 99)
    ));
    let mut split: Vec<(String, f64)> = threads
        .into_iter()
        .map(|(thread, time)| (thread, time.as_secs_f64() * 1e9 / (rounds * commands) as f64))
        .filter(|(_, nanos)| *nanos >= 5.0)
        .collect();
    split.sort_by(|left, right| right.1.total_cmp(&left.1));
    let split: Vec<String> =
        split.into_iter().map(|(thread, nanos)| format!("{thread} {nanos:.0}")).collect();
    report.note(format!(
        "1000 clients × 1: core time in ns a command, by thread (the benchmark's own makes the \
         commands): {}",
        split.join(", ")
    ));
    Ok(())
}

/// 16 clients with 100 commands each at a time, beside PostgreSQL with the same.
async fn hundreds(
    bench: &mut Bench<'_>,
    report: &mut Report,
    postgres: Option<&Postgres>,
) -> anyhow::Result<()> {
    let name = "16 clients × 100, calls recorded";
    let &Options { rounds, submissions, postgres_seconds: seconds, .. } = bench.options;
    report.progress(name);
    if let Some(postgres) = postgres {
        postgres.rate(Load::Hundred, 16, 2)?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let took = bench.hundred_at_a_time(16, submissions).await?;
        ours.push(per_second(submissions.div_ceil(16) * 16 * 100, took));
        if let Some(postgres) = postgres {
            let rate = tokio::task::block_in_place(|| postgres.rate(Load::Hundred, 16, seconds))?;
            theirs.push(rate);
        }
    }
    let sizes = [("clients", 16), ("submissions", submissions), ("rounds", rounds)];
    if theirs.is_empty() {
        report
            .add(&Figure::alone(name, Unit::PerSecond, median(&ours), Target::None).sized(&sizes));
        report.skip("16 clients × 100 beside PostgreSQL", postgres::MISSING);
    } else {
        let floor = ("PostgreSQL, 100 rows a transaction", theirs.as_slice());
        let target = Target::RatioAtLeast(7.0);
        let figure = Figure::of_rounds(name, Unit::PerSecond, &ours, floor, target);
        report.add(&figure.sized(&sizes));
    }
    Ok(())
}

/// One client, and the patience of 32, beside a raw file that is synced as often.
async fn raw_file(
    bench: &mut Bench<'_>,
    report: &mut Report,
    directory: &std::path::Path,
    command_bytes: usize,
) -> anyhow::Result<()> {
    let name = "1 client × 1, calls recorded";
    report.progress(name);
    let &Options { rounds, single, latency, .. } = bench.options;
    let mut raw = RawFile::create(directory, command_bytes)?;
    bench.one_at_a_time(1, single / 10).await?;
    raw.run(single / 10)?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let (mut late, mut synced) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, _) = bench.one_at_a_time(1, single).await?;
        ours.push(per_second(single, took));
        let (took, _) = tokio::task::block_in_place(|| raw.run(single))?;
        floor.push(per_second(single, took));

        let (_, mut times) = bench.one_at_a_time(32, latency).await?;
        times.sort_unstable();
        late.push(percentile(&times, 99).as_secs_f64());
        let (_, mut syncs) = tokio::task::block_in_place(|| raw.run(single / 4))?;
        syncs.sort_unstable();
        synced.push(percentile(&syncs, 50).as_secs_f64());
    }
    let floor = ("append + fdatasync, raw file", floor.as_slice());
    let target = Target::RatioAtLeast(0.4);
    let figure = Figure::of_rounds(name, Unit::PerSecond, &ours, floor, target);
    report.add(&figure.sized(&[
        ("commands", single),
        ("bytes", u64::try_from(command_bytes)?),
        ("rounds", rounds),
    ]));
    let floor = ("one fdatasync, median", synced.as_slice());
    let target = Target::RatioAtMost(20.0);
    let figure = Figure::of_rounds("32 clients × 1, p99", Unit::Seconds, &late, floor, target);
    report.add(&figure.sized(&[("clients", 32), ("commands", latency), ("rounds", rounds)]));
    Ok(())
}

/// What a call takes on disk when it is a batch of its own.
fn bytes_of_a_command(book: &Book, first: Sequence) -> anyhow::Result<usize> {
    let page = book.reader.page(first, 10_000)?;
    let mut encoder = BatchEncoder::new(first, Timestamp::EPOCH);
    let mut commands = 0_usize;
    for command in page.chunk_by(|_, next| next.command.is_none()) {
        let Some(header) = command.first().and_then(|recorded| recorded.command) else { continue };
        let events: Vec<Event> = command.iter().map(|recorded| recorded.event.clone()).collect();
        encoder.push(header, &events)?;
        commands += 1;
    }
    Ok(encoder.bytes() / commands.max(1) + FRAME_OVERHEAD_BYTES)
}
