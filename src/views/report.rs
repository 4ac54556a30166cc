//! A tenant's month beside the one before it, in the tenant's zone.

use std::collections::BTreeMap;

use projections::usage::Totals;
use replay::ReadError;
use schemas::{Day, Money, Sequence, TenantId, Timestamp, Zone};
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::usage::break_down;
use super::{Dimension, Point, Span, Views, Whose};

/// A tenant's month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonthlyReport {
    /// Who pays.
    pub organization_id: String,
    /// `YYYY-MM`.
    pub month: String,
    /// In whose zone.
    #[schema(value_type = String)]
    pub time_zone: Zone,
    /// Where it begins and ends.
    pub period: ReportPeriod,
    /// What was used in it.
    pub current: ReportTotals,
    /// What was used in the month before.
    pub previous: ReportTotals,
    /// How the one compares to the other.
    pub comparison: Comparison,
    /// What was used in it by several dimensions, each of which adds up to all of it. Calls that
    /// named none are under the empty name.
    pub breakdown: ReportBreakdown,
}

/// Where a month begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportPeriod {
    /// Its first moment.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// The first moment after it.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
}

/// What was used in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportTotals {
    /// All tokens.
    pub total_tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    pub total_cost: Money,
    /// Calls.
    pub requests: u64,
    /// Of them, those without a price yet; their cost is missing.
    pub unrated: u64,
}

/// How a month compares to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// In percent, to two decimals; `null` when there were none before.
    #[schema(value_type = Option<f64>)]
    pub token_change_percent: Option<Percent>,
    /// In percent, to two decimals; `null` when it was nothing before.
    #[schema(value_type = Option<f64>)]
    pub cost_change_percent: Option<Percent>,
}

/// What was used in a month by several dimensions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportBreakdown {
    /// By kind of assistant.
    pub by_assistant: BTreeMap<String, ReportShare>,
    /// By who called.
    pub by_user: BTreeMap<String, ReportShare>,
    /// By model.
    pub by_model: BTreeMap<String, ReportShare>,
    /// By document, or else conversation.
    pub by_project: BTreeMap<String, ReportShare>,
}

/// One name's share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportShare {
    /// All tokens.
    pub tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    pub cost: Money,
    /// Calls.
    pub requests: u64,
}

impl ReportShare {
    /// Takes another share in.
    pub fn join(&mut self, other: &Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost = self.cost.checked_add(other.cost).unwrap_or(self.cost);
        self.requests = self.requests.saturating_add(other.requests);
    }

    /// Takes calls in.
    pub fn add(&mut self, totals: &Totals) {
        let Totals { total_tokens, cost, requests, .. } = *totals;
        self.join(&Self { tokens: total_tokens, cost, requests });
    }
}

impl From<Totals> for ReportTotals {
    fn from(totals: Totals) -> Self {
        Self {
            total_tokens: totals.total_tokens,
            total_cost: totals.cost,
            requests: totals.requests,
            unrated: totals.unrated,
        }
    }
}

/// Hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(i128);

impl Percent {
    /// By how much `now` differs from `before`, rounded half to even; `None` when that was nothing,
    /// or beyond the range.
    #[must_use]
    pub fn of_change(before: i128, now: i128) -> Option<Self> {
        let size = before.checked_abs()?;
        let change = now.checked_sub(before)?.checked_mul(10_000)?;
        let quotient = change.checked_div_euclid(size)?;
        let rest = change.checked_rem_euclid(size)?;
        let other = size.checked_sub(rest)?;
        let up = rest > other || (rest == other && quotient.checked_rem(2)? != 0);
        quotient.checked_add(i128::from(up)).map(Self)
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(formatter, "{sign}{}.{:02}", size / 100, size % 100)
    }
}

/// An exact JSON number.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl Views {
    /// The report of the month that begins with `first`, and the event that it reflects.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn monthly_report(
        &self,
        (tenant, whose): (TenantId, Whose),
        (first, last): (Day, Day),
        point: &Point,
    ) -> Result<(Sequence, MonthlyReport), ReadError> {
        let before = (first.before().first_of_month(), first.before());
        self.used(whose, Span::days(before.0, last), point, |used| {
            let mut breakdown = ReportBreakdown::default();
            used.each_in(Span::days(first, last), |tenant, _, usage| {
                let ReportBreakdown { by_assistant, by_user, by_model, by_project } =
                    &mut breakdown;
                for (dimension, shares) in [
                    (Dimension::Assistant, by_assistant),
                    (Dimension::User, by_user),
                    (Dimension::Model, by_model),
                    (Dimension::Project, by_project),
                ] {
                    break_down(used.names(), (tenant, usage), dimension, |name, totals| {
                        shares.entry(name).or_default().add(totals);
                    });
                }
            });
            let current = used.sum_in(Span::days(first, last));
            let previous = used.sum_in(Span::days(before.0, before.1));
            let zone = used.zone(tenant);
            MonthlyReport {
                organization_id: used.names().text(tenant).to_string(),
                month: first.month(),
                time_zone: zone,
                period: ReportPeriod {
                    start: first.start_in(zone.0),
                    end: last.next().start_in(zone.0),
                },
                comparison: Comparison {
                    token_change_percent: Percent::of_change(
                        previous.total_tokens.into(),
                        current.total_tokens.into(),
                    ),
                    cost_change_percent: Percent::of_change(
                        previous.cost.units(),
                        current.cost.units(),
                    ),
                },
                current: current.into(),
                previous: previous.into(),
                breakdown,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_percent_to_two_decimals() {
        for (before, now, told) in [
            (100, 150, Some("50.00")),
            (3, 4, Some("33.33")),
            (3, 5, Some("66.67")),
            (100, 0, Some("-100.00")),
            (3, 2, Some("-33.33")),
            (20_000, 20_001, Some("0.00")),
            (20_000, 20_003, Some("0.02")),
            (20_000, 19_999, Some("0.00")),
            (20_000, 19_997, Some("-0.02")),
            (7, 7, Some("0.00")),
            (0, 5, None),
            (0, 0, None),
            (1, i128::MAX, None),
            (-4, -2, Some("50.00")),
        ] {
            let percent = Percent::of_change(before, now).map(|percent| percent.to_string());
            assert_eq!(percent.as_deref(), told, "{before} {now}");
        }
    }
}
