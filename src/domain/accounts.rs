//! Accounts, sessions and API keys. Who is asked for by a tenant's administrator is one of the
//! tenant's own users and no developer.

use projections::{accounts::Account, books::Books, profiles::Profile, quota};
use schemas::{
    AccountSet, ApiKeyIssued, ApiKeyRevoked, Attributes, DescribeUser, Event, IssueApiKey, Name,
    OpenSession, PasswordCleared, PasswordSet, RevokeApiKey, Role, SessionClosed, SessionOpened,
    SetAccount, TenantId, Timestamp, UserId, UserRegistered, is_expired,
};

use super::naming::Naming;
use super::rejection::{AccountRejection, Rejection};
use super::users;

/// A user's account from now on.
pub(super) fn set(
    books: &Books,
    command: &SetAccount,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let SetAccount { within, user: name, creates, tenant, role, active, .. } = command;
    let known: Option<UserId> = naming.known(name);
    let nobody = Account::default();
    let account = known.map_or(&nobody, |user| books.accounts.account(user));
    let home = known.and_then(|user| books.directory.user(user).tenant);
    if let Some(within) = within {
        let known = known.filter(|user| !command.creates || is_somebody(books, *user));
        check_say(within, command, known, account, home, naming)?;
    }
    if known.is_none() && !creates {
        return Err(AccountRejection::NoSuchUser.into());
    }
    let is_home = |tenant: &Name| home.is_some() && naming.known(tenant) == home;
    if *creates && account.role.is_some() {
        let says_nothing_new = tenant.as_ref().is_none_or(is_home) && names_nothing(command);
        return if says_nothing_new {
            Ok(Vec::new())
        } else {
            Err(AccountRejection::UserExists.into())
        };
    }
    let moves = home.is_some() && tenant.as_ref().is_some_and(|tenant| !is_home(tenant));
    let role = role.unwrap_or(if moves { abroad(account.role()) } else { account.role() });
    let active = active.unwrap_or(!account.is_inactive);
    if role == Role::TenantAdmin && tenant.is_none() && home.is_none() {
        return Err(AccountRejection::TenantNeeded { role: role.as_str() }.into());
    }

    let user: UserId = naming.id(name);
    let mut events = Vec::new();
    if let Some(tenant) = tenant {
        let tenant: TenantId = naming.id(tenant);
        if home != Some(tenant) || !books.directory.user(user).registered {
            events.push(Event::UserRegistered(UserRegistered { user, tenant }));
        }
    }
    let within: Option<TenantId> = within.as_ref().map(|tenant| naming.id(tenant));
    let within = if is_said_anew(command, account, within) { within } else { account.set_within };
    let is_banned_anew = account.is_inactive && within != account.set_within;
    let is_set = (account.role(), !account.is_inactive) == (role, active) && !is_banned_anew;
    if !is_set || (*creates && account.role.is_none()) {
        events.push(Event::AccountSet(AccountSet { user, within, role, active }));
    }
    if command.attributes != Attributes::default() {
        let attributes = command.attributes.clone();
        events.push(users::describe(&DescribeUser { user: name.clone(), attributes }, naming)?);
    }
    if let Some(hash) = command.password.clone() {
        events.push(Event::PasswordSet(PasswordSet { user, hash }));
    }
    // Whoever had a say before set it, and may know it.
    let rises = role == Role::Developer && account.role() != Role::Developer;
    let is_handed_over = rises || (moves && account.role() != Role::Developer);
    if is_handed_over && command.password.is_none() && account.password.is_some() {
        events.push(Event::PasswordCleared(PasswordCleared { user }));
    }
    if command.password.is_some() || is_handed_over || !active {
        let kept = command.keeps_session.filter(|_| active);
        let ended = account.sessions.iter().filter(|session| Some(**session) != kept);
        let close = |session: &[u8; 32]| SessionClosed { user, session: *session };
        events.extend(ended.map(close).map(Event::SessionClosed));
    }
    Ok(events)
}

/// What whoever may do this at home may do in another tenant, unless somebody says otherwise.
const fn abroad(role: Role) -> Role {
    match role {
        Role::Developer => Role::Developer,
        Role::TenantAdmin | Role::TenantUser => Role::TenantUser,
    }
}

/// Whether `within` says something of its own on whether anyone may act: who has deactivated stays on
/// record when something else changes, and a developer who has for a tenant as well.
fn is_said_anew(command: &SetAccount, account: &Account, within: Option<TenantId>) -> bool {
    let stays_inactive = account.is_inactive && command.active != Some(true);
    !stays_inactive || (command.active.is_some() && within.is_none())
}

/// Whether anything but the name is known of a user.
fn is_somebody(books: &Books, user: UserId) -> bool {
    books.directory.user(user).tenant.is_some()
        || *books.accounts.account(user) != Account::default()
        || *books.quota.account(user) != quota::Account::default()
        || *books.profiles.profile(user) != Profile::default()
}

