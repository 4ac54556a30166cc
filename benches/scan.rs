//! A scan of a recharge strategy over many users, beside judging the same condition over a plain
//! list; and how long others wait while it runs.
#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints rates"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use schemas::{
    Attributes, Change, Command, Condition, Credits, DescribeUser, ExecuteStrategy, Facts, Name,
    StrategyDraft, StrategyId, StrategyKind, Timestamp,
};
use tallybook::clock::Clock;
use tallybook::config::Config;
use tallybook::jobs::Jobs;
use tallybook::writer::Writer;

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use support::book::{Book, record};
use support::company::{Random, envelope, recharge};
use support::report::{Figure, Output, Report, Target, Unit, median, percentile};
use support::{cpu, disk};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Holds for a tenth of the users.
const TENTH: &str =
    r#"and(github-star("zgsm"), or(is-vip(2), register-before("2024-01-01 00:00:00")))"#;
/// Asks the same of each, and holds for nobody.
const NOBODY: &str =
    r#"and(github-star("zgsm"), or(is-vip(9), register-before("1999-01-01 00:00:00")))"#;
/// No command should keep the deciding thread for longer.
const PAGE_SECONDS_MAX: f64 = 0.002;
/// 2024-01-01T00:00:00Z.
const REGISTERED: Timestamp = Timestamp::from_micros(1_704_067_200_000_000);

/// Measures the scan of the recharge strategies.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds of each figure, taking turns with its floor.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Users that somebody has described.
    #[arg(long, default_value_t = 100_000)]
    users: u64,
    /// Users that one command looks at; several sizes show what each costs.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 250, 500, 1000, 4000])]
    pages: Vec<u32>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::new("scan", options.output);
    let directory = disk::temporary("scan")?;
    let book = Book::open(directory.path(), None)?;
    report.progress("describing the users");
    let people: Vec<Person> = (0..options.users).map(Person::new).collect();
    record(&book.writer, people.iter().map(|person| envelope(person.description())).collect())
        .await?;
    let (writer, views) = (book.writer.clone(), book.views.clone());
    let jobs = Jobs::new(writer, views, Clock::system(), Config::default().job_rules()?);
    let mut bench = Bench { options, book: &book, jobs, strategies: 0 };

    bench.scans(&mut report, &people).await?;
    bench.waiting(&mut report).await?;
    for page in &options.pages {
        bench.pages(&mut report, *page).await?;
    }
    let Bench { jobs, .. } = bench;
    drop(jobs);
    book.close()?;
    report.finish();
    Ok(())
}

/// A user as a plain list has them.
struct Person {
    name: String,
    stars: Vec<String>,
    vip: i64,
    org: String,
    registered: Timestamp,
}

impl Person {
    /// A quarter have starred the project. A fifth of all are of the level that is asked for, and a
    /// quarter have registered in time: so two fifths are or have.
    fn new(number: u64) -> Self {
        let mut random = Random::new(number);
        let starred = ["serde", "tokio", "zgsm", "sled"].map(ToOwned::to_owned);
        let mut stars = starred[..2].to_vec();
        stars.extend((random.below(4) == 0).then(|| starred[2].clone()));
        stars.push(starred[3].clone());
        let days = i64::try_from(random.below(400)).unwrap_or(0) - 100;
        Self {
            name: format!("person-{number:06}@example.com"),
            stars,
            vip: if random.below(5) == 0 { 2 } else { 1 },
            org: format!("department {}", random.below(50)),
            registered: REGISTERED.plus_seconds(days * 86_400 + 1),
        }
    }

    fn description(&self) -> Command {
        let attributes = Attributes {
            github_star: Change::Set(self.stars.clone()),
            vip: Change::Set(self.vip),
            org: Change::Set(self.org.clone()),
            register_time: Change::Set(self.registered),
            ..Attributes::default()
        };
        let user = Name::try_from(self.name.as_str()).expect("invariant: a name");
        Command::DescribeUser(Box::new(DescribeUser { user, attributes }))
    }
}

impl Facts for &Person {
    fn user_id(&self) -> &str {
        &self.name
    }

    fn register_time(&self) -> Option<Timestamp> {
        Some(self.registered)
    }

