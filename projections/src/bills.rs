//! Every bill, and which periods are closed.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// Every bill, and which periods are closed.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Bills {}

impl Projection for Bills {
    const NAME: &'static str = "bills";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
