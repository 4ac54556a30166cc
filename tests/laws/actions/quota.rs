//! Commands at random that move quota by other ways than grants and calls: vouchers, the counters of
//! gateways, and recharge strategies.

use projections::books::Books;
use projections::names::Names;
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{
    Command, Counter, Credits, Event, ExecuteStrategy, Giver, IssueVoucher, Move, MoveCounter,
    Recorded, RedeemVoucher, SealedGiver, StrategyDraft, StrategyId, StrategyKind, Timestamp,
    TransferItem, TransferOrder, UpdateStrategy, UserId, VoucherId,
};

use super::{START, USERS, key, name, pick};

/// What strategies are called here.
const STRATEGIES: [&str; 2] = ["welcome", "hourly"];
/// To whom they give.
const CONDITIONS: [&str; 4] = ["", "match-user(ann)", "quota-le(\"gpt-4\", 150)", "is-vip(("];
/// When periodic ones do.
const SCHEDULES: [&str; 2] = ["0 * * * *", "*/20 * * * *"];

/// Credits, and of which of the giver's lots the expiry is.
type Items = Vec<(i64, usize)>;

/// Something that happens to quota.
#[derive(Debug, Clone)]
pub(crate) enum QuotaAction {
    Issue { giver: usize, receiver: usize, items: Items, lapses_hours: Option<i64> },
    Redeem { voucher: usize, by: Option<usize> },
    RedeemForeign { number: u8, giver: usize, receiver: usize, items: Items },
    Cancel { voucher: usize, by: Option<usize> },
    Lapse { most: u32 },
    Count { user: usize, counter: Counter, movement: Move },
    Create { draft: StrategyDraft },
    Update { strategy: u32, enabled: Option<bool>, amount: Option<i64> },
    Delete { strategy: u32 },
    Execute { strategy: u32, back: i64, is_odd: bool, from: u32, most: u32 },
}

/// One of them, and under which key.
pub(crate) fn quota_action() -> impl Strategy<Value = (QuotaAction, Option<u8>)> {
    (prop_oneof![8 => voucher(), 3 => count(), 5 => strategy()], key())
}

fn items() -> impl Strategy<Value = Items> {
    let amount = prop_oneof![1 => Just(0), 1 => Just(-5), 30 => (1..5_i64).prop_map(|n| n * 15)];
    let count = prop_oneof![1 => Just(0_usize), 12 => Just(1), 4 => Just(2), 1 => Just(3)];
    let item = (amount, 0..6_usize);
    count.prop_flat_map(move |count| vec(item.clone(), count))
}

fn voucher() -> impl Strategy<Value = QuotaAction> {
    let users = || 0..USERS.len();
    let by = || prop_oneof![4 => Just(None), 1 => users().prop_map(Some)];
    let lapses = prop_oneof![2 => Just(None), 2 => (0..12_i64).prop_map(Some)];
    prop_oneof![
        5 => (users(), users(), items(), lapses).prop_map(
            |(giver, receiver, items, lapses_hours)| QuotaAction::Issue {
                giver, receiver, items, lapses_hours,
            }
        ),
        4 => (0..6_usize, by()).prop_map(|(voucher, by)| QuotaAction::Redeem { voucher, by }),
        1 => (0..3_u8, users(), users(), items()).prop_map(
            |(number, giver, receiver, items)| QuotaAction::RedeemForeign {
                number, giver, receiver, items,
            }
        ),
        2 => (0..6_usize, by()).prop_map(|(voucher, by)| QuotaAction::Cancel { voucher, by }),
        1 => (1..4_u32).prop_map(|most| QuotaAction::Lapse { most }),
    ]
}

