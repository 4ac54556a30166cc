//! The loop behind [`super::run`]: reads the log for users whose quota moved, compares them and, more
//! slowly, everyone else, and moves the cursor after what is in step.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use projections::ledger::moved_users;
use projections::quota::Account;
use schemas::{NameKind, Sequence, Timestamp, UserId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::client::{Client, Failure, FailureKind};
use super::sync::{Target, bring_in_step};
use super::{Contact, Status};
use crate::broker;
use crate::clock::Clock;
use crate::cursor::{Cursor, CursorError, blocking, gauge};
use crate::views::Views;

/// The most users that are compared at once.
const ATTEMPTS_MAX: usize = 8;
/// Of them, those of whom nothing is known but that time has passed.
const ATTEMPTS_IN_PASSING_MAX: usize = 2;
/// The most events that are read at once.
const BATCH_EVENTS_MAX: u64 = 4096;
/// The most accounts that are looked at once.
const PAGE_USERS: u32 = 1024;
/// How often the cursor and the status are brought up to date, and second looks are taken.
const TICK: Duration = Duration::from_millis(500);
/// How often lots are looked for whose time has run out.
const BETWEEN_EXPIRIES: Duration = Duration::from_secs(10);
/// After the log could not be read.
const PAUSE_OF_READING: Duration = Duration::from_secs(1);
/// The most users whom the status names.
const NAMED_MAX: usize = 100;

/// What the worker works with.
pub(super) struct Worker {
    pub(super) client: Arc<Client>,
    pub(super) views: Views,
    pub(super) clock: Clock,
    pub(super) status: watch::Sender<Status>,
    /// Between two comparisons of everyone.
    pub(super) reconcile: Option<Duration>,
    /// How long a request may go on after it was given up.
    pub(super) late_for: Duration,
}

struct Landed {
    user: UserId,
    in_passing: bool,
    outcome: Result<(), Failure>,
}

/// A comparison of everyone, and how far it is.
#[derive(Default)]
struct Pass {
    /// The page after those that were taken; `None` after the last.
    next: Option<u32>,
    page: VecDeque<UserId>,
    under_way: usize,
}

/// Closed while the gateway is not there: then one attempt at a time finds out whether it is back.
struct Gate {
    opens: Option<Instant>,
    pauses: ExponentialBackoff,
}

/// Where the work stands.
struct Progress {
    cursor: Cursor,
    /// Up to here the log has been read.
    read: Sequence,
    /// The end of the log when the work began.
    began_at: Sequence,
    read_again: Instant,
    backlog: Backlog,
    attempts: FuturesUnordered<Pin<Box<dyn Future<Output = Landed> + Send>>>,
    gate: Gate,
    pass: Option<Pass>,
    next_pass: Option<Instant>,
    next_tick: Instant,
    next_expiries: Instant,
    /// Up to this moment, expired lots have been looked for.
    expired_until: Timestamp,
}

impl Worker {
    /// Works until `stop`, or until the writer has ended.
    ///
    /// # Errors
    /// When the cursor cannot be written.
    pub(super) async fn run(
        self,
        cursor: Cursor,
        stop: CancellationToken,
    ) -> Result<(), CursorError> {
        let mut head = self.views.watch_head();
        let mut moved = self.clock.changed();
        let mut progress = Progress::from(cursor, self.views.head(), self.clock.now());
        loop {
            let end = *head.borrow_and_update();
            self.keep_time(&mut progress).await?;
            self.read(&mut progress, end).await;
            self.begin_attempts(&mut progress);
            let wake = progress.wake(end);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(landed) = progress.attempts.next() => self.land(&mut progress, landed),
                changed = head.changed() => if changed.is_err() { break },
                // The job that writes expired lots off is woken as well; its events come later.
                _ = moved.changed() => progress.next_expiries = Instant::now(),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        self.tick(&mut progress).await
    }

    /// Does what is due by now.
    async fn keep_time(&self, progress: &mut Progress) -> Result<(), CursorError> {
        let now = Instant::now();
        if progress.next_expiries <= now {
            progress.next_expiries = now + BETWEEN_EXPIRIES;
            self.look_for_expired(progress, now);
        }
        if progress.pass.is_none() && progress.next_pass.is_some_and(|at| at <= now) {
            progress.backlog.take_parked(now);
            progress.pass = Some(Pass { next: Some(0), ..Pass::default() });
        }
        if progress.next_tick <= now {
            progress.next_tick = now + TICK;
            progress.backlog.take_rechecks(now);
            self.tick(progress).await?;
        }
        Ok(())
    }

    /// Moves the cursor after what is in step, and says how things are.
    async fn tick(&self, progress: &mut Progress) -> Result<(), CursorError> {
        let Progress { cursor, read, backlog, .. } = progress;
        let in_step = match backlog.oldest() {
            Some(oldest) => Sequence::new(oldest.get().saturating_sub(1)).min(*read),
            None => *read,
        };
        if in_step > cursor.position() {
            cursor.advance(in_step).await?;
        }
        let out_of_step = backlog.out_of_step();
        let total = out_of_step.len();
        metrics::gauge!("gateway_lag_events").set(gauge(cursor.behind(self.views.head())));
        metrics::gauge!("gateway_users_out_of_step")
            .set(gauge(u64::try_from(total).unwrap_or(u64::MAX)));
        self.status.send_modify(|status| {
            status.cursor = cursor.position();
            status.out_of_step = out_of_step.into_iter().take(NAMED_MAX).collect();
            status.out_of_step_total = total;
        });
        Ok(())
    }

    /// Reads on in the log, at most a batch.
    async fn read(&self, progress: &mut Progress, end: Sequence) {
        let now = Instant::now();
        if progress.read >= end || progress.read_again > now {
            return;
        }
        let (views, from) = (self.views.clone(), progress.read.next());
        let events_max = BATCH_EVENTS_MAX.min(end.get().saturating_sub(progress.read.get()));
        match blocking(move || views.log().page(from, events_max)).await {
            Ok(events) => {
                for recorded in &events {
                    let since = Some(recorded.sequence);
                    let was_before = recorded.sequence <= progress.began_at;
                    moved_users(&recorded.event, |user| {
                        progress.backlog.add(user, since, now);
                        // The process that ended here may have left a request under way.
                        if was_before {
                            progress.backlog.recheck(user, since, now + self.late_for);
                        }
                    });
                    progress.read = recorded.sequence;
                }
            }
            Err(error) => {
                progress.read_again = now + PAUSE_OF_READING;
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot read the log for the gateway");
            }
        }
    }

    /// Compares users whose quota ran out since the last look, with no event to tell.
    fn look_for_expired(&self, progress: &mut Progress, now: Instant) {
        let (before, until) =
            (progress.expired_until, self.clock.now().max(progress.expired_until));
        let mut next = Some(0);
        while let Some(from) = next {
            let (users, rest) = self.page(from, |account| account.lapsed_between(before, until));
            next = rest;
            for user in users {
                progress.backlog.add(user, None, now);
            }
        }
        progress.expired_until = until;
    }

    /// The users numbered from `from` on whom `is_meant` tells, and where the next page begins.
    fn page(
        &self,
        from: u32,
        is_meant: impl Fn(&Account) -> bool,
    ) -> (VecDeque<UserId>, Option<u32>) {
        self.views.look(|reading| {
            let end = reading.books.names.next_number(NameKind::User);
            let to = from.saturating_add(PAGE_USERS).min(end);
            let users = (from..to).map(UserId);
            let meant = users.filter(|user| is_meant(reading.books.quota.account(*user)));
            (meant.collect(), (to < end).then_some(to))
        })
    }

    /// Begins as many attempts as may be under way.
    fn begin_attempts(&self, progress: &mut Progress) {
        let now = Instant::now();
        while progress.has_room(now) {
            if let Some(user) = progress.backlog.start(now) {
                progress.attempts.push(self.attempt(user, false));
            } else if let Some(user) = self.next_of_pass(progress) {
                progress.attempts.push(self.attempt(user, true));
            } else {
                return;
            }
        }
    }

    /// The next user to be compared in passing, when now is the time for it.
    fn next_of_pass(&self, progress: &mut Progress) -> Option<UserId> {
        let Progress { pass: slot, backlog, gate, .. } = progress;
        let pass = slot.as_mut()?;
        if gate.opens.is_some() || pass.under_way >= ATTEMPTS_IN_PASSING_MAX {
            return None;
        }
        loop {
            while let Some(user) = pass.page.pop_front() {
                if backlog.start_in_passing(user) {
                    pass.under_way += 1;
                    return Some(user);
                }
            }
            let Some(from) = pass.next else { break };
            let was_moved =
                |account: &Account| account.was_given() || account.overdraft().is_positive();
            (pass.page, pass.next) = self.page(from, was_moved);
        }
        if pass.under_way == 0 {
            *slot = None;
            progress.next_pass = self.reconcile.map(|between| Instant::now() + between);
            let now = self.clock.now();
            self.status.send_modify(|status| status.last_reconciled_at = Some(now));
        }
        None
    }

    fn attempt(
        &self,
        user: UserId,
        in_passing: bool,
    ) -> Pin<Box<dyn Future<Output = Landed> + Send>> {
        let now = self.clock.now();
        let (name, target) = self.views.look(|reading| {
            let name = Arc::clone(reading.books.names.text(user));
            (name, Target::of(reading.books.quota.account(user), now))
        });
        let client = Arc::clone(&self.client);
        Box::pin(async move {
            let outcome = bring_in_step(&client, &name, target).await;
            Landed { user, in_passing, outcome }
        })
    }

    /// Takes in how an attempt ended.
    fn land(&self, progress: &mut Progress, Landed { user, in_passing, outcome }: Landed) {
        let now = Instant::now();
        if let (true, Some(pass)) = (in_passing, &mut progress.pass) {
            pass.under_way -= 1;
        }
        let failure = outcome.as_ref().err();
        let is_there = failure.is_none_or(|failure| failure.kind == FailureKind::Refused);
        if is_there {
            progress.gate.open();
        }
        let contact = if is_there { Contact::Made } else { Contact::Lost };
        self.status
            .send_if_modified(|status| std::mem::replace(&mut status.contact, contact) != contact);
        let error = match outcome {
            Ok(()) => return progress.backlog.succeeded(user, now),
            Err(error) => error,
        };
        if !is_there && let Some(pause) = progress.gate.close(now) {
            tracing::warn!(%error, ?pause, "the gateway does not answer as it should");
        }
        if progress.backlog.failed(user, &error, now, self.late_for) {
            let name = self.views.look(|reading| Arc::clone(reading.books.names.text(user)));
            tracing::warn!(%error, user = %name, "the gateway refuses a user, who is left out for now");
        }
        self.status.send_modify(|status| status.last_error = Some(error.to_string()));
    }
}

impl Progress {
    fn from(cursor: Cursor, head: Sequence, clock: Timestamp) -> Self {
        let now = Instant::now();
        Self {
            read: cursor.position(),
            cursor,
            began_at: head,
            read_again: now,
            backlog: Backlog::default(),
            attempts: FuturesUnordered::new(),
            gate: Gate { opens: None, pauses: broker::pauses() },
            pass: None,
            next_pass: Some(now),
            next_tick: now,
            next_expiries: now,
            expired_until: clock,
        }
    }

    /// Whether one more attempt may begin.
    fn has_room(&self, now: Instant) -> bool {
        match self.gate.opens {
            None => self.attempts.len() < ATTEMPTS_MAX,
            Some(opens) => self.attempts.is_empty() && opens <= now,
        }
    }

    /// When there is something to do, even if nothing happens.
    fn wake(&self, end: Sequence) -> Instant {
        let reading = (self.read < end).then_some(self.read_again);
        // With all attempts under way, the end of one is waited for.
        let attempt = match self.gate.opens {
            None if self.attempts.len() < ATTEMPTS_MAX => self.backlog.next_start(),
            Some(opens) if self.attempts.is_empty() => {
                self.backlog.next_start().map(|start| start.max(opens))
            }
            None | Some(_) => None,
        };
        let pass = if self.pass.is_none() { self.next_pass } else { None };
        [reading, attempt, pass, Some(self.next_expiries)]
            .into_iter()
            .flatten()
            .fold(self.next_tick, Instant::min)
    }
}

impl Gate {
    fn open(&mut self) {
        if self.opens.take().is_some() {
            self.pauses = broker::pauses();
        }
    }

    /// Closes for a while; gives how long, unless it was closed already.
    fn close(&mut self, now: Instant) -> Option<Duration> {
        if self.opens.is_some_and(|opens| opens > now) {
            return None;
        }
        let pause = broker::next_pause(&mut self.pauses);
        self.opens = Some(now + pause);
        Some(pause)
    }
}
