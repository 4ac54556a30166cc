//! Who may sign in and with what; sessions and API keys. Secrets are known only by their SHA-256,
//! passwords only as sealed hashes. What cannot be used any more is forgotten, but for API keys, of
//! which there are as many as somebody has made.

use bincode::{Decode, Encode};
use schemas::{
    ActorId, ApiKeyId, ApiKeyIssued, Event, NameId, Recorded, Role, Sealed, Sequence,
    SessionOpened, TenantId, Timestamp, UserId, is_expired,
};

use crate::collections::{Paged, Sharded};
use crate::projection::Projection;

/// How many sessions one user may have; the earliest ends when there is one more.
pub const SESSIONS_MAX: usize = 32;

/// A user's account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// What its holder may do; `None`: nobody has made an account.
    pub role: Option<Role>,
    /// Whether nobody may act as this user.
    pub is_inactive: bool,
    /// The tenant whose administrator last said so, or said otherwise; `None`: a developer.
    pub set_within: Option<TenantId>,
    /// The hash of the password.
    pub password: Option<Sealed>,
    /// When the user last signed in.
    pub last_active: Option<Timestamp>,
    /// When any of this was last set.
    pub updated_at: Option<Timestamp>,
    /// The digests of the sessions that were not ended, the earliest first.
    pub sessions: Vec<[u8; 32]>,
}

impl Account {
    /// What its holder may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role.unwrap_or_default()
    }
}

/// A session that was not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Session {
    /// Who signed in.
    pub user: UserId,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ApiKey {
    /// Which.
    pub id: ApiKeyId,
    /// What people call it; empty once whom it stands for was erased.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What its holder may do.
    pub role: Role,
    /// The tenant it belongs to.
    pub tenant: Option<TenantId>,
    /// The user it stands for.
    pub user: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The event that made it.
    pub created_by: Sequence,
    /// Who made it.
    pub issuer: Option<ActorId>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When somebody withdrew it.
    pub revoked_at: Option<Timestamp>,
}

/// Every account, session and API key.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Accounts {
    users: Paged<Account>,
    sessions: Sharded<[u8; 32], Session, 256>,
    keys: Paged<Option<ApiKey>>,
    keys_by_digest: Sharded<[u8; 32], ApiKeyId, 256>,
    /// Who has issued the latest command, the events of which all are theirs.
    acting: Option<ActorId>,
}

impl Accounts {
    /// A user's account.
    #[must_use]
    pub fn account(&self, user: UserId) -> &Account {
        self.users.get(user.number())
    }

    /// Those of the users who were ever given one, and of some others.
    pub fn all(&self) -> impl Iterator<Item = (UserId, &Account)> {
        self.users.iter().map(|(number, account)| (UserId::from_number(number), account))
    }

    /// Whether somebody can sign in who is a developer.
    #[must_use]
    pub fn has_developer(&self) -> bool {
        let can_sign_in = |account: &Account| !account.is_inactive && account.password.is_some();
        self.all().any(|(_, account)| account.role() == Role::Developer && can_sign_in(account))
    }

    /// The session whose secret has this SHA-256, unless it was ended.
    #[must_use]
    pub fn session(&self, digest: &[u8; 32]) -> Option<&Session> {
        self.sessions.get(digest)
    }

    /// The API key with this SHA-256.
    #[must_use]
    pub fn key_of(&self, digest: &[u8; 32]) -> Option<&ApiKey> {
        self.key(*self.keys_by_digest.get(digest)?)
    }

    /// An API key.
    #[must_use]
    pub fn key(&self, id: ApiKeyId) -> Option<&ApiKey> {
        self.keys.get(id.0).as_ref()
    }

