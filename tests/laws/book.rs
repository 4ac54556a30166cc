//! The rules and the folds in memory, held to the laws after every event and to the model after
//! every command.

use std::collections::BTreeSet;
use std::sync::Arc;

use projections::Projections;
use projections::books::{Deciding, Reading};
use projections::quota::{Account, Lot};
use schemas::{
    CommandHeader, Consumption, Draw, Envelope, Event, Recorded, Sequence, SigningKeys, Timestamp,
    UnratedUsage,
};
use tallybook::domain::{Decision, Rules, State, decide};

use crate::actions::{Action, Content, Known, PAIRING_TIMEOUT_SECONDS, START, Script};
use crate::model::{Model, Verdict, is_over};

/// The rules of the book.
pub(crate) fn rules() -> Rules {
    Rules {
        pairing_timeout_seconds: PAIRING_TIMEOUT_SECONDS,
        signing_keys: Some(Arc::new(signing_keys())),
        ..Rules::default()
    }
}

/// What signs the vouchers of the book.
pub(crate) fn signing_keys() -> SigningKeys {
    let key = b"thirty-two bytes sign the vouchers of the laws".to_vec();
    SigningKeys::new(vec![key]).expect("a long key")
}

/// A command as it went into the log.
pub(crate) struct Taken {
    pub(crate) at: Timestamp,
    pub(crate) header: CommandHeader,
    pub(crate) events: Vec<Event>,
}

/// A book without a log.
pub(crate) struct Book {
    pub(crate) state: State,
    pub(crate) reading: Reading,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<Recorded>,
    pub(crate) taken: Vec<Taken>,
    model: Model,
    rated: BTreeSet<Sequence>,
}

impl Book {
    pub(crate) fn new() -> Self {
        let (deciding, reading) = Projections::default().split();
        Self {
            state: State::new(deciding, rules()),
            reading,
            now: START,
            events: Vec::new(),
            taken: Vec::new(),
            model: Model::default(),
            rated: BTreeSet::new(),
        }
    }

    /// The book after a whole run.
    pub(crate) fn after(script: &Script) -> Self {
        let mut book = Self::new();
        script.actions.iter().for_each(|action| book.act(action, &script.pool));
        book
    }

    /// Lets something happen.
    pub(crate) fn act(&mut self, action: &Action, pool: &[Content]) {
        if let Action::Advance { seconds } = action {
            self.now = self.now.plus_seconds(*seconds);
        }
        let backlog = |most| unrated_usage(&self.events, &self.reading, most);
        let (events, books) = (&self.events, &self.reading.books);
        let known = Known { events, books, now: self.now };
        if let Some(envelope) = action.envelope(pool, backlog, &known) {
            self.submit(&envelope);
        }
    }

    /// Takes a command in, or not, as the rules say; and as the model says.
    pub(crate) fn submit(&mut self, envelope: &Envelope) -> Verdict {
        let decision = decide(&self.state, envelope, self.now);
        let verdict = match decision {
            Ok(Decision::Record(header, events)) => {
                self.record(header, events);
                Verdict::Recorded
            }
            Ok(Decision::Already(sequence)) => {
                assert!(sequence > Sequence::ZERO && sequence <= self.head(), "{sequence}");
                Verdict::Already
            }
            Ok(Decision::Nothing) => Verdict::Nothing,
            Err(_) => Verdict::Rejected,
        };
        let expected = self.model.submit(envelope, self.now, self.head());
        assert_eq!(verdict, expected, "{envelope:?}");
        self.model.assert_agrees(&self.state.deciding, &self.reading);
        verdict
    }

    pub(crate) fn head(&self) -> Sequence {
        self.state.deciding.books.head
    }

    fn record(&mut self, header: CommandHeader, events: Vec<Event>) {
        let cause = self.head().next();
        self.taken.push(Taken { at: self.now, header, events: events.clone() });
        for event in events {
            let sequence = self.head().next();
            let command = (sequence == cause).then_some(header);
            let recorded = Recorded { sequence, recorded_at: self.now, cause, command, event };
            self.check_draw(&recorded.event);
            self.check_rating(&recorded);
            self.state.apply(&recorded);
            self.reading.apply(&recorded);
            assert_lawful(&self.state.deciding, &self.reading);
            self.events.push(recorded);
        }
    }

