//! `/api/v1/webhooks/…`: endpoints that events are sent to, and what became of each delivery. An
//! administrator has those of the tenant, a developer everyone's and those of every tenant's events.

mod deliveries;
mod draft;

use axum::{extract::State, http::StatusCode};
use projections::{books::Reading, webhooks::Endpoint};
use schemas::{Command, Name, Role, Sequence, TenantId, Timestamp, WebhookId, WebhookSecret};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, fault, submit},
    params::{Path, Query},
    personal::{alone, in_vault},
    problem::{ParameterSource, Problem},
};
use crate::{
    domain::{Rejection, WebhookRejection},
    webhooks::{SECRET_FIELD, signature::Secret},
    writer::{Outcome, Receipt},
};
use draft::{Changes, Draft, Rotation, SetUp, mark};

/// How long a secret signs beside the one that replaced it.
const ROTATION_SECONDS: i64 = 86_400;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, remove))
        .routes(routes!(rotate))
        .merge(deliveries::router())
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WebhookEndpoint {
    /// Its id.
    #[schema(value_type = String)]
    id: WebhookId,
    /// Whose events it gets; `null`: every tenant's.
    organization_id: Option<String>,
    /// Where they are sent.
    url: String,
    /// Which types of them; none: all.
    types: Vec<String>,
    /// Whether anything is sent.
    enabled: bool,
    /// In words.
    description: String,
    /// When it answered that it wants nothing more (410), unless it was set since.
    #[schema(value_type = Option<String>, format = DateTime)]
    gone_at: Option<Timestamp>,
    /// How many deliveries are still to be made.
    pending_deliveries: usize,
    /// How many replaced secrets still sign.
    replaced_secrets: usize,
    /// What deliveries are signed with: only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last set.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl WebhookEndpoint {
    fn new(reading: &Reading, id: WebhookId, endpoint: &Endpoint, now: Timestamp) -> Self {
        let books = &reading.books;
        let signs = |secret: &&WebhookSecret| secret.signs_until.is_some_and(|until| now < until);
        Self {
            id,
            organization_id: endpoint.tenant.map(|tenant| books.names.text(tenant).to_string()),
            url: endpoint.url.clone(),
            types: endpoint.types.clone(),
            enabled: endpoint.enabled,
            description: endpoint.description.clone(),
            gone_at: endpoint.gone_at,
            pending_deliveries: books
                .webhooks
                .pending(id)
                .map_or(0, projections::webhooks::Pending::len),
            replaced_secrets: endpoint.secrets.iter().filter(signs).count(),
            secret: None,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// An endpoint that the caller may see and change. Another tenant's is not there.
fn find(state: &AppState, caller: &Caller, id: WebhookId) -> Result<(Sequence, Endpoint), Problem> {
    let (sequence, endpoint) = state.views().look_now(|reading| {
        let endpoint = reading.books.webhooks.find(id)?;
        let own = |tenant: TenantId| {
            let tenant = reading.books.names.text(tenant);
            caller.tenant.as_ref().is_some_and(|own| own.as_str() == tenant.as_ref())
        };
        let is_seen = caller.role == Role::Developer || endpoint.tenant.is_some_and(own);
        is_seen.then(|| endpoint.clone())
    });
    match endpoint {
        Some(endpoint) => Ok((sequence, endpoint)),
        None => Err(Rejection::from(WebhookRejection::NoSuchWebhook).into()),
    }
}

fn show(state: &AppState, id: WebhookId) -> Result<(Sequence, WebhookEndpoint), Problem> {
    let now = state.clock().now();
    let (sequence, view) = state.views().look_now(|reading| {
        let endpoint = reading.books.webhooks.find(id)?;
        Some(WebhookEndpoint::new(reading, id, endpoint, now))
    });
    match view {
        Some(view) => Ok((sequence, view)),
        None => Err(Rejection::from(WebhookRejection::NoSuchWebhook).into()),
    }
}

/// Whose endpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct EndpointsQuery {
    /// Whose; when left out, the caller's own, and a developer's: all.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
}

/// Endpoints.
#[derive(Debug, Serialize, ToSchema)]
struct Endpoints {
    /// In the order of their making.
    endpoints: Vec<WebhookEndpoint>,
}

/// A tenant's endpoints; a developer who names no tenant sees everyone's.
#[utoipa::path(get, path = "/api/v1/webhooks/endpoints", tag = "webhooks",
    params(EndpointsQuery), responses((status = 200, body = Endpoints)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<EndpointsQuery>,
) -> Result<Reply<Endpoints>, Problem> {
    let scope = caller.tenant_scope(query.organization_id)?;
    let now = state.clock().now();
    let (sequence, mut endpoints) = state.views().look_now(|reading| {
        let webhooks = &reading.books.webhooks;
        let view = |(id, endpoint): (WebhookId, &Endpoint)| {
            WebhookEndpoint::new(reading, id, endpoint, now)
        };
        match &scope.tenant {
            None => webhooks.all().map(view).collect::<Vec<_>>(),
            Some(name) => match reading.books.names.find(name.as_str()) {
                Some(tenant) => webhooks.of(Some(tenant)).map(view).collect(),
                None => Vec::new(),
            },
        }
    });
    endpoints.sort_by_key(|endpoint| (endpoint.created_at, endpoint.id));
    Ok(Reply::read(sequence, Endpoints { endpoints }))
}

/// Makes an endpoint.
///
/// What is told of the tenant from then on is sent there, signed with the secret. The secret is shown
/// in this answer and never again; a repeat of the request under its `Idempotency-Key` does not show
/// it.
#[utoipa::path(post, path = "/api/v1/webhooks/endpoints", tag = "webhooks", request_body = Draft,
    responses((status = 201, body = WebhookEndpoint), (status = 200, body = WebhookEndpoint)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(draft): body::Json<Draft>,
) -> Result<Reply<WebhookEndpoint>, Problem> {
    let tenant = caller.tenant_scope(draft.organization_id.clone())?.tenant;
    let secret = secret_of(draft.secret.as_deref())?;
    let asked = mark("create", &draft)?;
    let set_up = draft.set_up(&state)?;
    alone(state.clone(), async move {
        let id = WebhookId(*uuid::Uuid::now_v7().as_bytes());
        let vault = state.vault().clone();
        let text = secret.to_text();
        let (vault_key, sealed) = in_vault(move || {
            let key = vault.new_key()?;
            Ok((key, vault.seal(key, SECRET_FIELD, &text)?))
        })
        .await?;
        let secrets = vec![WebhookSecret { sealed, signs_until: None }];
        let command = set_up.command(id, true, tenant, secrets, asked);
        let outcome = submit(&state, &caller, key, command).await;
        let is_new = matches!(&outcome, Ok(Receipt { outcome: Outcome::Recorded, .. }));
        if !is_new {
            let vault = state.vault().clone();
            in_vault(move || vault.erase(vault_key)).await?;
        }
        let receipt = outcome?;
        let id = if is_new { id } else { made_by(&state, &receipt).await? };
        let (_, view) = show(&state, id)?;
        let secret = is_new.then(|| secret.to_text());
        Ok(Reply::written(&receipt, WebhookEndpoint { secret, ..view }))
    })
    .await
}

/// The endpoint that a command has made before.
async fn made_by(state: &AppState, receipt: &Receipt) -> Result<WebhookId, Problem> {
    let (views, sequence) = (state.views().clone(), receipt.sequence);
    let recorded = super::ledger::reading(move || views.log().read(sequence)).await?;
    match recorded.map(|recorded| recorded.event) {
        Some(schemas::Event::WebhookSet(set)) => Ok(set.webhook),
        _ => Err(Rejection::from(WebhookRejection::NoSuchWebhook).into()),
    }
}

/// One endpoint.
#[utoipa::path(get, path = "/api/v1/webhooks/endpoints/{endpoint}", tag = "webhooks",
    params(("endpoint" = String, Path, description = "Its id")),
    responses((status = 200, body = WebhookEndpoint)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(id): Path<WebhookId>,
) -> Result<Reply<WebhookEndpoint>, Problem> {
    find(&state, &caller, id)?;
    let (sequence, view) = show(&state, id)?;
    Ok(Reply::read(sequence, view))
}

/// Changes an endpoint: what is left out stays as it is.
#[utoipa::path(put, path = "/api/v1/webhooks/endpoints/{endpoint}", tag = "webhooks",
    params(("endpoint" = String, Path, description = "Its id")), request_body = Changes,
    responses((status = 200, body = WebhookEndpoint)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<WebhookId>,
    body::Json(changes): body::Json<Changes>,
) -> Result<Reply<WebhookEndpoint>, Problem> {
    let asked = mark("update", &changes)?;
    alone(state.clone(), async move {
        let (_, before) = find(&state, &caller, id)?;
        let set_up = changes.over(&state, &before)?;
        let secrets = still_signing(&before, state.clock().now());
        let tenant = name_of(&state, before.tenant)?;
        let command = set_up.command(id, false, tenant, secrets, asked);
        let receipt = submit(&state, &caller, key, command).await?;
        let (_, view) = show(&state, id)?;
        Ok(written(&receipt, view))
    })
    .await
}

/// Gives an endpoint another secret. The one that it replaces signs beside it for a day.
///
/// The secret is shown in this answer and never again.
#[utoipa::path(post, path = "/api/v1/webhooks/endpoints/{endpoint}/secret/rotate", tag = "webhooks",
    params(("endpoint" = String, Path, description = "Its id")), request_body = Option<Rotation>,
    responses((status = 200, body = WebhookEndpoint)))]
