//! What is kept free for calls that are about to be made.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// What is kept free for calls that are about to be made.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Holds {}

impl Projection for Holds {
    const NAME: &'static str = "holds";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