    /// Soonest expiry first, then oldest; never what has expired; nothing beyond the lots while a
    /// lot holds something.
    fn check_draw(&self, event: &Event) {
        let (user, draw) = match event {
            Event::ConsumptionRecorded(consumption) => {
                (consumption.context.user, &consumption.draw)
            }
            Event::ConsumptionRated(rated) => (rated.context.user, &rated.draw),
            Event::QuotaDrawn(drawn) => (Some(drawn.user), &drawn.draw),
            _ => return,
        };
        let nobody = Account::default();
        let account = user.map_or(&nobody, |user| self.state.deciding.books.quota.account(user));
        assert_draws_in_order(account.lots(), draw, self.now);
    }

    /// What has no price is rated once; what has one, never.
    fn check_rating(&mut self, recorded: &Recorded) {
        let Event::ConsumptionRated(rated) = &recorded.event else { return };
        assert!(self.rated.insert(rated.consumption), "{} is rated again", rated.consumption);
        let consumption = consumption_at(&self.events, rated.consumption).expect("on record");
        assert_eq!(consumption.charge, None, "{} had a price", rated.consumption);
    }
}

fn assert_draws_in_order(lots: &[Lot], draw: &Draw, now: Timestamp) {
    let mut live: Vec<&Lot> = lots
        .iter()
        .filter(|lot| !is_over(lot.expires_at, now) && lot.remaining.is_positive())
        .collect();
    live.sort_by_key(|lot| (lot.expires_at, lot.id));
    for (place, part) in draw.lots.iter().enumerate() {
        let lot = live.get(place).expect("no more lots are drawn than there are");
        assert_eq!(lot.id, part.lot, "{draw:?} of {live:?}");
        assert!(part.amount.is_positive() && part.amount <= lot.remaining, "{draw:?} of {live:?}");
        let last = place + 1 == draw.lots.len() && draw.overdraft.is_zero();
        assert!(last || part.amount == lot.remaining, "{draw:?} of {live:?}");
    }
    assert!(!draw.overdraft.is_negative());
    assert!(draw.overdraft.is_zero() || draw.lots.len() == live.len(), "{draw:?} of {live:?}");
}

/// Nothing is created or lost, and no lot holds less than nothing.
pub(crate) fn assert_lawful(deciding: &Deciding, reading: &Reading) {
    for books in [&deciding.books, &reading.books] {
        assert_eq!(books.ledger.violations(), []);
        assert_eq!(books.ledger.trial_balance(), (0, 0));
        assert_eq!(books.ledger.in_vouchers(), books.vouchers.reserved());
        for (user, account) in books.quota.accounts() {
            let held: i64 = account.lots().iter().map(|lot| lot.remaining.units()).sum();
            assert!(account.lots().iter().all(|lot| !lot.remaining.is_negative()), "{user:?}");
            assert_eq!(account.remaining().units(), held, "{user:?}");
            assert_eq!(books.ledger.lots(user).units(), held, "{user:?}");
            assert!(!account.overdraft().is_negative(), "{user:?}");
        }
    }
}

/// Up to `most` consumptions as a rating is asked for: those without a price, and the last one that
/// has one, which is not to be rated.
pub(crate) fn unrated_usage(
    events: &[Recorded],
    reading: &Reading,
    most: usize,
) -> Vec<UnratedUsage> {
    let mut wanted: Vec<Sequence> = reading.books.unrated.all().map(|(of, _)| of).collect();
    wanted.sort_unstable();
    wanted.truncate(most);
    let rated = events.iter().rev().find(|recorded| {
        matches!(&recorded.event, Event::ConsumptionRecorded(_))
            && !wanted.contains(&recorded.sequence)
    });
    wanted.extend(rated.map(|recorded| recorded.sequence));
    let usage = |sequence| {
        let consumption = consumption_at(events, sequence)?;
        Some(UnratedUsage {
            consumption: sequence,
            context: consumption.context.clone(),
            timestamp: consumption.timestamp,
            usage: consumption.usage,
            tier: consumption.tier,
        })
    };
    wanted.into_iter().filter_map(usage).collect()
}

fn consumption_at(events: &[Recorded], sequence: Sequence) -> Option<&Consumption> {
    let recorded = events.iter().find(|recorded| recorded.sequence == sequence)?;
    match &recorded.event {
        Event::ConsumptionRecorded(consumption) => Some(consumption),
        _ => None,
    }
}

/// A user's quota.
pub(crate) fn account<'book>(book: &'book Book, name: &str) -> &'book Account {
    let books = &book.state.deciding.books;
    books.quota.account(books.names.find(name).expect("an introduced user"))
}
