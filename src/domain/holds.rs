//! Holds: whether a call may go ahead, and what is kept free for it.

use projections::books::Books;
use schemas::{Event, PlaceHold, ReleaseHold, Timestamp};

use super::naming::Naming;
use super::rejection::Rejection;

/// A hold, if there is room for it.
pub(super) fn place(
    _books: &Books,
    _command: &PlaceHold,
    _now: Timestamp,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// The end of a hold; nothing when it has ended.
pub(super) fn release(
    _books: &Books,
    _command: &ReleaseHold,
    _naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// The ends of at most `most` holds that have run out at `now`.
pub(super) fn expire(_books: &Books, _now: Timestamp, _most: u32) -> Vec<Event> {
    Vec::new()
}
