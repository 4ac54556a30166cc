//! The counters by which gateways know a user's quota, beside a pair of integers that are simply
//! moved: whatever lots are given, drawn, refunded and taken back for it, they stand alike.

use projections::Projections;
use projections::books::Reading;
use projections::quota::{Account, LOTS_A_DRAW_MAX};
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{
    Command, Counter, Credits, Envelope, Event, LotSource, Move, MoveCounter, Name, RechargeQuota,
    Recorded, RedeemVoucher, Timestamp, TransferItem, UserId, VoucherId,
};
use tallybook::domain::{Decision, State, decide};

use crate::actions::START;
use crate::book::{assert_lawful, rules};
use crate::rounds;

const USERS: [&str; 2] = ["ann", "bob"];

#[derive(Debug, Clone)]
enum Step {
    Move { user: usize, counter: Counter, movement: Move },
    Give { user: usize, amount: i64, expires_hours: i64 },
    Advance { minutes: i64 },
    WriteOff,
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS.len();
    let counter = prop_oneof![Just(Counter::Total), Just(Counter::Used)];
    let amount = prop_oneof![
        20 => -500..500_i64,
        1 => Just(0),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MAX - 300)],
    ];
    let to = prop_oneof![30 => 0..900_i64, 1 => Just(-1), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let movement = prop_oneof![
        3 => amount.prop_map(|by| Move::By(Credits::from_units(by))),
        2 => to.prop_map(|to| Move::To(Credits::from_units(to))),
    ];
    prop_oneof![
        12 => (user.clone(), counter, movement)
            .prop_map(|(user, counter, movement)| Step::Move { user, counter, movement }),
        4 => (user, 1..300_i64, 1..40_i64)
            .prop_map(|(user, amount, expires_hours)| Step::Give { user, amount, expires_hours }),
        2 => (1..600_i64).prop_map(|minutes| Step::Advance { minutes }),
        1 => Just(Step::WriteOff),
    ]
}

/// The rules and the folds, and what they recorded.
struct Book {
    state: State,
    reading: Reading,
    now: Timestamp,
    log: Vec<Recorded>,
}

impl Book {
    fn new() -> Self {
        let (deciding, reading) = Projections::default().split();
        Self { state: State::new(deciding, rules()), reading, now: START, log: Vec::new() }
    }

    /// Whether the command is taken; how many events it leads to.
    fn submit(&mut self, command: Command) -> Option<usize> {
        let envelope = Envelope::new(name("gateway"), command);
        let (header, events) = match decide(&self.state, &envelope, self.now) {
            Ok(Decision::Record(header, events)) => (header, events),
            Ok(Decision::Already(_) | Decision::Nothing) => return Some(0),
            Err(_) => return None,
        };
        let cause = self.state.deciding.books.head.next();
        let count = events.len();
        for event in events {
            assert_bounded(&event);
            let sequence = self.state.deciding.books.head.next();
            let command = (sequence == cause).then_some(header);
            let recorded = Recorded { sequence, recorded_at: self.now, cause, command, event };
            self.state.apply(&recorded);
            self.reading.apply(&recorded);
            assert_lawful(&self.state.deciding, &self.reading);
            self.log.push(recorded);
        }
        Some(count)
    }

    fn move_counter(&mut self, user: usize, counter: Counter, movement: Move) -> Option<usize> {
        let user = user_name(user);
        self.submit(Command::MoveCounter(MoveCounter { user, counter, movement }))
    }

    fn give(&mut self, user: usize, amount: i64, expires_hours: i64) -> Option<usize> {
        self.submit(Command::RechargeQuota(RechargeQuota {
            user: user_name(user),
            amount: Credits::from_units(amount),
            expires_at: self.now.plus_seconds(expires_hours * 3_600),
            source: LotSource::Grant,
            reason: String::new(),
        }))
    }

    fn account(&self, user: usize) -> Account {
        let books = &self.state.deciding.books;
        let user: Option<UserId> = books.names.find(user_name(user).as_str());
        user.map(|user| books.quota.account(user).clone()).unwrap_or_default()
    }

    /// What a user's lots hold, with those that have expired and are not written off, and what is
    /// owed.
    fn held_and_owed(&self, user: usize) -> (i128, i128) {
        let account = self.account(user);
        (i128::from(account.remaining().units()), i128::from(account.overdraft().units()))
    }

