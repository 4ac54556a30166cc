//! What goes to standard output: a document of fields and tables, as text for people or as one JSON
//! object. A reader who closes the pipe early, as `head` does, is no error.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

const BUFFER_BYTES: usize = 64 * 1024;
/// Between two columns.
const GAP: &str = "  ";

/// Standard output was closed by its reader.
#[derive(Debug, Error)]
#[error("nobody reads standard output")]
pub(super) struct Closed;

/// Lets `write` write to standard output. Its first error ends it.
///
/// # Errors
/// [`Closed`] when nobody reads any more; else those of `write`.
pub(super) fn to_stdout<T>(
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let written = write(&mut out).and_then(|told| {
        out.flush()?;
        Ok(told)
    });
    written.map_err(|error| match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        // What is still buffered can go nowhere.
        Some(io::ErrorKind::BrokenPipe) => anyhow::Error::from(Closed),
        Some(_) => error.context("cannot write to standard output"),
        None => error,
    })
}

/// A row of a table: its columns are its fields, in JSON as in text.
pub(super) trait Row: Serialize {
    /// The fields' names.
    const COLUMNS: &'static [&'static str];

    /// The fields as text.
    fn cells(&self) -> Vec<String>;
}

/// Declares rows: each a plain struct.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub(in crate::cli) struct $name {
            $(pub(in crate::cli) $field: $type,)+
        }

        impl $crate::cli::output::Row for $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn cells(&self) -> Vec<String> {
                vec![$(self.$field.to_string()),+]
            }
        }
    )+};
}
pub(super) use rows;

struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

enum Body {
    /// One value; in text, nothing when it is only for programs.
    Field(Option<String>),
    Table(Table),
}

/// Fields and tables by name, in order.
#[derive(Default)]
pub(super) struct Document {
    members: Vec<(&'static str, Body, Box<RawValue>)>,
}

impl Document {
    /// With one more value.
    ///
    /// # Errors
    /// When it is not JSON.
    pub(super) fn field(
        &mut self,
        name: &'static str,
        value: impl Serialize + Display,
    ) -> anyhow::Result<()> {
        let json = to_raw_value(&value)?;
        self.members.push((name, Body::Field(Some(value.to_string())), json));
        Ok(())
    }

    /// With one more value that only programs read.
    ///
    /// # Errors
    /// When it is not JSON.
    pub(super) fn hidden(
        &mut self,
        name: &'static str,
        value: impl Serialize,
    ) -> anyhow::Result<()> {
        self.members.push((name, Body::Field(None), to_raw_value(&value)?));
        Ok(())
    }

    /// With one more table.
    ///
    /// # Errors
    /// When a row is not JSON.
    pub(super) fn table<R: Row>(&mut self, name: &'static str, rows: &[R]) -> anyhow::Result<()> {
        let json = to_raw_value(rows)?;
        let table = Table { columns: R::COLUMNS, rows: rows.iter().map(Row::cells).collect() };
        self.members.push((name, Body::Table(table), json));
        Ok(())
    }

    /// Prints it to standard output.
    ///
    /// # Errors
    /// As [`to_stdout`].
    pub(super) fn print(&self, is_json: bool) -> anyhow::Result<()> {
        to_stdout(|out| {
            if is_json {
                serde_json::to_writer(&mut *out, self).map_err(io::Error::from)?;
                writeln!(out)?;
            } else {
                self.write_text(out)?;
            }
            Ok(())
        })
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let is_shown = |body: &Body| matches!(body, Body::Field(Some(_)));
        let shown = self.members.iter().filter(|(_, body, _)| is_shown(body));
        let width = shown.map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, body, _) in &self.members {
            match body {
                Body::Field(Some(text)) => {
                    writeln!(out, "{:width$}{GAP}{text}", name.replace('_', " "))?;
                }
                Body::Field(None) => {}
                Body::Table(table) => table.write_text(name, out)?,
            }
        }
        Ok(())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, _, json) in &self.members {
            map.serialize_entry(name, json)?;
        }
        map.end()
    }
}

impl Table {
    /// Numbers to the right, everything else to the left.
    fn write_text(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let Self { columns, rows } = self;
        writeln!(out, "\n{} ({})", name.replace('_', " "), rows.len())?;
        if rows.is_empty() {
            return Ok(());
        }
        let column = |place: usize| rows.iter().filter_map(move |row| row.get(place));
        let layout: Vec<(usize, bool)> = columns
            .iter()
            .enumerate()
            .map(|(place, head)| {
                let widest = column(place).map(|cell| cell.chars().count()).max().unwrap_or(0);
                (widest.max(head.len()), column(place).all(|cell| is_number(cell)))
            })
            .collect();
        let heads = columns.iter().map(|head| head.replace('_', " ")).collect();
        for row in std::iter::once(&heads).chain(rows) {
            let mut line = String::new();
            for (cell, (width, is_number)) in row.iter().zip(&layout) {
                line.push_str(GAP);
                let padded =
                    if *is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str(&padded);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|each| each.is_ascii_digit() || each == '.')
}

/// Something as the text that it prints.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// Those of `out`.
pub(super) fn json_line(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use schemas::Money;

    use super::*;

    rows! {
        /// An amount by name.
        Cost { name: &'static str, cost: Money, }
    }

    fn document() -> Document {
        let money = |text| Money::parse(text).expect("an amount");
        let rows = [
            Cost { name: "a", cost: money("0.000000000000000001") },
            Cost { name: "long name", cost: money("-12.5") },
        ];
        let mut document = Document::default();
        document.field("head_sequence", 7_u64).expect("JSON");
        document.hidden("is_sound", true).expect("JSON");
        document.table("amounts", &rows).expect("JSON");
        document.table::<Cost>("nothing", &[]).expect("JSON");
        document
    }

    #[test]
    fn a_document_is_one_json_object_with_exact_amounts() {
        let json = serde_json::to_string(&document()).expect("JSON");
        assert_eq!(
            json,
            r#"{"head_sequence":7,"is_sound":true,"amounts":[{"name":"a","cost":0.000000000000000001},{"name":"long name","cost":-12.5}],"nothing":[]}"#
        );
    }

    #[test]
    fn a_document_for_people_aligns_its_columns() {
        let mut out = Vec::new();
        document().write_text(&mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            text,
            "head sequence  7\n\namounts (2)\n  name                       cost\n  a          0.000000000000000001\n  long name                 -12.5\n\nnothing (0)\n"
        );
    }
}
