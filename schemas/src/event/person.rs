//! Events of users' attributes. Who the person is stands in them sealed; by what strategies judge
//! stands in them in clear.

use bincode::{Decode, Encode};

use crate::{Sealed, Timestamp, UserId};

/// What becomes of a value that may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// It is this.
    Set(T),
}

impl<T> Change<T> {
    /// What is set.
    #[must_use]
    pub fn new_value(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// The same change of something that follows from the value.
    #[must_use]
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(map(value)),
        }
    }

    /// Makes the change to `value`.
    pub fn apply_to(self, value: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *value = None,
            Self::Set(new) => *value = Some(new),
        }
    }

    /// Makes the change to a `value` that has a default for nothing.
    pub fn apply_or_default(self, value: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *value = T::default(),
            Self::Set(new) => *value = new,
        }
    }
}

/// Changes of a user's attributes: what the event holds, and, with names in clear, what asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Attributes {
    /// What people call the user.
    pub name: Change<Sealed>,
    /// The e-mail address.
    pub email: Change<Sealed>,
    /// The phone number.
    pub phone: Change<Sealed>,
    /// The GitHub user name.
    pub github_username: Change<Sealed>,
    /// The projects that the user has starred.
    pub github_star: Change<Vec<String>>,
    /// The level of importance.
    pub vip: Change<i64>,
    /// The organization, as strategies know it.
    pub org: Change<String>,
    /// When the user registered.
    pub register_time: Change<Timestamp>,
    /// When the user was last there.
    pub access_time: Change<Timestamp>,
}

/// See [`Event::UserDescribed`](crate::Event::UserDescribed).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UserDescribed {
    /// The user.
    pub user: UserId,
    /// What changed.
    pub attributes: Attributes,
}

/// See [`Event::UserErased`](crate::Event::UserErased).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct UserErased {
    /// The user.
    pub user: UserId,
}
