//! Reading the book back: how fast the log is folded, how long a start takes, and how much memory
//! and disk an event costs, at growing sizes.
#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints rates"
)]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use projections::calls::Calls;
use projections::histories::Histories;
use projections::{Projection, Projections};
use replay::{Log, LogOptions, LogReader, SledStore, Store, Verification};
use schemas::Sequence;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use support::book::{self, Book};
use support::company::Series;
use support::mixed_log::{self, Written};
use support::process::{self, Program};
use support::report::{Figure, Output, Report, Target, Unit, per_second};
use support::{cpu, disk};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The size that the targets for starting are set for.
const LARGE: u64 = 10_000_000;
/// From this size on the store's segments are full, and rates are steady.
const MEDIUM: u64 = 1_000_000;
/// The hash at a frame's end.
const HASH_BYTES: usize = 32;
/// How much is hashed alone, at most.
const SAMPLE_BYTES: usize = 256 << 20;

/// Measures replay, restart, memory and disk at growing sizes.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    output: Output,
    /// Events, of which about 80 % are consumption; several sizes show the growth.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    events: Vec<u64>,
    /// Commands in a batch of the log.
    #[arg(long, default_value_t = 1000)]
    batch: usize,
    /// Rounds of each figure, taking turns with its floor.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Events after the last checkpoint when the writing process is killed; by default a tenth, at
    /// most half a million.
    #[arg(long)]
    tail: Option<u64>,
    /// Be a child that does this over the given directory.
    #[arg(long, hide = true)]
    child: Option<String>,
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 1)]
    copies: u64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let Some(child) = &options.child else { return measure(&options) };
    let directory = options.directory.as_deref().context("a child needs `--directory`")?;
    match child.as_str() {
        "start" => start(directory),
        "write" => write_until_killed(directory, options.tail.unwrap_or(0)),
        "histories" => fold_alone(directory, options.copies, |histories: &Histories| {
            (0, histories.heap_bytes())
        }),
        "calls" => fold_alone(directory, options.copies, |calls: &Calls| (calls.keys(), 0)),
        other => bail!("there is no child `{other}`"),
    }
}

fn measure(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::new("replay", options.output);
    for events in &options.events {
        let directory = disk::temporary("replay")?;
        report.progress(&format!("{events} events: writing them"));
        let written = mixed_log::write(directory.path(), *events, options.batch)?;
        let size = Size { options, written, directory: directory.path() };
        size.disk(&mut report)?;
        report.progress(&size.name("replaying them"));
        size.replay(&mut report)?;
        report.progress(&size.name("weighing them"));
        size.memory(&mut report)?;
        report.progress(&size.name("starting over them"));
        size.starts(&mut report)?;
    }
    report.finish();
    Ok(())
}

/// One log.
struct Size<'a> {
    options: &'a Options,
    written: Written,
    directory: &'a Path,
}

