//! Several clients at a writer over a disk that fails, life after life. Whatever was acknowledged is
//! there once, whatever was refused is not, and what got no answer is there at most once, also when
//! it is asked again. A story is random by its seed; only the interleaving of the threads is not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use futures_lite::future::block_on;
use parking_lot::RwLock;
use projections::books::Reading;
use projections::{PARTS, Projections};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use replay::{
    Checkpoints, Log, LogOptions, LogReader, OpenError, Opened, SavedCheckpoint, Verification,
    load_checkpoint, rebuild, verify_reader,
};
use schemas::{Command, CommandKey, Envelope, Event, Fingerprint, Recorded, Sequence, Timestamp};
use tallybook::clock::Clock;
use tallybook::writer::{Outcome, Receipt, Started, SubmitError, Writer, WriterOptions};

use crate::actions::{Action, Content, Known, START, action, pool};
use crate::book::{assert_lawful, rules, unrated_usage};
use crate::disk::{Disk, Fault};
use crate::model::{Model, Verdict};
use crate::rebuilding::assert_same;
use crate::{more_rounds, rounds};

/// How a client hands its commands in.
#[derive(Debug, Clone, Copy)]
enum Way {
    OneByOne,
    Together,
    TogetherOrNotAtAll,
}

/// From a start of the service to its end.
#[derive(Debug, Clone)]
struct Life {
    clients: Vec<Vec<(Way, Vec<Action>)>>,
    fault: Option<Fault>,
    /// What befalls the removal of a half-written batch at the next start.
    fault_at_start: Option<Fault>,
    power_cut: bool,
    /// The power cut takes back what was written to the anchor and not synced.
    anchor_lags: bool,
    /// How far the machine's clock has gone back at the next start.
    clock_back_seconds: i64,
    checkpoint_events: u64,
    queue_max: usize,
}

#[derive(Debug, Clone)]
struct Story {
    pool: Vec<Content>,
    lives: Vec<Life>,
}

fn story() -> impl Strategy<Value = Story> {
    (pool(), vec(life(), 1..5)).prop_map(|(pool, lives)| Story { pool, lives })
}

fn life() -> impl Strategy<Value = Life> {
    let way = prop_oneof![Just(Way::OneByOne), Just(Way::Together), Just(Way::TogetherOrNotAtAll)];
    // Long commands together make a batch of many frames.
    let long = vec((0..2_usize).prop_map(top_up), 10..60);
    let actions = prop_oneof![2 => vec(action(), 1..30), 1 => long];
    let clients = vec(vec((way, actions), 1..6), 1..5);
    let fault = |after| prop_oneof![1 => Just(None), 4 => fault(after).prop_map(Some)];
    let start = prop_oneof![3 => Just(None), 1 => fault(1)];
    let odds = (any::<bool>(), any::<bool>(), 0..100_000_i64);
    (clients, fault(10), start, odds, 1..80_u64, 1..6_usize).prop_map(
        |(clients, fault, fault_at_start, odds, checkpoint_events, queue_max)| {
            let (power_cut, anchor_lags, clock_back_seconds) = odds;
            Life {
                clients,
                fault,
                fault_at_start,
                power_cut,
                anchor_lags,
                clock_back_seconds,
                checkpoint_events,
                queue_max,
            }
        },
    )
}

fn top_up(tenant: usize) -> Action {
    Action::TopUp { tenant, micro_dollars: 1_000, key: None }
}

fn fault(after: u32) -> impl Strategy<Value = Fault> {
    (0..after, 0..=10_usize, 0..=10_usize, prop::bool::weighted(0.1))
        .prop_map(|(after, cached, durable, panics)| Fault { after, cached, durable, panics })
}

type Answer = Result<Receipt, SubmitError>;

/// By what a command can be told from all others, also in the log.
type Identity = (Option<[u8; 16]>, Fingerprint);

fn identity(envelope: &Envelope) -> Identity {
    (envelope.key, envelope.fingerprint)
}

/// A whole report without its request has the fingerprint of its response half. Here it says
/// something else, so that the log shows which of the two was recorded.
fn told_apart(envelope: Envelope) -> Envelope {
    match envelope.command {
        Command::RecordConsumption(mut report) if report.request.is_none() => {
            report.response.response_time_ms += 1;
            Envelope::new(envelope.actor, Command::RecordConsumption(report))
        }
        _ => envelope,
    }
}

/// All that outlives a life.
struct World {
    disk: Disk,
    directory: tempfile::TempDir,
    pool: Vec<Content>,
    told: Vec<(Envelope, Answer)>,
    unanswered: Vec<Envelope>,
    now: Timestamp,
    /// How many half-written batches were found at a start.
    half_written: usize,
}