/// Whether an administrator of `within` has a say in this.
fn check_say(
    within: &Name,
    command: &SetAccount,
    known: Option<UserId>,
    account: &Account,
    home: Option<TenantId>,
    naming: &Naming<'_>,
) -> Result<(), Rejection> {
    let is_own = home.is_some() && naming.known(within) == home;
    if known.is_some() && !is_own {
        let refusal = if command.creates {
            AccountRejection::UserTaken
        } else {
            AccountRejection::NoSuchUser
        };
        return Err(refusal.into());
    }
    if account.role() == Role::Developer || command.role == Some(Role::Developer) {
        return Err(AccountRejection::DevelopersOnly.into());
    }
    if command.tenant.as_ref().is_some_and(|tenant| tenant != within) {
        return Err(AccountRejection::AnotherTenant.into());
    }
    if account.is_inactive && account.set_within.is_none() && command.active == Some(true) {
        return Err(AccountRejection::DeactivatedByDeveloper.into());
    }
    Ok(())
}

/// Whether nothing is said but who the user is and where the user belongs.
fn names_nothing(command: &SetAccount) -> bool {
    let SetAccount { role, active, attributes, password, .. } = command;
    role.is_none() && active.is_none() && password.is_none() && *attributes == Attributes::default()
}

/// A session from now on.
pub(super) fn open_session(
    books: &Books,
    command: &OpenSession,
    now: Timestamp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let OpenSession { user, password, session, expires_at } = command;
    let user: UserId = naming.known(user).ok_or(AccountRejection::NoSuchUser)?;
    let account = books.accounts.account(user);
    if account.is_inactive {
        return Err(AccountRejection::Inactive.into());
    }
    if account.password.as_ref() != Some(password) {
        return Err(AccountRejection::PasswordChanged.into());
    }
    if is_expired(*expires_at, now) {
        return Err(AccountRejection::ExpiresInThePast.into());
    }
    let (session, expires_at) = (*session, *expires_at);
    Ok(vec![Event::SessionOpened(SessionOpened { user, session, expires_at })])
}

/// The end of a session; nothing when it has ended.
pub(super) fn close_session(books: &Books, session: [u8; 32]) -> Vec<Event> {
    let open = books.accounts.session(&session);
    let close = |user| Event::SessionClosed(SessionClosed { user, session });
    open.map(|open| close(open.user)).into_iter().collect()
}

/// An API key from now on.
pub(super) fn issue_key(
    books: &Books,
    command: &IssueApiKey,
    now: Timestamp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let IssueApiKey { within, name, digest, prefix, role, tenant, user, issuer, expires_at } =
        command;
    if within.is_some() {
        if *role == Role::Developer {
            return Err(AccountRejection::DevelopersOnly.into());
        }
        if tenant != within {
            return Err(AccountRejection::AnotherTenant.into());
        }
    }
    if expires_at.is_some_and(|moment| is_expired(moment, now)) {
        return Err(AccountRejection::ExpiresInThePast.into());
    }
    let tenant = match tenant {
        Some(tenant) => Some(naming.known(tenant).ok_or(AccountRejection::NoSuchTenant)?),
        None if *role == Role::Developer => None,
        None => return Err(AccountRejection::TenantNeeded { role: role.as_str() }.into()),
    };
    let user = match user {
        Some(user) => Some(holder(books, command, user, tenant, naming)?),
        None if *role == Role::TenantUser => return Err(AccountRejection::UserNeeded.into()),
        None => match issuer {
            // One whom only their token makes an administrator has no account that it could stand for.
            Some(issuer) => match holder(books, command, issuer, tenant, naming) {
                Err(Rejection::Account(AccountRejection::Inactive)) => {
                    return Err(AccountRejection::Inactive.into());
                }
                held => held.ok(),
            },
            None => None,
        },
    };
    Ok(vec![Event::ApiKeyIssued(Box::new(ApiKeyIssued {
        key: books.accounts.next_key(),
        name: name.as_str().to_owned(),
        digest: *digest,
        prefix: prefix.clone(),
        role: *role,
        tenant,
        user,
        expires_at: *expires_at,
    }))])
}

/// The user that a key of `tenant` may stand for.
fn holder(
    books: &Books,
    command: &IssueApiKey,
    user: &Name,
    tenant: Option<TenantId>,
    naming: &Naming<'_>,
) -> Result<UserId, Rejection> {
    let user: UserId = naming.known(user).ok_or(AccountRejection::UserOfAnotherTenant)?;
    let account = books.accounts.account(user);
    if command.role != Role::Developer && books.directory.user(user).tenant != tenant {
        return Err(AccountRejection::UserOfAnotherTenant.into());
    }
    if command.within.is_some() && account.role() == Role::Developer {
        return Err(AccountRejection::DevelopersOnly.into());
    }
    if command.role > account.role() {
        return Err(AccountRejection::RoleAboveUser { role: command.role.as_str() }.into());
    }
    if account.is_inactive {
        return Err(AccountRejection::Inactive.into());
    }
    Ok(user)
}

/// The end of an API key; nothing when it was withdrawn before.
pub(super) fn revoke_key(
    books: &Books,
    command: &RevokeApiKey,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let RevokeApiKey { key, within } = command;
    let found = books.accounts.key(*key).ok_or(AccountRejection::NoSuchKey)?;
    if let Some(within) = within {
        let is_own = found.tenant.is_some() && found.tenant == naming.known(within);
        if !is_own || found.role == Role::Developer {
            return Err(AccountRejection::NoSuchKey.into());
        }
    }
    let revoked = Event::ApiKeyRevoked(ApiKeyRevoked { key: *key });
    Ok(if found.revoked_at.is_some() { Vec::new() } else { vec![revoked] })
}