async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<WebhookId>,
    rotation: Option<body::Json<Rotation>>,
) -> Result<Reply<WebhookEndpoint>, Problem> {
    let given = rotation.and_then(|body::Json(rotation)| rotation.secret);
    let secret = secret_of(given.as_deref())?;
    let asked = mark("rotate", &given)?;
    alone(state.clone(), async move {
        let (_, before) = find(&state, &caller, id)?;
        let now = state.clock().now();
        let vault = state.vault().clone();
        let (old_key, text) = (before.secrets.first().map(|old| old.sealed.key), secret.to_text());
        let sealed = in_vault(move || {
            let key = match old_key.filter(|key| vault.holds(*key)) {
                Some(key) => key,
                None => vault.new_key()?,
            };
            vault.seal(key, SECRET_FIELD, &text)
        })
        .await?;
        let mut secrets = vec![WebhookSecret { sealed, signs_until: None }];
        let until = now.plus_seconds(ROTATION_SECONDS);
        secrets.extend(
            still_signing(&before, now)
                .into_iter()
                .map(|old| WebhookSecret { signs_until: old.signs_until.or(Some(until)), ..old }),
        );
        let tenant = name_of(&state, before.tenant)?;
        let command = SetUp::of(&before).command(id, false, tenant, secrets, asked);
        let receipt = submit(&state, &caller, key, command).await?;
        let (_, view) = show(&state, id)?;
        let secret = (receipt.outcome == Outcome::Recorded).then(|| secret.to_text());
        Ok(written(&receipt, WebhookEndpoint { secret, ..view }))
    })
    .await
}

