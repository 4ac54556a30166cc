//! The durations of `@every`, as Go writes them.

use super::{ScheduleError, excerpt};
use crate::decimal;

const UNITS: [(char, i128); 3] = [('h', 3600), ('m', 60), ('s', 1)];

/// The longest duration that Go knows, in seconds.
const SECONDS_MAX: i64 = 9_223_372_036;

/// Reads a duration such as `1h30m` as whole seconds, at least 1; fractions of a second are cut, as
/// robfig/cron does.
pub(super) fn seconds(text: &str) -> Result<i64, ScheduleError> {
    micros(text)
        .and_then(|micros| i64::try_from(micros.div_euclid(1_000_000)).ok())
        .filter(|seconds| (1..=SECONDS_MAX).contains(seconds))
        .ok_or_else(|| ScheduleError::NotADuration(excerpt(text)))
}

fn micros(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let (seconds, tail) =
            UNITS.iter().find_map(|(unit, seconds)| Some((seconds, tail.strip_prefix(*unit)?)))?;
        let part = decimal::parse(number, 6).ok()?.checked_mul(*seconds)?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}
