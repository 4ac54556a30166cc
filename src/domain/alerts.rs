//! Alerts: what wants attention, once for each crossing. An alert is raised when what it is about
//! comes true, and cleared when it is so no longer.

use std::collections::BTreeSet;

use projections::books::Books;
use schemas::{
    AlertCleared, AlertFigures, AlertKind, AlertRaised, AlertSubject, Day, Event, LimitKind, Money,
    ReviewAlerts, TenantId, Timestamp, UserId,
};

/// Below which available amount the people of a tenant are told who have set nothing else: $10. Only
/// those whose wallet was ever filled.
const LOW_BALANCE: Money = Money::from_units(10_000_000_000_000_000_000);

/// The alerts that are due, and those that are not any more: of the tenants, of the quota of the
/// users, then of the users' own limits. The same for the same subjects, however they are listed.
#[must_use]
pub fn review(books: &Books, command: &ReviewAlerts, now: Timestamp) -> Vec<Event> {
    let ReviewAlerts { tenants, users, payers } = command;
    let mut review = Review { books, now, events: Vec::new() };
    for tenant in tenants.iter().copied().collect::<BTreeSet<_>>() {
        review.wallet(tenant);
        review.limits(tenant);
    }
    for user in users.iter().copied().collect::<BTreeSet<_>>() {
        review.quota(user);
    }
    for (tenant, user) in payers.iter().copied().collect::<BTreeSet<_>>() {
        review.limit_of_user(tenant, user);
    }
    review.events
}

struct Review<'a> {
    books: &'a Books,
    now: Timestamp,
    events: Vec<Event>,
}

impl Review<'_> {
    /// Raises or clears, unless that is so already. What is true in one period is raised once in it,
    /// and anew in the next.
    fn settle(&mut self, subject: AlertSubject, period: Option<Day>, due: Option<AlertFigures>) {
        let raised = self.books.alerts.raised(subject);
        match (due, raised) {
            (Some(_), Some(raised)) if raised.period == period => {}
            (Some(figures), _) => {
                self.events.push(Event::AlertRaised(AlertRaised { subject, period, figures }));
            }
            (None, Some(_)) => self.events.push(Event::AlertCleared(AlertCleared { subject })),
            (None, None) => {}
        }
    }

    /// By what is not used yet: what holds keep comes and goes with every call.
    fn wallet(&mut self, tenant: TenantId) {
        let wallet = self.books.wallets.wallet(tenant);
        let terms = self.books.tenants.terms(tenant);
        // Amounts that leave the range are nobody's wallet.
        let Some(available) = wallet.available() else { return };
        let threshold = terms.low_balance.or_else(|| wallet.funded.then_some(LOW_BALANCE));
        let low = threshold
            .filter(|threshold| available < *threshold)
            .map(|threshold| AlertFigures::Money(available, threshold));
        let floor = terms.credit_limit.and_then(Money::checked_neg);
        let passed = floor
            .filter(|floor| available < *floor)
            .map(|floor| AlertFigures::Money(available, floor));
        let about = |kind| AlertSubject { tenant, user: None, kind };
        self.settle(about(AlertKind::LowBalance), None, low);
        self.settle(about(AlertKind::CreditLimitPassed), None, passed);
    }

    fn limits(&mut self, tenant: TenantId) {
        let (today, month) = self.periods(tenant);
        let limits = self.books.tenants.terms(tenant).limits;
        let usage = &self.books.limit_usage;
        let (of_month, of_day) = (usage.month(tenant, month), usage.day(tenant, today));
        self.limit(tenant, None, LimitKind::Monthly, month, (of_month, limits.monthly));
        self.limit(tenant, None, LimitKind::Daily, today, (of_day, limits.daily));
    }

    fn limit_of_user(&mut self, tenant: TenantId, user: UserId) {
        let (_, month) = self.periods(tenant);
        let limit = self.books.tenants.terms(tenant).limits.per_user;
        let spent = self.books.limit_usage.user_month(tenant, user, month);
        self.limit(tenant, Some(user), LimitKind::PerUser, month, (spent, limit));
    }

    /// The tenant's present day, and the first day of its present month.
    fn periods(&self, tenant: TenantId) -> (Day, Day) {
        let zone = self.books.tenants.terms(tenant).zone.now();
        let today = self.now.day_in(zone.0);
        (today, today.first_of_month())
    }

    fn limit(
        &mut self,
        tenant: TenantId,
        user: Option<UserId>,
        limit: LimitKind,
        period: Day,
        (spent, whole): (u64, u64),
    ) {
        let figures = AlertFigures::Tokens(spent, whole);
        let is_set = whole > 0;
        let warning = is_set && is_mostly_used(spent.into(), whole.into());
        let reached = is_set && spent >= whole;
        for (kind, is_due) in
            [(AlertKind::LimitWarning(limit), warning), (AlertKind::LimitReached(limit), reached)]
        {
            let subject = AlertSubject { tenant, user, kind };
            self.settle(subject, Some(period), is_due.then_some(figures));
        }
    }

    /// Of a user whom nobody ever gave quota, or whose tenant nobody knows, there is nothing to tell.
    /// What was told to a tenant that the user has left is taken back.
    fn quota(&mut self, user: UserId) {
        let account = self.books.quota.account(user);
        let tenant = self.books.directory.user(user).tenant;
        let of_others: Vec<AlertSubject> = self
            .books
            .alerts
            .of_user(user)
            .map(|(subject, _)| subject)
            .filter(|subject| is_of_quota(subject.kind) && Some(subject.tenant) != tenant)
            .collect();
        for subject in of_others {
            self.settle(subject, None, None);
        }
        let Some(tenant) = tenant.filter(|_| account.was_given()) else { return };
        let (whole, spent) = (account.total_at(self.now), account.used_at(self.now));
        let figures = AlertFigures::Quota(spent, whole);
        let exhausted = !account.available_at(self.now).is_positive();
        let warning =
            whole.is_positive() && is_mostly_used(spent.units().into(), whole.units().into());
        for (kind, is_due) in
            [(AlertKind::QuotaWarning, warning), (AlertKind::QuotaExhausted, exhausted)]
        {
            let subject = AlertSubject { tenant, user: Some(user), kind };
            self.settle(subject, None, is_due.then_some(figures));
        }
    }
}

