//! The only place that knows what time it is. Everything else gets moments as arguments, so that
//! the same log gives the same figures tomorrow, and so that a test can live through a month in a
//! second.

use std::sync::Arc;

use schemas::Timestamp;
use thiserror::Error;
use tokio::sync::watch;

/// What tells the time: the machine, or a hand that moves it forward. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    /// Where a manual clock stands; of a system clock, when it was made.
    moved: watch::Sender<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    System,
    Manual,
}

/// Why a clock was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClockError {
    /// The machine's clock is not ours to move.
    #[error("this service runs on the machine's clock; start it with `--manual-clock` to move it")]
    NotManual,
    /// Time only moves forward.
    #[error("the clock stands at {now} and only moves forward")]
    Backwards {
        /// Where it stands.
        now: Timestamp,
    },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::of(Source::System, machine_time())
    }

    /// A clock that stands at `start` until [`Self::advance_to`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self::of(Source::Manual, start)
    }

    fn of(source: Source, start: Timestamp) -> Self {
        Self(Arc::new(Inner { source, moved: watch::Sender::new(start) }))
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.0.source {
            Source::System => machine_time(),
            Source::Manual => *self.0.moved.borrow(),
        }
    }

    /// Whether [`Self::advance_to`] can move it.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.0.source == Source::Manual
    }

    /// Moves a manual clock forward to `moment`, or leaves it there.
    ///
    /// # Errors
    /// When it is the machine's clock, or stands later than `moment` already.
    pub fn advance_to(&self, moment: Timestamp) -> Result<(), ClockError> {
        if !self.is_manual() {
            return Err(ClockError::NotManual);
        }
        let mut outcome = Ok(());
        self.0.moved.send_if_modified(|now| {
            if moment < *now {
                outcome = Err(ClockError::Backwards { now: *now });
                return false;
            }
            let moves = moment > *now;
            *now = moment;
            moves
        });
        outcome
    }

    /// Is notified whenever a manual clock moves, with where it stands then. Never for the
    /// machine's clock: wait with a timer as well.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<Timestamp> {
        self.0.moved.subscribe()
    }

    #[cfg(test)]
    pub(crate) fn listeners(&self) -> usize {
        self.0.moved.receiver_count()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn machine_time() -> Timestamp {
    chrono::Utc::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_only_moves_forward_and_its_clones_with_it() {
        let start = Timestamp::parse("2025-01-31T23:59:59Z").unwrap();
        let clock = Clock::manual(start);
        let seen = clock.changed();
        let clone = clock.clone();

        assert_eq!(clock.now(), start);
        assert_eq!(clock.advance_to(start), Ok(()));
        assert!(!seen.has_changed().unwrap(), "standing still wakes nobody");

        let later = start.plus_seconds(1);
        assert_eq!(clone.advance_to(later), Ok(()));
        assert_eq!(clock.now(), later);
        assert!(seen.has_changed().unwrap());
        assert_eq!(*seen.borrow(), later);

        assert_eq!(clock.advance_to(start), Err(ClockError::Backwards { now: later }));
        assert_eq!(clock.now(), later);
    }

    #[test]
    fn the_machines_clock_cannot_be_moved() {
        let clock = Clock::system();
        let before = clock.now();
        assert_eq!(clock.advance_to(before.plus_seconds(60)), Err(ClockError::NotManual));
        assert!(clock.now() >= before);
        assert!(clock.now() < before.plus_seconds(60));
    }
}