impl Size<'_> {
    fn name(&self, figure: &str) -> String {
        match self.written.events {
            events @ MEDIUM.. => format!("{:.0} M events: {figure}", events as f64 / 1e6),
            events => format!("{:.0} k events: {figure}", events as f64 / 1e3),
        }
    }

    /// Adds a figure with this size's name. What was asked for logs of at least `from` events is
    /// asked of no smaller one.
    fn add(&self, report: &mut Report, from: u64, figure: Figure) {
        let Self { options, written, .. } = self;
        let batch = u64::try_from(options.batch).unwrap_or(u64::MAX);
        let sizes = [("events", written.events), ("batch", batch), ("rounds", options.rounds)];
        let target = if written.events >= from { figure.target } else { Target::None };
        let name = self.name(&figure.name);
        report.add(&Figure { name, target, ..figure }.sized(&sizes));
    }

    fn disk(&self, report: &mut Report) -> anyhow::Result<()> {
        let Written { events, encoded_bytes, consumptions, consumption_bytes } = self.written;
        let on_disk = disk::bytes_on_disk(&self.directory.join("log"))? as f64;
        let encoded = encoded_bytes as f64;
        let each = consumption_bytes as f64 / consumptions as f64;
        let bytes = |name, value: f64, floor: f64, target| {
            Figure::of_rounds(name, Unit::Bytes, &[value], ("encoded", &[floor]), target)
        };
        let target = Target::RatioAtMost(1.9);
        self.add(report, MEDIUM, bytes("on disk", on_disk, encoded, target));
        let (share, target) = (each * on_disk / encoded, Target::AtMost(250.0));
        self.add(report, MEDIUM, bytes("a consumption's share of it", share, each, target));
        let percent = consumptions as f64 * 100.0 / events as f64;
        report.note(self.name(&format!("{percent:.0} % are calls that came whole")));
        Ok(())
    }

    /// All folds over the whole log, without and with hashes.
    fn replay(&self, report: &mut Report) -> anyhow::Result<()> {
        let events = self.written.events;
        let frames = Frames::read(self.directory)?;
        let (log, _) = Log::open(self.directory, LogOptions::default())?;
        let reader = log.reader();
        let (mut folded, mut decoded) = (Vec::new(), Vec::new());
        let (mut verified, mut hashed) = (Vec::new(), Vec::new());
        for round in 0..=self.options.rounds {
            let fold = per_second(events, fold_all(&reader, Verification::Unverified)?);
            let decode = per_second(events, decode_all(&reader)?);
            let verify = per_second(events, fold_all(&reader, Verification::Chained)?);
            let hash = per_second(events, frames.hash());
            // The first round is the warm-up.
            if round > 0 {
                folded.push(fold);
                decoded.push(decode);
                verified.push(verify);
                hashed.push(hash);
            }
        }
        log.close()?;
        let rate = |name, rounds: &[f64], floor, target| {
            Figure::of_rounds(name, Unit::PerSecond, rounds, floor, target)
        };
        let floor = ("reading and decoding alone", decoded.as_slice());
        let target = Target::AtLeast(1e6);
        self.add(report, MEDIUM, rate("all folds, unverified", &folded, floor, target));
        let floor = ("SHA-256 of the same bytes alone", hashed.as_slice());
        let target = Target::RatioAtLeast(0.6);
        self.add(report, 0, rate("all folds, verified", &verified, floor, target));
        Ok(())
    }

    /// What a fold takes in memory, measured in a process that folds nothing else.
    fn memory(&self, report: &mut Report) -> anyhow::Result<()> {
        let events = self.written.events;
        let copies = (8_000_000 / events).clamp(1, 64).to_string();
        let child = |name| self.child(name, &["--copies", &copies]);
        let figure = |name, bytes, count| {
            let each = bytes as f64 / count as f64;
            Figure::alone(name, Unit::Bytes, each, Target::None)
        };
        let histories = child("histories")?;
        let heap = number(&histories, "heap")?;
        let resident = number(&histories, "resident")?;
        self.add(report, 0, figure("histories, an event, as they count it", heap, events));
        self.add(report, 0, figure("histories, an event, resident", resident, events));
        let calls = child("calls")?;
        let (keys, resident) = (number(&calls, "keys")?, number(&calls, "resident")?);
        self.add(report, 0, figure("what is recognised, a key, resident", resident, keys));
        Ok(())
    }

    /// Starts after an orderly end and after a kill, without and with a checkpoint.
    fn starts(&self, report: &mut Report) -> anyhow::Result<()> {
        let checkpoints = self.directory.join("checkpoints");
        let mut resident = 0;
        for (name, with_checkpoint, killed, target) in [
            ("start, no checkpoint", false, false, 20.0),
            ("start, checkpoint", true, false, 3.0),
            ("start, checkpoint, killed before", true, true, 3.0),
            ("start, no checkpoint, killed before", false, true, 20.0),
        ] {
            let (mut took, mut read) = (Vec::new(), Vec::new());
            for _ in 0..self.options.rounds {
                if checkpoints.exists() {
                    fs::remove_dir_all(&checkpoints)?;
                }
                if with_checkpoint {
                    save_checkpoint(self.directory)?;
                }
                if killed {
                    self.write_and_kill()?;
                }
                let files = if with_checkpoint { "checkpoints" } else { "log" };
                let reading = Instant::now();
                disk::read_all(&self.directory.join(files))?;
                read.push(reading.elapsed().as_secs_f64());
                let started = self.child("start", &[])?;
                if (number(&started, "checkpoint")? > 0) != with_checkpoint {
                    bail!("{name}: began at another event than meant: {started}");
                }
                took.push(number(&started, "micros")? as f64 / 1e6);
                resident = number(&started, "resident")?;
            }
            let floor = ("reading the same files", read.as_slice());
            let target = Target::AtMost(target);
            let figure = Figure::of_rounds(name, Unit::Seconds, &took, floor, target);
            self.add(report, LARGE, figure);
        }
        if self.written.events >= MEDIUM {
            let each = resident as f64 / self.written.events as f64;
            let name = "a started book, an event, resident";
            self.add(report, 0, Figure::alone(name, Unit::Bytes, each, Target::None));
        }
        Ok(())
    }

    /// Has another process write on, and kills it while it does.
    fn write_and_kill(&self) -> anyhow::Result<()> {
        let tail = self.options.tail.unwrap_or((self.written.events / 10).min(500_000));
        let output = self.directory.join("write.out");
        let mut command = self.command("write")?;
        command.args(["--tail", &tail.to_string()]);
        let mut program = Program::start("the writing process", &mut command, &output)?;
        program.wait_until(Duration::from_mins(10), || {
            fs::read_to_string(&output).is_ok_and(|text| text.contains(WRITTEN))
        })?;
        program.kill()
    }

    fn command(&self, child: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", child, "--directory"]).arg(self.directory);
        Ok(command)
    }

    /// What a child says at its end.
    fn child(&self, child: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        let printed = process::run(self.command(child)?.args(arguments))?;
        Ok(serde_json::from_str(printed.trim())?)
    }
}

