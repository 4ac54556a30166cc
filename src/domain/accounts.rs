//! Accounts, sessions and API keys.

use projections::books::Books;
use schemas::{Event, IssueApiKey, OpenSession, RevokeApiKey, SetAccount, Timestamp};

use super::naming::Naming;
use super::rejection::Rejection;

/// A user's account from now on.
pub(super) fn set(
    _books: &Books,
    _command: &SetAccount,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// A session from now on.
pub(super) fn open_session(
    _books: &Books,
    _command: &OpenSession,
    _now: Timestamp,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// The end of a session; nothing when it has ended.
pub(super) fn close_session(_books: &Books, _session: [u8; 32]) -> Vec<Event> {
    Vec::new()
}

/// An API key from now on.
pub(super) fn issue_key(
    _books: &Books,
    _command: &IssueApiKey,
    _now: Timestamp,
    _naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}

/// The end of an API key; nothing when it was withdrawn before.
pub(super) fn revoke_key(
    _books: &Books,
    _command: &RevokeApiKey,
    _naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    Ok(Vec::new())
}
