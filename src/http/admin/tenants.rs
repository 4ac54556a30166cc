//! Who is known: tenants, registered or only seen in messages; their terms, and what
//! their consumption draws.

mod description;
mod details;
mod organization;
mod personal_data;

use std::{collections::BTreeMap, fmt};

use axum::{extract::State, http::StatusCode};
use schemas::{
    Command, Credits, DrawRule, Name, Sequence, SetDrawRule, TenantId, TenantStatus, UpdateTenant,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Rejection, TenantRejection},
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{AtLeast, IdempotencyKey, Reply, submit},
        params::Path,
        personal::{alone, in_vault},
        problem::Problem,
    },
};
use description::Description;
use organization::{Organization, Sealed};

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get, update, deactivate))
        .merge(details::router())
        .merge(personal_data::router())
        .routes(routes!(set_rule))
}

/// All tenants, in the order in which they became known.
#[utoipa::path(get, path = "/api/v1/admin/tenants", tag = "admin",
    responses((status = 200, body = [Organization])))]
async fn list(
    State(state): State<AppState>,
    _: AtLeast,
) -> Result<Reply<Vec<Organization>>, Problem> {
    let (sequence, tenants) = state.views().look_now(|reading| {
        let names = reading.books.names.all();
        names.map(|(tenant, _)| Sealed::new(reading, tenant)).collect::<Vec<_>>()
    });
    let tenants = tenants.into_iter().map(|tenant| tenant.unseal(state.vault()));
    Ok(Reply::read(sequence, tenants.collect()))
}

/// One tenant.
#[utoipa::path(get, path = "/api/v1/admin/tenants/{tenant}", tag = "admin",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, body = Organization)))]
async fn get(
    State(state): State<AppState>,
    _: AtLeast,
    Path(tenant): Path<Name>,
) -> Result<Reply<Organization>, Problem> {
    let (sequence, tenant) = find(&state, &tenant)?;
    Ok(Reply::read(sequence, tenant))
}

fn find(state: &AppState, name: &Name) -> Result<(Sequence, Organization), Problem> {
    let (sequence, tenant) = state.views().look_now(|reading| {
        let tenant = reading.books.names.find(name.as_str())?;
        Some(Sealed::new(reading, tenant))
    });
    let tenant = tenant.ok_or_else(no_such_tenant)?;
    Ok((sequence, tenant.unseal(state.vault())))
}

fn no_such_tenant() -> Problem {
    Rejection::from(TenantRejection::NoSuchTenant).into()
}

/// Makes a tenant known, or gives it another name and other terms.
///
/// E-mail addresses are encrypted before they go into the log.
#[utoipa::path(post, path = "/api/v1/admin/tenants", tag = "admin", request_body = Description,
    responses((status = 201, body = Organization), (status = 200, body = Organization)))]
async fn register(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(description): body::Json<Description>,
) -> Result<Reply<Organization>, Problem> {
    let tenant = description.id_of_new()?;
    change(state, caller, key, tenant, true, description).await
}

/// What a changed tenant is answered with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UpdatedTenant)]
struct Updated {
    /// Always `Tenant updated`.
    message: &'static str,
    /// As it is now.
    #[serde(flatten)]
    tenant: Organization,
}

/// Changes a tenant: what is left out stays as it is, what is `null` is cleared.
///
/// Its id, its age and its wallet are not changed by this.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{tenant}", tag = "admin",
    params(("tenant" = String, Path, description = "Its id")), request_body = Description,
    responses((status = 200, body = Updated)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
    body::Json(description): body::Json<Description>,
) -> Result<Reply<Updated>, Problem> {
    description.check_update()?;
    let reply = change(state, caller, key, tenant, false, description).await?;
    let reply = reply.map(|tenant| Updated { message: "Tenant updated", tenant });
    Ok(reply.with_status(StatusCode::OK))
}