    fn counters(&self, user: usize) -> Pair {
        let account = self.account(user);
        let pair = Pair {
            total: i128::from(account.total_at(self.now).units()),
            used: i128::from(account.used_at(self.now).units()),
        };
        let available = i128::from(account.available_at(self.now).units());
        assert_eq!(available, pair.total - pair.used, "{account:?}");
        pair
    }
}

/// No event moves more lots than an event can hold, or nothing at all.
fn assert_bounded(event: &Event) {
    let (lots, beyond) = match event {
        Event::QuotaWithdrawn(moved) => (moved.unused.len() + moved.drawn.len(), Credits::ZERO),
        Event::QuotaDrawn(moved) => (moved.draw.lots.len(), moved.draw.overdraft),
        Event::QuotaRefunded(moved) => (moved.lots.len(), moved.overdraft),
        _ => return,
    };
    assert!(lots <= LOTS_A_DRAW_MAX && (lots > 0 || beyond.is_positive()), "{event:?}");
}

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a valid name")
}

fn user_name(place: usize) -> Name {
    name(USERS.get(place).expect("within the users"))
}

/// A user's counters, told naively.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pair {
    total: i128,
    used: i128,
}

impl Pair {
    /// Moves a counter; `false` below zero and beyond the range of what can be kept, where it stays.
    fn move_counter(
        &mut self,
        counter: Counter,
        movement: Move,
        (held, owed): (i128, i128),
    ) -> bool {
        let stands = match counter {
            Counter::Total => &mut self.total,
            Counter::Used => &mut self.used,
        };
        let to = match movement {
            Move::To(to) => i128::from(to.units()),
            Move::By(by) => *stands + i128::from(by.units()),
        };
        let into_lots = match counter {
            Counter::Total => to - *stands,
            Counter::Used => *stands - to - owed,
        };
        let most = i128::from(i64::MAX);
        let is_possible = (0..=most).contains(&to) && held + into_lots <= most;
        if is_possible {
            *stands = to;
        }
        is_possible
    }
}

proptest! {
    #![proptest_config(rounds(256))]

    #[test]
    fn counters_stand_where_a_pair_of_integers_does(steps in vec(step(), 1..80)) {
        let mut book = Book::new();
        let mut pairs = [Pair::default(); USERS.len()];
        for step in &steps {
            match *step {
                Step::Move { user, counter, movement } => {
                    let before = pairs[user];
                    let is_possible = pairs[user].move_counter(counter, movement, book.held_and_owed(user));
                    let events = book.move_counter(user, counter, movement);
                    prop_assert_eq!(events.is_some(), is_possible, "{:?} of {:?}", step, before);
                    let moves = events.is_some_and(|events| events > 0);
                    prop_assert_eq!(moves, pairs[user] != before, "{:?} of {:?}", step, before);
                }
                Step::Give { user, amount, expires_hours } => {
                    let by = Move::By(Credits::from_units(amount));
                    let lots = book.held_and_owed(user);
                    let is_possible = pairs[user].move_counter(Counter::Total, by, lots);
                    let events = book.give(user, amount, expires_hours);
                    prop_assert_eq!(events.is_some(), is_possible, "{:?}", step);
                }
                // What expires is neither given nor used any more: only the book knows how much of
                // it was used. It makes nobody richer.
                Step::Advance { minutes } => {
                    book.now = book.now.plus_seconds(minutes * 60);
                    for (user, pair) in pairs.iter_mut().enumerate() {
                        let Pair { total, used } = book.counters(user);
                        prop_assert!(total <= pair.total && used <= pair.used);
                        prop_assert!(total - used <= pair.total - pair.used);
                        *pair = Pair { total, used };
                    }
                }
                Step::WriteOff => {
                    let by = Timestamp::MAX;
                    book.submit(Command::BookExpiredQuota { by, lots_max: 2 });
                }
            }
            for (user, pair) in pairs.iter().enumerate() {
                prop_assert_eq!(book.counters(user), *pair, "after {:?}", step);
            }
        }
        let (mut deciding, _) = Projections::default().split();
        book.log.iter().for_each(|recorded| deciding.apply(recorded));
        for (user, account) in book.state.deciding.books.quota.accounts() {
            prop_assert_eq!(deciding.books.quota.account(user), account, "replayed");
        }
    }
}

