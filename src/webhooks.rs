//! Webhooks that go out, as Standard Webhooks say: what events tell is sent to the endpoints of those
//! whom it concerns, signed, at least once, and again until it has arrived or was tried often enough.
//! What is still to be sent follows from the log; what became of each attempt goes into it.

pub mod address;
mod deliverer;
pub mod signature;

pub(crate) use deliverer::Deliverer;
pub use deliverer::{Attempt, Sender};

/// The name of the field under which secrets are sealed.
pub const SECRET_FIELD: &str = "webhook_secret";
