//! What was used, and rated, and is not billed yet: what the next bill takes.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// What was used, and rated, and is not billed yet: what the next bill takes.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Unbilled {}

impl Projection for Unbilled {
    const NAME: &'static str = "unbilled";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
