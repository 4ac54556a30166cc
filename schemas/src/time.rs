//! Moments and calendar days, in UTC and to the microsecond. Time is always an argument: nothing
//! here reads a clock.

use std::fmt;

use bincode::{Decode, Encode};
use chrono::{
    DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::ZonedTimestamp;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Timestamp(i64);

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not an RFC 3339 time")]
pub struct TimestampError(String);

impl TimestampError {
    /// About this text, of which it repeats the beginning.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.chars().take(64).collect())
    }
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 0000-01-01T00:00:00Z, the earliest moment that RFC 3339 can print.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// The latest moment that RFC 3339 can print.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339; digits beyond the microsecond are cut.
    ///
    /// # Errors
    /// When the text is not RFC 3339, or its moment in UTC cannot be printed as such.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        ZonedTimestamp::parse(text).map(ZonedTimestamp::moment)
    }

    /// This moment `seconds` later (earlier when negative), held at the ends of the range.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The UTC day this moment lies in.
    #[must_use]
    pub fn day(self) -> Day {
        let days = self.0.div_euclid(86_400_000_000);
        Day(i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The calendar day that this moment lies in on the clocks of `zone`.
    #[must_use]
    pub fn day_in(self, zone: Tz) -> Day {
        if zone == Tz::UTC {
            return self.day();
        }
        let date = self.to_chrono().with_timezone(&zone).date_naive();
        Day::from_chrono(date).unwrap_or_else(|| self.day())
    }

    /// [`Self::day_in`], and the hour of that day, 0 to 23, on the clocks of `zone`.
    #[must_use]
    pub fn day_and_hour_in(self, zone: Tz) -> (Day, u8) {
        if zone == Tz::UTC {
            let hour = self.0.div_euclid(3_600_000_000).rem_euclid(24);
            return (self.day(), u8::try_from(hour).unwrap_or(0));
        }
        let local = self.to_chrono().with_timezone(&zone);
        let day = Day::from_chrono(local.date_naive()).unwrap_or_else(|| self.day());
        (day, u8::try_from(local.hour()).unwrap_or(0))
    }

    /// The beginning of the second that this moment lies in.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self(self.0.div_euclid(1_000_000).saturating_mul(1_000_000))
    }

    /// `YYYYMMDDHH`, on the clocks of `zone`.
    #[must_use]
    pub fn hour_in(self, zone: Tz) -> String {
        self.to_chrono().with_timezone(&zone).format("%Y%m%d%H").to_string()
    }

    pub(crate) fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// Whether what is valid until `expires_at` is so no longer: both count by whole seconds, and the
/// second of the expiry itself is still valid.
#[must_use]
pub fn is_expired(expires_at: Timestamp, now: Timestamp) -> bool {
    now.whole_second() > expires_at.whole_second()
}

/// No clock has ever jumped further ahead than a whole day, as Samoa's did.
const QUARTERS_SKIPPED_MAX: i64 = 97;

/// A calendar day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Day(i32);

impl Day {
    /// From days since 1970-01-01.
    #[must_use]
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> i32 {
        self.0
    }

    /// The first moment of the day, in UTC.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0).saturating_mul(86_400_000_000))
    }

    /// The first moment of the day on the clocks of `zone`. Where they jump over midnight, that is
    /// where they land.
    #[must_use]
    pub fn start_in(self, zone: Tz) -> Timestamp {
        let midnight = self.to_chrono().and_time(NaiveTime::MIN);
        let quarters = (0..=QUARTERS_SKIPPED_MAX)
            .map(|quarter| TimeDelta::minutes(quarter.saturating_mul(15)));
        quarters
            .filter_map(|later| midnight.checked_add_signed(later))
            .find_map(|local| zone.from_local_datetime(&local).earliest())
            .map_or_else(|| self.start(), |moment| moment.with_timezone(&Utc).into())
    }

    /// 1 (Sunday) to 7.
    #[must_use]
    pub fn day_of_week(self) -> u8 {
        u8::try_from(self.to_chrono().weekday().number_from_sunday()).unwrap_or(1)
    }

    /// The day before.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The next day.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// `YYYY-MM` of the month the day lies in.
    #[must_use]
    pub fn month(self) -> String {
        let date = self.to_chrono();
        format!("{:04}-{:02}", date.year(), date.month())
    }

    /// The first day of the month the day lies in.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        let days_before = self.to_chrono().day0();
        Self(self.0.saturating_sub(i32::try_from(days_before).unwrap_or(0)))
    }

    /// Reads `YYYY-MM-DD`. `None` when it is not such a day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Self::from_chrono(date)
    }

    /// The first day and the last day of a month given as `YYYY-MM`. `None` when it is not such a
    /// month.
    #[must_use]
    pub fn of_month(text: &str) -> Option<(Self, Self)> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
        let last = first.checked_add_months(chrono::Months::new(1))?.pred_opt()?;
        Some((Self::from_chrono(first)?, Self::from_chrono(last)?))
    }

    fn from_chrono(date: NaiveDate) -> Option<Self> {
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        i32::try_from(days).ok().map(Self)
    }

    fn to_chrono(self) -> NaiveDate {
        self.start().to_chrono().date_naive()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_chrono().fmt(formatter)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_days_print_and_read_back() {
        let moment = Timestamp::parse("2025-03-01T01:30:00.25+02:00").expect("RFC 3339");
        assert_eq!(moment.to_string(), "2025-02-28T23:30:00.250Z");
        assert_eq!(moment.day().to_string(), "2025-02-28");
        assert_eq!(moment.day().month(), "2025-02");
        assert_eq!(Day::parse("2025-02-28"), Some(moment.day()));
        let (first, last) = Day::of_month("2024-02").expect("a month");
        assert_eq!(
            (first.to_string().as_str(), last.to_string().as_str()),
            ("2024-02-01", "2024-02-29")
        );
        assert!(Timestamp::parse("2025-03-01").is_err());
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00Z");
        for beyond in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            assert!(Timestamp::parse(beyond).is_err(), "{beyond}");
        }
        assert_eq!(Timestamp::from_micros(-1).day(), Day::from_days(-1));
        assert_eq!(moment.hour_in(Tz::UTC), "2025022823");
        assert_eq!(moment.hour_in(Tz::Asia__Shanghai), "2025030107");
    }

    #[test]
    fn a_day_begins_when_the_clocks_of_its_zone_say_so() {
        for (zone, day, start) in [
            (Tz::UTC, "2025-03-09", "2025-03-09T00:00:00Z"),
            (Tz::Asia__Kolkata, "2025-03-09", "2025-03-08T18:30:00Z"),
            (Tz::America__New_York, "2025-03-09", "2025-03-09T05:00:00Z"),
            (Tz::America__New_York, "2025-03-10", "2025-03-10T04:00:00Z"),
            // Midnight does not exist; the day begins at one o'clock.
            (Tz::Africa__Cairo, "2024-04-26", "2024-04-25T22:00:00Z"),
            // Midnight comes twice; the day begins with the first.
            (Tz::America__Havana, "2024-11-03", "2024-11-03T04:00:00Z"),
            // The day does not exist.
            (Tz::Pacific__Apia, "2011-12-30", "2011-12-30T10:00:00Z"),
        ] {
            let day = Day::parse(day).expect("a day");
            assert_eq!(day.start_in(zone).to_string(), start, "{zone} {day}");
            let before = Timestamp::from_micros(day.start_in(zone).micros().saturating_sub(1));
            assert!(before.day_in(zone) < day, "{zone} {day}");
        }
        let moment = Timestamp::parse("2025-03-09T06:59:59Z").expect("RFC 3339");
        let hour = |seconds, zone| moment.plus_seconds(seconds).day_and_hour_in(zone).1;
        assert_eq!([0, 1].map(|seconds| hour(seconds, Tz::America__New_York)), [1, 3]);
        assert_eq!(hour(0, Tz::Asia__Kolkata), 12);
        assert_eq!(hour(0, Tz::UTC), 6);
        let last = Timestamp::from_micros(-1);
        assert_eq!(last.day_and_hour_in(Tz::UTC), (Day::from_days(-1), 23));
        let days = ["2025-03-08", "2025-03-09"].map(|day| Day::parse(day).expect("a day"));
        assert_eq!(days.map(Day::day_of_week), [7, 1]);
    }

    #[test]
    fn what_expires_is_valid_through_its_last_second() {
        for (expires_at, now, expired) in [
            ("2025-06-30T23:59:59Z", "2025-06-30T23:59:59.999999Z", false),
            ("2025-06-30T23:59:59.999999Z", "2025-06-30T23:59:59Z", false),
            ("2025-06-30T23:59:59.999999Z", "2025-07-01T00:00:00Z", true),
            ("2025-06-30T23:59:59Z", "2025-06-30T23:59:58.999999Z", false),
            ("1969-12-31T23:59:59.25Z", "1969-12-31T23:59:59.75Z", false),
            ("1969-12-31T23:59:59.75Z", "1970-01-01T00:00:00Z", true),
            ("1969-12-31T23:59:58.75Z", "1969-12-31T23:59:59.25Z", true),
        ] {
            let at = |text| Timestamp::parse(text).expect("RFC 3339");
            assert_eq!(is_expired(at(expires_at), at(now)), expired, "{expires_at} at {now}");
        }
        assert_eq!(Timestamp::from_micros(-1).whole_second(), Timestamp::from_micros(-1_000_000));
    }
}