const fn is_of_quota(kind: AlertKind) -> bool {
    matches!(kind, AlertKind::QuotaWarning | AlertKind::QuotaExhausted)
}

/// Whether 80 % are used. Tokens and credits have 64 bits, which leaves room for the products.
const fn is_mostly_used(used: i128, whole: i128) -> bool {
    used * 5 >= whole * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_are_most() {
        for (used, whole, expected) in [
            (0, 1, false),
            (79, 100, false),
            (80, 100, true),
            (3, 4, false),
            (4, 5, true),
            (i128::from(u64::MAX), i128::from(u64::MAX), true),
            (i128::from(i64::MIN), i128::from(i64::MAX), false),
        ] {
            assert_eq!(is_mostly_used(used, whole), expected, "{used} of {whole}");
        }
    }

    /// A book in which this was recorded at the epoch, one event after the other.
    fn books(events: Vec<Event>) -> Books {
        let mut books = Books::default();
        for event in events {
            take_in(&mut books, event);
        }
        books
    }

    fn take_in(books: &mut Books, event: Event) {
        let sequence = books.head.next();
        books.apply(&schemas::Recorded {
            sequence,
            recorded_at: Timestamp::EPOCH,
            cause: sequence,
            command: None,
            event,
        });
    }

    const TENANT: TenantId = TenantId(0);

    /// What is due for a limit at `now`, with this much used; taken into the books.
    fn use_limit(books: &mut Books, period: Day, figures: (u64, u64)) -> Vec<Event> {
        let mut review = Review { books, now: Timestamp::EPOCH, events: Vec::new() };
        review.limit(TENANT, None, LimitKind::Daily, period, figures);
        let events = review.events;
        for event in &events {
            take_in(books, event.clone());
        }
        events
    }

    #[test]
    fn a_limit_warns_and_is_reached_once_in_each_period() {
        let mut books = books(Vec::new());
        let (today, tomorrow) = (Day::from_days(7), Day::from_days(8));
        let kinds = |events: Vec<Event>| {
            let kind = |event: Event| match event {
                Event::AlertRaised(raised) => (true, raised.subject.kind),
                Event::AlertCleared(cleared) => (false, cleared.subject.kind),
                other => panic!("no alert: {other:?}"),
            };
            events.into_iter().map(kind).collect::<Vec<_>>()
        };
        let warning = AlertKind::LimitWarning(LimitKind::Daily);
        let reached = AlertKind::LimitReached(LimitKind::Daily);
        for (period, used, limit, expected) in [
            (today, 79, 100, vec![]),
            (today, 80, 100, vec![(true, warning)]),
            (today, 99, 100, vec![]),
            (today, 100, 100, vec![(true, reached)]),
            (today, 500, 100, vec![]),
            // The next day begins with much, then there is no limit, then a wider one.
            (tomorrow, 85, 100, vec![(true, warning), (false, reached)]),
            (tomorrow, 100, 0, vec![(false, warning)]),
            (tomorrow, 100, 1000, vec![]),
            (tomorrow, 1000, 1000, vec![(true, warning), (true, reached)]),
            (tomorrow.next(), 0, 1000, vec![(false, warning), (false, reached)]),
        ] {
            let events = use_limit(&mut books, period, (used, limit));
            assert_eq!(kinds(events), expected, "{used} of {limit}");
        }
    }
}
