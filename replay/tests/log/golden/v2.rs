//! The events of the second released format: attributes, counters, strategies, vouchers.

use schemas::{
    Attributes, Change, Credits, Draw, Event, ItemOutcome, LotDraw, LotSource, ModelId, QuotaDrawn,
    QuotaRecharged, QuotaRefunded, QuotaWithdrawn, Sealed, SealedGiver, StrategyDefined,
    StrategyDefinition, StrategyDeleted, StrategyExecuted, StrategyFailed, StrategyId,
    StrategyKind, StrategySwitched, StrategyTickHandled, Timestamp, UserDescribed, UserErased,
    UserId, VoucherClosed, VoucherId, VoucherIssued, VoucherItemReserved, VoucherItemSettled,
    VoucherOutcome,
};

use crate::support::{at, second};

/// Every event, in the order of their list, at least once.
pub(super) fn events() -> Vec<Event> {
    let mut events = recharges();
    events.extend(users());
    events.extend(counters());
    events.extend(strategies());
    events.extend(vouchers());
    events
}

fn sealed(letter: u8) -> Sealed {
    Sealed { key: 70_000, bytes: vec![letter; 30] }
}

fn part() -> LotDraw {
    LotDraw { lot: at(7), amount: Credits::from_units(1_500_000) }
}

fn recharges() -> Vec<Event> {
    let sources = [LotSource::Gateway, LotSource::Strategy, LotSource::Transfer, LotSource::Return];
    let recharge = |source| {
        Event::QuotaRecharged(QuotaRecharged {
            user: UserId(1),
            amount: Credits::ONE,
            overdraft_paid: Credits::ZERO,
            expires_at: second(9),
            source,
            reason: String::new(),
        })
    };
    sources.map(recharge).to_vec()
}

fn users() -> Vec<Event> {
    let attributes = Attributes {
        name: Change::Set(sealed(1)),
        email: Change::Clear,
        phone: Change::Keep,
        github_username: Change::Set(sealed(2)),
        github_star: Change::Set(vec!["zgsm".to_owned(), "ñ".to_owned()]),
        vip: Change::Set(-3),
        org: Change::Clear,
        register_time: Change::Set(second(-1)),
        access_time: Change::Keep,
    };
    vec![
        Event::UserDescribed(Box::new(UserDescribed { user: UserId(1), attributes })),
        Event::UserErased(UserErased { user: UserId(u32::MAX) }),
    ]
}

fn counters() -> Vec<Event> {
    let (user, reason) = (UserId(3), "gateway".to_owned());
    vec![
        Event::QuotaWithdrawn(QuotaWithdrawn {
            user,
            unused: vec![part()],
            drawn: vec![part(), part()],
            reason: reason.clone(),
        }),
        Event::QuotaDrawn(QuotaDrawn {
            user,
            draw: Draw { rule_version: 0, lots: vec![part()], overdraft: Credits::ONE },
            reason: reason.clone(),
        }),
        Event::QuotaRefunded(QuotaRefunded {
            user,
            lots: vec![part()],
            overdraft: Credits::ONE,
            reason,
        }),
    ]
}

fn strategies() -> Vec<Event> {
    let (strategy, user, tick) = (StrategyId(300), UserId(1), Some(second(5)));
    let definition = StrategyDefinition {
        name: "daily".to_owned(),
        title: "Daily ñ".to_owned(),
        kind: StrategyKind::Periodic,
        amount: Credits::from_units(i64::MAX),
        model: Some(ModelId(2)),
        periodic_expr: "0 0 * * *".to_owned(),
        condition: "is-vip(1)".to_owned(),
        enabled: true,
        max_exec_per_user: 70_000,
    };
    let single =
        StrategyDefinition { kind: StrategyKind::Single, model: None, ..definition.clone() };
    vec![
        Event::StrategyCreated(Box::new(StrategyDefined { strategy, definition })),
        Event::StrategyUpdated(Box::new(StrategyDefined { strategy, definition: single })),
        Event::StrategySwitched(StrategySwitched { strategy, enabled: false }),
        Event::StrategyDeleted(StrategyDeleted { strategy }),
        Event::StrategyExecuted(StrategyExecuted {
            strategy,
            user,
            tick,
            amount: Credits::ONE,
            overdraft_paid: Credits::from_units(1),
            expires_at: Timestamp::MAX,
            model: None,
            before: Credits::from_units(2),
        }),
        Event::StrategyFailed(StrategyFailed {
            strategy,
            user,
            tick: None,
            reason: "amount is too large".to_owned(),
        }),
        Event::StrategyTickHandled(StrategyTickHandled { strategy, tick: second(5), skipped: 3 }),
    ]
}

fn vouchers() -> Vec<Event> {
    let voucher = VoucherId::from_bytes([0xEF; 16]);
    let (giver, receiver) = (UserId(1), UserId(2));
    let settled = |(number, outcome)| {
        Event::VoucherItemSettled(VoucherItemSettled {
            voucher,
            number,
            user: receiver,
            amount: Credits::ONE,
            overdraft_paid: Credits::from_units(4),
            expires_at: second(9),
            outcome,
            foreign: number == 2,
            before: Credits::from_units(6),
        })
    };
    let closed = |outcome| {
        Event::VoucherClosed(VoucherClosed {
            voucher,
            giver,
            receiver,
            outcome,
            amount: Credits::ONE,
            items: 1,
            expired: Credits::ZERO,
            items_expired: 70_000,
            foreign: false,
        })
    };
    let mut events = vec![
        Event::VoucherItemReserved(VoucherItemReserved {
            voucher,
            number: 300,
            giver,
            amount: Credits::ONE,
            expires_at: second(9),
            offset_seconds: -19_800,
            lots: vec![part()],
            before: Credits::from_units(5),
        }),
        Event::VoucherIssued(Box::new(VoucherIssued {
            voucher,
            giver,
            receiver,
            identity: SealedGiver { name: Some(sealed(3)), phone: None, github: Some(sealed(4)) },
            timestamp: 1_747_303_200,
            items: 1,
            amount: Credits::ONE,
            lapses_at: Some(second(8)),
            signature: [0xA5; 32],
        })),
    ];
    let outcomes = [ItemOutcome::Redeemed, ItemOutcome::Returned, ItemOutcome::Expired];
    events.extend((0..).zip(outcomes).map(settled));
    let ends = [VoucherOutcome::Redeemed, VoucherOutcome::Cancelled, VoucherOutcome::Lapsed];
    events.extend(ends.map(closed));
    events
}
