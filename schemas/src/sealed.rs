//! Text about a person as it may stand in the log: encrypted, so that the log can stay as it is when
//! the key, and with it the text, is destroyed.

use bincode::{Decode, Encode};

/// A text that can be read only as long as its key exists. Equal texts of one field under one key are
/// equal here too.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Sealed {
    /// The number of the key.
    pub key: u32,
    /// The encrypted text with all that is needed, beside the key, to decrypt it.
    pub bytes: Vec<u8>,
}
