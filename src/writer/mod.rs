//! Stands in for the writer's handle until the writer is merged.

use schemas::{Envelope, Sequence};

/// Stub.
#[derive(Debug, Clone)]
pub struct Writer;

/// Stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stub.
    Recorded,
    /// Stub.
    AlreadyRecorded,
}

/// Stub.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    /// Stub.
    pub outcome: Outcome,
    /// Stub.
    pub first: Sequence,
    /// Stub.
    pub last: Sequence,
}

/// Stub.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("rejected")]
pub struct Rejection;

impl Rejection {
    /// Stub.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "rejected"
    }

    /// Stub.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        None
    }
}

/// Stub.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Stub.
    #[error("{0}")]
    Rejected(Rejection),
    /// Stub.
    #[error("busy")]
    Busy,
    /// Stub.
    #[error("stopped")]
    Stopped,
}

impl Writer {
    /// Stub: records nothing; refuses the tenant `refused`.
    #[expect(clippy::unused_async, reason = "stub")]
    pub async fn submit_all(&self, envelopes: Vec<Envelope>) -> Vec<Result<Receipt, SubmitError>> {
        let receipt =
            Receipt { outcome: Outcome::Recorded, first: Sequence::new(1), last: Sequence::new(1) };
        envelopes.iter().map(|_| Ok(receipt)).collect()
    }
}
