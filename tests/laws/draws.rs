//! What is drawn from quota and accrued in money, one law at a time, on the smallest runs that show
//! it. The figures are compared with the model's by [`Book`] after every command.

use schemas::{Counter, Credits, DrawRule, Move, ServiceTier, Usage};

use crate::actions::{Action, Content, Form, QuotaAction};
use crate::book::{Book, account};

/// 100 tokens by ann, with a model that has no price at first.
const CALL: Content = Content {
    user: Some(0),
    model: Some(1),
    document: false,
    hours: 0,
    tokens: 75,
    reported: true,
    tier: ServiceTier::Standard,
};

const HUNDRED: i64 = 100_000_000;

fn give(amount: i64, expires_hours: i64) -> Action {
    Action::Give { user: 0, amount, expires_hours, key: None }
}

fn call(request: usize) -> Action {
    Action::Call { form: Form::Whole, tenant: 0, request, content: 0 }
}

fn rule(rule: DrawRule) -> Action {
    Action::Rule { tenant: 0, rule, weight: None, key: None }
}

fn prices(units: i128) -> Action {
    Action::Prices { models: vec![(1, units, Some(units))], hours: None, key: None }
}

const RATE: Action = Action::Rate { most: 9, twice: false };

/// Ann's lots with what is left of them, and her overdraft.
fn ann_after(pool: &[Content], actions: &[Action]) -> (Vec<i64>, i64) {
    let mut book = Book::new();
    for action in actions {
        book.act(action, pool);
    }
    let account = account(&book, "ann");
    let lots = account.lots().iter().map(|lot| lot.remaining.units()).collect();
    (lots, account.overdraft().units())
}

#[test]
fn the_lot_that_expires_first_is_drawn_first_and_then_the_oldest() {
    let lots = [give(HUNDRED, 9), give(HUNDRED, 5), give(HUNDRED, 5)];
    let (lots, overdraft) = ann_after(&[CALL], &[&lots[..], &[call(0)]].concat());
    assert_eq!((lots, overdraft), (vec![0, HUNDRED, HUNDRED], 0));
}

#[test]
fn an_expired_lot_is_not_drawn_and_the_next_recharge_pays_the_overdraft() {
    let hour = Action::Advance { seconds: 3_601 };
    let run = [give(HUNDRED, 1), hour, call(0), give(3 * HUNDRED, 9)];
    assert_eq!(ann_after(&[CALL], &run), (vec![HUNDRED, 2 * HUNDRED], 0));
}

#[test]
fn what_is_taken_back_must_be_something_that_can_be_owed() {
    let most = 9_000_000_000_000_000_000;
    let count = |counter, movement| Action::Quota {
        action: QuotaAction::Count { user: 0, counter, movement },
        key: None,
    };
    let used = count(Counter::Used, Move::By(Credits::from_units(most + 1)));
    let none = count(Counter::Total, Move::To(Credits::ZERO));
    let large = [Content { tokens: 750_000_000_000, ..CALL }];
    let before = ann_after(&large, &[give(most, 9), used.clone(), call(0)]);
    assert_eq!(before, (vec![0], 1_000_000_000_000_000_001));
    let after = ann_after(&large, &[give(most, 9), used, call(0), none]);
    assert_eq!(after, before, "refused as a whole");
}

#[test]
fn who_was_never_given_quota_goes_into_no_overdraft() {
    assert_eq!(ann_after(&[CALL], &[call(0)]), (vec![], 0));
}

#[test]
fn a_late_price_draws_by_the_rule_of_its_call() {
    let micro = 1_000_000_000_000;
    let by_token = [give(3 * HUNDRED, 9), call(0), rule(DrawRule::PerCost), prices(micro), RATE];
    assert_eq!(ann_after(&[CALL], &by_token), (vec![2 * HUNDRED], 0), "tokens once, cost never");
    let by_cost = [
        rule(DrawRule::PerCost),
        give(3 * HUNDRED, 9),
        call(0),
        rule(DrawRule::PerToken),
        prices(micro),
        RATE,
    ];
    assert_eq!(ann_after(&[CALL], &by_cost), (vec![3 * HUNDRED - 100], 0), "its cost, once");
}

#[test]
fn an_absurd_price_is_refused_where_it_would_leave_the_range() {
    let absurd = prices(100_000_000_000_000_000_000);
    let many = Content { tokens: Usage::TOKENS_MAX, ..CALL };
    for request in 0..3 {
        let late = [call(request), absurd.clone(), RATE, RATE, call((request + 1) % 3)];
        ann_after(std::slice::from_ref(&many), &[&[give(HUNDRED, 9)][..], &late].concat());
    }
}
