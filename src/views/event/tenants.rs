//! The events of tenants' terms as JSON. What is sealed in them is named, not shown.

use projections::names::Names;
use schemas::{
    AutoTopUp, Change, ConsumptionLimits, Credits, Event, Money, StatusReason, TenantStatus,
    TermChanges, Zone,
};
use serde::Serialize;

use super::text;

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum TenantEventData {
    Updated {
        organization_id: String,
        /// The terms that were set or cleared.
        changed: Vec<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        time_zone: Option<Zone>,
        #[serde(skip_serializing_if = "Option::is_none")]
        markup_percent: Option<Credits>,
        #[serde(skip_serializing_if = "Option::is_none")]
        credit_limit: Option<Money>,
        #[serde(skip_serializing_if = "Option::is_none")]
        suspend_past_credit_limit: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        low_balance_threshold: Option<Money>,
    },
    StatusChanged {
        organization_id: String,
        status: TenantStatus,
        reason: StatusReason,
    },
    LimitsSet {
        organization_id: String,
        monthly_limit: u64,
        daily_limit: u64,
        per_user_limit: u64,
    },
    AutoTopUpSet {
        organization_id: String,
        enabled: bool,
        threshold: Money,
        amount: Money,
        payment_method_id: Option<String>,
        customer_id: Option<String>,
    },
}

impl TenantEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::TenantUpdated(event) => updated(text(names, event.tenant), &event.terms),
            Event::TenantStatusChanged(event) => Self::StatusChanged {
                organization_id: text(names, event.tenant),
                status: event.status,
                reason: event.reason,
            },
            Event::ConsumptionLimitsSet(event) => {
                let ConsumptionLimits { monthly, daily, per_user } = event.limits;
                Self::LimitsSet {
                    organization_id: text(names, event.tenant),
                    monthly_limit: monthly,
                    daily_limit: daily,
                    per_user_limit: per_user,
                }
            }
            Event::AutoTopUpSet(event) => {
                let AutoTopUp { enabled, threshold, amount, payment_method, customer } =
                    event.auto_top_up.clone();
                Self::AutoTopUpSet {
                    organization_id: text(names, event.tenant),
                    enabled,
                    threshold,
                    amount,
                    payment_method_id: payment_method,
                    customer_id: customer,
                }
            }
            _ => return None,
        })
    }
}

fn updated(organization_id: String, terms: &TermChanges) -> TenantEventData {
    let TermChanges {
        display_name,
        contact_email,
        billing_email,
        zone,
        markup_basis_points,
        credit_limit,
        suspends_past_credit_limit,
        low_balance,
    } = terms.clone();
    let is_change = [
        ("name", display_name != Change::Keep),
        ("contact_email", contact_email != Change::Keep),
        ("billing_email", billing_email != Change::Keep),
        ("time_zone", zone != Change::Keep),
        ("markup_percent", markup_basis_points != Change::Keep),
        ("credit_limit", credit_limit != Change::Keep),
        ("suspend_past_credit_limit", suspends_past_credit_limit != Change::Keep),
        ("low_balance_threshold", low_balance != Change::Keep),
    ];
    TenantEventData::Updated {
        organization_id,
        changed: is_change.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect(),
        name: display_name.new_value(),
        time_zone: zone.new_value(),
        markup_percent: markup_basis_points.new_value().map(percent),
        credit_limit: credit_limit.new_value(),
        suspend_past_credit_limit: suspends_past_credit_limit.new_value(),
        low_balance_threshold: low_balance.new_value(),
    }
}

/// Hundredths of a percent as percent, exactly: a decimal of six places.
#[must_use]
pub fn percent(basis_points: i32) -> Credits {
    Credits::from_units(i64::from(basis_points).saturating_mul(10_000))
}
