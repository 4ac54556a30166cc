//! What people read of an event: a subject and plain text, with exact amounts.

use projections::books::Books;
use projections::notices::Notice;
use schemas::{
    AlertFigures, AlertRaised, BillPosted, CreditKind, Event, LimitKind, Recorded, StatusReason,
    TenantId,
};

/// A letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) body: String,
}

impl Letter {
    /// About an event; `None` when nobody is told of it.
    pub(super) fn about(books: &Books, recorded: &Recorded) -> Option<Self> {
        let (tenant, notice) = Notice::of(&recorded.event)?;
        let (matter, lines) = text(books, notice, &recorded.event)?;
        let name = called(books, tenant);
        let lines: Vec<String> = std::iter::once(format!("Organization: {name}"))
            .chain(lines)
            .chain([
                format!("Time: {}", recorded.recorded_at),
                format!("Event: {} ({})", recorded.sequence, notice.name()),
            ])
            .collect();
        Some(Self {
            subject: on_one_line(&format!("{name}: {matter}")),
            body: format!("{}\n", lines.join("\n")),
        })
    }
}

/// What people call a tenant.
fn called(books: &Books, tenant: TenantId) -> String {
    let display_name = books.directory.tenant(tenant).display_name.clone();
    display_name.unwrap_or_else(|| books.names.text(tenant).to_string())
}

/// Names may have lines in them, subjects may not.
fn on_one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn text(books: &Books, notice: Notice, event: &Event) -> Option<(String, Vec<String>)> {
    Some(match event {
        Event::AlertRaised(alert) => of_alert(books, notice, alert),
        Event::AlertCleared(_) => (
            "the balance is restored".to_owned(),
            vec!["What is available is enough again.".to_owned()],
        ),
        Event::WalletToppedUp(top_up) => (
            format!("{} USD were paid in", top_up.amount),
            vec![
                format!("Amount: {} USD", top_up.amount),
                format!("Reference: {}", top_up.reference),
            ],
        ),
        Event::WalletCredited(credit) => {
            let what = match credit.kind {
                CreditKind::Refund => "refunded",
                CreditKind::Credit => "credited",
            };
            let bill = credit.bill.map(|bill| format!("Bill: {bill}"));
            let lines = [format!("Amount: {} USD", credit.amount)]
                .into_iter()
                .chain(bill)
                .chain([format!("Reason: {}", credit.reason)]);
            (format!("{} USD were {what}", credit.amount), lines.collect())
        }
        Event::TopUpSucceeded(top_up) => (
            format!("a top-up of {} USD has succeeded", top_up.amount),
            vec![
                format!("Amount: {} USD", top_up.amount),
                format!("Payment: {}", top_up.payment_intent),
            ],
        ),
        Event::TopUpFailed(failed) => {
            ("a top-up has failed".to_owned(), vec![format!("Reason: {}", failed.reason)])
        }
        Event::BillPosted(bill) => of_bill(bill),
        Event::TenantStatusChanged(changed) => {
            let what = match notice {
                Notice::TenantSuspended => "the organization is suspended",
                Notice::TenantDeactivated => "the organization is deactivated",
                _ => "the organization is active again",
            };
            let reason = match changed.reason {
                StatusReason::ByHand => "set by an administrator",
                StatusReason::CreditLimitPassed => "a bill took the wallet below its credit limit",
                StatusReason::CreditRestored => "the wallet is above its credit limit again",
            };
            (what.to_owned(), vec![format!("Reason: {reason}")])
        }
        _ => return None,
    })
}

fn of_bill(bill: &BillPosted) -> (String, Vec<String>) {
    let lines = vec![
        format!("Day: {} (UTC)", bill.day),
        format!("Calls: {}, of them late: {}", bill.requests, bill.late_requests),
        format!("Tokens: {}", bill.tokens),
        format!("Cost: {} USD", bill.cost),
        format!("Wallet before: {} USD", bill.before),
        format!("Wallet after: {} USD", bill.after),
    ];
    (format!("the bill for {} is {} USD", bill.day, bill.cost), lines)
}

fn of_alert(books: &Books, notice: Notice, alert: &AlertRaised) -> (String, Vec<String>) {
    let matter = match notice {
        Notice::LowBalance => "the balance is low",
        Notice::CreditLimitPassed => "the credit limit is passed",
        Notice::LimitWarning => "80 % of a consumption limit are used",
        Notice::LimitReached => "a consumption limit is reached",
        Notice::QuotaWarning => "80 % of a user's quota are used",
        _ => "a user's quota is exhausted",
    };
    let user = alert.subject.user.map(|user| format!("User: {}", books.names.text(user)));
    let limit = match alert.subject.kind {
        schemas::AlertKind::LimitWarning(limit) | schemas::AlertKind::LimitReached(limit) => {
            Some(match limit {
                LimitKind::Monthly => "Limit: of the month",
                LimitKind::Daily => "Limit: of the day",
                LimitKind::PerUser => "Limit: of one user's month",
            })
        }
        _ => None,
    };
    let period = alert.period.map(|first| format!("Period: from {first}"));
    let figures = match alert.figures {
        AlertFigures::Money(available, threshold) => {
            format!("Available: {available} USD\nThreshold: {threshold} USD")
        }
        AlertFigures::Tokens(spent, limit) => format!("Tokens used: {spent} of {limit}"),
        AlertFigures::Quota(spent, total) => format!("Quota used: {spent} of {total}"),
    };
    let lines = user.into_iter().chain(limit.map(str::to_owned)).chain(period).chain([figures]);
    (matter.to_owned(), lines.collect())
}
