//! Callers that the book itself knows: by the keys that it has issued and the sessions that it has
//! opened. What they may do is looked up anew for each request, so that whatever is taken from them
//! is gone at once.

use axum::http::{HeaderMap, HeaderValue, header};
use projections::{
    accounts::{ApiKey, Session},
    books::{Books, Reading},
};
use schemas::{Name, NameId, Role, Timestamp, UserId, is_expired};
use sha2::{Digest, Sha256};

use super::{AuthError, Caller, Identity};
use crate::config;

/// SHA-256 of a session's secret: stands in a request that a session's cookie has let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionDigest(pub [u8; 32]);

/// SHA-256 of a secret.
#[must_use]
pub fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The name of the cookie. With its prefix, browsers take it only from this very host, over https.
pub(in crate::http) const fn cookie_name(config: &config::Accounts) -> &'static str {
    if config.secure_cookies { "__Host-tallybook-session" } else { "tallybook-session" }
}

/// The session whose cookie these headers carry, open or not.
pub(in crate::http) fn session_of(
    headers: &HeaderMap,
    config: &config::Accounts,
) -> Option<SessionDigest> {
    let name = cookie_name(config);
    let values = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let mut pairs = values.flat_map(|value| value.split(|byte| *byte == b';'));
    let secret = pairs
        .find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(SessionDigest(digest(secret)))
}

/// Whoever signed in for this session.
pub(super) fn by_session(
    reading: &Reading,
    SessionDigest(digest): SessionDigest,
    now: Timestamp,
) -> Result<Caller, AuthError> {
    let books = &reading.books;
    let session = books.accounts.session(&digest);
    let open = session.filter(|session| !is_expired(session.expires_at, now));
    let Session { user, expires_at: _ } = *open.ok_or(AuthError::UnknownSession)?;
    of_user(books, user).ok_or(AuthError::UnknownSession)
}

/// A user as whoever signs in calls; `None` for one who cannot.
pub(in crate::http) fn of_user(books: &Books, user: UserId) -> Option<Caller> {
    let role = books.accounts.account(user).role();
    let user_name = name(books, user)?;
    let tenant = match books.directory.user(user).tenant {
        Some(tenant) => Some(name(books, tenant)?),
        None => None,
    };
    let actor = Name::try_from(format!("user:{user_name}")).ok()?;
    let is_someone = role != Role::TenantAdmin || tenant.is_some();
    let identity = Identity::default();
    is_someone.then_some(Caller { role, tenant, user: Some(user_name), actor, identity })
}

/// Whoever holds the first of `keys` that the book has issued; `None` when it has issued none.
pub(super) fn by_key(
    reading: &Reading,
    keys: &[&[u8]],
    now: Timestamp,
) -> Option<Result<Caller, AuthError>> {
    let books = &reading.books;
    let found = keys.iter().find_map(|key| books.accounts.key_of(&digest(key)))?;
    if found.revoked_at.is_some() {
        return Some(Err(AuthError::UnknownApiKey));
    }
    if found.expires_at.is_some_and(|moment| is_expired(moment, now)) {
        return Some(Err(AuthError::ApiKeyExpired));
    }
    Some(holder(books, found).ok_or(AuthError::UnknownApiKey))
}

/// Whoever holds a key that is good: never more than the user it stands for, where the user is now.
fn holder(books: &Books, key: &ApiKey) -> Option<Caller> {
    let role = match key.user {
        Some(user) => key.role.min(books.accounts.account(user).role()),
        None => key.role,
    };
    let home = key.user.and_then(|user| books.directory.user(user).tenant);
    let has_moved = key.user.is_some() && home != key.tenant;
    if role != Role::Developer && (has_moved || key.tenant.is_none()) {
        return None;
    }
    let tenant = match key.tenant {
        Some(tenant) => Some(name(books, tenant)?),
        None => None,
    };
    let user = match key.user {
        Some(user) => Some(name(books, user)?),
        None => None,
    };
    let actor = Name::try_from(format!("key:{}#{}", key.name, key.id.0)).ok()?;
    Some(Caller { role, tenant, user, actor, identity: Identity::default() })
}

/// Whether the caller is a user who may not act any more. Whoever is known from elsewhere, `has_come`
/// with a role and a tenant that a tenant's administrator may have no say over: who merely gives an
/// account the same id must not shut them out.
pub(super) fn is_shut_out(reading: &Reading, caller: &Caller, has_come: bool) -> bool {
    let books = &reading.books;
    let user = caller.user.as_ref().and_then(|user| books.names.find(user.as_str()));
    let Some(user): Option<UserId> = user else { return false };
    let account = books.accounts.account(user);
    let had_a_say = account.set_within.is_none_or(|within| {
        let tenant = caller.tenant.as_ref().map(|tenant| books.names.find(tenant.as_str()));
        caller.role != Role::Developer && tenant.is_none_or(|tenant| tenant == Some(within))
    });
    account.is_inactive && (had_a_say || !has_come)
}

fn name<Id: NameId>(books: &Books, id: Id) -> Option<Name> {
    Name::try_from(books.names.text(id).to_string()).ok()
}
