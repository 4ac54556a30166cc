//! JSON as Go's `json.Marshal` writes it: like `serde_json`'s, but safe inside HTML and JavaScript.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::VoucherPayload;

/// What Go escapes and `serde_json` does not.
const ESCAPES: [(char, &[u8]); 5] = [
    ('<', br"\u003c"),
    ('>', br"\u003e"),
    ('&', br"\u0026"),
    ('\u{2028}', br"\u2028"),
    ('\u{2029}', br"\u2029"),
];

struct AsGo;

impl Formatter for AsGo {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for piece in fragment.split_inclusive(|c| ESCAPES.iter().any(|(escaped, _)| *escaped == c))
        {
            let last = piece.chars().next_back();
            match ESCAPES.iter().find(|(escaped, _)| last == Some(*escaped)) {
                Some((escaped, text)) => {
                    writer.write_all(piece.trim_end_matches(*escaped).as_bytes())?;
                    writer.write_all(text)?;
                }
                None => writer.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }
}

/// The payload on one line without spaces.
pub(super) fn print(payload: &VoucherPayload) -> String {
    let mut bytes = Vec::new();
    payload
        .serialize(&mut Serializer::with_formatter(&mut bytes, AsGo))
        .expect("invariant: a payload is text, numbers and a list, and memory takes them all");
    String::from_utf8(bytes).expect("invariant: JSON of text is text")
}
