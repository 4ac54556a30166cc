//! Who may sign in and with what; sessions and API keys.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// Who may sign in and with what; sessions and API keys.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Accounts {}

impl Projection for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
