//! What only a developer does to a running service.

pub(super) mod clock;
