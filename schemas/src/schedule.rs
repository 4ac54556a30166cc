//! When something recurring is due: cron text in the dialect of robfig/cron's `ParseStandard`, which
//! is what recharge strategies are written in, and `@every` a fixed time. The same text has the same
//! ticks on every node and in every replay; nothing here knows what time it is.

mod every;
mod fields;

use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use thiserror::Error;

use crate::Timestamp;

/// Moments that follow from a text: whole seconds, without end.
///
/// Days count as in cron: when both the day of the month and the day of the week are restricted, a
/// day that either of them names is meant. Where the clocks change, a schedule of one time of day
/// ticks exactly once a day: right after the gap that holds its time, and the first time that a
/// repeated hour shows it. Other schedules follow the clock on the wall: they leave out what the gap
/// leaves out and tick in both passes of a repeated hour, which are different moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Ticks);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ticks {
    /// By the calendar and the clocks of a zone.
    Calendar { cron: Box<Cron>, zone: Tz },
    /// At the moments whose seconds since the epoch this divides.
    Every { seconds: i64 },
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "a schedule has 5 fields (minute, hour, day of month, month, day of week), not {got}{hint}",
        hint = if *got == 6 { "; leave out the seconds" } else { "" }
    )]
    FieldCount {
        /// The fields there are.
        got: usize,
    },
    /// A field that cannot be read.
    #[error("field {position} ({name}): `{item}` {fault}")]
    Field {
        /// Which field, from 1.
        position: usize,
        /// What the field is for.
        name: &'static str,
        /// The part of it that is wrong.
        item: String,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// A word after `@` that means nothing.
    #[error(
        "`{0}` is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and \
         @every"
    )]
    UnknownWord(String),
    /// Not a time that can lie between two ticks.
    #[error("`@every` takes a time of at least 1s in h, m and s, such as `1h30m`, not `{0}`")]
    NotADuration(String),
    /// A prefix that names no time zone.
    #[error("`{0}` is not a time zone such as `Asia/Shanghai`")]
    UnknownZone(String),
}

/// What is wrong with a part of a cron field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldFault {
    /// Nothing that a field may hold.
    #[error("is not `*`, a value, a range or a step")]
    Malformed,
    /// A value that the field does not have.
    #[error("is not within {min} to {max}")]
    OutOfRange {
        /// The least value.
        min: u8,
        /// The greatest value.
        max: u8,
    },
    /// A range whose end comes first.
    #[error("ends before it begins")]
    Backwards,
    /// A step of nothing.
    #[error("must have a step of 1 or more")]
    ZeroStep,
}

impl Schedule {
    /// Reads the dialect of robfig/cron's `ParseStandard`: five fields with `*`, `?`, values, names,
    /// ranges, lists and steps; `@hourly` and its like; `@every` with a duration, whose ticks are
    /// counted from the Unix epoch. A prefix `TZ=Area/City` or `CRON_TZ=Area/City` sets the zone;
    /// otherwise it is `default_zone`.
    ///
    /// # Errors
    /// Names what cannot be understood, and in which field.
    pub fn parse(text: &str, default_zone: Tz) -> Result<Self, ScheduleError> {
        let (zone, text) = split_zone(text.trim(), default_zone)?;
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => text,
        };
        if let Some(duration) = fields.strip_prefix("@every ") {
            return every::seconds(duration.trim()).map(|seconds| Self(Ticks::Every { seconds }));
        }
        if fields.starts_with('@') {
            return Err(ScheduleError::UnknownWord(excerpt(fields)));
        }
        let cron = Box::new(calendar(&fields::canonical(fields)?));
        Ok(Self(Ticks::Calendar { cron, zone }))
    }

    /// The first tick strictly after `moment`. `None` when there is none: the day never comes, as
    /// with 30 February, or `moment` lies outside the years 1 to 5000 that the calendar covers.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Ticks::Calendar { cron, zone } => {
                let next = cron.find_next_occurrence(&local(moment, *zone)?, false).ok()?;
                Some(Timestamp::from(next.to_utc()))
            }
            Ticks::Every { seconds } => {
                every_tick(count(moment, *seconds).checked_add(1)?, *seconds)
            }
        }
    }

    /// The latest tick that is not after `moment`. `None` as for [`Self::next_after`].
    #[must_use]
    pub fn last_until(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Ticks::Calendar { cron, zone } => {
                let last = cron.find_previous_occurrence(&local(moment, *zone)?, true).ok()?;
                Some(Timestamp::from(last.to_utc()))
            }
            Ticks::Every { seconds } => every_tick(count(moment, *seconds), *seconds),
        }
    }

    /// The ticks after `after` up to and including `through`, in order.
    pub fn ticks(
        &self,
        after: Timestamp,
        through: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
            .take_while(move |tick| *tick <= through)
    }

    /// Whether it ticks at exactly `moment`.
    #[must_use]
    pub fn is_tick(&self, moment: Timestamp) -> bool {
        let before = Timestamp::from_micros(moment.micros().saturating_sub(1));
        self.next_after(before) == Some(moment)
    }
}

/// Takes the zone off the front of `text`.
fn split_zone(text: &str, default_zone: Tz) -> Result<(Tz, &str), ScheduleError> {
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok((default_zone, text));
    };
    let (name, fields) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let zone = name.parse().map_err(|_| ScheduleError::UnknownZone(excerpt(name)))?;
    Ok((zone, fields.trim_start()))
}

fn calendar(fields: &str) -> Cron {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(fields)
        .expect("invariant: fields that were read are cron")
}

/// The second that `moment` lies in, on the clocks of `zone`.
fn local(moment: Timestamp, zone: Tz) -> Option<chrono::DateTime<Tz>> {
    (Timestamp::MIN..=Timestamp::MAX)
        .contains(&moment)
        .then(|| moment.whole_second().to_chrono().with_timezone(&zone))
}

/// How many times `seconds` have passed between the epoch and `moment`.
fn count(moment: Timestamp, seconds: i64) -> i64 {
    moment.micros().div_euclid(1_000_000).checked_div_euclid(seconds).unwrap_or_default()
}

fn every_tick(count: i64, seconds: i64) -> Option<Timestamp> {
    let micros = count.checked_mul(seconds)?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros))
        .filter(|tick| (Timestamp::MIN..=Timestamp::MAX).contains(tick))
}

/// As much of a wrong text as a message should repeat.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
