//! Payments through the provider.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// Payments through the provider.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct TopUps {}

impl Projection for TopUps {
    const NAME: &'static str = "top_ups";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
