//! A log of a month as it would be in life, written without the writer's threads: mostly whole
//! calls, some in halves of which a few never meet, now and then quota that expires, and money.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::bail;
use projections::books::Deciding;
use replay::{BatchEncoder, Log, LogOptions};
use schemas::{Command, Envelope, Event, Recorded, Sequence, Timestamp};
use tallybook::domain::{Decision, State, decide};

use super::book;
use super::company::{self, Random, Series};

/// How long a response may be later than its request.
const LATE_SECONDS: i64 = 60;

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Events.
    pub(crate) events: u64,
    /// Bytes of all records, without frames.
    pub(crate) encoded_bytes: u64,
    /// Consumptions that came whole.
    pub(crate) consumptions: u64,
    /// Bytes of their records.
    pub(crate) consumption_bytes: u64,
}

/// Writes at least `events` events into a new log, in batches of `batch` commands.
pub(crate) fn write(directory: &Path, events: u64, batch: usize) -> anyhow::Result<Written> {
    let (mut log, _) = Log::open(directory, LogOptions::default())?;
    let mut month = Month::new(events);
    let mut author = Author {
        state: State::new(Deciding::default(), book::rules()),
        head: Sequence::ZERO,
        now: month.now,
        written: Written::default(),
    };
    let lots = [200_000, 1_000_000_000_000];
    let mut commands = VecDeque::from(company::setup(company::USERS.min(events / 20), &lots));
    while author.head.get() < events {
        let mut encoder = BatchEncoder::new(author.head.next(), author.now);
        for _ in 0..batch {
            if commands.is_empty() {
                month.next_commands(&mut commands);
            }
            if let Some(envelope) = commands.pop_front() {
                author.take(&envelope, &mut encoder)?;
            }
            if author.head.get() >= events {
                break;
            }
        }
        author.written.encoded_bytes += u64::try_from(encoder.bytes())?;
        log.append(encoder.finish())?;
        author.now = month.now;
    }
    let broken = author.state.deciding.books.ledger.violations();
    if !broken.is_empty() {
        bail!("the made-up events break the book's laws: {broken:?}");
    }
    log.close()?;
    Ok(Written { events: author.head.get(), ..author.written })
}

/// Decides commands as the writer does.
struct Author {
    state: State,
    head: Sequence,
    now: Timestamp,
    written: Written,
}

impl Author {
    fn take(&mut self, envelope: &Envelope, encoder: &mut BatchEncoder) -> anyhow::Result<()> {
        let (header, events) = match decide(&self.state, envelope, self.now)? {
            Decision::Record(header, events) => (header, events),
            Decision::Already(_) | Decision::Nothing => return Ok(()),
        };
        let before = encoder.bytes();
        let cause = encoder.push(header, &events)?;
        if let [Event::ConsumptionRecorded(_)] = events.as_slice() {
            self.written.consumptions += 1;
            self.written.consumption_bytes += u64::try_from(encoder.bytes() - before)?;
        }
        for event in events {
            self.head = self.head.next();
            let command = (self.head == cause).then_some(header);
            let (sequence, recorded_at) = (self.head, self.now);
            self.state.apply(&Recorded { sequence, recorded_at, cause, command, event });
        }
        Ok(())
    }
}

/// What happens in a month.
struct Month {
    series: Series,
    random: Random,
    number: u64,
    now: Timestamp,
    late: VecDeque<(Timestamp, Command)>,
}

impl Month {
    fn new(events: u64) -> Self {
        let series = Series { seed: 1, calls: events };
        let now = series.call(0).at();
        Self { series, random: Random::new(7), number: 0, now, late: VecDeque::new() }
    }

    fn next_commands(&mut self, commands: &mut VecDeque<Envelope>) {
        let call = self.series.call(self.number);
        self.number += 1;
        self.now = self.now.max(call.at());
        let mut issue = |command| commands.push_back(company::envelope(command));
        match self.random.below(1000) {
            0..170 => {
                issue(call.request());
                if self.random.below(50) > 0 {
                    self.late.push_back((self.now.plus_seconds(LATE_SECONDS), call.response()));
                }
            }
            170..190 => {
                let tomorrow = self.now.plus_seconds(86_400);
                issue(company::recharge(self.random.below(company::USERS), 1_000_000, tomorrow));
            }
            190..200 => issue(company::top_up(self.random.below(company::TENANTS), self.number)),
            _ => issue(call.consumption()),
        }
        while self.late.front().is_some_and(|(due, _)| *due <= self.now)
            && let Some((_, response)) = self.late.pop_front()
        {
            issue(response);
        }
        if self.number.is_multiple_of(1000) {
            issue(Command::BookExpiredQuota { by: Timestamp::MAX, lots_max: 100 });
            issue(Command::TimeOutPairings { halves_max: 100 });
        }
    }
}
