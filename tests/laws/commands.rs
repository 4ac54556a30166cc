//! Whatever is asked, in whatever order: nothing is created or lost, every key counts once, and the
//! figures are those of the model.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use schemas::{Event, ItemOutcome};

use crate::actions::{quota_script, script};
use crate::book::Book;
use crate::rounds;

proptest! {
    #![proptest_config(rounds(96))]

    /// The laws themselves are asserted by [`Book`], after every event and every command.
    #[test]
    fn every_event_is_lawful_and_every_figure_is_the_models(script in script(60)) {
        Book::after(&script);
    }

    #[test]
    fn quota_goes_nowhere_but_where_the_model_says(script in quota_script(60)) {
        Book::after(&script);
    }

    #[test]
    fn a_run_that_is_told_twice_counts_once(script in script(30)) {
        let mut book = Book::new();
        let mut told = Vec::new();
        for action in &script.actions {
            let head = book.head();
            book.act(action, &script.pool);
            if book.head() > head {
                told.push(action);
            }
        }
        let head = book.head();
        for action in told {
            let by_key = action.is_recognised_again();
            if by_key {
                book.act(action, &script.pool);
                prop_assert_eq!(book.head(), head, "{:?}", action);
            }
        }
    }
}

/// The runs are worth something only if they get everywhere.
#[test]
fn the_runs_lead_to_everything_that_moves_quota() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..250 {
        let script =
            quota_script(60).new_tree(&mut runner).expect("nothing is filtered out").current();
        for recorded in Book::after(&script).events {
            seen.insert(recorded.event.type_name());
            if let Event::VoucherItemSettled(item) = recorded.event {
                seen.insert(match item.outcome {
                    _ if item.foreign => "foreign",
                    ItemOutcome::Redeemed => "redeemed",
                    ItemOutcome::Returned => "returned",
                    ItemOutcome::Expired => "expired",
                });
            }
        }
    }
    let missed: Vec<&str> = [
        "quota_withdrawn",
        "quota_drawn",
        "quota_refunded",
        "quota_expired",
        "strategy_created",
        "strategy_updated",
        "strategy_switched",
        "strategy_deleted",
        "strategy_executed",
        "strategy_failed",
        "strategy_tick_handled",
        "voucher_issued",
        "voucher_closed",
        "redeemed",
        "returned",
        "expired",
        "foreign",
    ]
    .into_iter()
    .filter(|wanted| !seen.contains(wanted))
    .collect();
    assert!(missed.is_empty(), "never seen: {missed:?}; seen: {seen:?}");
}
