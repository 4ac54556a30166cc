//! Alerts: what wants attention, once for each crossing.

use projections::books::Books;
use schemas::{Event, ReviewAlerts, Timestamp};

/// The alerts that are due, and those that are not any more.
pub(super) fn review(_books: &Books, _command: &ReviewAlerts, _now: Timestamp) -> Vec<Event> {
    Vec::new()
}
