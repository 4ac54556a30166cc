//! The body that describes a user, and how it is sealed.

use std::fmt;

use schemas::{Attributes, Change, Name, Timestamp};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use utoipa::ToSchema;

use crate::{
    http::{
        changes::{text, value},
        ledger::fault,
        personal::Sealer,
        problem::{ParameterSource, Problem},
    },
    personal::{EMAIL, GITHUB_USERNAME, NAME, PHONE, Vault, VaultError},
};

/// What changes of a user. `null` clears, and so does an empty text.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// What people call the user.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    name: Change<Name>,
    /// The e-mail address.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    email: Change<Name>,
    /// The phone number.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    phone: Change<Name>,
    /// The GitHub user name.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    github_username: Change<Name>,
    /// The projects that the user has starred: a list, or a text with commas between them.
    #[serde(default, deserialize_with = "projects")]
    #[schema(value_type = Option<Vec<String>>)]
    github_star: Change<Vec<String>>,
    /// The level of importance.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<i64>)]
    vip: Change<i64>,
    /// The organization, as strategies know it.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    org: Change<Name>,
    /// When the user registered.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<String>, format = DateTime)]
    register_time: Change<Timestamp>,
    /// When the user was last there.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<String>, format = DateTime)]
    access_time: Change<Timestamp>,
}

impl Description {
    /// Refuses one that says nothing.
    ///
    /// # Errors
    /// When no attribute is named.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if *self == Self::default() {
            let reason = "must name at least one attribute";
            return Err(fault("body", reason, ParameterSource::Body));
        }
        Ok(())
    }

    /// As the log takes it: what says who the person is sealed under `key`, or under a new one when
    /// one is needed and there is none, or none any more: an erasure may have been cut off.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub(super) fn seal(self, vault: &Vault, key: Option<u32>) -> Result<Attributes, VaultError> {
        let Self {
            name,
            email,
            phone,
            github_username,
            github_star,
            vip,
            org,
            register_time,
            access_time,
        } = self;
        let mut sealer = Sealer::new(vault, key);
        Ok(Attributes {
            name: sealer.seal(NAME, name)?,
            email: sealer.seal(EMAIL, email)?,
            phone: sealer.seal(PHONE, phone)?,
            github_username: sealer.seal(GITHUB_USERNAME, github_username)?,
            github_star,
            vip,
            org: org.map(|org| org.as_str().to_owned()),
            register_time,
            access_time,
        })
    }
}

/// Names of projects: trimmed, without empty ones, each once.
fn projects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Vec<String>>, D::Error> {
    struct Projects;

    impl<'de> Visitor<'de> for Projects {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of texts, or one text with commas")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            let mut projects = Vec::new();
            add(&mut projects, text);
            Ok(projects)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut projects = Vec::new();
            while let Some(text) = list.next_element::<String>()? {
                add(&mut projects, &text);
            }
            Ok(projects)
        }
    }

    let projects = deserializer.deserialize_any(Projects)?;
    Ok(if projects.is_empty() { Change::Clear } else { Change::Set(projects) })
}

fn add(projects: &mut Vec<String>, text: &str) {
    for project in text.split(',').map(str::trim).filter(|project| !project.is_empty()) {
        if !projects.iter().any(|present| present == project) {
            projects.push(project.to_owned());
        }
    }
}
