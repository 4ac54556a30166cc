//! When recharged quota expires. A rule is configured as text; the moment it gives depends on the
//! moment of the recharge and on a time zone, both of which are arguments.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use crate::Timestamp;

/// Until when the quota of a recharge is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpiryRule {
    /// `seed`: the last second of the month, or of the next one when fewer than 720 hours are left.
    /// This is the rule of the first quota manager.
    NextMonthEnd,
    /// `month-end`: the last second of the month.
    MonthEnd,
    /// `days:N`: N times 24 hours later, whatever the clocks do meanwhile.
    Days(u32),
}

/// Why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is none of `seed`, `month-end` and `days:N` with N from 1")]
pub struct ExpiryRuleError(String);

/// As long as quota must last at least for `seed` to keep to the month.
const LEAST_HOURS: i64 = 720;

impl ExpiryRule {
    /// When quota that is given at `now` expires: a whole second, the last one in which it is valid.
    /// Months are those of `zone`. Held within [`Timestamp::MIN`] and [`Timestamp::MAX`].
    #[must_use]
    pub fn expiry(self, now: Timestamp, zone: Tz) -> Timestamp {
        let now = now.clamp(Timestamp::MIN, Timestamp::MAX).whole_second();
        let expiry = match self {
            Self::NextMonthEnd => {
                let this = month_end(now, zone, 0);
                if this < now.plus_seconds(LEAST_HOURS.saturating_mul(3600)) {
                    month_end(now, zone, 1)
                } else {
                    this
                }
            }
            Self::MonthEnd => month_end(now, zone, 0),
            Self::Days(days) => now.plus_seconds(i64::from(days).saturating_mul(86_400)),
        };
        expiry.min(Timestamp::MAX.whole_second())
    }
}

/// The last second of the month that lies `later` months after the one `now` lies in.
fn month_end(now: Timestamp, zone: Tz, later: u32) -> Timestamp {
    let today = now.to_chrono().with_timezone(&zone).date_naive();
    today
        .with_day(1)
        .and_then(|first| first.checked_add_months(Months::new(later.saturating_add(1))))
        .and_then(|next| last_second_before(next, zone))
        .unwrap_or(Timestamp::MAX)
}

/// The last second before `day` begins: of two that read 23:59:59 the later one, and where the clocks
/// leave it out, the last second before they do.
fn last_second_before(day: NaiveDate, zone: Tz) -> Option<Timestamp> {
    let local: NaiveDateTime = day.pred_opt()?.and_hms_opt(23, 59, 59)?;
    if let Some(moment) = zone.from_local_datetime(&local).latest() {
        return Some(Timestamp::from(moment.to_utc()));
    }
    let resumed = GapInfo::new(&local, &zone)?.end?;
    Some(Timestamp::from(resumed.to_utc()).plus_seconds(-1))
}

impl FromStr for ExpiryRule {
    type Err = ExpiryRuleError;

    fn from_str(text: &str) -> Result<Self, ExpiryRuleError> {
        let days = || text.strip_prefix("days:")?.parse().ok().filter(|days| *days > 0);
        match text {
            "seed" => Ok(Self::NextMonthEnd),
            "month-end" => Ok(Self::MonthEnd),
            _ => days()
                .map(Self::Days)
                .ok_or_else(|| ExpiryRuleError(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for ExpiryRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NextMonthEnd => formatter.write_str("seed"),
            Self::MonthEnd => formatter.write_str("month-end"),
            Self::Days(days) => write!(formatter, "days:{days}"),
        }
    }
}

/// From its text.
impl<'de> Deserialize<'de> for ExpiryRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: ExpiryRule, zone: Tz, cases: &[(&str, &str)]) {
        for (now, want) in cases {
            let now = Timestamp::parse(now).expect("RFC 3339");
            let want = Timestamp::parse(want).expect("RFC 3339");
            assert_eq!(rule.expiry(now, zone), want, "{rule} at {now} in {zone}, want {want}");
        }
    }

    #[test]
    fn the_seed_needs_thirty_days_in_the_month() {
        check(
            ExpiryRule::NextMonthEnd,
            Tz::UTC,
            &[
                ("2025-01-01T00:00:00Z", "2025-01-31T23:59:59Z"),
                ("2025-01-01T23:59:59Z", "2025-01-31T23:59:59Z"),
                ("2025-01-01T23:59:59.999999Z", "2025-01-31T23:59:59Z"),
                ("2025-01-02T00:00:00Z", "2025-02-28T23:59:59Z"),
                ("2025-01-31T12:00:00Z", "2025-02-28T23:59:59Z"),
                ("2024-01-31T12:00:00Z", "2024-02-29T23:59:59Z"),
                ("2025-02-01T00:00:00Z", "2025-03-31T23:59:59Z"),
                ("2025-04-01T00:00:00Z", "2025-05-31T23:59:59Z"),
                ("2025-05-15T10:00:00Z", "2025-06-30T23:59:59Z"),
                ("2025-12-15T00:00:00Z", "2026-01-31T23:59:59Z"),
                ("1969-12-31T23:59:59.5Z", "1970-01-31T23:59:59Z"),
            ],
        );
    }