/// One at a time, so that no two make a key for the same tenant.
async fn change(
    state: AppState,
    caller: Caller,
    key: IdempotencyKey,
    tenant: Name,
    creates: bool,
    description: Description,
) -> Result<Reply<Organization>, Problem> {
    alone(state.clone(), async move {
        let known = state.views().look(|reading| {
            let tenant: TenantId = reading.books.names.find(tenant.as_str())?;
            Some(reading.books.tenants.terms(tenant).keys.clone())
        });
        if known.is_none() && !creates {
            return Err(no_such_tenant());
        }
        let (vault, name) = (state.vault().clone(), tenant.clone());
        // Those that were erased stay on record.
        let sealed_by = known.unwrap_or_default().into_iter().find(|key| vault.holds(*key));
        let command =
            in_vault(move || description.command(&vault, sealed_by, name, creates)).await?;
        let command = Command::UpdateTenant(Box::new(command));
        let receipt = submit(&state, &caller, key, command).await?;
        let (sequence, tenant) = find(&state, &tenant)?;
        Ok(Reply::written(&receipt, tenant).or_at(sequence))
    })
    .await
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeactivatedTenant)]
struct Done {
    /// In words.
    message: &'static str,
}

/// Deactivates a tenant: it begins nothing new. What it has used is recorded all the same.
#[utoipa::path(delete, path = "/api/v1/admin/tenants/{tenant}", tag = "admin",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, body = Done)))]
async fn deactivate(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
) -> Result<Reply<Done>, Problem> {
    let command = Command::UpdateTenant(Box::new(UpdateTenant {
        status: Some(TenantStatus::Inactive),
        ..UpdateTenant::of(tenant)
    }));
    let receipt = submit(&state, &caller, key, command).await?;
    let reply = Reply::written(&receipt, Done { message: "Tenant deactivated" });
    Ok(reply.with_status(StatusCode::OK).or_at(state.views().head()))
}

/// What a tenant's consumption draws from its users' quota.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The rule.
    #[schema(inline)]
    rule: RuleName,
    /// How many credits one unit of a model's usage draws, by model; one where it is left out.
    #[serde(default)]
    #[schema(value_type = Object)]
    weights: Weights,
}

/// Weights by model, each model once.
#[derive(Debug, Default)]
struct Weights(BTreeMap<Name, Credits>);

impl<'de> Deserialize<'de> for Weights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Weights;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of weights")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Weights, A::Error> {
                let mut weights = BTreeMap::new();
                while let Some((model, weight)) = members.next_entry::<Name, Credits>()? {
                    let name = model.as_str().to_owned();
                    if weights.insert(model, weight).is_some() {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                }
                Ok(Weights(weights))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The rules by name.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RuleName {
    /// One credit a token.
    PerToken,
    /// One credit a request.
    PerRequest,
    /// One credit a dollar.
    PerCost,
    /// Nothing.
    None,
}

impl From<RuleName> for DrawRule {
    fn from(name: RuleName) -> Self {
        match name {
            RuleName::PerToken => Self::PerToken,
            RuleName::PerRequest => Self::PerRequest,
            RuleName::PerCost => Self::PerCost,
            RuleName::None => Self::None,
        }
    }
}

/// A rule in force.
#[derive(Debug, Serialize, ToSchema)]
struct RuleInForce {
    /// The rule.
    rule: &'static str,
    /// Its position in the log; consumption recorded after it draws by it.
    #[schema(value_type = u64)]
    sequence: Sequence,
}

/// Sets what a tenant's consumption draws from now on.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{tenant}/draw-rule", tag = "admin",
    params(("tenant" = String, Path, description = "Its id")), request_body = Rule,
    responses((status = 201, body = RuleInForce), (status = 200, body = RuleInForce)))]
async fn set_rule(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(tenant): Path<Name>,
    body::Json(Rule { rule, weights: Weights(weights) }): body::Json<Rule>,
) -> Result<Reply<RuleInForce>, Problem> {
    let rule = DrawRule::from(rule);
    let weights = weights.into_iter().collect();
    let command = Command::SetDrawRule(SetDrawRule { tenant, rule, weights });
    let receipt = submit(&state, &caller, key, command).await?;
    let in_force = RuleInForce { rule: crate::views::rule_name(rule), sequence: receipt.sequence };
    Ok(Reply::written(&receipt, in_force))
}