/// The secrets of an endpoint without those whose time is over.
fn still_signing(endpoint: &Endpoint, now: Timestamp) -> Vec<WebhookSecret> {
    let signs = |secret: &&WebhookSecret| secret.signs_until.is_none_or(|until| now < until);
    endpoint.secrets.iter().filter(signs).cloned().collect()
}

fn name_of(state: &AppState, tenant: Option<TenantId>) -> Result<Option<Name>, Problem> {
    let Some(tenant) = tenant else { return Ok(None) };
    let text = state.views().look(|reading| reading.books.names.text(tenant).to_string());
    Name::try_from(text).map(Some).map_err(|error| Problem::internal(&error))
}

/// A change of what is there is no creation.
fn written(receipt: &Receipt, view: WebhookEndpoint) -> Reply<WebhookEndpoint> {
    Reply::written(receipt, view).with_status(StatusCode::OK)
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
struct Removal {
    /// The endpoint.
    #[schema(value_type = String)]
    id: WebhookId,
}

/// Removes an endpoint. What was still to be delivered to it is not, and its secret is erased.
#[utoipa::path(delete, path = "/api/v1/webhooks/endpoints/{endpoint}", tag = "webhooks",
    params(("endpoint" = String, Path, description = "Its id")),
    responses((status = 200, body = Removal)))]
async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<WebhookId>,
) -> Result<Reply<Removal>, Problem> {
    alone(state.clone(), async move {
        let (_, endpoint) = find(&state, &caller, id)?;
        let command = Command::RemoveWebhook { webhook: id };
        let receipt = submit(&state, &caller, key, command).await?;
        // Cut off here, the next start does it.
        let vault = state.vault().clone();
        let keys: Vec<u32> = endpoint.secrets.iter().map(|secret| secret.sealed.key).collect();
        in_vault(move || keys.iter().try_for_each(|key| vault.erase(*key))).await?;
        Ok(Reply::written(&receipt, Removal { id }).with_status(StatusCode::OK))
    })
    .await
}

/// An address that is not taken.
fn wrong_url(reason: &str) -> Problem {
    fault("url", reason, ParameterSource::Body)
}

/// A secret that is not taken, or none that could be made.
fn secret_of(given: Option<&str>) -> Result<Secret, Problem> {
    match given {
        Some(text) => {
            Secret::parse(text).map_err(|reason| fault("secret", reason, ParameterSource::Body))
        }
        None => Secret::generate().map_err(|reason| Problem::internal(&reason)),
    }
}
