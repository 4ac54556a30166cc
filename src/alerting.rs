//! Follows the log for whatever may have become an alert, or is none any more, and has it reviewed:
//! of those whom events concern shortly after them, of everyone at the start, whenever a manual clock
//! moves, and every minute, since time alone moves much. It looks before it asks, so that the writer
//! hears of it only when something changes.

use std::collections::BTreeSet;
use std::time::Duration;

use projections::ledger::{MoneyAccount, money_postings, moved_users};
use schemas::{
    CallContext, Command, Envelope, Event, Name, NameKind, Recorded, ReviewAlerts, Sequence,
    TenantId, UserId,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cursor::{blocking, gauge};
use crate::domain::review_alerts;
use crate::views::Views;
use crate::writer::{SubmitError, Writer};

/// The most tenants, users and pairs of them that one command reviews.
const SUBJECTS_MAX: usize = 500;
/// The most events that are read at once.
const BATCH_EVENTS_MAX: u64 = 4096;
/// Further behind than this, everyone is reviewed instead of those whom the events concern.
const BEHIND_EVENTS_MAX: u64 = 200_000;
/// Between two looks at the log.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Between two reviews of everyone.
const BETWEEN_PASSES: Duration = Duration::from_mins(1);
/// After the log could not be read, or the writer was busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the work ends before it is told to.
#[derive(Debug, PartialEq, Eq)]
struct Ended;

/// What works.
pub(crate) struct Alerting {
    writer: Writer,
    views: Views,
    clock: Clock,
    actor: Name,
}

/// Whose alerts are to be reviewed.
#[derive(Debug, Default)]
struct Subjects {
    tenants: BTreeSet<TenantId>,
    users: BTreeSet<UserId>,
    payers: BTreeSet<(TenantId, UserId)>,
}

impl Alerting {
    pub(crate) fn new(writer: Writer, views: Views, clock: Clock) -> Self {
        let actor = Name::try_from("alerts").expect("invariant: a name");
        Self { writer, views, clock, actor }
    }

    /// Works until `stop`, or until the writer has ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            Ended = self.work() => {}
        }
    }

    async fn work(&self) -> Ended {
        let mut head = self.views.watch_head();
        let mut moved = self.clock.changed();
        let mut reviewed = Sequence::ZERO;
        let mut next_pass = Instant::now();
        loop {
            let looked = Instant::now();
            let end = *head.borrow_and_update();
            moved.mark_unchanged();
            let behind = end.get().saturating_sub(reviewed.get());
            let outcome = if next_pass <= looked || behind > BEHIND_EVENTS_MAX {
                next_pass = looked + BETWEEN_PASSES;
                self.review_everyone().await.map(|()| reviewed = end)
            } else {
                self.review_since(&mut reviewed, end).await
            };
            if outcome.is_err() {
                return Ended;
            }
            metrics::gauge!("alerts_reviewed_events").set(gauge(reviewed.get()));
            tokio::select! {
                changed = head.changed() => if changed.is_err() { return Ended },
                _ = moved.changed() => next_pass = Instant::now(),
                () = tokio::time::sleep_until(next_pass) => {}
            }
            tokio::select! {
                () = tokio::time::sleep_until(looked + BETWEEN_LOOKS) => {}
                _ = moved.changed() => next_pass = Instant::now(),
            }
        }
    }

    /// Reviews those whom the events after `reviewed` and up to `end` concern.
    async fn review_since(&self, reviewed: &mut Sequence, end: Sequence) -> Result<(), Ended> {
        let mut subjects = Subjects::default();
        while *reviewed < end {
            let (views, from) = (self.views.clone(), reviewed.next());
            let events_max = BATCH_EVENTS_MAX.min(end.get().saturating_sub(reviewed.get()));
            match blocking(move || views.log().page(from, events_max)).await {
                Ok(events) => {
                    for recorded in &events {
                        self.gather(&mut subjects, recorded);
                        *reviewed = recorded.sequence;
                    }
                }
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::error!(error, "cannot read the log for alerts");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let Subjects { tenants, users, payers } = subjects;
        let tenants: Vec<_> = tenants.into_iter().collect();
        let users: Vec<_> = users.into_iter().collect();
        let payers: Vec<_> = payers.into_iter().collect();
        for tenants in tenants.chunks(SUBJECTS_MAX) {
            let tenants = tenants.to_vec();
            self.review(ReviewAlerts { tenants, ..ReviewAlerts::default() }).await?;
        }
        for users in users.chunks(SUBJECTS_MAX) {
            let users = users.to_vec();
            self.review(ReviewAlerts { users, ..ReviewAlerts::default() }).await?;
        }
        for payers in payers.chunks(SUBJECTS_MAX) {
            let payers = payers.to_vec();
            self.review(ReviewAlerts { payers, ..ReviewAlerts::default() }).await?;
        }
        Ok(())
    }

    /// Whom an event concerns.
    fn gather(&self, subjects: &mut Subjects, recorded: &Recorded) {
        let Subjects { tenants, users, payers } = subjects;
        let event = &recorded.event;
        moved_users(event, |user| users.extend([user]));
        money_postings(event, |posting| {
            for account in [posting.source, posting.destination] {
                if let MoneyAccount::Wallet(tenant) | MoneyAccount::Accrued(tenant) = account {
                    tenants.insert(tenant);
                }
            }
        });
        match event {
            Event::ConsumptionRecorded(consumption) => {
                let CallContext { tenant, user, .. } = &consumption.context;
                tenants.insert(*tenant);
                payers.extend(user.map(|user| (*tenant, user)));
                // Who calls for the first time belongs to a tenant from then on.
                users.extend(user);
            }
            Event::RequestReceived(half) => users.extend(half.context.user),
            Event::ResponseReceived(half) => users.extend(half.context.user),
            Event::UserRegistered(registered) => users.extend([registered.user]),
            Event::HoldPlaced(hold) => tenants.extend([hold.tenant]),
            Event::HoldReleased(hold) => tenants.extend([hold.tenant]),
            Event::HoldExpired(hold) => tenants.extend([hold.tenant]),
            Event::TenantUpdated(updated) => tenants.extend([updated.tenant]),
            Event::ConsumptionLimitsSet(set) => {
                tenants.insert(set.tenant);
                self.views.look(|reading| {
                    let of_tenant = &reading.books.directory.tenant(set.tenant).users;
                    payers.extend(of_tenant.iter().map(|user| (set.tenant, *user)));
                });
            }
            _ => {}
        }
    }

    /// Reviews everyone there is, some at a time.
    async fn review_everyone(&self) -> Result<(), Ended> {
        for kind in [NameKind::Tenant, NameKind::User] {
            let mut from = 0;
            while let Some((command, next)) = self.page(kind, from) {
                self.review(command).await?;
                tokio::task::yield_now().await;
                from = next;
            }
        }
        Ok(())
    }

    /// Those of a kind from `from` on, and where the next page begins. A user's own limit is looked at
    /// where the tenant of the user pays; where another one does, at the call.
    fn page(&self, kind: NameKind, from: u32) -> Option<(ReviewAlerts, u32)> {
        let subjects_max = u32::try_from(SUBJECTS_MAX / 2).unwrap_or(u32::MAX);
        self.views.look(|reading| {
            let books = &reading.books;
            let to = from.saturating_add(subjects_max).min(books.names.next_number(kind));
            if from >= to {
                return None;
            }
            let mut command = ReviewAlerts::default();
            if kind == NameKind::Tenant {
                command.tenants.extend((from..to).map(TenantId));
                return Some((command, to));
            }
            command.users.extend((from..to).map(UserId));
            for user in (from..to).map(UserId) {
                let tenant = books.directory.user(user).tenant;
                let told = books.alerts.of_user(user).map(|(subject, _)| subject.tenant);
                command.payers.extend(tenant.into_iter().chain(told).map(|tenant| (tenant, user)));
            }
            Some((command, to))
        })
    }

    /// Has them reviewed, if anything would change.
    async fn review(&self, command: ReviewAlerts) -> Result<(), Ended> {
        loop {
            let now = self.clock.now();
            let would = self.views.look(|reading| review_alerts(&reading.books, &command, now));
            if would.is_empty() {
                return Ok(());
            }
            let review = Command::ReviewAlerts(command.clone());
            match self.writer.submit(Envelope::new(self.actor.clone(), review)).await {
                Ok(_) => return Ok(()),
                Err(SubmitError::Stopped) => return Err(Ended),
                Err(SubmitError::Busy) => {}
                Err(SubmitError::Rejected(rejection)) => {
                    tracing::error!(%rejection, "alerts cannot be reviewed");
                    return Ok(());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
