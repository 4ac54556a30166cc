//! The five fields of a schedule. Reads exactly what robfig/cron reads and gives plain lists of
//! values, which mean the same in every cron library.

use std::collections::BTreeSet;

use super::{FieldFault, ScheduleError, excerpt};

/// One of the five fields. Its names stand for the values from `min` on.
struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of month", min: 1, max: 31, names: &[] },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        name: "day of week",
        min: 0,
        max: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// The values that one item of a list stands for.
struct Item {
    from: u8,
    through: u8,
    step: usize,
    /// `*` or `?` was written, which does not restrict the field.
    any: bool,
}

/// Five fields again, each `*` or a list of numbers.
pub(super) fn canonical(text: &str) -> Result<String, ScheduleError> {
    let texts: Vec<&str> = text.split_whitespace().collect();
    if texts.len() != FIELDS.len() {
        return Err(ScheduleError::FieldCount { got: texts.len() });
    }
    let fields: Vec<String> = (1..)
        .zip(FIELDS.iter().zip(texts))
        .map(|(position, (field, text))| field.read(position, text))
        .collect::<Result<_, _>>()?;
    Ok(fields.join(" "))
}

impl Field {
    fn read(&self, position: usize, text: &str) -> Result<String, ScheduleError> {
        let mut values = BTreeSet::new();
        let mut any = false;
        for text in text.split(',') {
            let item = self.item(text).map_err(|fault| ScheduleError::Field {
                position,
                name: self.name,
                item: excerpt(text),
                fault,
            })?;
            any |= item.any && item.step == 1;
            values.extend((item.from..=item.through).step_by(item.step));
        }
        if any {
            return Ok("*".to_owned());
        }
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        Ok(values.join(","))
    }

    fn item(&self, text: &str) -> Result<Item, FieldFault> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(digits(step).ok_or(FieldFault::Malformed)?)),
            None => (text, None),
        };
        let any = matches!(range, "*" | "?");
        let (from, through) = match range.split_once('-') {
            _ if any => (self.min, self.max),
            Some((from, through)) => (self.value(from)?, self.value(through)?),
            // A single value with a step begins a range, as in `5/15`.
            None if step.is_some() => (self.value(range)?, self.max),
            None => (self.value(range)?, self.value(range)?),
        };
        if through < from {
            return Err(FieldFault::Backwards);
        }
        match step.unwrap_or(1) {
            0 => Err(FieldFault::ZeroStep),
            step => Ok(Item { from, through, step, any }),
        }
    }

    fn value(&self, text: &str) -> Result<u8, FieldFault> {
        let named = (self.min..)
            .zip(self.names)
            .find_map(|(value, name)| name.eq_ignore_ascii_case(text).then_some(value));
        let value = named.map(usize::from).or_else(|| digits(text)).ok_or(FieldFault::Malformed)?;
        u8::try_from(value)
            .ok()
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or(FieldFault::OutOfRange { min: self.min, max: self.max })
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