fn count() -> impl Strategy<Value = QuotaAction> {
    let counter = prop_oneof![Just(Counter::Total), Just(Counter::Used)];
    let units = || {
        prop_oneof![
            1 => Just(i64::MAX / 2),
            1 => Just(i64::MAX - 10_000_000_000),
            1 => Just(0),
            10 => (-4..8_i64).prop_map(|hundreds| hundreds * 60_000_000),
        ]
    };
    let movement = prop_oneof![
        2 => units().prop_map(|units| Move::By(Credits::from_units(units))),
        1 => units().prop_map(|units| Move::To(Credits::from_units(units))),
    ];
    (0..USERS.len(), counter, movement).prop_map(|(user, counter, movement)| QuotaAction::Count {
        user,
        counter,
        movement,
    })
}

fn strategy() -> impl Strategy<Value = QuotaAction> {
    let amount = prop_oneof![
        1 => Just(0),
        1 => Just(i64::MAX / 2),
        5 => (1..4_i64).prop_map(|count| count * 50_000_000),
    ];
    let draft = (0..2_usize, 0..7_usize, 0..3_usize, amount, prop::bool::weighted(0.8), 0..3_u32)
        .prop_map(|(named, condition, schedule, amount, enabled, cap)| StrategyDraft {
            name: STRATEGIES.get(named).map_or("", |text| text).to_owned(),
            title: String::new(),
            kind: if schedule == 0 { StrategyKind::Single } else { StrategyKind::Periodic },
            amount: Credits::from_units(amount),
            model: None,
            periodic_expr: schedule
                .checked_sub(1)
                .and_then(|place| SCHEDULES.get(place))
                .map_or_else(String::new, |text| (*text).to_owned()),
            condition: CONDITIONS.get(condition).map_or("", |text| text).to_owned(),
            enabled,
            max_exec_per_user: cap,
        });
    prop_oneof![
        3 => draft.prop_map(|draft| QuotaAction::Create { draft }),
        2 => (1..4_u32, prop::option::of(any::<bool>()), prop::option::of(0..4_i64)).prop_map(
            |(strategy, enabled, amount)| QuotaAction::Update { strategy, enabled, amount }
        ),
        1 => (1..4_u32).prop_map(|strategy| QuotaAction::Delete { strategy }),
        6 => (1..4_u32, 0..4_i64, prop::bool::weighted(0.1), 0..2_u32, 0..5_u32).prop_map(
            |(strategy, back, is_odd, from, most)| QuotaAction::Execute {
                strategy, back, is_odd, from, most,
            }
        ),
    ]
}

impl QuotaAction {
    /// The command; `None` when there is no voucher yet to speak of.
    pub(super) fn command(&self, known: &Known<'_>) -> Option<Command> {
        let nth = |place: usize| {
            let mut vouchers = vouchers_of(known.events, &known.books.names);
            let place = place.checked_rem(vouchers.len())?;
            Some(vouchers.swap_remove(place))
        };
        Some(match self {
            Self::Issue { giver, receiver, items, lapses_hours } => {
                let order = TransferOrder {
                    giver: pick(&USERS, *giver),
                    receiver: pick(&USERS, *receiver),
                    items: known.parts(*giver, items),
                    lapses_at: lapses_hours.map(|hours| START.plus_seconds(hours * 3_600)),
                };
                let (identity, sealed) = (Giver::default(), SealedGiver::default());
                Command::IssueVoucher(Box::new(IssueVoucher { order, identity, sealed }))
            }
            Self::Redeem { voucher, by } => {
                let voucher = nth(*voucher)?;
                let receiver = by.map_or(voucher.receiver.clone(), |user| pick(&USERS, user));
                Command::RedeemVoucher(Box::new(RedeemVoucher { receiver, ..voucher }))
            }
            Self::RedeemForeign { number, giver, receiver, items } => {
                Command::RedeemVoucher(Box::new(RedeemVoucher {
                    voucher: VoucherId::from_bytes([*number; 16]),
                    giver: pick(&USERS, *giver),
                    receiver: pick(&USERS, *receiver),
                    items: known.parts(*giver, items),
                }))
            }
            Self::Cancel { voucher, by } => {
                let RedeemVoucher { voucher, giver, .. } = nth(*voucher)?;
                let giver = by.map_or(giver, |user| pick(&USERS, user));
                Command::CancelVoucher { voucher, giver }
            }
            Self::Lapse { most } => Command::LapseVouchers { vouchers_max: *most },
            Self::Count { user, counter, movement } => Command::MoveCounter(MoveCounter {
                user: pick(&USERS, *user),
                counter: *counter,
                movement: *movement,
            }),
            Self::Create { draft } => Command::CreateStrategy(Box::new(draft.clone())),
            Self::Update { strategy, enabled, amount } => {
                let amount = amount.map(|amount| Credits::from_units(amount * 50_000_000));
                let update = UpdateStrategy::of(known.strategy(*strategy));
                let update = UpdateStrategy { enabled: *enabled, amount, ..update };
                Command::UpdateStrategy(Box::new(update))
            }
            Self::Delete { strategy } => {
                Command::DeleteStrategy { strategy: known.strategy(*strategy) }
            }
            Self::Execute { strategy, back, is_odd, from, most } => {
                let strategy = known.strategy(*strategy);
                Command::ExecuteStrategy(ExecuteStrategy {
                    strategy,
                    tick: known.tick(strategy, *back, *is_odd),
                    skipped: 0,
                    users_from: *from,
                    users_max: *most,
                })
            }
        })
    }
}

