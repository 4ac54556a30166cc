//! Text that can be made unreadable for ever while the log stays whole.

use bincode::{Decode, Encode};

/// Text, encrypted under a numbered key that is kept outside the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Sealed {
    /// The key.
    pub key: u32,
    /// What it encrypts.
    pub bytes: Vec<u8>,
}
