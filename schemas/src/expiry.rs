//! stub
use crate::Timestamp;
/// Stub.
#[must_use]
pub const fn is_expired(expires_at: Timestamp, now: Timestamp) -> bool {
    now.micros().div_euclid(1_000_000) > expires_at.micros().div_euclid(1_000_000)
}