/// What a command can be made to fit.
pub(crate) struct Known<'a> {
    pub(crate) events: &'a [Recorded],
    pub(crate) books: &'a Books,
    pub(crate) now: Timestamp,
}

impl Known<'_> {
    fn parts(&self, giver: usize, items: &[(i64, usize)]) -> Vec<TransferItem> {
        let giver: Option<UserId> = self.books.names.find(pick(&USERS, giver).as_str());
        let lots = giver.map(|giver| self.books.quota.account(giver).lots()).unwrap_or_default();
        let expiry = |place: usize| {
            let lot = lots.get(place.checked_rem(lots.len())?)?;
            Some(lot.expires_at)
        };
        let part = |(amount, place): &(i64, usize)| TransferItem {
            amount: Credits::from_units(amount * 1_000_000),
            expires_at: expiry(*place).unwrap_or(START.plus_seconds(3_600)),
            offset_seconds: 0,
        };
        items.iter().map(part).collect()
    }

    /// One of the strategies that there have been.
    fn strategy(&self, number: u32) -> StrategyId {
        let count = self.books.strategies.next_id().0 - 1;
        StrategyId(number.checked_rem(count).unwrap_or(number) + 1)
    }

    /// The last tick there can be, or one before it; nothing for single strategies.
    fn tick(&self, strategy: StrategyId, back: i64, is_odd: bool) -> Option<Timestamp> {
        let is_periodic = self
            .books
            .strategies
            .find(strategy)
            .is_some_and(|strategy| strategy.definition.kind == StrategyKind::Periodic);
        let tick = self.now.micros().div_euclid(1_200_000_000) - back;
        (is_periodic != is_odd).then(|| Timestamp::from_micros(tick * 1_200_000_000))
    }
}

/// What the codes of all vouchers that were issued say, oldest first.
fn vouchers_of(events: &[Recorded], names: &Names) -> Vec<RedeemVoucher> {
    let mut vouchers = Vec::new();
    let mut items = Vec::new();
    for recorded in events {
        match &recorded.event {
            Event::VoucherItemReserved(item) => items.push(TransferItem {
                amount: item.amount,
                expires_at: item.expires_at,
                offset_seconds: item.offset_seconds,
            }),
            Event::VoucherIssued(issued) => vouchers.push(RedeemVoucher {
                voucher: issued.voucher,
                giver: name(names.text(issued.giver)),
                receiver: name(names.text(issued.receiver)),
                items: std::mem::take(&mut items),
            }),
            _ => (),
        }
    }
    vouchers
}