fn number(value: &Value, key: &str) -> anyhow::Result<u64> {
    value.get(key).and_then(Value::as_u64).with_context(|| format!("no `{key}` in {value}"))
}

/// The log's frames as the store gives them, or the first of them.
struct Frames {
    sample: Vec<Vec<u8>>,
    sample_bytes: usize,
    bytes: usize,
}

impl Frames {
    fn read(directory: &Path) -> anyhow::Result<Self> {
        let store = SledStore::open(&directory.join("log"), LogOptions::default().cache_bytes)?;
        let mut frames = Self { sample: Vec::new(), sample_bytes: 0, bytes: 0 };
        for chunk in store.iterate(Sequence::ZERO) {
            let chunk = chunk?;
            frames.bytes += chunk.bytes.len();
            if frames.sample_bytes < SAMPLE_BYTES {
                frames.sample_bytes += chunk.bytes.len();
                frames.sample.push(chunk.bytes.to_vec());
            }
        }
        Ok(frames)
    }

    /// How long it takes to hash them all, one after the other.
    fn hash(&self) -> Duration {
        let started = Instant::now();
        for frame in &self.sample {
            let (body, _) = frame.split_at(frame.len() - HASH_BYTES);
            black_box(Sha256::digest(body));
        }
        started.elapsed().mul_f64(self.bytes as f64 / self.sample_bytes as f64)
    }
}

fn fold_all(reader: &LogReader, verification: Verification) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let head = reader.head().sequence;
    let folded = replay::rebuild(reader, Projections::default(), head, verification, |_, _| ())?;
    let took = started.elapsed();
    if folded.head() != head {
        bail!("folded up to event {} of {head}", folded.head());
    }
    Ok(took)
}

fn decode_all(reader: &LogReader) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let (first, head) = (Sequence::new(1), reader.head().sequence);
    for events in reader.scan_pipelined(first, head, Verification::Unverified)? {
        black_box(events?);
    }
    Ok(started.elapsed())
}

/// What the writer leaves when it ends in order.
fn save_checkpoint(directory: &Path) -> anyhow::Result<()> {
    let restored = replay::restore(directory, |_, _| ())?;
    let mark = restored.log.head().mark();
    replay::save_checkpoint(&restored.checkpoints, mark, &restored.projections)?;
    Ok(restored.log.close()?)
}

/// A child that starts as the service does, up to where it takes commands.
fn start(directory: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let restored = replay::restore(directory, |_, _| ())?;
    let checkpoint = restored.checkpoint.map_or(0, Sequence::get);
    let book = Book::start(restored, None)?;
    let micros = started.elapsed().as_micros();
    let (micros, resident) = (u64::try_from(micros)?, cpu::resident_bytes());
    println!("{}", json!({"micros": micros, "checkpoint": checkpoint, "resident": resident}));
    book.close()
}

/// What a writing child says when it has written what it should; it writes on until it is killed.
const WRITTEN: &str = "written";

fn write_until_killed(directory: &Path, tail: u64) -> anyhow::Result<()> {
    let book = Book::open(directory, None)?;
    let begun = book.reader.head().sequence;
    // No other run has written calls of this series.
    let series = Series { seed: begun.get() << 8, calls: MEDIUM };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut said = false;
    for first in (0..).step_by(1000) {
        runtime.block_on(book::submit_all(&book.writer, series.consumptions(first, 1000)))?;
        if !said && first >= tail {
            println!("{WRITTEN}");
            said = true;
        }
    }
    Ok(())
}

/// A child that folds the log into copies of one projection only, and says what they take.
fn fold_alone<P: Projection>(
    directory: &Path,
    copies: u64,
    counts: impl Fn(&P) -> (usize, usize),
) -> anyhow::Result<()> {
    let (log, _) = Log::open(directory, LogOptions::default())?;
    let reader = log.reader();
    // What reading itself leaves in memory is there before.
    decode_all(&reader)?;
    decode_all(&reader)?;
    let before = cpu::resident_bytes();
    let mut folds: Vec<P> = (0..copies).map(|_| P::default()).collect();
    let (first, last) = (Sequence::new(1), reader.head().sequence);
    for events in reader.scan_pipelined(first, last, Verification::Unverified)? {
        for recorded in &events? {
            for fold in &mut folds {
                fold.apply(recorded);
            }
        }
    }
    let resident = cpu::resident_bytes().saturating_sub(before) / copies;
    let (keys, heap) = folds.first().map(counts).unwrap_or_default();
    println!("{}", json!({"resident": resident, "keys": keys, "heap": heap}));
    Ok(())
}
