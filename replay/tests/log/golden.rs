//! The released bytes: a log that was written once must be read, and written, the same for ever.
//! To release a new format, add a directory beside `v1`; never change what is in one.

mod v2;
mod v3;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use replay::{BatchEncoder, FileStore, Log, LogOptions, verify_store};
use schemas::{
    ActorId, AssistantId, CallContext, Charge, CommandHeader, CommandKey, ConflictObserved,
    Consumption, ConsumptionRated, Credits, Draw, DrawRule, DrawRuleSet, Event, ExternalId,
    Fingerprint, FinishReasonId, Half, LotDraw, LotSource, ModelId, ModelPriced, Money,
    NameIntroduced, NameKind, PairingTimedOut, PriceBookPublished, PriceSheet, PriceVersion,
    QuotaExpired, QuotaRecharged, Rate, RequestDetails, RequestHalf, RequestType, ResponseDetails,
    ResponseHalf, Sequence, ServiceTier, TenantId, TenantRegistered, Timestamp, TokenClass, Usage,
    UsageOrigin, UserId, UserRegistered, WalletAdjusted, WalletToppedUp,
};

use crate::support::{at, read_all, second};

/// A released format: its directory, and the events that it brought, in the order of their list.
struct Format {
    name: &'static str,
    events: Vec<Event>,
}

fn formats() -> [Format; 3] {
    [
        Format { name: "v1", events: v1() },
        Format { name: "v2", events: v2::events() },
        Format { name: "v3", events: v3::events() },
    ]
}

impl Format {
    fn golden(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(self.name)
    }
}

/// Every event, in the order of their list, at least once.
fn v1() -> Vec<Event> {
    let mut events = names_and_quota();
    events.extend(money_and_prices());
    events.extend(calls());
    events
}

fn names_and_quota() -> Vec<Event> {
    let mut events: Vec<_> = (0..)
        .zip(NameKind::ALL)
        .map(|(number, kind)| {
            let name = format!("{kind:?} ñ {number}");
            Event::NameIntroduced(NameIntroduced { kind, number, name })
        })
        .collect();
    events.push(Event::QuotaRecharged(QuotaRecharged {
        user: UserId(1),
        amount: Credits::from_units(1_000_000_000_001),
        overdraft_paid: Credits::from_units(5),
        expires_at: Timestamp::MAX,
        source: LotSource::Grant,
        reason: "monthly".to_owned(),
    }));
    events.push(Event::QuotaExpired(QuotaExpired {
        user: UserId(u32::MAX),
        lot: at(7),
        amount: Credits::from_units(i64::MAX),
    }));
    events
}

fn money_and_prices() -> Vec<Event> {
    let rates = vec![Rate {
        class: TokenClass::CacheWrite1h,
        tier: ServiceTier::Batch,
        above_tokens: 200_000,
        per_token: Money::from_units(187_500_001),
    }];
    let rules = [DrawRule::PerToken, DrawRule::PerRequest, DrawRule::PerCost, DrawRule::None];
    let mut events = vec![
        Event::WalletToppedUp(WalletToppedUp {
            tenant: TenantId(0),
            amount: Money::from_units(i128::MAX),
            reference: "pi_1".to_owned(),
        }),
        Event::WalletAdjusted(WalletAdjusted {
            tenant: TenantId(300),
            amount: Money::from_units(-1),
            reason: String::new(),
        }),
    ];
    events.extend((1..).zip(rules).map(|(version, rule)| {
        let weights = vec![(ModelId(2), Credits::from_units(1_500_000))];
        Event::DrawRuleSet(DrawRuleSet { tenant: TenantId(2), version, rule, weights })
    }));
    events.extend([
        Event::ModelPriced(ModelPriced {
            version: PriceVersion(1),
            model: ModelId(2),
            sheet: PriceSheet::new(rates).expect("a sheet"),
        }),
        Event::PriceBookPublished(PriceBookPublished {
            version: PriceVersion(1),
            effective_at: second(-5),
            models: 1,
            source: "list".to_owned(),
        }),
    ]);
    events
}

