//! How fast the halves of calls are taken from the two queues and matched, beside a consumer that
//! only acknowledges them; and what is left of it, and of the broker, while a producer publishes.
#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints rates"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tallybook::config::Config;

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use support::book::{Book, record};
use support::broker::{self, Broker, QUEUES};
use support::company::Series;
use support::disk;
use support::report::{Figure, Output, Report, Target, Unit, per_second};
use support::service::Service;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The floor acknowledges so many messages at once.
const ACKNOWLEDGED: usize = 1000;
/// How often the service is asked how far it is.
const POLL: Duration = Duration::from_millis(5);
/// How long nothing may move.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures the intake from RabbitMQ beside a consumer that only acknowledges.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds of each figure, taking turns with its floor.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Calls of a round; each is two messages.
    #[arg(long, default_value_t = 40_000)]
    pairs: u64,
    /// Calls that are on record before anything is measured.
    #[arg(long, default_value_t = 100_000)]
    preload: u64,
    /// The service's program; by default the one that was built with this benchmark.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_tallybook"))]
    service: String,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::new("rabbitmq", options.output);
    if !broker::is_installed() {
        report.skip("matched pairs from full queues", broker::MISSING);
        report.skip("matched pairs beside a producer", broker::MISSING);
        report.finish();
        return Ok(());
    }
    report.progress("starting RabbitMQ");
    let broker = Broker::start().await?;
    let directory = disk::temporary("intake")?;
    report.progress("recording what is there before");
    preload(directory.path(), options.preload).await?;
    let mut bench = Bench { options, broker, data: directory.path(), series: 1 };
    bench.full_queues(&mut report).await?;
    bench.live(&mut report).await?;
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

struct Bench<'a> {
    options: &'a Options,
    broker: Broker,
    data: &'a Path,
    series: u64,
}

impl Bench<'_> {
    /// Both messages of calls that nobody has seen.
    fn next_calls(&mut self) -> Vec<[String; 2]> {
        self.series += 1;
        let series = Series { seed: self.series, calls: self.options.pairs };
        (0..series.calls)
            .map(|number| {
                let call = series.call(number);
                [call.request_message(), call.response_message()]
            })
            .collect()
    }

    fn start_service(&self) -> anyhow::Result<Service> {
        tokio::task::block_in_place(|| {
            Service::start(&self.options.service, self.data, Some(self.broker.url()))
        })
    }

    /// The service beside a consumer that only acknowledges, each with both queues full.
    async fn full_queues(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let name = "matched pairs from full queues";
        let &Options { rounds, pairs, .. } = self.options;
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            report.progress(&format!("{name}: filling the queues"));
            let calls = self.next_calls();
            self.broker.publish(&calls).await?;
            report.progress(&format!("{name}: the service"));
            let before = self.recorded()?;
            let rate = self.drain(before).await?;
            self.broker.publish(&calls).await?;
            report.progress(&format!("{name}: only acknowledging"));
            let floor_rate = acknowledge(&self.broker, pairs * 2).await? / 2.0;
            // The first round is the warm-up.
            if round > 0 {
                ours.push(rate);
                floor.push(floor_rate);
            }
        }
        let floor = ("lapin, only acknowledging", floor.as_slice());
        let target = Target::RatioAtLeast(0.6);
        let figure = Figure::of_rounds(name, Unit::PerSecond, &ours, floor, target);
        report.add(&figure.sized(&[("pairs", pairs), ("rounds", rounds)]));
        Ok(())
    }

    /// Producer and service at once, beside the producer alone.
    async fn live(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let name = "matched pairs beside a confirming producer";
        let &Options { rounds, pairs, .. } = self.options;
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let calls = self.next_calls();
            report.progress(&format!("{name}: both"));
            let service = self.start_service()?;
            let before = service.sequence()?;
            let started = Instant::now();
            self.broker.publish(&calls).await?;
            wait_for(&service, before + pairs * 2).await?;
            let rate = per_second(pairs, started.elapsed());
            tokio::task::block_in_place(|| service.stop())?;
            report.progress(&format!("{name}: the producer alone"));
            let started = Instant::now();
            self.broker.publish(&calls).await?;
            let floor_rate = per_second(pairs, started.elapsed());
            self.broker.purge().await?;
            // The first round is the warm-up.
            if round > 0 {
                ours.push(rate);
                floor.push(floor_rate);
            }
        }
        let floor = ("broker and producer alone", floor.as_slice());
        let target = Target::RatioAtLeast(0.8);
        let figure = Figure::of_rounds(name, Unit::PerSecond, &ours, floor, target);
        report.add(&figure.sized(&[("pairs", pairs), ("rounds", rounds)]));
        Ok(())
    }

    /// How many events are on record, while no service runs.
    fn recorded(&self) -> anyhow::Result<u64> {
        let restored = replay::restore(self.data, |_, _| ())?;
        let head = restored.log.head().sequence.get();
        restored.log.close()?;
        Ok(head)
    }

    /// Starts the service over full queues and ends it when they are empty; gives the pairs a
    /// second from the first message that it recorded on.
    async fn drain(&self, before: u64) -> anyhow::Result<f64> {
        let service = self.start_service()?;
        let first = wait_for(&service, before + 1).await?;
        let last = wait_for(&service, before + self.options.pairs * 2).await?;
        tokio::task::block_in_place(|| service.stop())?;
        let events = last.1 - first.1;
        if events == 0 {
            bail!("the queues were empty before the service could be asked; use more `--pairs`");
        }
        Ok(per_second(events, last.0 - first.0) / 2.0)
    }
}

