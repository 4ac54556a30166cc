//! Whatever is asked, in whatever order: nothing is created or lost, every key counts once, and the
//! figures are those of the model.

use proptest::prelude::*;

use crate::actions::script;
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
