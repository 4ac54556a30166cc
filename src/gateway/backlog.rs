//! Who is to be compared with the gateway, and when: users that an event moved, users whose last
//! attempt failed, and users for whom a request may still be under way. A user is compared by one
//! attempt at a time. No I/O and no clock.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use backon::ExponentialBackoff;
use schemas::{Sequence, UserId};
use tokio::time::Instant;

use super::client::{Failure, FailureKind};
use crate::broker;

/// After so many refusals nobody waits for a user any more.
const REFUSALS_MAX: u32 = 3;
/// After so many failures of the gateway's own, while it answers for others, a user is given up for
/// now.
const FAILINGS_MAX: u32 = 5;

/// A user who waits for an attempt, or is being compared.
#[derive(Debug)]
struct Entry {
    /// The first event that the gateway may not reflect; `None` when none led here.
    since: Option<Sequence>,
    state: State,
    /// Whether the user is known, or was found, to differ.
    differs: bool,
    pauses: ExponentialBackoff,
    refusals: u32,
    failings: u32,
    /// How many attempts had succeeded when this user's first one failed.
    successes_before: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the queue.
    Waiting,
    /// With what has happened since the attempt began.
    Comparing(Option<Since>),
}

type Since = Option<Sequence>;

/// A user who is to be looked at once more, although the gateway may be in step.
#[derive(Debug, Clone, Copy)]
struct Recheck {
    at: Instant,
    since: Since,
}

/// Everyone who may be out of step.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    entries: HashMap<UserId, Entry>,
    /// Those who wait.
    queue: BTreeSet<(Instant, UserId)>,
    rechecks: HashMap<UserId, Recheck>,
    parked: HashSet<UserId>,
    /// How many attempts have succeeded.
    successes: u64,
}

impl Backlog {
    /// A user is to be compared, because of the event `since` or because of the time.
    pub(super) fn add(&mut self, user: UserId, since: Since, now: Instant) {
        self.parked.remove(&user);
        if let Some(entry) = self.entries.get_mut(&user) {
            match &mut entry.state {
                State::Waiting => entry.since = earlier(entry.since, since),
                State::Comparing(again) => *again = Some(earlier(again.flatten(), since)),
            }
        } else {
            self.entries.insert(user, Entry::new(since, State::Waiting, true));
            self.queue.insert((now, user));
        }
    }

    /// A user is to be compared at `at`, or later when another attempt asked for that: a request of
    /// an earlier attempt, begun because of the event `since`, may be done until then.
    pub(super) fn recheck(&mut self, user: UserId, since: Since, at: Instant) {
        let recheck = self.rechecks.entry(user).or_insert(Recheck { at, since });
        recheck.at = recheck.at.max(at);
        recheck.since = earlier(recheck.since, since);
    }

    /// Lets those wait who are to be looked at once more by now.
    pub(super) fn take_rechecks(&mut self, now: Instant) {
        let due: Vec<_> = self.rechecks.extract_if(|_, recheck| recheck.at <= now).collect();
        for (user, recheck) in due {
            self.add(user, recheck.since, now);
        }
    }

    /// The user who has waited longest, to be compared now.
    pub(super) fn start(&mut self, now: Instant) -> Option<UserId> {
        let (at, user) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        if let Some(entry) = self.entries.get_mut(&user) {
            entry.state = State::Comparing(None);
        }
        Some(user)
    }

    /// Begins to compare a user who may well be in step; `false` when the user is here already.
    pub(super) fn start_in_passing(&mut self, user: UserId) -> bool {
        let is_new = !self.entries.contains_key(&user);
        if is_new {
            self.entries.insert(user, Entry::new(None, State::Comparing(None), false));
        }
        is_new
    }

    /// An attempt has found or brought the gateway in step.
    pub(super) fn succeeded(&mut self, user: UserId, now: Instant) {
        let Some(entry) = self.entries.remove(&user) else { return };
        self.successes = self.successes.saturating_add(1);
        if let State::Comparing(Some(since)) = entry.state {
            self.add(user, since, now);
        }
    }

    /// An attempt has failed. What it has sent may be done within `late_for`, when that is not known.
    /// Gives whether the user was given up for now.
    pub(super) fn failed(
        &mut self,
        user: UserId,
        failure: &Failure,
        now: Instant,
        late_for: Duration,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&user) else { return false };
        if let State::Comparing(Some(again)) = entry.state {
            entry.since = earlier(entry.since, again);
        }
        entry.differs = true;
        let since = entry.since;
        entry.refusals += u32::from(failure.kind == FailureKind::Refused);
        entry.failings += u32::from(failure.kind == FailureKind::Failing);
        if entry.failings <= 1 {
            entry.successes_before = self.successes;
        }
        let fails_alone = entry.failings >= FAILINGS_MAX && self.successes > entry.successes_before;
        let gives_up = entry.refusals >= REFUSALS_MAX || fails_alone;
        if gives_up {
            self.entries.remove(&user);
            self.parked.insert(user);
        } else {
            let at = now + broker::next_pause(&mut entry.pauses);
            entry.state = State::Waiting;
            self.queue.insert((at, user));
        }
        if failure.outcome_unknown {
            self.recheck(user, since, now + late_for);
        }
        gives_up
    }

    /// Lets those wait again who were given up.
    pub(super) fn take_parked(&mut self, now: Instant) {
        for user in std::mem::take(&mut self.parked) {
            self.add(user, None, now);
        }
    }

    /// When the next user may be compared.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// The first event that the gateway may not reflect. Nobody waits for those who were given up.
    pub(super) fn oldest(&self) -> Since {
        let entries = self.entries.values().map(|entry| match entry.state {
            State::Comparing(Some(again)) => earlier(entry.since, again),
            State::Comparing(None) | State::Waiting => entry.since,
        });
        let rechecks = self.rechecks.values().map(|recheck| recheck.since);
        entries.chain(rechecks).flatten().min()
    }

    /// Everyone of whom it is not known that the gateway is in step.
    pub(super) fn out_of_step(&self) -> BTreeSet<UserId> {
        let differing = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.differs || matches!(entry.state, State::Comparing(Some(_))));
        let differing = differing.map(|(user, _)| *user);
        differing.chain(self.rechecks.keys().copied()).chain(self.parked.iter().copied()).collect()
    }
}