    #[test]
    fn months_are_those_of_the_zone() {
        check(
            ExpiryRule::NextMonthEnd,
            Tz::Asia__Shanghai,
            &[
                ("2024-12-31T15:59:59Z", "2025-01-31T15:59:59Z"),
                ("2024-12-31T16:00:00Z", "2025-01-31T15:59:59Z"),
                ("2025-01-01T16:00:00Z", "2025-02-28T15:59:59Z"),
            ],
        );
        // The clocks go forward in March and back in October: a month of 743 hours and one of 745.
        check(
            ExpiryRule::NextMonthEnd,
            Tz::Europe__Rome,
            &[
                ("2025-03-01T22:59:59+01:00", "2025-03-31T23:59:59+02:00"),
                ("2025-03-01T23:00:00+01:00", "2025-04-30T23:59:59+02:00"),
                ("2025-10-02T00:59:59+02:00", "2025-10-31T23:59:59+01:00"),
                ("2025-10-02T01:00:00+02:00", "2025-11-30T23:59:59+01:00"),
            ],
        );
        check(
            ExpiryRule::MonthEnd,
            Tz::Asia__Shanghai,
            &[
                ("2025-01-31T15:59:59Z", "2025-01-31T15:59:59Z"),
                ("2025-01-31T16:00:00Z", "2025-02-28T15:59:59Z"),
            ],
        );
    }

    #[test]
    fn a_month_ends_when_the_next_one_begins() {
        // Kuala Lumpur left out the half hour before 1982; Cairo repeated the hour before November
        // 2024.
        check(
            ExpiryRule::MonthEnd,
            Tz::Asia__Kuala_Lumpur,
            &[("1981-12-15T00:00:00Z", "1981-12-31T15:59:59Z")],
        );
        check(
            ExpiryRule::MonthEnd,
            Tz::Africa__Cairo,
            &[
                ("2024-10-15T00:00:00Z", "2024-10-31T23:59:59+02:00"),
                ("2024-10-31T23:30:00+03:00", "2024-10-31T23:59:59+02:00"),
            ],
        );
    }

    #[test]
    fn days_have_24_hours() {
        check(
            ExpiryRule::Days(30),
            Tz::Europe__Rome,
            &[
                ("2025-03-15T10:00:00.75Z", "2025-04-14T10:00:00Z"),
                ("1969-12-01T00:00:00.25Z", "1969-12-31T00:00:00Z"),
            ],
        );
    }

    #[test]
    fn no_expiry_is_beyond_what_can_be_printed() {
        let last = Timestamp::MAX.whole_second();
        for rule in [ExpiryRule::NextMonthEnd, ExpiryRule::MonthEnd, ExpiryRule::Days(u32::MAX)] {
            for now in [Timestamp::MAX, Timestamp::from_micros(i64::MAX)] {
                assert_eq!(rule.expiry(now, Tz::America__New_York), last, "{rule}");
                assert_eq!(rule.expiry(now, Tz::Asia__Shanghai), last, "{rule}");
            }
            let first = rule.expiry(Timestamp::from_micros(i64::MIN), Tz::America__New_York);
            assert_eq!(first, rule.expiry(Timestamp::MIN, Tz::America__New_York), "{rule}");
        }
    }

    #[test]
    fn a_rule_prints_what_it_is_read_from() {
        for text in ["seed", "month-end", "days:1", "days:30", "days:4294967295"] {
            let rule: ExpiryRule = text.parse().expect(text);
            assert_eq!(rule.to_string(), text);
            let json = format!("\"{text}\"");
            assert_eq!(serde_json::from_str::<ExpiryRule>(&json).expect(text), rule);
        }
        for text in ["", "Seed", "days:", "days:0", "days:-1", "days:1.5", "days:4294967296", "30"]
        {
            assert_eq!(
                text.parse::<ExpiryRule>().expect_err(text).to_string(),
                format!("`{text}` is none of `seed`, `month-end` and `days:N` with N from 1")
            );
        }
        assert!(serde_json::from_str::<ExpiryRule>("30").is_err());
    }
}
