//! Payments through the provider.

use projections::books::Books;
use schemas::{Event, LinkTopUp, SettleTopUp, StartTopUp, Timestamp};

use super::naming::Naming;
use super::rejection::Rejection;

/// A payment that begins.
pub(super) fn start(
    _books: &Books,
    _command: &StartTopUp,
    _now: Timestamp,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// What the provider calls a payment; nothing when that is known.
pub(super) fn link(_books: &Books, _command: &LinkTopUp) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// The end of a payment; nothing when it has ended.
pub(super) fn settle(
    _books: &Books,
    _command: &SettleTopUp,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}