/// A started service.
struct Service {
    log: Log,
    projections: Projections,
    checkpoints: Checkpoints,
}

impl World {
    fn new(pool: Vec<Content>) -> Self {
        Self {
            disk: Disk::default(),
            directory: tempfile::tempdir().expect("a directory"),
            pool,
            told: Vec::new(),
            unanswered: Vec::new(),
            now: START,
            half_written: 0,
        }
    }

    fn open_log(&self, known: Option<&SavedCheckpoint>) -> Result<(Log, Opened), OpenError> {
        let known_good = known.map(SavedCheckpoint::mark);
        let options = LogOptions { known_good, ..LogOptions::default() };
        Log::with_anchored_store(self.disk.open(), self.directory.path(), options)
    }

    /// Starts as the service does, from the newest checkpoint; and again if the disk fails.
    fn open(&mut self, fault: Option<Fault>) -> Service {
        let checkpoints = Checkpoints::open(self.directory.path()).expect("a directory");
        let latest = checkpoints.latest(&PARTS).expect("a directory").checkpoint;
        self.disk.plan(fault.map(|fault| Fault { panics: false, ..fault }));
        let opened = match self.open_log(latest.as_ref()) {
            Err(OpenError::Store(_)) if self.disk.has_failed() => self.open_log(latest.as_ref()),
            opened => opened,
        };
        self.disk.plan(None);
        let (log, opened) = opened.expect("the log opens");
        self.half_written += usize::from(opened.cut.is_some());
        let reader = log.reader();
        let fold = |begun| {
            let head = log.head().sequence;
            rebuild(&reader, begun, head, Verification::Chained, |_, _| ()).expect("a sound log")
        };
        let rebuilt = fold(Projections::default());
        let restored = latest.map(|saved| {
            fold(load_checkpoint(&reader, &saved).expect("a sound log").expect("this version"))
        });
        if let Some(restored) = &restored {
            assert_same(restored, &rebuilt);
        }
        let projections = restored.unwrap_or(rebuilt);
        let (deciding, reading) = projections.clone().split();
        self.check(&reader);
        self.check_figures(&reader, |model| model.assert_agrees(&deciding, &reading));
        assert_lawful(&deciding, &reading);
        Service { log, projections, checkpoints }
    }

    fn live(&mut self, life: &Life, number: usize) {
        let Service { log, projections, checkpoints } = self.open(life.fault_at_start);
        let anchor = std::fs::read(self.directory.path().join("anchor")).expect("an anchor");
        let reader = log.reader();
        let start = self.now.plus_seconds(-life.clock_back_seconds);
        let clock = Clock::manual(start);
        let options = WriterOptions {
            queue_max: life.queue_max,
            checkpoint_events: life.checkpoint_events,
            rules: rules(),
        };
        self.disk.plan(life.fault);
        let started = Writer::start(log, projections, Some(checkpoints), clock.clone(), options);
        let Started { writer, reading, head, healthy, ended } = started.expect("threads");
        let again = std::mem::take(&mut self.unanswered);
        let shares = again.chunks(again.len().div_ceil(life.clients.len()).max(1));
        let mut shares = shares.map(<[Envelope]>::to_vec);
        let told = std::thread::scope(|scope| {
            let clients = life.clients.iter().enumerate().map(|(place, steps)| {
                let again = shares.next().unwrap_or_default();
                let mut client = Client {
                    name: format!("{number}/{place}"),
                    disk: &self.disk,
                    pool: &self.pool,
                    writer: writer.clone(),
                    reading: Arc::clone(&reading),
                    reader: reader.clone(),
                    clock: clock.clone(),
                    told: Vec::new(),
                    last: Sequence::ZERO,
                };
                scope.spawn(move || {
                    client.live(again, steps);
                    client.told
                })
            });
            let clients: Vec<_> = clients.collect();
            let told = clients.into_iter().map(|client| client.join().expect("a client's law"));
            told.flatten().collect::<Vec<_>>()
        });
        drop(writer);
        let panicked = ended.join().is_err();
        let failed = self.disk.has_failed();
        assert!(failed || !panicked);
        assert_eq!(*healthy.borrow(), !failed, "healthy until the disk fails, and not after");
        assert_eq!(*head.borrow(), reading.read().books.head, "what readers see");
        let stopped = told.iter().filter(|(_, answer)| *answer == Err(SubmitError::Stopped));
        self.unanswered = stopped.map(|(envelope, _)| envelope.clone()).collect();
        assert!(failed || self.unanswered.is_empty(), "everybody gets an answer");
        self.told.extend(told);
        self.now = self.now.max(clock.now());
        if life.power_cut {
            self.disk.cut_power();
            if life.anchor_lags {
                std::fs::write(self.directory.path().join("anchor"), anchor).expect("a file");
            }
        }
    }

