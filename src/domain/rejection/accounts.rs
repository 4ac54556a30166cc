//! Refusals about accounts and API keys.

use std::borrow::Cow;

use thiserror::Error;

use super::Blame;

/// A refusal about accounts and API keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountRejection {
    /// There is no such user, or none that the asker has a say over.
    #[error("User not found")]
    NoSuchUser,
    /// The user has an account already.
    #[error("the user has an account already; `PUT` changes it")]
    UserExists,
    /// Somebody else has the user's id.
    #[error("`userId` belongs to somebody else")]
    UserTaken,
    /// Only a developer makes, changes or ends developers.
    #[error("only a developer may do this to a developer, or make one")]
    DevelopersOnly,
    /// A developer has deactivated the account, and only a developer lets in again.
    #[error("a developer has deactivated this account; only a developer may activate it")]
    DeactivatedByDeveloper,
    /// Somebody in another tenant signs in with the e-mail address.
    #[error("`email` belongs to somebody else")]
    EmailTaken,
    /// A tenant's administrator speaks of another tenant.
    #[error("this belongs to another tenant")]
    AnotherTenant,
    /// An administrator of nothing.
    #[error("a `{role}` needs an `organizationId`")]
    TenantNeeded {
        /// What the holder would be.
        role: &'static str,
    },
    /// Nobody has spoken of the tenant.
    #[error("`organizationId` names no organization that is known here")]
    NoSuchTenant,
    /// A key of a user needs one.
    #[error("a `tenant_user` needs a `userId`")]
    UserNeeded,
    /// The user is not of the tenant of the key.
    #[error("`userId` names no user of this organization")]
    UserOfAnotherTenant,
    /// A key may no more than the user it stands for.
    #[error("`role` must not be above the user's, who may less than a `{role}`")]
    RoleAboveUser {
        /// What the key's holder would be.
        role: &'static str,
    },
    /// It would end before it begins.
    #[error("`expiresAt` must be in the future")]
    ExpiresInThePast,
    /// Nobody may act as this user.
    #[error("the account is not active")]
    Inactive,
    /// The password was changed meanwhile.
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// There is no such API key, or none that the asker has a say over.
    #[error("there is no such API key")]
    NoSuchKey,
}

impl AccountRejection {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchUser => "no_such_user",
            Self::UserExists => "user_exists",
            Self::UserTaken => "user_taken",
            Self::DevelopersOnly => "developers_only",
            Self::DeactivatedByDeveloper => "deactivated_by_developer",
            Self::EmailTaken => "email_taken",
            Self::AnotherTenant => "forbidden",
            Self::TenantNeeded { .. } => "organization_needed",
            Self::NoSuchTenant => "no_such_organization",
            Self::UserNeeded => "user_needed",
            Self::UserOfAnotherTenant => "user_of_another_organization",
            Self::RoleAboveUser { .. } => "role_above_user",
            Self::ExpiresInThePast => "expires_in_the_past",
            Self::Inactive => "account_inactive",
            Self::PasswordChanged => "password_changed",
            Self::NoSuchKey => "no_such_api_key",
        }
    }

    pub(super) const fn field(&self) -> Option<Cow<'static, str>> {
        let field = match self {
            Self::UserTaken | Self::UserNeeded | Self::UserOfAnotherTenant => "userId",
            Self::EmailTaken => "email",
            Self::TenantNeeded { .. } | Self::NoSuchTenant => "organizationId",
            Self::RoleAboveUser { .. } => "role",
            Self::ExpiresInThePast => "expiresAt",
            Self::NoSuchUser
            | Self::UserExists
            | Self::DevelopersOnly
            | Self::DeactivatedByDeveloper
            | Self::AnotherTenant
            | Self::Inactive
            | Self::PasswordChanged
            | Self::NoSuchKey => return None,
        };
        Some(Cow::Borrowed(field))
    }

    pub(super) const fn blame(&self) -> Blame {
        match self {
            Self::NoSuchUser | Self::NoSuchKey => Blame::Missing,
            Self::UserExists | Self::UserTaken | Self::EmailTaken | Self::PasswordChanged => {
                Blame::State
            }
            Self::DevelopersOnly
            | Self::DeactivatedByDeveloper
            | Self::AnotherTenant
            | Self::Inactive => Blame::Status,
            Self::TenantNeeded { .. }
            | Self::NoSuchTenant
            | Self::UserNeeded
            | Self::UserOfAnotherTenant
            | Self::RoleAboveUser { .. }
            | Self::ExpiresInThePast => Blame::Command,
        }
    }
}
