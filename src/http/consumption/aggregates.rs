//! Consumption added up: by day or month, and by tenant, user, model, assistant or project.

use std::collections::BTreeMap;

use axum::extract::State;
use projections::{bills::Bills, books::Reading, names::Names, usage::Totals};
use schemas::{Day, Money, Name, TenantId, Zone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::usage::{span, sum, usage};
use crate::{
    http::{
        AppState,
        auth::{Caller, Scope},
        ledger::{AtLeast, Reply, as_of, fault, point},
        params::Query,
        problem::{ParameterSource, Problem},
    },
    views::{AsOf, Dimension, Span},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(by_assistant))
        .routes(routes!(by_user))
        .routes(routes!(by_model))
        .routes(routes!(by_project))
        .routes(routes!(real_time))
        .routes(routes!(aggregates))
}

/// Whose consumption, and when.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct SpanQuery {
    /// Who paid. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Who called.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// From then on: a day of the tenant's, or an RFC 3339 moment.
    start_date: Option<String>,
    /// Up to then, included: a day of the tenant's, or an RFC 3339 moment.
    end_date: Option<String>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of", rename = "as_of")]
    #[param(value_type = Option<String>, rename = "as_of")]
    as_of: Option<AsOf>,
}

/// One line of a breakdown.
#[derive(Debug, Serialize, ToSchema)]
struct Share {
    /// What it is the share of; empty for calls that named none.
    #[serde(rename = "_id")]
    id: String,
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
    /// Calls.
    requests: u64,
    /// Of them, those without a price yet; their cost is missing.
    unrated: u64,
}

macro_rules! breakdown {
    ($name:ident, $path:literal, $dimension:ident, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(get, path = $path, tag = "consumption",
                                    params(SpanQuery), responses((status = 200, body = [Share])))]
        async fn $name(
            State(state): State<AppState>,
            caller: Caller,
            _: AtLeast,
            Query(query): Query<SpanQuery>,
        ) -> Result<Reply<Vec<Share>>, Problem> {
            shares(&state, &caller, query, Dimension::$dimension).await
        }
    };
}
breakdown!(by_assistant, "/api/v1/consumption/by-assistant", Assistant, "By kind of assistant.");
breakdown!(by_user, "/api/v1/consumption/by-user", User, "By who called.");
breakdown!(by_model, "/api/v1/consumption/by-model", Model, "By model.");
breakdown!(by_project, "/api/v1/consumption/by-project", Project, "By document or conversation.");

async fn shares(
    state: &AppState,
    caller: &Caller,
    query: SpanQuery,
    dimension: Dimension,
) -> Result<Reply<Vec<Share>>, Problem> {
    let scope = caller.user_scope(query.organization_id, query.user_id)?;
    let span = span(query.start_date.as_deref(), query.end_date.as_deref())?;
    let point = point(state, query.as_of)?;
    let mut by_name = BTreeMap::<String, Totals>::new();
    let (sequence, used) = usage(state, &scope, span, dimension, point).await?;
    for ((_, name), totals) in used {
        by_name.entry(name).or_default().add(&totals);
    }
    let mut shares: Vec<Share> = by_name
        .into_iter()
        .map(|(id, totals)| Share {
            id,
            tokens: totals.total_tokens,
            cost: totals.cost,
            requests: totals.requests,
            unrated: totals.unrated,
        })
        .collect();
    shares
        .sort_by(|left, right| right.tokens.cmp(&left.tokens).then_with(|| left.id.cmp(&right.id)));
    Ok(Reply::read(sequence, shares))
}

/// Whose consumption today.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct RealTimeQuery {
    /// Who paid.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Who called.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
}

/// Today's consumption so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RealTime {
    /// All tokens.
    tokens: u64,
    /// The same, by the name that dashboards read.
    total_tokens_today: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
    /// Calls.
    requests: u64,
    /// The day.
    #[schema(value_type = String, format = Date)]
    day: Day,
}

/// Today's consumption so far, by the day of whoever pays.
#[utoipa::path(get, path = "/api/v1/consumption/real-time", tag = "consumption",
    params(RealTimeQuery), responses((status = 200, body = RealTime)))]
async fn real_time(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<RealTimeQuery>,
) -> Result<Reply<RealTime>, Problem> {
    let scope = caller.user_scope(query.organization_id, query.user_id)?;
    if scope == Scope::default() {
        let reason = "or `userId` is required";
        return Err(fault("organizationId", reason, ParameterSource::Query));
    }
    let point = point(&state, None)?;
    let day = point.moment.day_in(zone_of(&state, &scope).0);
    let span = Span::Today(point.moment);
    let (sequence, used) = usage(&state, &scope, span, Dimension::Tenant, point).await?;
    let totals = sum(used.values());
    Ok(Reply::read(
        sequence,
        RealTime {
            tokens: totals.total_tokens,
            total_tokens_today: totals.total_tokens,
            cost: totals.cost,
            requests: totals.requests,
            day,
        },
    ))
}

/// By whose zone a scope's today is told: the tenant's, or else that of the user's own.
fn zone_of(state: &AppState, scope: &Scope) -> Zone {
    state.views().look(|Reading { books, .. }| {
        let own = |user: &Name| {
            let user = books.names.find(user.as_str())?;
            books.directory.user(user).tenant
        };
        let tenant = match (&scope.tenant, &scope.user) {
            (Some(tenant), _) => books.names.find(tenant.as_str()),
            (None, Some(user)) => own(user),
            (None, None) => None,
        };
        tenant.map(|tenant| books.tenants.terms(tenant).zone.now()).unwrap_or_default()
    })
}