    fn access_time(&self) -> Option<Timestamp> {
        None
    }

    fn has_starred(&self, project: &str) -> bool {
        self.stars.iter().any(|star| star == project)
    }

    fn remaining(&self, _: &str) -> Credits {
        Credits::ZERO
    }

    fn vip(&self) -> i64 {
        self.vip
    }

    fn org(&self) -> &str {
        &self.org
    }
}

/// How long it takes to judge everyone of a plain list, and how many the condition holds for.
fn judge(condition: &str, people: &[Person]) -> anyhow::Result<(Duration, u64)> {
    let condition = Condition::parse(condition)?;
    let started = Instant::now();
    let holds = people.iter().filter(|person| condition.holds(black_box(person))).count();
    Ok((started.elapsed(), u64::try_from(holds)?))
}

/// A book of described users.
struct Bench<'a> {
    options: &'a Options,
    book: &'a Book,
    jobs: Jobs,
    strategies: u64,
}

impl Bench<'_> {
    /// A strategy that has not given anything yet.
    async fn strategy(&mut self, condition: &str) -> anyhow::Result<StrategyId> {
        self.strategies += 1;
        let draft = StrategyDraft {
            name: format!("strategy {}", self.strategies),
            title: "a benchmark's".to_owned(),
            kind: StrategyKind::Single,
            amount: Credits::whole(10).context("ten")?,
            model: None,
            periodic_expr: String::new(),
            condition: condition.to_owned(),
            enabled: true,
            max_exec_per_user: 0,
        };
        self.submit(Command::CreateStrategy(Box::new(draft))).await?;
        let last =
            self.book.views.look(|reading| reading.books.strategies.all().last().map(|(id, _)| id));
        last.context("there is a strategy")
    }

    async fn submit(&self, command: Command) -> anyhow::Result<()> {
        self.book.writer.submit(envelope(command)).await?;
        Ok(())
    }

    /// Scans a strategy with this condition once: how long that takes, and how often it gives.
    async fn scan(&mut self, condition: &str) -> anyhow::Result<(Duration, u64)> {
        let strategy = self.strategy(condition).await?;
        let started = Instant::now();
        let executed = self.jobs.scan_strategies().await?.executed;
        let took = started.elapsed();
        self.submit(Command::DeleteStrategy { strategy }).await?;
        Ok((took, executed))
    }

    /// A whole scan that gives nothing, and one that gives to a tenth.
    async fn scans(&mut self, report: &mut Report, people: &[Person]) -> anyhow::Result<()> {
        let &Options { rounds, users, .. } = self.options;
        for (name, condition) in
            [("a scan that gives nothing", NOBODY), ("a scan that gives to a tenth", TENTH)]
        {
            report.progress(name);
            let (mut ours, mut floor, mut given) = (Vec::new(), Vec::new(), 0);
            let before = cpu::threads(std::process::id());
            for _ in 0..rounds {
                let (took, executed) = self.scan(condition).await?;
                let (judging, holds) = judge(condition, people)?;
                ensure!(executed == holds, "{executed} were given something, and not {holds}");
                ours.push(took.as_secs_f64());
                floor.push(judging.as_secs_f64());
                given = executed;
            }
            let deciding = cpu::since(&before).get("decide").copied().unwrap_or_default();
            let floor = ("the condition over a list", floor.as_slice());
            let figure = Figure::of_rounds(name, Unit::Seconds, &ours, floor, Target::None);
            report.add(&figure.sized(&[("users", users), ("given", given), ("rounds", rounds)]));
            let share = deciding.as_secs_f64() / rounds as f64;
            report.note(format!(
                "{name}: {given} of {users} users; {:.0} ns a user, of which the deciding thread \
                 works {:.0} ns",
                median(&ours) * 1e9 / users as f64,
                share * 1e9 / users as f64,
            ));
        }
        Ok(())
    }

    /// How long a client waits for each of its recharges while a scan that gives to a tenth runs,
    /// beside when nothing else does.
    async fn waiting(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.progress("recharges beside a scan");
        let &Options { rounds, users, .. } = self.options;
        let mut numbers = 0;
        let (mut beside, mut alone) = (Vec::new(), Vec::new());
        let (mut all_beside, mut all_alone) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let stop = Arc::new(AtomicBool::new(false));
            let writer = self.book.writer.clone();
            let client = tokio::spawn(recharges(writer, numbers, Arc::clone(&stop), u64::MAX));
            self.scan(TENTH).await?;
            stop.store(true, Ordering::Relaxed);
            let mut times = client.await??;
            let count = u64::try_from(times.len())?;
            numbers += count;
            let stop = Arc::new(AtomicBool::new(false));
            let mut quiet = recharges(self.book.writer.clone(), numbers, stop, count).await?;
            numbers += count;
            all_beside.extend(&times);
            all_alone.extend(&quiet);
            times.sort_unstable();
            quiet.sort_unstable();
            beside.push(times);
            alone.push(quiet);
        }
        for share in [50, 99] {
            let of = |rounds: &[Vec<Duration>]| -> Vec<f64> {
                rounds.iter().map(|times| percentile(times, share).as_secs_f64()).collect()
            };
            let (ours, floor) = (of(&beside), of(&alone));
            let name = format!("a recharge beside a scan, p{share}");
            let floor = ("without the scan", floor.as_slice());
            let figure = Figure::of_rounds(&name, Unit::Seconds, &ours, floor, Target::None);
            let count = u64::try_from(all_beside.len())?;
            report.add(&figure.sized(&[("users", users), ("recharges", count)]));
        }
        let longest = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
        report.note(format!(
            "{} recharges beside {rounds} scans, one at a time; the longest took {:.2?}, and {:.2?} \
             without",
            all_beside.len(),
            longest(&all_beside),
            longest(&all_alone),
        ));
        Ok(())
    }

    /// How long a command that looks at so many users keeps the deciding thread, which decides on
    /// nothing else meanwhile: when it gives nothing, and when it gives to a tenth of them. Until it is
    /// answered, the latter also waits for the disk.
    async fn pages(&mut self, report: &mut Report, users_max: u32) -> anyhow::Result<()> {
        report.progress(&format!("pages of {users_max} users"));
        let &Options { rounds, users, .. } = self.options;
        let users = u32::try_from(users)?;
        for (what, condition) in [("nothing", NOBODY), ("to a tenth", TENTH)] {
            let before = cpu::threads(std::process::id());
            let mut times = Vec::new();
            for _ in 0..rounds {
                let strategy = self.strategy(condition).await?;
                let mut users_from = 0;
                while users_from < users {
                    let (tick, skipped) = (None, 0);
                    let page = ExecuteStrategy { strategy, tick, skipped, users_from, users_max };
                    let started = Instant::now();
                    self.submit(Command::ExecuteStrategy(page)).await?;
                    times.push(started.elapsed());
                    users_from = users_from.saturating_add(users_max);
                }
                self.submit(Command::DeleteStrategy { strategy }).await?;
            }
            times.sort_unstable();
            let deciding = cpu::since(&before).get("decide").copied().unwrap_or_default();
            let each = deciding.as_secs_f64() / times.len() as f64;
            let name = format!("deciding on {users_max} users, giving {what}");
            let target = Target::AtMost(PAGE_SECONDS_MAX);
            let sizes = [("page", u64::from(users_max)), ("pages", u64::try_from(times.len())?)];
            report.add(&Figure::alone(&name, Unit::Seconds, each, target).sized(&sizes));
            report.note(format!(
                "a page of {users_max} users, giving {what}, until it is answered: p50 {:.2?}, p99 \
                 {:.2?}",
                percentile(&times, 50),
                percentile(&times, 99),
            ));
        }
        Ok(())
    }
}

/// Recharges one after the other, from the `first`-th on, until `stop` or `most` are made: how long
/// each took.
async fn recharges(
    writer: Writer,
    first: u64,
    stop: Arc<AtomicBool>,
    most: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut number = first;
    while !stop.load(Ordering::Relaxed) && number - first < most {
        let command = recharge(number % 1000, 1, Timestamp::MAX);
        let envelope = envelope(command).with_key("recharge", &number.to_string());
        let started = Instant::now();
        writer.submit(envelope).await?;
        times.push(started.elapsed());
        number += 1;
    }
    Ok(times)
}
