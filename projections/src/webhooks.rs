//! Endpoints of webhooks, and what is still to be delivered to them.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// Endpoints of webhooks, and what is still to be delivered to them.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Webhooks {}

impl Projection for Webhooks {
    const NAME: &'static str = "webhooks";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
