//! The events of the third released format: tenants, accounts, holds, bills, payments, alerts,
//! webhooks.

use schemas::{
    AccountSet, AlertCleared, AlertFigures, AlertKind, AlertRaised, AlertSubject, ApiKeyId,
    ApiKeyIssued, ApiKeyRevoked, AssistantId, AutoTopUp, AutoTopUpSet, BillItemized, BillLine,
    BillLineKind, BillPosted, Change, ConsumptionLimits, ConsumptionLimitsSet, CreditKind, Credits,
    Day, DeliveryAttempted, DeliveryOutcome, DeliveryRequested, Event, ExternalId, HoldExpired,
    HoldPlaced, HoldReleased, LimitKind, ModelId, Money, PasswordCleared, PasswordSet, Period,
    PeriodClosed, Role, Sealed, SessionClosed, SessionOpened, StatusReason, TenantId, TenantStatus,
    TenantStatusChanged, TenantUpdated, TermChanges, TopUpFailed, TopUpId, TopUpKind, TopUpLinked,
    TopUpStarted, TopUpSucceeded, TopUpTerms, UserId, WalletCredited, WebhookId, WebhookRemoved,
    WebhookSecret, WebhookSet, Zone,
};

use crate::support::{at, second};

/// Every event, in the order of their list, at least once.
pub(super) fn events() -> Vec<Event> {
    let mut events = tenants();
    events.extend(accounts());
    events.extend(holds());
    events.extend(bills());
    events.extend(top_ups());
    events.extend(alerts());
    events.extend(webhooks());
    events
}

fn money(units: i128) -> Money {
    Money::from_units(units)
}

fn sealed(letter: u8) -> Sealed {
    Sealed { key: 70_000, bytes: vec![letter; 30] }
}

fn tenants() -> Vec<Event> {
    let tenant = TenantId(300);
    let set = TermChanges {
        display_name: Change::Set("Ácme".to_owned()),
        contact_email: Change::Set(sealed(1)),
        billing_email: Change::Clear,
        zone: Change::Set(Zone(schemas::Tz::Asia__Kolkata)),
        markup_basis_points: Change::Set(-1_250),
        credit_limit: Change::Set(money(500_000_000_000_000_000_000)),
        suspends_past_credit_limit: Change::Set(true),
        low_balance: Change::Keep,
    };
    let cleared = TermChanges { zone: Change::Clear, ..TermChanges::default() };
    let update = |terms| Event::TenantUpdated(Box::new(TenantUpdated { tenant, terms }));
    let status =
        |status, reason| Event::TenantStatusChanged(TenantStatusChanged { tenant, status, reason });
    let limits = ConsumptionLimits { monthly: u64::MAX, daily: 0, per_user: 70_000 };
    let auto_top_up = AutoTopUp {
        enabled: true,
        threshold: money(1),
        amount: money(20_000_000_000_000_000_000),
        payment_method: Some("pm_1".to_owned()),
        customer: None,
    };
    vec![
        update(set),
        update(cleared),
        status(TenantStatus::Active, StatusReason::CreditRestored),
        status(TenantStatus::Suspended, StatusReason::CreditLimitPassed),
        status(TenantStatus::Inactive, StatusReason::ByHand),
        Event::ConsumptionLimitsSet(ConsumptionLimitsSet { tenant, limits }),
        Event::AutoTopUpSet(Box::new(AutoTopUpSet { tenant, auto_top_up })),
    ]
}

fn accounts() -> Vec<Event> {
    let user = UserId(1);
    let account = |role, active: bool| {
        let within = (!active).then_some(TenantId(300));
        Event::AccountSet(AccountSet { user, within, role, active })
    };
    let session = [0xA5; 32];
    vec![
        account(Role::TenantUser, true),
        account(Role::TenantAdmin, false),
        account(Role::Developer, true),
        Event::PasswordSet(PasswordSet { user, hash: sealed(2) }),
        Event::SessionOpened(SessionOpened { user, session, expires_at: second(9) }),
        Event::SessionClosed(SessionClosed { user, session }),
        Event::ApiKeyIssued(Box::new(ApiKeyIssued {
            key: ApiKeyId(300),
            name: "gateway".to_owned(),
            digest: [0x5A; 32],
            prefix: "tbk_ab12".to_owned(),
            role: Role::TenantAdmin,
            tenant: Some(TenantId(300)),
            user: None,
            expires_at: Some(second(9)),
        })),
        Event::ApiKeyRevoked(ApiKeyRevoked { key: ApiKeyId(300) }),
        Event::PasswordCleared(PasswordCleared { user }),
    ]
}

fn holds() -> Vec<Event> {
    let tenant = TenantId(300);
    vec![
        Event::HoldPlaced(Box::new(HoldPlaced {
            tenant,
            user: Some(UserId(1)),
            model: None,
            request_id: ExternalId::Text("chatcmpl-1".to_owned()),
            amount: money(1),
            credits: Credits::ONE,
            tokens: 70_000,
            expires_at: second(9),
        })),
        Event::HoldReleased(HoldReleased { tenant, hold: at(7) }),
        Event::HoldExpired(HoldExpired { tenant, hold: at(8) }),
    ]
}

