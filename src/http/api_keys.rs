//! `/api/v1/organization/api-keys`: keys for programs. A key is shown once, and kept hashed.

use axum::{extract::State, http::StatusCode};
use projections::{accounts::ApiKey, books::Reading};
use schemas::{ApiKeyId, Command, IssueApiKey, Name, RevokeApiKey, Role, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::{Caller, digest},
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, fault, submit},
    params::{Path, Query},
    problem::{ParameterSource, Problem},
    sign_in::random_secret,
};
use crate::{domain::AccountRejection, writer::Outcome};

/// What every key begins with, so that one that lies about is known for what it is.
const START: &str = "tbk_";
/// How much of a key is kept to tell keys apart by.
const PREFIX_BYTES: usize = 12;
/// The longest name, in bytes: it is part of what the log calls whoever holds the key.
const NAME_BYTES_MAX: usize = 128;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, issue)).routes(routes!(revoke))
}

/// An API key, without what would let anyone in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyView {
    /// Its number.
    id: u32,
    /// Its first characters.
    prefix: String,
    /// What people call it; `null` once the user it stands for was erased.
    name: Option<String>,
    /// What its holder may do, but never more than the user it stands for.
    #[schema(value_type = String)]
    role: Role,
    /// The tenant it belongs to; `null` for a developer's.
    organization_id: Option<String>,
    /// The user it stands for.
    user_id: Option<String>,
    /// Who made it, as the log calls them.
    created_by: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When somebody withdrew it.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl KeyView {
    fn new(reading: &Reading, key: &ApiKey) -> Self {
        let names = &reading.books.names;
        Self {
            id: key.id.0,
            prefix: key.prefix.clone(),
            name: Some(key.name.clone()).filter(|name| !name.is_empty()),
            role: key.role,
            organization_id: key.tenant.map(|tenant| names.text(tenant).to_string()),
            user_id: key.user.map(|user| names.text(user).to_string()),
            created_by: key.issuer.map(|actor| names.text(actor).to_string()),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// Whose keys.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct KeysQuery {
    /// Whose; when left out, the caller's own, and a developer's are all.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
}

/// API keys, those that were withdrawn or have expired as well. Developers' keys are shown to
/// developers alone.
#[utoipa::path(get, path = "/api/v1/organization/api-keys", tag = "organization",
    params(KeysQuery), responses((status = 200, body = [KeyView])))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<KeysQuery>,
) -> Result<Reply<Vec<KeyView>>, Problem> {
    let tenant = caller.tenant_scope(query.organization_id)?.tenant;
    let (sequence, keys) = state.views().look_now(|reading| {
        let wanted = match &tenant {
            Some(tenant) => Some(reading.books.names.find(tenant.as_str())?),
            None => None,
        };
        let is_seen =
            |key: &&ApiKey| key.role <= caller.role && (wanted.is_none() || key.tenant == wanted);
        let keys = reading.books.accounts.keys().filter(is_seen);
        Some(keys.map(|key| KeyView::new(reading, key)).collect())
    });
    Ok(Reply::read(sequence, keys.unwrap_or_default()))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyOrder {
    /// What people call it.
    #[schema(value_type = String)]
    name: Name,
    /// The tenant it belongs to; an administrator's own when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// What its holder may do.
    #[schema(value_type = String)]
    role: Role,
    /// The user it stands for; a `tenant_user`'s needs one. When left out, an administrator with an
    /// account of their own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_id: Option<Name>,
    /// When it ends by itself.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
struct Issued {
    /// The key itself, which is shown this once: send it as `X-API-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// What is known of it.
    #[serde(flatten)]
    view: KeyView,
}

/// Makes a key. It is in this answer and nowhere else: a request that is repeated under its
/// `Idempotency-Key` is answered without it.
#[utoipa::path(post, path = "/api/v1/organization/api-keys", tag = "organization",
    request_body = KeyOrder,
    responses((status = 201, body = Issued), (status = 200, body = Issued)))]
async fn issue(
    State(state): State<AppState>,
    caller: Caller,
    idempotency_key: IdempotencyKey,
    body::Json(order): body::Json<KeyOrder>,
) -> Result<Reply<Issued>, Problem> {
    let KeyOrder { name, organization_id, role, user_id, expires_at } = order;
    if name.as_str().len() > NAME_BYTES_MAX {
        return Err(fault("name", "must be at most 128 bytes long", ParameterSource::Body));
    }
    let tenant = caller.tenant_scope(organization_id)?.tenant;
    let key = format!("{START}{}", random_secret()?);
    let command = Command::IssueApiKey(Box::new(IssueApiKey {
        within: caller.tenant_scope(None)?.tenant,
        name,
        digest: digest(key.as_bytes()),
        prefix: key.chars().take(PREFIX_BYTES).collect(),
        role,
        tenant,
        user: user_id,
        issuer: caller.user.clone().filter(|_| caller.role != Role::Developer),
        expires_at,
    }));
    let receipt = submit(&state, &caller, idempotency_key, command).await?;
    let view = state.views().look(|reading| {
        let mut keys = reading.books.accounts.keys();
        let issued = keys.find(|key| key.created_by == receipt.sequence);
        issued.map(|key| KeyView::new(reading, key))
    });
    let view = view.ok_or(AccountRejection::NoSuchKey)?;
    let key = (receipt.outcome == Outcome::Recorded).then_some(key);
    Ok(Reply::written(&receipt, Issued { key, view }).without_store())
}

/// What was done, in words.
#[derive(Debug, Serialize, ToSchema)]
struct Message {
    /// In words.
    message: &'static str,
}

/// Withdraws a key: from now on it lets nobody in.
#[utoipa::path(delete, path = "/api/v1/organization/api-keys/{key}", tag = "organization",
    params(("key" = u32, Path, description = "Its number")),
    responses((status = 200, body = Message)))]
async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    idempotency_key: IdempotencyKey,
    Path(key): Path<String>,
) -> Result<Reply<Message>, Problem> {
    // What is no number is no key's.
    let key = key.parse().map(ApiKeyId).map_err(|_| AccountRejection::NoSuchKey)?;
    let within = caller.tenant_scope(None)?.tenant;
    let command = Command::RevokeApiKey(RevokeApiKey { key, within });
    let receipt = submit(&state, &caller, idempotency_key, command).await?;
    let message = Message { message: "API key revoked" };
    Ok(Reply::written(&receipt, message).with_status(StatusCode::OK))
}