fn context() -> CallContext {
    CallContext {
        tenant: TenantId(70_000),
        request_id: ExternalId::Uuid([0xAB; 16]),
        user: Some(UserId(1)),
        model: Some(ModelId(2)),
        assistant: Some(AssistantId(3)),
        document: Some(ExternalId::Text("document-1".to_owned())),
        conversation: None,
    }
}

fn calls() -> Vec<Event> {
    let request = RequestDetails {
        timestamp: second(1),
        character_count: 250,
        token_count: 251,
        request_type: RequestType::NonStream,
        tool_count: 1,
        message_count: 70_000,
    };
    let response = ResponseDetails {
        character_count: 1,
        token_count: u64::MAX,
        finish_reason: Some(FinishReasonId(1)),
        response_time_ms: 5_000_000_000,
        has_tool_calls: true,
        tool_call_count: 3,
    };
    let usage = Usage {
        prompt: 1,
        completion: 2,
        total: 3,
        cache_read: 4,
        cache_write: 5,
        cache_write_1h: 6,
        audio_input: 7,
        reasoning: 8,
        audio_output: Usage::TOKENS_MAX,
    };
    let draw = Draw {
        rule_version: 1,
        lots: vec![LotDraw { lot: at(7), amount: Credits::ONE }],
        overdraft: Credits::from_units(1),
    };
    let charge = Charge { version: PriceVersion(1), cost: Money::from_units(60) };
    vec![
        Event::RequestReceived(Box::new(RequestHalf { context: context(), details: request })),
        Event::ResponseReceived(Box::new(ResponseHalf {
            context: CallContext { user: None, model: None, ..context() },
            timestamp: second(2),
            usage: Some(usage),
            tier: ServiceTier::Priority,
            details: response,
        })),
        Event::PairingTimedOut(PairingTimedOut {
            tenant: TenantId(1),
            user: Some(UserId(1)),
            present: Half::Request,
            half: at(16),
            request_id: ExternalId::Text("x".to_owned()),
        }),
        Event::ConflictObserved(ConflictObserved {
            tenant: TenantId(1),
            request_id: ExternalId::Uuid([1; 16]),
            half: Half::Response,
            stands: at(17),
        }),
        Event::ConsumptionRecorded(Box::new(Consumption {
            context: context(),
            timestamp: second(3),
            usage,
            origin: UsageOrigin::Estimated,
            tier: ServiceTier::Flex,
            request: Some(request),
            response,
            waited: Some(at(16)),
            charge: Some(charge),
            draw: draw.clone(),
        })),
        Event::ConsumptionRated(Box::new(ConsumptionRated {
            consumption: at(20),
            context: context(),
            timestamp: second(3),
            charge,
            draw,
        })),
        Event::TenantRegistered(TenantRegistered {
            tenant: TenantId(1),
            display_name: "Tenant One".to_owned(),
        }),
        Event::UserRegistered(UserRegistered { user: UserId(1), tenant: TenantId(1) }),
    ]
}

/// Writes a golden log of `events` into `directory`: a batch of one command, a batch with a command for each
/// event and all kinds of keys, a batch that spreads a command over several frames.
fn write(directory: &Path, events: &[Event]) {
    let store = FileStore::open(directory).expect("new");
    let (mut log, _) = Log::with_store(Box::new(store), LogOptions::default()).expect("new");
    let mut append = |recorded_at, commands: &[&[Event]]| {
        let mut batch = BatchEncoder::new(log.head().sequence.next(), recorded_at);
        let keys = [CommandKey::None, CommandKey::Call, CommandKey::Explicit([0xCD; 16])];
        for (events, key) in commands.iter().zip(keys.into_iter().cycle()) {
            let fingerprint = Fingerprint([1, 2, 3, 4, 5, 6, 7, 8]);
            let header = CommandHeader { actor: ActorId(4), key, fingerprint };
            batch.push(header, events).expect("short enough");
        }
        log.append(batch.finish()).expect("stored");
    };
    append(second(1_700_000_000), &[events]);
    let each: Vec<_> = events.chunks(1).collect();
    append(second(1_700_000_000), &each);
    let wordy = |letter: &str| {
        let (tenant, amount) = (TenantId(1), Money::from_units(1));
        Event::WalletAdjusted(WalletAdjusted { tenant, amount, reason: letter.repeat(2_500) })
    };
    append(second(1_700_000_060), &[&[wordy("a"), wordy("b"), wordy("c"), wordy("d")], events]);
}