    /// Every API key, in the order in which they were made.
    pub fn keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.iter().filter_map(|(_, key)| key.as_ref())
    }

    /// The number of the next API key.
    #[must_use]
    pub fn next_key(&self) -> ApiKeyId {
        ApiKeyId(u32::try_from(self.keys_by_digest.len()).unwrap_or(u32::MAX))
    }

    fn open(&mut self, opened: &SessionOpened, at: Timestamp) {
        let SessionOpened { user, session, expires_at } = *opened;
        let account = self.users.get_mut(user.number());
        account.last_active = Some(at);
        let (sessions, mut room) = (&mut self.sessions, SESSIONS_MAX.saturating_sub(1));
        // The latest are looked at first, so that the earliest find no room.
        let mut kept: Vec<_> = std::mem::take(&mut account.sessions)
            .into_iter()
            .rev()
            .filter(|earlier| {
                let lasts =
                    sessions.get(earlier).is_some_and(|known| !is_expired(known.expires_at, at));
                if lasts && room > 0 {
                    room = room.saturating_sub(1);
                    return true;
                }
                sessions.remove(earlier);
                false
            })
            .collect();
        kept.reverse();
        kept.push(session);
        account.sessions = kept;
        sessions.insert(session, Session { user, expires_at });
    }

    fn close(&mut self, user: UserId, digest: &[u8; 32]) {
        if self.sessions.remove(digest).is_some() {
            self.users.get_mut(user.number()).sessions.retain(|session| session != digest);
        }
    }

    fn issue(&mut self, issued: &ApiKeyIssued, recorded: &Recorded) {
        let ApiKeyIssued { key, name, digest, prefix, role, tenant, user, expires_at } =
            issued.clone();
        *self.keys.get_mut(key.0) = Some(ApiKey {
            id: key,
            name,
            prefix,
            role,
            tenant,
            user,
            created_at: recorded.recorded_at,
            created_by: recorded.sequence,
            issuer: self.acting,
            expires_at,
            revoked_at: None,
        });
        self.keys_by_digest.insert(digest, key);
    }

    /// Nobody signs in as this user any more, who stays what they may do, nor acts by a key.
    fn erase(&mut self, user: UserId, at: Timestamp) {
        let of_user = |key: &&ApiKey| key.user == Some(user);
        let keys: Vec<ApiKeyId> = self.keys().filter(of_user).map(|key| key.id).collect();
        for key in keys {
            if let Some(key) = self.keys.get_mut(key.0) {
                key.revoked_at.get_or_insert(at);
                key.name = String::new();
            }
        }
        let account = self.users.get_mut(user.number());
        account.password = None;
        account.last_active = None;
        for session in std::mem::take(&mut account.sessions) {
            self.sessions.remove(&session);
        }
    }
}

impl Projection for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        let at = recorded.recorded_at;
        if let Some(command) = &recorded.command {
            self.acting = Some(command.actor);
        }
        match &recorded.event {
            Event::AccountSet(set) => {
                let account = self.users.get_mut(set.user.number());
                account.role = Some(set.role);
                account.is_inactive = !set.active;
                account.set_within = set.within;
                account.updated_at = Some(at);
            }
            Event::PasswordSet(set) => {
                let account = self.users.get_mut(set.user.number());
                account.password = Some(set.hash.clone());
                account.updated_at = Some(at);
            }
            Event::PasswordCleared(cleared) => {
                let account = self.users.get_mut(cleared.user.number());
                account.password = None;
                account.updated_at = Some(at);
            }
            Event::SessionOpened(opened) => self.open(opened, at),
            Event::SessionClosed(closed) => self.close(closed.user, &closed.session),
            Event::ApiKeyIssued(issued) => self.issue(issued, recorded),
            Event::ApiKeyRevoked(revoked) => {
                if let Some(key) = self.keys.get_mut(revoked.key.0) {
                    key.revoked_at.get_or_insert(at);
                }
            }
            Event::UserErased(erased) => self.erase(erased.user, at),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(event: Event, second: i64) -> Recorded {
        Recorded {
            sequence: Sequence::new(1),
            recorded_at: Timestamp::EPOCH.plus_seconds(second),
            cause: Sequence::new(1),
            command: None,
            event,
        }
    }

    fn opened(digest: u8, second: i64, until: i64) -> Recorded {
        let expires_at = Timestamp::EPOCH.plus_seconds(until);
        let session = [digest; 32];
        recorded(
            Event::SessionOpened(SessionOpened { user: UserId(3), session, expires_at }),
            second,
        )
    }

    #[test]
    fn sessions_that_are_over_or_too_many_are_forgotten() {
        let mut accounts = Accounts::default();
        accounts.apply(&opened(0, 0, 10));
        accounts.apply(&opened(1, 0, 1_000));
        accounts.apply(&opened(2, 11, 1_000));
        assert_eq!(accounts.session(&[0; 32]), None);
        assert_eq!(accounts.account(UserId(3)).sessions, [[1; 32], [2; 32]]);
        for digest in 3..40 {
            accounts.apply(&opened(digest, 12, 1_000));
        }
        let kept = &accounts.account(UserId(3)).sessions;
        assert_eq!(kept.len(), SESSIONS_MAX);
        assert_eq!((kept.first(), kept.last()), (Some(&[8; 32]), Some(&[39; 32])));
        assert_eq!(accounts.sessions.len(), SESSIONS_MAX);
        accounts.apply(&recorded(Event::UserErased(schemas::UserErased { user: UserId(3) }), 13));
        assert!(accounts.sessions.is_empty() && accounts.account(UserId(3)).sessions.is_empty());
    }
}