fn bills() -> Vec<Event> {
    let (tenant, day) = (TenantId(300), Day::from_days(20_000));
    let line = |kind| BillLine { day, kind, requests: 1, tokens: 70_000, cost: money(7) };
    let kinds = [
        BillLineKind::Day,
        BillLineKind::Assistant(None),
        BillLineKind::Assistant(Some(AssistantId(3))),
        BillLineKind::User(Some(UserId(1))),
        BillLineKind::Model(Some(ModelId(2))),
    ];
    let credit = |kind, bill| {
        let reason = "as agreed".to_owned();
        Event::WalletCredited(WalletCredited { tenant, amount: money(5), kind, bill, reason })
    };
    let closed = |period| {
        Event::PeriodClosed(PeriodClosed {
            tenant,
            period,
            first: Day::from_days(-1),
            requests: 1,
            tokens: 2,
            cost: money(3),
        })
    };
    vec![
        Event::BillItemized(BillItemized { tenant, day, lines: kinds.map(line).to_vec() }),
        Event::BillPosted(Box::new(BillPosted {
            tenant,
            day,
            first: at(7),
            requests: 1,
            tokens: 70_000,
            cost: money(7),
            late_requests: 0,
            before: money(-1),
            after: money(-8),
        })),
        credit(CreditKind::Refund, Some(at(9))),
        credit(CreditKind::Credit, None),
        closed(Period::Day),
        closed(Period::Month),
    ]
}

fn top_ups() -> Vec<Event> {
    let (top_up, tenant, amount) = (TopUpId([0xEF; 16]), TenantId(300), money(10));
    let kinds =
        [TopUpKind::Checkout, TopUpKind::PaymentIntent, TopUpKind::Auto, TopUpKind::Unannounced];
    let terms = TopUpTerms {
        payment_method: Some("pm_1".to_owned()),
        customer: None,
        success_url: Some("https://example.com/paid".to_owned()),
        cancel_url: None,
    };
    let started = |kind| {
        let terms = terms.clone();
        Event::TopUpStarted(Box::new(TopUpStarted { top_up, tenant, amount, kind, terms }))
    };
    let mut events = kinds.map(started).to_vec();
    let payment_intent = "pi_1".to_owned();
    events.extend([
        Event::TopUpLinked(TopUpLinked {
            top_up,
            payment_intent: Some(payment_intent.clone()),
            checkout_session: None,
        }),
        Event::TopUpSucceeded(TopUpSucceeded { top_up, tenant, amount, payment_intent }),
        Event::TopUpFailed(TopUpFailed { top_up, tenant, reason: "card_declined".to_owned() }),
    ]);
    events
}

fn alerts() -> Vec<Event> {
    let subject = |user, kind| AlertSubject { tenant: TenantId(300), user, kind };
    let raised =
        |(subject, period, figures)| Event::AlertRaised(AlertRaised { subject, period, figures });
    let (user, day) = (Some(UserId(1)), Some(Day::from_days(20_000)));
    let dollars = AlertFigures::Money(money(-1), money(10));
    let tokens = AlertFigures::Tokens(80, 100);
    let quota = AlertFigures::Quota(Credits::ONE, Credits::ONE);
    let mut events: Vec<Event> = [
        (subject(None, AlertKind::LowBalance), None, dollars),
        (subject(None, AlertKind::CreditLimitPassed), None, dollars),
        (subject(None, AlertKind::LimitWarning(LimitKind::Monthly)), day, tokens),
        (subject(None, AlertKind::LimitReached(LimitKind::Daily)), day, tokens),
        (subject(user, AlertKind::LimitReached(LimitKind::PerUser)), day, tokens),
        (subject(user, AlertKind::QuotaWarning), None, quota),
        (subject(user, AlertKind::QuotaExhausted), None, quota),
    ]
    .map(raised)
    .to_vec();
    let subject = subject(None, AlertKind::LowBalance);
    events.push(Event::AlertCleared(AlertCleared { subject }));
    events
}

fn webhooks() -> Vec<Event> {
    let webhook = WebhookId([0xCD; 16]);
    let outcomes = [
        DeliveryOutcome::Delivered,
        DeliveryOutcome::RetryAt(second(9)),
        DeliveryOutcome::GivenUp,
        DeliveryOutcome::Gone,
    ];
    let attempted = |(attempt, outcome)| {
        Event::DeliveryAttempted(DeliveryAttempted {
            webhook,
            event: at(7),
            attempt,
            status: 503,
            error: "unavailable".to_owned(),
            outcome,
        })
    };
    let mut events = vec![Event::WebhookSet(Box::new(WebhookSet {
        webhook,
        tenant: Some(TenantId(300)),
        url: "https://example.com/hook".to_owned(),
        types: vec!["bill.posted".to_owned()],
        enabled: true,
        secrets: vec![
            WebhookSecret { sealed: sealed(3), signs_until: None },
            WebhookSecret { sealed: sealed(4), signs_until: Some(second(9)) },
        ],
        description: String::new(),
    }))];
    events.push(Event::WebhookRemoved(WebhookRemoved { webhook }));
    events.extend((1..).zip(outcomes).map(attempted));
    events.push(Event::DeliveryRequested(DeliveryRequested { webhook, event: at(7) }));
    events
}
