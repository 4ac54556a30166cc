//! Bills and closed periods.

use projections::books::{Books, Deciding};
use schemas::{ClosePeriod, Event, PostBill, Timestamp};

use super::rejection::Rejection;

/// The bill of the earliest day that is not billed yet; nothing when every one is.
pub(super) fn post(
    _deciding: &Deciding,
    _command: PostBill,
    _now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// A period that is over; nothing when it was closed before.
pub(super) fn close_period(
    _books: &Books,
    _command: ClosePeriod,
    _now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}