    /// Every command in the log was asked for, and stands there as it was answered.
    fn check(&self, reader: &LogReader) {
        assert!(verify_reader(reader, |_| (), |_| ()).is_sound());
        let commands = commands_of(reader);
        let mut last_of: HashMap<Identity, Sequence> = HashMap::new();
        for (identity, events) in &commands {
            let last = events.last().expect("a command has events").sequence;
            assert_eq!(last_of.insert(*identity, last), None, "{events:?} is there twice");
        }
        let mut may_be_there: HashMap<Identity, u32> = HashMap::new();
        for (envelope, answer) in &self.told {
            let identity = identity(envelope);
            let there = last_of.get(&identity).copied();
            match answer {
                Ok(Receipt { outcome: Outcome::Recorded, sequence, .. }) => {
                    assert_eq!(there, Some(*sequence), "acknowledged: {envelope:?}");
                    let asked = may_be_there.entry(identity).or_default();
                    *asked += 1;
                    assert_eq!(*asked & 0xffff, 1, "acknowledged as new twice: {envelope:?}");
                }
                Ok(Receipt { outcome: Outcome::AlreadyRecorded, sequence, .. }) => {
                    match envelope.key {
                        Some(_) => assert_eq!(there, Some(*sequence), "the first receipt again"),
                        None => assert!(*sequence <= reader.head().sequence),
                    }
                }
                Err(SubmitError::Stopped) => *may_be_there.entry(identity).or_default() += 0x10000,
                Ok(Receipt { outcome: Outcome::Nothing, .. })
                | Err(SubmitError::Rejected(_) | SubmitError::Busy) => {}
            }
        }
        for identity in last_of.keys() {
            assert!(may_be_there.contains_key(identity), "refused, and there: {identity:?}");
        }
    }

    /// The model, told the commands in the order of the log, agrees.
    fn check_figures(&self, reader: &LogReader, agrees: impl FnOnce(&Model)) {
        let envelopes: HashMap<Identity, &Envelope> =
            self.told.iter().map(|(envelope, _)| (identity(envelope), envelope)).collect();
        let mut model = Model::default();
        for (identity, events) in commands_of(reader) {
            let envelope = envelopes.get(&identity).expect("asked for");
            let last = events.last().expect("a command has events");
            let verdict = model.submit(envelope, last.recorded_at, last.sequence);
            assert_eq!(verdict, Verdict::Recorded, "{envelope:?}");
        }
        agrees(&model);
    }
}

/// The log's commands in order, each with its events.
fn commands_of(reader: &LogReader) -> Vec<(Identity, Vec<Recorded>)> {
    let mut commands: Vec<(Identity, Vec<Recorded>)> = Vec::new();
    for recorded in reader.page(Sequence::new(1), u64::from(u32::MAX)).expect("a sound log") {
        if let Some(header) = recorded.command {
            let key = match header.key {
                CommandKey::Explicit(key) => Some(key),
                CommandKey::None | CommandKey::Call => None,
            };
            commands.push(((key, header.fingerprint), Vec::new()));
        }
        let (identity, events) = commands.last_mut().expect("a command before its events");
        let first = events.first().map_or(recorded.sequence, |first| first.sequence);
        assert_eq!(recorded.cause, first, "{recorded:?}");
        if let Event::ConflictObserved(_) = recorded.event {
            identity.0 = None;
        }
        events.push(recorded);
    }
    commands
}

/// One who asks, and believes nothing.
struct Client<'world> {
    name: String,
    disk: &'world Disk,
    pool: &'world [Content],
    writer: Writer,
    reading: Arc<RwLock<Reading>>,
    reader: LogReader,
    clock: Clock,
    told: Vec<(Envelope, Answer)>,
    /// The last event that an answer spoke of as new.
    last: Sequence,
}

