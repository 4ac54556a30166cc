//! Alerts under random money, quota and time: raised exactly while what they are about is true, once
//! for each crossing, however often they are reviewed.

use std::collections::BTreeSet;

use projections::Projection;
use projections::alerts::Alerts;
use projections::books::Books;
use projections::tenants::Tenants;
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::{
    AlertKind, AlertSubject, Change, Event, Money, NameKind, Recorded, ReviewAlerts, Sequence,
    TenantId, TenantUpdated, TermChanges, Timestamp, UserId,
};
use tallybook::domain::review_alerts;

use crate::actions::{Script, script};
use crate::book::Book;
use crate::model::is_over;
use crate::rounds;

/// What a tenant has set, in cents.
#[derive(Debug, Clone)]
struct Terms {
    tenant: u32,
    low_balance: Option<i64>,
    credit_limit: Option<u32>,
}

fn terms() -> impl Strategy<Value = Terms> {
    (0..3_u32, any::<Option<i16>>(), any::<Option<u16>>()).prop_map(|(tenant, low, credit)| Terms {
        tenant,
        low_balance: low.map(i64::from),
        credit_limit: credit.map(u32::from),
    })
}

fn cents(cents: i64) -> Money {
    Money::from_units(i128::from(cents) * 10_000_000_000_000_000)
}

/// A book in which alerts are reviewed beside everything else.
struct Watch {
    book: Book,
    alerts: Alerts,
    tenants: Tenants,
}

impl Watch {
    fn books(&self) -> Books {
        let mut books = self.book.reading.books.clone();
        books.alerts = self.alerts.clone();
        books.tenants = self.tenants.clone();
        books
    }

    fn recorded(&self, event: Event) -> Recorded {
        let sequence = Sequence::new(1);
        Recorded { sequence, recorded_at: self.book.now, cause: sequence, command: None, event }
    }

    fn agree(&mut self, terms: &Terms) {
        let change = |amount: Option<Money>| amount.map_or(Change::Clear, Change::Set);
        let changes = TermChanges {
            low_balance: change(terms.low_balance.map(cents)),
            credit_limit: change(terms.credit_limit.map(|limit| cents(limit.into()))),
            ..TermChanges::default()
        };
        let updated = TenantUpdated { tenant: TenantId(terms.tenant), terms: changes };
        let recorded = self.recorded(Event::TenantUpdated(Box::new(updated)));
        self.tenants.apply(&recorded);
    }

    /// Reviews everyone, and holds what follows to the laws.
    fn review(&mut self) {
        let everyone = everyone(&self.book.reading.books);
        let events = review_alerts(&self.books(), &everyone, self.book.now);
        let mut subjects = BTreeSet::new();
        for event in events {
            let (subject, is_raised) = match &event {
                Event::AlertRaised(raised) => (raised.subject, true),
                Event::AlertCleared(cleared) => (cleared.subject, false),
                other => panic!("no alert: {other:?}"),
            };
            assert!(subjects.insert(subject), "{subject:?} twice at once");
            assert_ne!(self.alerts.raised(subject).is_some(), is_raised, "{event:?} again");
            let recorded = self.recorded(event);
            self.alerts.apply(&recorded);
        }
        let books = self.books();
        let again = review_alerts(&books, &twice(&everyone), self.book.now);
        assert_eq!(again, [], "a second review changes nothing");
        assert_true(&books, self.book.now);
    }
}

fn everyone(books: &Books) -> ReviewAlerts {
    let tenants = (0..books.names.next_number(NameKind::Tenant)).map(TenantId);
    let users: Vec<_> = (0..books.names.next_number(NameKind::User)).map(UserId).collect();
    ReviewAlerts { tenants: tenants.collect(), users, payers: Vec::new() }
}

/// The same subjects, twice and in another order.
fn twice(command: &ReviewAlerts) -> ReviewAlerts {
    let ReviewAlerts { tenants, users, payers } = command;
    ReviewAlerts {
        tenants: tenants.iter().chain(tenants).rev().copied().collect(),
        users: users.iter().chain(users).rev().copied().collect(),
        payers: payers.clone(),
    }
}

/// What is raised is true, and what is true is raised; said naively.
fn assert_true(books: &Books, now: Timestamp) {
    let raised =
        |tenant, user, kind| books.alerts.raised(AlertSubject { tenant, user, kind }).is_some();
    for number in 0..books.names.next_number(NameKind::Tenant) {
        let tenant = TenantId(number);
        let wallet = books.wallets.wallet(tenant);
        let terms = books.tenants.terms(tenant);
        let left = wallet.balance.units() - wallet.accrued.units();
        let default = if wallet.funded { Some(cents(1000)) } else { None };
        let threshold = terms.low_balance.or(default);
        let is_low = threshold.is_some_and(|threshold| left < threshold.units());
        assert_eq!(raised(tenant, None, AlertKind::LowBalance), is_low, "{tenant:?} {left}");
        let passed = terms.credit_limit.is_some_and(|limit| left < -limit.units());
        assert_eq!(raised(tenant, None, AlertKind::CreditLimitPassed), passed, "{tenant:?} {left}");
    }
    for number in 0..books.names.next_number(NameKind::User) {
        let user = UserId(number);
        let account = books.quota.account(user);
        let lots = || account.lots().iter().filter(|lot| !is_over(lot.expires_at, now));
        let whole: i128 = lots().map(|lot| i128::from(lot.granted.units())).sum();
        let left: i128 = lots().map(|lot| i128::from(lot.remaining.units())).sum::<i128>()
            - i128::from(account.overdraft().units());
        let own = books.directory.user(user).tenant.filter(|_| account.was_given());
        for number in 0..books.names.next_number(NameKind::Tenant) {
            let tenant = TenantId(number);
            let is_told = own == Some(tenant);
            let of = |kind| raised(tenant, Some(user), kind);
            assert_eq!(of(AlertKind::QuotaExhausted), is_told && left <= 0, "{user:?} {left}");
            let mostly = whole > 0 && (whole - left) * 5 >= whole * 4;
            assert_eq!(of(AlertKind::QuotaWarning), is_told && mostly, "{user:?} {left} {whole}");
        }
    }
}

proptest! {
    #![proptest_config(rounds(64))]

    #[test]
    fn an_alert_is_raised_exactly_while_it_is_true(
        script in script(40), agreed in vec(terms(), 0..6), every in 1..4_usize,
    ) {
        let Script { actions, pool } = &script;
        let (alerts, tenants) = (Alerts::default(), Tenants::default());
        let mut watch = Watch { book: Book::new(), alerts, tenants };
        for (place, action) in actions.iter().enumerate() {
            watch.book.act(action, pool);
            if let Some(terms) = agreed.get(place) {
                watch.agree(terms);
            }
            if place % every == 0 {
                watch.review();
            }
        }
        watch.review();
        let bytes = |alerts: &Alerts| {
            let mut bytes = Vec::new();
            alerts.save(&mut bytes).expect("encodes");
            bytes
        };
        let read = Alerts::load(&bytes(&watch.alerts)).expect("decodes");
        prop_assert_eq!(bytes(&read), bytes(&watch.alerts));
    }
}
