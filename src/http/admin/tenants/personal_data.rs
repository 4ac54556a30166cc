//! `DELETE /api/v1/admin/tenants/{tenant}/personal-data`: a tenant's addresses, and their end.

use axum::{extract::State, http::StatusCode};
use schemas::{Change, Command, Name, TenantId, TermChanges, UpdateTenant};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::no_such_tenant;
use crate::http::{
    AppState,
    auth::Caller,
    ledger::{IdempotencyKey, Reply, submit},
    params::Path,
    personal::{alone, in_vault},
    problem::Problem,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(erase))
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantErasure)]
struct Erasure {
    /// The tenant.
    organization_id: String,
    /// The addresses that there were.
    erased: Vec<&'static str>,
    /// How many keys were destroyed.
    keys: usize,
}

/// Erases a tenant's e-mail addresses: the keys under which the log holds them encrypted are
/// destroyed. Everything else about the tenant stays what it is.
#[utoipa::path(delete, path = "/api/v1/admin/tenants/{tenant}/personal-data", tag = "admin",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, body = Erasure)))]
async fn erase(
    State(state): State<AppState>,
    caller: Caller,
    Path(name): Path<Name>,
) -> Result<Reply<Erasure>, Problem> {
    alone(state.clone(), async move {
        let terms = state.views().look(|reading| {
            let tenant: TenantId = reading.books.names.find(name.as_str())?;
            Some(reading.books.tenants.terms(tenant).clone())
        });
        let terms = terms.ok_or_else(no_such_tenant)?;
        let addresses =
            [("contactEmail", terms.contact_email), ("billingEmail", terms.billing_email)];
        let there = addresses.iter().filter(|(_, address)| address.is_some());
        let erased = there.map(|(field, _)| *field).collect();
        // The keys first: what is cut off in between leaves nothing that can be read.
        let vault = state.vault().clone();
        let keys = in_vault(move || {
            let there: Vec<u32> = terms.keys.into_iter().filter(|key| vault.holds(*key)).collect();
            there.iter().try_for_each(|key| vault.erase(*key))?;
            Ok(there.len())
        })
        .await?;
        let organization_id = name.as_str().to_owned();
        let terms = TermChanges {
            contact_email: Change::Clear,
            billing_email: Change::Clear,
            ..TermChanges::default()
        };
        let command = UpdateTenant { terms, ..UpdateTenant::of(name) };
        let command = Command::UpdateTenant(Box::new(command));
        let receipt = submit(&state, &caller, IdempotencyKey::NONE, command).await?;
        let reply = Reply::written(&receipt, Erasure { organization_id, erased, keys });
        Ok(reply.with_status(StatusCode::OK).or_at(state.views().head()))
    })
    .await
}