/// Waits until the service has recorded event `sequence`; gives when, and what it had then.
async fn wait_for(service: &Service, sequence: u64) -> anyhow::Result<(Instant, u64)> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let now = tokio::task::block_in_place(|| service.sequence())?;
        if now >= sequence {
            return Ok((Instant::now(), now));
        }
        if now > seen {
            (seen, moved) = (now, Instant::now());
        }
        if moved.elapsed() > PATIENCE {
            bail!("the service stands at event {now} and does not come to {sequence}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Takes so many messages from both queues and only acknowledges them; gives messages a second.
async fn acknowledge(broker: &Broker, messages: u64) -> anyhow::Result<f64> {
    let mut consumers = Vec::new();
    for (queue, _) in QUEUES {
        let connection = broker.connect().await?;
        consumers.push(tokio::spawn(async move {
            let channel = connection.create_channel().await?;
            let prefetch = Config::default().intake.prefetch;
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer = channel.basic_consume(queue.into(), "".into(), options, none).await?;
            let mut chunks = consumer.ready_chunks(ACKNOWLEDGED);
            let mut left = messages / 2;
            let mut first = None;
            while left > 0 {
                let Some(chunk) = tokio::time::timeout(PATIENCE, chunks.next()).await? else {
                    bail!("the broker ended the consumer");
                };
                first.get_or_insert_with(Instant::now);
                let mut last = 0;
                for delivery in chunk {
                    last = delivery?.delivery_tag;
                    left = left.saturating_sub(1);
                }
                channel.basic_ack(last, BasicAckOptions { multiple: true }).await?;
            }
            // Answered only after the acknowledgements.
            let (passive, none) = (QueueDeclareOptions::durable().passive(), FieldTable::default());
            channel.queue_declare(queue.into(), passive, none).await?;
            connection.close(200, "done".into()).await?;
            anyhow::Ok((first, Instant::now()))
        }));
    }
    let (mut first, mut last) = (None, Instant::now());
    for consumer in consumers {
        let (began, ended) = consumer.await??;
        first = first.min(began).or(began);
        last = last.max(ended);
    }
    let Some(first) = first else { bail!("there were no messages") };
    Ok(per_second(messages, last - first))
}