const ONE: Credits = Credits::from_units(1);

/// 600 lots of one unit each.
fn many_lots() -> (Book, i64) {
    let mut book = Book::new();
    for hours in 0..600 {
        assert!(book.give(0, ONE.units(), 1 + hours % 7).is_some());
    }
    (book, 600)
}

#[test]
fn more_lots_than_an_event_holds_are_taken_back_in_several() {
    let (mut book, lots) = many_lots();
    // A draw is one event: the rest is owed, and the lots that it could not name keep it.
    book.move_counter(0, Counter::Used, Move::By(Credits::from_units(lots)));
    let drawn = LOTS_A_DRAW_MAX;
    let overdraft = Credits::from_units(lots - i64::try_from(drawn).expect("small"));
    assert_eq!(book.account(0).overdraft(), overdraft);
    assert_eq!(book.counters(0), Pair { total: 600, used: 600 });
    assert_eq!(book.move_counter(0, Counter::Total, Move::To(Credits::ZERO)), Some(2 + 1));
    assert_eq!(book.counters(0), Pair { total: 0, used: 600 });
    assert_eq!(book.account(0).overdraft().units(), lots);
    assert_eq!(book.move_counter(0, Counter::Used, Move::To(Credits::ZERO)), Some(1));
    assert_eq!(book.counters(0), Pair::default());
}

#[test]
fn more_lots_than_an_event_holds_are_refunded_in_several() {
    let (mut book, _) = many_lots();
    for _ in 0..3 {
        book.move_counter(0, Counter::Used, Move::By(Credits::from_units(200)));
    }
    assert_eq!(book.account(0).overdraft(), Credits::ZERO);
    book.move_counter(0, Counter::Used, Move::By(ONE));
    assert_eq!(book.move_counter(0, Counter::Used, Move::To(ONE)), Some(3));
    assert_eq!(book.counters(0), Pair { total: 600, used: 1 });
    let account = book.account(0);
    let drawn: Vec<bool> = account.lots().iter().map(|lot| lot.remaining.is_zero()).collect();
    let first = drawn.iter().position(|drawn| *drawn);
    assert_eq!((first, drawn.iter().filter(|drawn| **drawn).count()), (Some(0), 1));
}

#[test]
fn a_refund_waits_until_what_has_expired_makes_room_for_it() {
    let mut book = Book::new();
    let most = Move::To(Credits::from_units(i64::MAX));
    book.move_counter(0, Counter::Used, Move::By(ONE));
    book.give(0, 2, 1);
    book.now = book.now.plus_seconds(2 * 3_600);
    assert_eq!(book.move_counter(0, Counter::Total, most), None, "a unit that has expired is held");
    let all_but_one = Move::To(Credits::from_units(i64::MAX - 1));
    assert_eq!(book.move_counter(0, Counter::Total, all_but_one), Some(1));
    book.move_counter(0, Counter::Used, Move::By(ONE));
    book.move_counter(0, Counter::Total, most);
    assert_eq!(book.move_counter(0, Counter::Used, Move::To(Credits::ZERO)), None);
    book.submit(Command::BookExpiredQuota { by: Timestamp::MAX, lots_max: 1 });
    assert_eq!(book.move_counter(0, Counter::Used, Move::To(Credits::ZERO)), Some(1));
    assert_eq!(book.counters(0), Pair { total: i128::from(i64::MAX), used: 0 });
}

/// More than half of what an account can hold.
const HALF: i64 = i64::MAX / 2 + 1;

#[test]
fn a_voucher_that_no_account_can_hold_is_refused_as_a_whole() {
    let mut book = Book::new();
    let item = |hours: i64| TransferItem {
        amount: Credits::from_units(HALF),
        expires_at: START.plus_seconds(hours * 3_600),
        offset_seconds: 0,
    };
    let redeem = |items: &[TransferItem]| {
        Command::RedeemVoucher(Box::new(RedeemVoucher {
            voucher: VoucherId::of("issued elsewhere"),
            giver: name("old"),
            receiver: user_name(0),
            items: items.to_vec(),
        }))
    };
    assert_eq!(book.submit(redeem(&[item(1), item(2)])), None);
    assert_eq!(book.submit(redeem(&[item(1)])), Some(5), "three names, the item and the end");
}
