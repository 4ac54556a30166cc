//! Which alerts are raised.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// Which alerts are raised.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Alerts {}

impl Projection for Alerts {
    const NAME: &'static str = "alerts";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
