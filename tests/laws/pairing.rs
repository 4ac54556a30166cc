//! The two halves of a call: whichever comes first, however often, and whatever contradicts them,
//! they become the same consumption.

use projections::names::Names;
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{Consumption, Event, Recorded};

use crate::actions::{Action, Content, Form, Script, content, script};
use crate::book::Book;
use crate::rounds;

/// The one consumption of the call, with names for numbers and without what depends on the order.
fn consumption(book: &Book, before: usize) -> Option<(Vec<String>, Consumption)> {
    let names = &book.state.deciding.books.names;
    let mut found = book.events.iter().skip(before).filter_map(|recorded| plain(recorded, names));
    let consumption = found.next();
    assert!(found.next().is_none(), "a call counts once");
    consumption
}

fn plain(recorded: &Recorded, names: &Names) -> Option<(Vec<String>, Consumption)> {
    let Event::ConsumptionRecorded(consumption) = &recorded.event else { return None };
    let mut plain = consumption.as_ref().clone();
    let context = &mut plain.context;
    let user = context.user.take().map(|id| names.text(id).to_string());
    let model = context.model.take().map(|id| names.text(id).to_string());
    let assistant = context.assistant.take().map(|id| names.text(id).to_string());
    let reason = plain.response.finish_reason.take().map(|id| names.text(id).to_string());
    plain.waited = None;
    let texts = [user, model, assistant, reason].map(Option::unwrap_or_default);
    Some((texts.to_vec(), plain))
}

/// The call that none of the runs before has used.
fn arrive(form: Form, content: usize) -> Action {
    Action::Call { form, tenant: 0, request: UNUSED_REQUEST, content }
}

const UNUSED_REQUEST: usize = 3;
const REQUEST: usize = 0;
const RESPONSE: usize = 1;

/// The run before, without moves of the clock: a call draws what is there at its moment.
fn before(script: &Script, pool: &[Content]) -> (Book, usize) {
    let mut book = Book::new();
    script.actions.iter().for_each(|action| book.act(action, pool));
    let events = book.events.len();
    (book, events)
}

proptest! {
    #![proptest_config(rounds(96))]

    #[test]
    fn both_orders_give_the_same_consumption(
        script in script(12), request in content(), response in content(), again in vec(0..4_usize, 0..8),
    ) {
        let pool = [request, response];
        let halves = [arrive(Form::Request, REQUEST), arrive(Form::Response, RESPONSE)];
        // Repeats and contradictions: of the first half after it, of both after both.
        let noise = |book: &mut Book, known: &[Form]| {
            for pick in &again {
                let form = known[pick % known.len()];
                book.act(&arrive(form, pick / 2), &pool);
            }
        };
        let mut outcomes = Vec::new();
        for (first, second) in [(0, 1), (1, 0)] {
            let (mut book, events) = before(&script, &pool);
            let forms = [Form::Request, Form::Response];
            book.act(&halves[first], &pool);
            noise(&mut book, &[forms[first]]);
            prop_assert_eq!(consumption(&book, events), None);
            book.act(&halves[second], &pool);
            let found = consumption(&book, events);
            if found.is_some() {
                noise(&mut book, &forms);
                prop_assert_eq!(&consumption(&book, events), &found);
            }
            outcomes.push(found);
        }
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
    }

    #[test]
    fn a_whole_report_is_what_its_halves_are(script in script(12), content in content()) {
        let pool = [content];
        let mut outcomes = Vec::new();
        for forms in [&[Form::Whole][..], &[Form::Request, Form::Response], &[Form::Response, Form::Whole]] {
            let (mut book, events) = before(&script, &pool);
            for form in forms.iter().chain([&Form::Whole, &Form::Response, &Form::Request]) {
                book.act(&arrive(*form, 0), &pool);
            }
            outcomes.push(consumption(&book, events));
        }
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
        prop_assert_eq!(&outcomes[0], &outcomes[2]);
    }

    #[test]
    fn a_contradiction_changes_no_figure(script in script(20), first in content(), other in content()) {
        let pool = [first, other];
        let (mut book, events) = before(&script, &pool);
        for form in [Form::Request, Form::Response] {
            book.act(&arrive(form, 0), &pool);
        }
        // What was refused, for a price out of all range, is not on record to be contradicted.
        if consumption(&book, events).is_none() {
            return Ok(());
        }
        let figures = |book: &Book| {
            let books = &book.reading.books;
            let accounts: Vec<_> = books.quota.accounts().map(|(id, account)| (id, account.clone())).collect();
            let wallets: Vec<_> = books.wallets.all().map(|(id, wallet)| (id, *wallet)).collect();
            (accounts, wallets, books.unrated.len())
        };
        let before = figures(&book);
        for form in [Form::Request, Form::Response, Form::Whole, Form::WholeWithoutRequest] {
            book.act(&arrive(form, 1), &pool);
            book.act(&arrive(form, 1), &pool);
        }
        prop_assert_eq!(figures(&book), before);
    }
}
