//! What counts towards the limits of tenants and their users: the present day and month, and the one before.

use bincode::{Decode, Encode};
use schemas::Recorded;

use crate::projection::Projection;

/// What counts towards the limits of tenants and their users: the present day and month, and the one before.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct LimitUsage {}

impl Projection for LimitUsage {
    const NAME: &'static str = "limit_usage";
    const VERSION: u32 = 1;

    fn apply(&mut self, _recorded: &Recorded) {}
}