impl Entry {
    fn new(since: Since, state: State, differs: bool) -> Self {
        let pauses = broker::pauses();
        Self { since, state, differs, pauses, refusals: 0, failings: 0, successes_before: 0 }
    }
}

fn earlier(left: Since, right: Since) -> Since {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId(1);
    const LATE: Duration = Duration::from_secs(20);
    /// Longer than any pause.
    const PATIENCE: Duration = Duration::from_mins(1);

    const fn event(sequence: u64) -> Sequence {
        Sequence::new(sequence)
    }

    fn failure(kind: FailureKind, outcome_unknown: bool) -> Failure {
        Failure { kind, outcome_unknown, ..Failure::refused(String::new()) }
    }

    #[test]
    fn the_events_of_a_user_are_one_attempt() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.add(ANN, Some(event(4)), now);
        backlog.add(ANN, Some(event(3)), now);
        assert_eq!(backlog.oldest(), Some(event(3)));
        assert_eq!((backlog.start(now), backlog.start(now)), (Some(ANN), None));
        assert_eq!(backlog.oldest(), Some(event(3)), "not before the attempt has succeeded");
        assert!(!backlog.start_in_passing(ANN), "one attempt at a time");
        backlog.succeeded(ANN, now);
        assert_eq!((backlog.oldest(), backlog.out_of_step().len()), (None, 0));
    }

    #[test]
    fn what_happens_during_an_attempt_takes_another() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.add(ANN, Some(event(3)), now);
        backlog.start(now);
        backlog.add(ANN, Some(event(5)), now);
        backlog.succeeded(ANN, now);
        assert_eq!(backlog.oldest(), Some(event(5)));
        assert_eq!(backlog.start(now), Some(ANN));
        backlog.add(ANN, Some(event(6)), now);
        backlog.failed(ANN, &failure(FailureKind::Unavailable, false), now, LATE);
        assert_eq!(backlog.oldest(), Some(event(5)), "both are still to come");
        assert_eq!(backlog.start(now), None, "not at once");
        assert_eq!(backlog.start(now + PATIENCE), Some(ANN));
    }

    #[test]
    fn an_unknown_outcome_is_looked_at_again_although_all_is_well() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.add(ANN, Some(event(3)), now);
        backlog.start(now);
        backlog.failed(ANN, &failure(FailureKind::Unavailable, true), now, LATE);
        assert_eq!(backlog.start(now + PATIENCE), Some(ANN));
        backlog.succeeded(ANN, now);
        assert_eq!(backlog.oldest(), Some(event(3)), "a late request may still undo it");
        backlog.take_rechecks(now + LATE / 2);
        assert_eq!(backlog.start(now + LATE), None);
        backlog.take_rechecks(now + LATE);
        assert_eq!(backlog.start(now + LATE), Some(ANN));
        backlog.succeeded(ANN, now);
        assert_eq!((backlog.oldest(), backlog.out_of_step().len()), (None, 0));
    }

    #[test]
    fn whoever_is_refused_again_and_again_holds_nobody_up() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        let refused = failure(FailureKind::Refused, false);
        backlog.add(ANN, Some(event(3)), now);
        for is_last in [false, false, true] {
            assert_eq!(backlog.oldest(), Some(event(3)));
            assert_eq!(backlog.start(now + PATIENCE), Some(ANN));
            assert_eq!(backlog.failed(ANN, &refused, now, LATE), is_last);
        }
        assert_eq!((backlog.oldest(), backlog.next_start()), (None, None));
        assert_eq!(backlog.out_of_step(), BTreeSet::from([ANN]), "and is not forgotten");
        backlog.take_parked(now);
        assert_eq!(backlog.start(now), Some(ANN));
        backlog.succeeded(ANN, now);
        assert_eq!(backlog.out_of_step().len(), 0);
    }

    #[test]
    fn whoever_alone_the_gateway_fails_for_holds_nobody_up() {
        const BOB: UserId = UserId(2);
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        let failing = failure(FailureKind::Failing, false);
        for user in [ANN, BOB] {
            backlog.add(user, Some(event(3)), now);
        }
        for attempt in 1..=FAILINGS_MAX {
            while backlog.start(now + PATIENCE).is_some() {}
            assert!(
                !backlog.failed(ANN, &failing, now, LATE),
                "attempt {attempt}: nobody succeeds"
            );
            backlog.failed(BOB, &failing, now, LATE);
        }
        while backlog.start(now + PATIENCE).is_some() {}
        backlog.succeeded(BOB, now);
        assert!(backlog.failed(ANN, &failing, now, LATE));
        assert_eq!(backlog.oldest(), None);
    }

    #[test]
    fn whoever_is_compared_in_passing_counts_only_when_that_fails() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        assert!(backlog.start_in_passing(ANN));
        assert_eq!(backlog.out_of_step().len(), 0);
        backlog.failed(ANN, &failure(FailureKind::Unavailable, false), now, LATE);
        assert_eq!(backlog.out_of_step(), BTreeSet::from([ANN]));
        assert_eq!(backlog.oldest(), None);
        assert_eq!(backlog.start(now + PATIENCE), Some(ANN));
    }
}