/// The golden log's events, one a line, as anyone can read them.
fn print(directory: &Path) -> String {
    let store = FileStore::open(directory).expect("there");
    let report = verify_store(&store, None, |_| {}, |_| {});
    assert!(report.is_sound(), "{:?}", report.problems);
    let (log, _) = Log::with_store(Box::new(store), LogOptions::default()).expect("sound");
    let lines: Vec<_> = read_all(&log.reader()).iter().map(|event| format!("{event:?}")).collect();
    lines.join("\n")
}

#[test]
fn the_golden_log_is_read_and_written_the_same_for_ever() {
    let all = formats();
    let covered: BTreeSet<_> =
        all.iter().flat_map(|format| &format.events).map(Event::type_name).collect();
    let missing: Vec<_> =
        Event::TYPE_NAMES.iter().filter(|name| !covered.contains(*name)).collect();
    assert!(missing.is_empty(), "every event is in a golden log, but for {missing:?}");
    all.iter().for_each(is_read_and_written_the_same);
}

fn is_read_and_written_the_same(format: &Format) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden").join(format.name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("removed");
    }
    write(&directory, &format.events);
    let printed = print(&directory);
    fs::write(directory.join("events.txt"), &printed).expect("written");

    let read = |file: &str| fs::read(format.golden().join(file)).unwrap_or_default();
    let written = fs::read(directory.join(FileStore::FILE)).expect("there");
    let again = format!("what is written now is in `{}`", directory.display());
    assert!(written == read(FileStore::FILE), "the bytes differ from the golden ones; {again}");
    assert!(printed.as_bytes() == read("events.txt"), "the events differ; {again}");

    // Read from a copy, since opening a store locks it for others.
    let copy = tempfile::tempdir().expect("a directory");
    fs::write(copy.path().join(FileStore::FILE), read(FileStore::FILE)).expect("written");
    assert!(print(copy.path()).as_bytes() == read("events.txt"));
}

#[test]
fn the_bytes_of_a_frame_never_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::open(directory.path()).expect("new");
    let (mut log, _) = Log::with_store(Box::new(store), LogOptions::default()).expect("new");
    let mut batch = BatchEncoder::new(at(1), Timestamp::from_micros(0x0102_0304_0506_0708));
    let header = CommandHeader {
        actor: ActorId(1),
        key: CommandKey::None,
        fingerprint: Fingerprint([9; 8]),
    };
    let event = Event::QuotaExpired(QuotaExpired {
        user: UserId(2),
        lot: Sequence::new(3),
        amount: Credits::from_units(4),
    });
    batch.push(header, &[event]).expect("short enough");
    log.append(batch.finish()).expect("stored");
    drop(log);
    let bytes = fs::read(directory.path().join(FileStore::FILE)).expect("there");
    let entry = bytes.get(16..).expect("an entry");
    let hex: Vec<_> = entry.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "01",                     // version
        "00000000",               // partition
        "0000000000000000",       // epoch
        "0100000000000000",       // first
        "01000000",               // count
        "00000000",               // index
        "01000000",               // total
        "0000000000000000",       // continues
        "0807060504030201",       // recorded at
        &"00".repeat(32),         // previous
        "0f000000",               // length
        "0101000909090909090909", // a command by actor 1, without a key
        "02020308",               // the event
        "",
    ]
    .concat();
    let (body, hash) = hex.split_at(hex.len() - 32);
    assert_eq!(body.concat(), expected);
    assert_eq!(hash.concat(), "64a8a1ef617645fad033d5423a442c44cff2c9cdb41f5135df08c3075e222476");
}