/// How consumption is added up.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct AggregateQuery {
    /// `day` or `month`, in the zone of whoever pays; `day` when left out.
    #[serde(default)]
    #[param(inline)]
    period: Period,
    /// What to break down by; `organization` when left out.
    #[serde(default)]
    #[param(inline)]
    group_by: GroupBy,
    /// Who paid. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// Who called.
    #[param(value_type = Option<String>)]
    user_id: Option<Name>,
    /// From then on: a day of the tenant's, or an RFC 3339 moment.
    start_date: Option<String>,
    /// Up to then, included: a day of the tenant's, or an RFC 3339 moment.
    end_date: Option<String>,
    /// As recorded until then: RFC 3339, or a sequence.
    #[serde(default, deserialize_with = "as_of", rename = "as_of")]
    #[param(value_type = Option<String>, rename = "as_of")]
    as_of: Option<AsOf>,
}

/// How long a line is.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Period {
    /// A day.
    #[default]
    Day,
    /// A calendar month.
    Month,
}

/// What to break down by.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GroupBy {
    /// Who paid.
    #[default]
    Organization,
    /// Who called.
    User,
    /// The model.
    Model,
    /// The kind of assistant.
    Assistant,
    /// The document, or else the conversation.
    Project,
}

/// Consumption added up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Aggregates {
    period: Period,
    group_by: GroupBy,
    /// By period, and within it by key.
    data: Vec<Aggregate>,
    /// Over all of it.
    totals: AggregateTotals,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
struct Aggregate {
    /// `YYYY-MM-DD` or `YYYY-MM`.
    period: String,
    /// Of whom or what; empty for calls that named none.
    key: String,
    /// Whether the organization's period is closed. Left out where it is not, where another key is
    /// asked for, and of the past.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
    #[serde(flatten)]
    totals: AggregateTotals,
}

/// What a number of calls used and cost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AggregateTotals {
    /// Calls.
    requests: u64,
    /// Of them, those without a price yet; their cost is missing.
    unrated: u64,
    /// Input tokens.
    prompt_tokens: u64,
    /// Output tokens.
    completion_tokens: u64,
    /// All tokens.
    total_tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
}

impl From<Totals> for AggregateTotals {
    fn from(totals: Totals) -> Self {
        let Totals { requests, unrated, prompt_tokens, completion_tokens, total_tokens, cost } =
            totals;
        Self { requests, unrated, prompt_tokens, completion_tokens, total_tokens, cost }
    }
}

/// Consumption by day or month, broken down. Every breakdown adds up to the same totals.
#[utoipa::path(get, path = "/api/v1/consumption/aggregates", tag = "consumption",
    params(AggregateQuery), responses((status = 200, body = Aggregates)))]
async fn aggregates(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<AggregateQuery>,
) -> Result<Reply<Aggregates>, Problem> {
    let AggregateQuery { period, group_by, organization_id, user_id, start_date, end_date, as_of } =
        query;
    let scope = caller.user_scope(organization_id, user_id)?;
    let span = span(start_date.as_deref(), end_date.as_deref())?;
    let tells_closed = matches!(group_by, GroupBy::Organization) && as_of.is_none();
    let point = point(&state, as_of)?;
    let dimension = match group_by {
        GroupBy::Organization => Dimension::Tenant,
        GroupBy::User => Dimension::User,
        GroupBy::Model => Dimension::Model,
        GroupBy::Assistant => Dimension::Assistant,
        GroupBy::Project => Dimension::Project,
    };
    let (sequence, used) = usage(&state, &scope, span, dimension, point).await?;
    let totals = sum(used.values()).into();
    let mut periods = BTreeMap::<Day, BTreeMap<String, Totals>>::new();
    for ((day, key), totals) in used {
        let first = match period {
            Period::Day => day,
            Period::Month => day.first_of_month(),
        };
        periods.entry(first).or_default().entry(key).or_default().add(&totals);
    }
    let closed = tells_closed.then(|| Closed::now(&state));
    let mut data = Vec::new();
    for (first, lines) in periods {
        let name = match period {
            Period::Day => first.to_string(),
            Period::Month => first.month(),
        };
        data.extend(lines.into_iter().map(|(key, totals)| Aggregate {
            period: name.clone(),
            closed: closed.as_ref().is_some_and(|closed| closed.is_closed(&key, period, first)),
            key,
            totals: totals.into(),
        }));
    }
    Ok(Reply::read(sequence, Aggregates { period, group_by, data, totals }))
}

/// Which periods are closed, by who paid. It shares with the folds what has not changed since.
struct Closed {
    names: Names,
    bills: Bills,
}

impl Closed {
    fn now(state: &AppState) -> Self {
        state.views().look(|Reading { books, .. }| Self {
            names: books.names.clone(),
            bills: books.bills.clone(),
        })
    }

    fn is_closed(&self, tenant: &str, period: Period, first: Day) -> bool {
        let period = match period {
            Period::Day => schemas::Period::Day,
            Period::Month => schemas::Period::Month,
        };
        let tenant: Option<TenantId> = self.names.find(tenant);
        tenant.is_some_and(|tenant| self.bills.closed(tenant).is_closed(period, first))
    }
}
