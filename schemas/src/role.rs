//! What a caller may see and change.

use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a caller may see and change. A later one may all that an earlier one may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Role {
    /// What is the user's own.
    #[default]
    TenantUser,
    /// Everything of one tenant.
    TenantAdmin,
    /// Everything, of all tenants.
    Developer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::TenantUser, Self::TenantAdmin, Self::Developer];

    /// As it is written in tokens, in bodies and in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantUser => "tenant_user",
            Self::TenantAdmin => "tenant_admin",
            Self::Developer => "developer",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            format!(
                "must be `developer`, `tenant_admin` or `tenant_user`, got `{}`",
                text.chars().take(64).collect::<String>()
            )
        })
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
