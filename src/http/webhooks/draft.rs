//! What is asked for of an endpoint, read and checked.

use projections::webhooks::Endpoint;
use schemas::{Command, Name, SetWebhook, WebhookId, WebhookSecret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::wrong_url;
use crate::{
    http::{AppState, problem::Problem},
    webhooks::address,
};

/// An endpoint to be made.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Draft {
    /// Whose events it gets; when left out, the caller's own, and a developer's: every tenant's.
    #[schema(value_type = Option<String>)]
    pub(super) organization_id: Option<Name>,
    /// Where they are sent: `https://…`, or `http://…`.
    url: String,
    /// Which types of them; all when left out.
    #[serde(default)]
    types: Vec<String>,
    /// Whether anything is sent; `true` when left out.
    enabled: Option<bool>,
    /// In words.
    #[serde(default)]
    description: String,
    /// What deliveries are signed with: `whsec_` and 24 to 64 bytes in base64. One is made when it is
    /// left out.
    pub(super) secret: Option<String>,
}

/// What is to change of an endpoint.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Changes {
    /// Where events are sent.
    url: Option<String>,
    /// Which types of them; none: all.
    types: Option<Vec<String>>,
    /// Whether anything is sent.
    enabled: Option<bool>,
    /// In words.
    description: Option<String>,
}

/// A change of secrets.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// The new one: `whsec_` and 24 to 64 bytes in base64. One is made when it is left out.
    pub(super) secret: Option<String>,
}

/// What an endpoint is set to.
pub(super) struct SetUp {
    url: String,
    types: Vec<String>,
    enabled: bool,
    description: String,
}

impl Draft {
    /// What the new endpoint is set to.
    pub(super) fn set_up(self, state: &AppState) -> Result<SetUp, Problem> {
        let Self { url, types, enabled, description, .. } = self;
        check_url(state, &url)?;
        Ok(SetUp { url, types, enabled: enabled.unwrap_or(true), description })
    }
}

impl Changes {
    /// What an endpoint is set to that was set to something before.
    pub(super) fn over(self, state: &AppState, before: &Endpoint) -> Result<SetUp, Problem> {
        let Self { url, types, enabled, description } = self;
        if let Some(url) = &url {
            check_url(state, url)?;
        }
        let before = SetUp::of(before);
        Ok(SetUp {
            url: url.unwrap_or(before.url),
            types: types.unwrap_or(before.types),
            enabled: enabled.unwrap_or(before.enabled),
            description: description.unwrap_or(before.description),
        })
    }
}

impl SetUp {
    /// What an endpoint is set to now.
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            url: endpoint.url.clone(),
            types: endpoint.types.clone(),
            enabled: endpoint.enabled,
            description: endpoint.description.clone(),
        }
    }

    pub(super) fn command(
        self,
        webhook: WebhookId,
        creates: bool,
        tenant: Option<Name>,
        secrets: Vec<WebhookSecret>,
        asked: [u8; 16],
    ) -> Command {
        let Self { url, types, enabled, description } = self;
        Command::SetWebhook(Box::new(SetWebhook {
            webhook,
            creates,
            tenant,
            url,
            types,
            enabled,
            secrets,
            description,
            asked,
        }))
    }
}

fn check_url(state: &AppState, url: &str) -> Result<(), Problem> {
    let allow_private = state.webhook_sender().allows_private();
    address::parse(url, allow_private).map(drop).map_err(wrong_url)
}

/// Tells what is asked for from everything else, without showing it.
pub(super) fn mark(what: &str, asked: &impl Serialize) -> Result<[u8; 16], Problem> {
    let text = serde_json::to_vec(asked).map_err(|error| Problem::internal(&error))?;
    let mut mark = [0; 16];
    let mut hasher = blake3::Hasher::new_derive_key("tallybook 2026-11-25 requests of webhooks");
    hasher.update(what.as_bytes()).update(&[0]).update(&text).finalize_xof().fill(&mut mark);
    Ok(mark)
}
