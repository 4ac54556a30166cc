//! A user as its tenant's administrators see it.

use projections::{accounts::Account, books::Reading, directory::User, profiles::Profile};
use schemas::{Role, Sealed, Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Status;
use crate::personal::{EMAIL, NAME, Vault};

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrganizationUser {
    /// The same as `userId`.
    id: String,
    /// The user's id.
    user_id: String,
    /// The tenant the user belongs to; `null`: none.
    organization_id: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// What people call the user.
    name: Option<String>,
    /// What the user may do.
    #[schema(value_type = String)]
    role: Role,
    /// Whether anyone may act as the user.
    #[schema(inline)]
    status: Status,
    /// Whether somebody has registered the user, or the id was only seen in messages.
    registered: bool,
    /// When the user last signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_active: Option<Timestamp>,
    /// When the id first appeared.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When somebody last changed something.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What the book knows of a user, before anything is unsealed.
pub(super) struct Known {
    id: String,
    tenant: Option<String>,
    user: User,
    pub(super) account: Account,
    profile: Profile,
}

impl Known {
    pub(super) fn new(reading: &Reading, user: UserId) -> Self {
        let books = &reading.books;
        let known = books.directory.user(user);
        Self {
            id: books.names.text(user).to_string(),
            tenant: known.tenant.map(|tenant| books.names.text(tenant).to_string()),
            user: known.clone(),
            account: books.accounts.account(user).clone(),
            profile: books.profiles.profile(user).clone(),
        }
    }

    pub(super) fn shown(self, vault: &Vault) -> OrganizationUser {
        let Self { id, tenant, user, account, profile } = self;
        let unseal = |field, sealed: Option<Sealed>| vault.unseal(field, &sealed?);
        let changes = [account.updated_at, profile.updated_at];
        let updated_at = changes.into_iter().flatten().fold(user.first_seen, Timestamp::max);
        OrganizationUser {
            user_id: id.clone(),
            id,
            organization_id: tenant,
            email: unseal(EMAIL, profile.email),
            name: unseal(NAME, profile.name),
            role: account.role(),
            status: if account.is_inactive { Status::Inactive } else { Status::Active },
            registered: user.registered,
            last_active: account.last_active,
            created_at: user.first_seen,
            updated_at,
        }
    }
}
