//! What others are told of an event, by webhook and by mail; and alerts as lists show them.

use projections::names::Names;
use projections::notices::Notice;
use schemas::{
    AlertFigures, AlertKind, AlertSubject, Credits, Day, Event, LimitKind, Money, Recorded,
    Sequence, StatusReason, TenantStatus, Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// Whose people are told.
    pub organization_id: String,
    /// The user concerned, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `monthly`, `daily` or `per_user`, where it is about a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'static str>,
    /// The first day of the period concerned, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub period: Option<Day>,
    /// How much of how much; not of what is cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// How much of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Figures {
    /// USD.
    Money {
        /// What is there.
        #[schema(value_type = f64)]
        available: Money,
        /// Below which it is an alert.
        #[schema(value_type = f64)]
        threshold: Money,
    },
    /// Tokens.
    Tokens {
        /// How many are used.
        used_tokens: u64,
        /// How many may be used.
        limit_tokens: u64,
    },
    /// Quota.
    Quota {
        /// How much is used.
        #[schema(value_type = f64)]
        used_quota: Credits,
        /// How much there was.
        #[schema(value_type = f64)]
        total_quota: Credits,
    },
}

impl From<AlertFigures> for Figures {
    fn from(figures: AlertFigures) -> Self {
        match figures {
            AlertFigures::Money(available, threshold) => Self::Money { available, threshold },
            AlertFigures::Tokens(used_tokens, limit_tokens) => {
                Self::Tokens { used_tokens, limit_tokens }
            }
            AlertFigures::Quota(used_quota, total_quota) => Self::Quota { used_quota, total_quota },
        }
    }
}

impl AlertView {
    /// With names.
    #[must_use]
    pub fn new(
        names: &Names,
        subject: AlertSubject,
        period: Option<Day>,
        figures: Option<AlertFigures>,
    ) -> Self {
        Self {
            organization_id: names.text(subject.tenant).to_string(),
            user_id: subject.user.map(|user| names.text(user).to_string()),
            limit: limit_name(subject.kind),
            period,
            figures: figures.map(Figures::from),
        }
    }
}

/// Which limit an alert is about, where it is one.
pub(super) const fn limit_name(kind: AlertKind) -> Option<&'static str> {
    match kind {
        AlertKind::LimitWarning(limit) | AlertKind::LimitReached(limit) => Some(match limit {
            LimitKind::Monthly => "monthly",
            LimitKind::Daily => "daily",
            LimitKind::PerUser => "per_user",
        }),
        AlertKind::LowBalance
        | AlertKind::CreditLimitPassed
        | AlertKind::QuotaWarning
        | AlertKind::QuotaExhausted => None,
    }
}

/// What others are told of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeView {
    /// What it is called.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// When it was recorded.
    pub timestamp: Timestamp,
    /// More of it.
    pub data: NoticeData,
}

/// What others are told of an event, by its type. Amounts of money are in USD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "each mirrors its event, which says what it holds")]
pub enum NoticeData {
    Alert(AlertView),
    TopUpByHand {
        organization_id: String,
        amount: Money,
        reference: String,
    },
    Credit {
        organization_id: String,
        amount: Money,
        kind: schemas::CreditKind,
        bill: Option<Sequence>,
        reason: String,
    },
    TopUp {
        organization_id: String,
        top_up_id: String,
        amount: Money,
        payment_intent: String,
    },
    TopUpFailure {
        organization_id: String,
        top_up_id: String,
        reason: String,
    },
    Bill {
        organization_id: String,
        bill: Sequence,
        day: Day,
        requests: u64,
        late_requests: u64,
        total_tokens: u64,
        total_cost: Money,
        wallet_balance_before: Money,
        wallet_balance_after: Money,
    },
    Status {
        organization_id: String,
        status: TenantStatus,
        reason: StatusReason,
    },
}

impl NoticeView {
    /// What others are told of `recorded`; `None` when nobody is.
    #[must_use]
    pub fn new(names: &Names, recorded: &Recorded) -> Option<Self> {
        let (tenant, notice) = Notice::of(&recorded.event)?;
        let organization_id = names.text(tenant).to_string();
        let data = NoticeData::new(names, organization_id, recorded)?;
        Some(Self { name: notice.name(), timestamp: recorded.recorded_at, data })
    }
}

impl NoticeData {
    fn new(names: &Names, organization_id: String, recorded: &Recorded) -> Option<Self> {
        Some(match &recorded.event {
            Event::AlertRaised(alert) => {
                let figures = Some(alert.figures);
                Self::Alert(AlertView::new(names, alert.subject, alert.period, figures))
            }
            Event::AlertCleared(alert) => {
                Self::Alert(AlertView::new(names, alert.subject, None, None))
            }
            Event::WalletToppedUp(top_up) => Self::TopUpByHand {
                organization_id,
                amount: top_up.amount,
                reference: top_up.reference.clone(),
            },
            Event::WalletCredited(credit) => Self::Credit {
                organization_id,
                amount: credit.amount,
                kind: credit.kind,
                bill: credit.bill,
                reason: credit.reason.clone(),
            },
            Event::TopUpSucceeded(top_up) => Self::TopUp {
                organization_id,
                top_up_id: top_up.top_up.to_string(),
                amount: top_up.amount,
                payment_intent: top_up.payment_intent.clone(),
            },
            Event::TopUpFailed(failed) => Self::TopUpFailure {
                organization_id,
                top_up_id: failed.top_up.to_string(),
                reason: failed.reason.clone(),
            },
            Event::BillPosted(bill) => Self::Bill {
                organization_id,
                bill: recorded.sequence,
                day: bill.day,
                requests: bill.requests,
                late_requests: bill.late_requests,
                total_tokens: bill.tokens,
                total_cost: bill.cost,
                wallet_balance_before: bill.before,
                wallet_balance_after: bill.after,
            },
            Event::TenantStatusChanged(changed) => {
                Self::Status { organization_id, status: changed.status, reason: changed.reason }
            }
            _ => return None,
        })
    }
}
