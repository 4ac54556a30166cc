//! Moments that keep the offset from UTC they were written with, as Go programs read and print them.

use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Timestamp, TimestampError};

/// A moment and the offset it is shown with. Two with one moment and different offsets are different
/// texts: compare the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ZonedTimestamp {
    moment: Timestamp,
    offset_seconds: i32,
}

impl ZonedTimestamp {
    /// `moment` as shown `offset_seconds` east of UTC. `None` when RFC 3339 cannot print that: the
    /// offset is not whole minutes or a day and more, or the year has not four digits in it.
    #[must_use]
    pub fn new(moment: Timestamp, offset_seconds: i32) -> Option<Self> {
        let zoned = Self { moment, offset_seconds };
        let printable = (Timestamp::MIN..=Timestamp::MAX).contains(&moment)
            && offset_seconds.checked_rem(60) == Some(0)
            && (0..=9999).contains(&zoned.local()?.year());
        printable.then_some(zoned)
    }

    /// Reads RFC 3339; digits beyond the microsecond are cut.
    ///
    /// # Errors
    /// When the text is not RFC 3339, or its moment in UTC cannot be printed as such.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let read = DateTime::parse_from_rfc3339(text).ok();
        read.and_then(|read| {
            Self::new(Timestamp::from(read.to_utc()), read.offset().local_minus_utc())
        })
        .ok_or_else(|| TimestampError::of(text))
    }

    /// The moment.
    #[must_use]
    pub const fn moment(self) -> Timestamp {
        self.moment
    }

    /// The offset in seconds, positive east of UTC; whole minutes.
    #[must_use]
    pub const fn offset_seconds(self) -> i32 {
        self.offset_seconds
    }

    fn local(self) -> Option<DateTime<FixedOffset>> {
        let offset = FixedOffset::east_opt(self.offset_seconds)?;
        Some(self.moment.to_chrono().with_timezone(&offset))
    }
}

/// As Go's `time.RFC3339Nano` prints it: no fraction that is nothing, no zeros at its end, and `Z`
/// without an offset.
impl fmt::Display for ZonedTimestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.local().ok_or(fmt::Error)?;
        write!(formatter, "{}", local.format("%Y-%m-%dT%H:%M:%S"))?;
        let micros = local.nanosecond().div_euclid(1000);
        if micros > 0 {
            write!(formatter, ".{}", format!("{micros:06}").trim_end_matches('0'))?;
        }
        match self.offset_seconds {
            0 => formatter.write_str("Z"),
            _ => write!(formatter, "{}", local.format("%:z")),
        }
    }
}

impl Serialize for ZonedTimestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ZonedTimestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_prints_as_go_prints_it() {
        for (text, want) in [
            ("2025-06-30T23:59:59Z", "2025-06-30T23:59:59Z"),
            ("2025-06-30T23:59:59+00:00", "2025-06-30T23:59:59Z"),
            ("2025-06-30T23:59:59-00:00", "2025-06-30T23:59:59Z"),
            ("2025-06-30T23:59:59+08:00", "2025-06-30T23:59:59+08:00"),
            ("2025-06-30T23:59:59.500-03:30", "2025-06-30T23:59:59.5-03:30"),
            ("2025-06-30T23:59:59.000Z", "2025-06-30T23:59:59Z"),
            ("2025-06-30T23:59:59.000010Z", "2025-06-30T23:59:59.00001Z"),
            ("2025-06-30T23:59:59.1234567Z", "2025-06-30T23:59:59.123456Z"),
            ("1969-12-31T23:59:59.25-01:00", "1969-12-31T23:59:59.25-01:00"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            let read = ZonedTimestamp::parse(text).expect(text);
            assert_eq!(read.to_string(), want);
            assert_eq!(read.moment(), Timestamp::parse(text).expect(text));
            let json = serde_json::to_string(&read).expect("prints");
            assert_eq!(json, format!("\"{want}\""));
            assert_eq!(serde_json::from_str::<ZonedTimestamp>(&json).expect("reads"), read);
        }
        let shanghai = ZonedTimestamp::parse("2025-06-30T23:59:59+08:00").expect("RFC 3339");
        assert_eq!(shanghai.offset_seconds(), 28_800);
        assert!(ZonedTimestamp::parse("2025-06-30").is_err());
    }

    #[test]
    fn what_cannot_be_printed_cannot_be_made() {
        for (moment, offset) in [
            (Timestamp::EPOCH, 59),
            (Timestamp::EPOCH, 86_400),
            (Timestamp::EPOCH, i32::MIN),
            (Timestamp::MAX, 60),
            (Timestamp::MIN, -60),
            (Timestamp::MAX.plus_seconds(1), -60),
            (Timestamp::MIN.plus_seconds(-1), 60),
            (Timestamp::from_micros(i64::MAX), 0),
            (Timestamp::from_micros(i64::MIN), 0),
        ] {
            assert_eq!(ZonedTimestamp::new(moment, offset), None, "{} {offset}", moment.micros());
        }
        let last = ZonedTimestamp::new(Timestamp::MAX, -86_340).expect("printable");
        assert_eq!(last.to_string(), "9999-12-31T00:00:59.999999-23:59");
    }
}