impl Client<'_> {
    /// Asks again for what got no answer, and then for what is new, until the writer stops.
    fn live(&mut self, again: Vec<Envelope>, steps: &[(Way, Vec<Action>)]) {
        self.submit(Way::Together, again);
        for (way, actions) in steps {
            let mut envelopes = Vec::new();
            for (place, action) in actions.iter().enumerate() {
                if let Action::Advance { seconds } = action {
                    let _moved = self.clock.advance_to(self.clock.now().plus_seconds(*seconds));
                }
                let backlog = |most| self.backlog(most);
                let events = self.events();
                let books = self.reading.read().books.clone();
                let known = Known { events: &events, books: &books, now: self.clock.now() };
                let envelope = action.envelope(self.pool, backlog, &known);
                let Some(mut envelope) = envelope.map(told_apart) else { continue };
                if !action.is_recognised_again() {
                    let key = format!("{}/{}/{place}", self.name, self.told.len());
                    envelope = envelope.with_key("once", &key);
                }
                envelopes.push(envelope);
            }
            self.submit(*way, envelopes);
            if self.told.last().is_some_and(|(_, answer)| *answer == Err(SubmitError::Stopped)) {
                return;
            }
        }
    }

    fn backlog(&self, most: usize) -> Vec<schemas::UnratedUsage> {
        unrated_usage(&self.events(), &self.reading.read(), most)
    }

    fn events(&self) -> Vec<Recorded> {
        self.reader.page(Sequence::new(1), u64::from(u32::MAX)).expect("a sound log")
    }

    fn submit(&mut self, way: Way, envelopes: Vec<Envelope>) {
        let answers = match way {
            Way::OneByOne => {
                envelopes.iter().map(|one| block_on(self.writer.submit(one.clone()))).collect()
            }
            Way::Together => block_on(self.writer.submit_all(envelopes.clone())),
            Way::TogetherOrNotAtAll => block_on(self.writer.try_submit_all(envelopes.clone()))
                .unwrap_or_else(|error| vec![Err(error); envelopes.len()]),
        };
        assert_eq!(answers.len(), envelopes.len());
        for (envelope, answer) in envelopes.into_iter().zip(answers) {
            self.hear(&envelope, &answer);
            self.told.push((envelope, answer));
        }
    }

    /// What an answer speaks of is durable and visible by then, and in the order of asking.
    fn hear(&mut self, envelope: &Envelope, answer: &Answer) {
        let Ok(Receipt { outcome, sequence, .. }) = answer else { return };
        match outcome {
            Outcome::Nothing => {
                assert_eq!(*sequence, Sequence::ZERO);
                let by_job = matches!(
                    envelope.command,
                    Command::BookExpiredQuota { .. }
                        | Command::TimeOutPairings { .. }
                        | Command::RateUsage(_)
                        | Command::LapseVouchers { .. }
                        | Command::ExecuteStrategy(_)
                        | Command::UpdateStrategy(_)
                        | Command::MoveCounter(_)
                );
                assert!(by_job, "{envelope:?}");
                return;
            }
            Outcome::Recorded => {
                assert!(*sequence > self.last, "in the order of asking");
                self.last = *sequence;
            }
            Outcome::AlreadyRecorded => {}
        }
        assert!(self.disk.holds(*sequence), "{sequence} is acknowledged and not durable");
        assert!(self.reading.read().books.head >= *sequence, "{sequence} is not visible");
        assert!(self.reader.head().sequence >= *sequence, "{sequence} is not readable");
    }
}

/// Gives how many half-written batches there were on the way.
fn live_through(story: &Story) -> usize {
    let mut world = World::new(story.pool.clone());
    for (number, life) in story.lives.iter().enumerate() {
        world.live(life, number);
    }
    let quiet = Life {
        clients: vec![Vec::new()],
        fault: None,
        fault_at_start: None,
        power_cut: true,
        anchor_lags: false,
        clock_back_seconds: 0,
        checkpoint_events: 1_000,
        queue_max: 4,
    };
    world.live(&quiet, story.lives.len());
    assert!(world.unanswered.is_empty(), "who asks again gets an answer in the end");
    drop(world.open(None));
    assert_refused_without_its_end(&world.disk, world.directory.path());
    world.half_written
}

/// A store that has lost what was acknowledged does not open.
fn assert_refused_without_its_end(disk: &Disk, directory: &Path) {
    if disk.is_empty() {
        return;
    }
    disk.lose_last();
    let opened = Log::with_anchored_store(disk.open(), directory, LogOptions::default());
    assert!(matches!(opened, Err(OpenError::BehindAnchor { .. })), "acknowledged events are lost");
}

/// The story of a seed.
fn told_by(seed: u64) -> Story {
    let mut bytes = [0; 32];
    bytes.split_at_mut(8).0.copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(rounds(1), rng);
    story().new_tree(&mut runner).expect("nothing is filtered out").current()
}

#[test]
fn what_is_acknowledged_is_there_once_through_every_crash() {
    let mut half_written = 0;
    for seed in 0..32 * u64::from(more_rounds()) {
        let story = told_by(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| live_through(&story))).ok();
        half_written += outcome.unwrap_or_else(|| panic!("seed {seed} breaks a law: {story:#?}"));
    }
    assert!(half_written > 0, "the seeds leave half-written batches");
}

proptest! {
    #![proptest_config(rounds(8))]

    #[test]
    fn any_story_keeps_the_laws(story in story()) {
        live_through(&story);
    }
}
