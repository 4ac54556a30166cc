//! What follows from the log is what was lived: from its first event, from a checkpoint, by the
//! writer and by the readers, byte for byte.

use projections::{PARTS, Projections};
use proptest::collection::vec;
use proptest::prelude::*;
use replay::{
    BatchEncoder, Checkpoints, FileStore, Head, Log, LogOptions, Verification, load_checkpoint,
    rebuild, save_checkpoint,
};
use schemas::{Command, Envelope, Name, Recorded, Sequence, Timestamp};
use tallybook::domain::{State, decide};

use crate::actions::script;
use crate::book::{Book, Taken, rules};
use crate::rounds;

/// Every part as a checkpoint keeps it.
fn saved(projections: &Projections) -> Vec<(&'static str, u32, Vec<u8>)> {
    let parts = projections.parts().into_iter().map(|part| {
        let mut bytes = Vec::new();
        (part.save)(&mut bytes).expect("memory takes everything");
        (part.name, part.version, bytes)
    });
    parts.collect()
}

/// Panics where two states are not the same, byte for byte.
pub(crate) fn assert_same(found: &Projections, expected: &Projections) {
    assert_eq!(found.books.head, expected.books.head);
    assert_eq!(found.books.recorded_at, expected.books.recorded_at);
    for (found, expected) in saved(found).into_iter().zip(saved(expected)) {
        assert_eq!(found, expected, "the part {}", expected.0);
    }
}

/// What the writer and the readers hold, as the writer takes a checkpoint of it.
fn lived(book: &Book) -> Projections {
    let (usage, histories) = (book.reading.usage.clone(), book.reading.histories.clone());
    Projections::join(book.state.deciding.clone(), usage, histories)
}

/// Appends what a book has taken: at most so many commands a batch, and a batch's end after `cut`.
fn append(log: &mut Log, taken: &[Taken], sizes: &[usize], cut: Sequence) -> Vec<Head> {
    let mut heads = Vec::new();
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = taken;
    while let Some(first) = rest.first() {
        let mut batch = BatchEncoder::new(log.head().sequence.next(), first.at);
        let together = rest.iter().take_while(|taken| taken.at == first.at).count();
        let mut count = 0;
        for taken in rest.iter().take(together.min(sizes.next().unwrap_or(1))) {
            batch.push(taken.header, &taken.events).expect("short events");
            count += 1;
            if batch.next_sequence() == cut.next() {
                break;
            }
        }
        heads.push(log.append(batch.finish()).expect("an append to a sound disk"));
        rest = rest.get(count..).unwrap_or_default();
    }
    heads
}

proptest! {
    #![proptest_config(rounds(64))]

    #[test]
    fn replay_from_anywhere_is_the_live_state(
        script in script(60), at in 0_usize..60, sizes in vec(1_usize..6, 1..6),
    ) {
        let mut book = Book::new();
        let at = at.min(script.actions.len());
        script.actions[..at].iter().for_each(|action| book.act(action, &script.pool));
        let then = lived(&book);
        script.actions[at..].iter().for_each(|action| book.act(action, &script.pool));
        let now = lived(&book);
        let read = Projections { books: book.reading.books.clone(), ..now.clone() };
        assert_same(&read, &now);

        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::open(&directory.path().join("log")).unwrap();
        let (mut log, _) = Log::with_store(Box::new(store), LogOptions::default()).unwrap();
        let heads = append(&mut log, &book.taken, &sizes, then.head());
        let reader = log.reader();
        let head = log.head().sequence;
        let events: Vec<Recorded> = reader.page(Sequence::new(1), u64::from(u32::MAX)).unwrap();
        prop_assert_eq!(&events, &book.events);

        let fold = |begun, to| rebuild(&reader, begun, to, Verification::Chained, |_, _| ()).unwrap();
        assert_same(&fold(Projections::default(), head), &now);
        assert_same(&fold(Projections::default(), then.head()), &then);
        let mark = heads.iter().find(|head| head.sequence == then.head()).map(Head::mark);
        let Some(mark) = mark else { return Ok(()) };
        let checkpoints = Checkpoints::open(directory.path()).unwrap();
        save_checkpoint(&checkpoints, mark, &then).unwrap();
        let latest = checkpoints.latest(&PARTS).unwrap().checkpoint.expect("just written");
        let loaded = load_checkpoint(&reader, &latest).unwrap().unwrap();
        assert_same(&loaded, &then);
        let restored = fold(loaded, head);
        assert_same(&restored, &now);

        // What falls due is found again, though no checkpoint keeps it.
        let (deciding, _) = restored.split();
        let again = State::new(deciding, rules());
        for hours in [0, 1, 24] {
            let moment = book.now.plus_seconds(hours * 3_600);
            for command in
                [Command::BookExpiredQuota { by: Timestamp::MAX, lots_max: 2 }, Command::TimeOutPairings { halves_max: 2 }]
            {
                let job = Envelope::new(Name::try_from("job").unwrap(), command);
                prop_assert_eq!(decide(&again, &job, moment), decide(&book.state, &job, moment));
            }
        }
    }
}
