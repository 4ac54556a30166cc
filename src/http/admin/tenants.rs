//! Who is known: tenants, registered or only seen in messages; and what their consumption draws.

use std::{collections::BTreeMap, fmt};

use axum::extract::State;
use projections::{books::Reading, directory::Tenant};
use schemas::{
    Command, Credits, DrawRule, Name, RegisterTenant, Sequence, SetDrawRule, TenantId, Timestamp,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    AppState,
    auth::Caller,
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, submit},
    params::Path,
    problem::Problem,
};

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get))
        .routes(routes!(set_rule))
}

/// A tenant as the book knows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Organization {
    /// Its id.
    org_id: String,
    /// What people call it; its id while nobody has registered it.
    name: String,
    /// Whether somebody has registered it, or it was only seen in messages.
    registered: bool,
    /// How many users are known.
    user_count: usize,
    /// What a consumption draws: `per_token`, `per_request`, `per_cost` or `none`.
    draw_rule: &'static str,
    /// When its id first appeared.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// All tenants, in the order in which they became known.
#[utoipa::path(get, path = "/api/v1/admin/tenants", tag = "admin",
    responses((status = 200, body = [Organization])))]
async fn list(
    State(state): State<AppState>,
    _: AtLeast,
) -> Result<Reply<Vec<Organization>>, Problem> {
    let (sequence, tenants) = state.views().look_now(|reading| {
        reading.books.names.all().map(|(tenant, _)| organization(reading, tenant)).collect()
    });
    Ok(Reply::read(sequence, tenants))
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
    let (sequence, tenant) = state.views().look_now(|reading| {
        let tenant = reading.books.names.find(tenant.as_str())?;
        Some(organization(reading, tenant))
    });
    let tenant = tenant.ok_or_else(|| Problem::not_found("tenant"))?;
    Ok(Reply::read(sequence, tenant))
}

fn organization(reading: &Reading, tenant: TenantId) -> Organization {
    let id = reading.books.names.text(tenant).to_string();
    let rule = reading.books.draw_rules.rule(tenant).rule;
    let Tenant { display_name, first_seen, users } = reading.books.directory.tenant(tenant);
    Organization {
        name: display_name.clone().unwrap_or_else(|| id.clone()),
        org_id: id,
        registered: display_name.is_some(),
        user_count: users.len(),
        draw_rule: crate::views::rule_name(rule),
        created_at: *first_seen,
    }
}

/// A tenant to be known.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Registration {
    /// Its id.
    #[schema(value_type = String)]
    org_id: Name,
    /// What people call it.
    #[schema(value_type = String)]
    name: Name,
}

/// Makes a tenant known, or gives it another name.
#[utoipa::path(post, path = "/api/v1/admin/tenants", tag = "admin", request_body = Registration,
    responses((status = 201, body = Organization), (status = 200, body = Organization)))]
async fn register(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(Registration { org_id, name }): body::Json<Registration>,
) -> Result<Reply<Organization>, Problem> {
    let command =
        Command::RegisterTenant(RegisterTenant { tenant: org_id.clone(), display_name: name });
    let receipt = submit(&state, &caller, key, command).await?;
    let tenant = state.views().look(|reading| {
        let tenant = reading.books.names.find(org_id.as_str())?;
        Some(organization(reading, tenant))
    });
    let tenant = tenant.ok_or_else(|| Problem::not_found("tenant"))?;
    Ok(Reply::written(&receipt, tenant))
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
