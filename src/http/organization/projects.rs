//! A tenant's projects, which are documents or else conversations, and what they used.

use std::collections::BTreeMap;

use axum::extract::State;
use projections::{names::Names, usage::Totals};
use schemas::{Day, ExternalId, Money, Name, NameId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        auth::{Caller, Scope},
        consumption::{look, required, whose},
        ledger::{AtLeast, Reply, fault, point, reading},
        params::{Path, Query},
        problem::{InvalidParameter, ParameterSource, Problem},
    },
    views::{ProjectMonths, Span},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(projects))
        .routes(routes!(project_consumption))
        .routes(routes!(monthly_consumption))
}

/// Whose projects.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ProjectsQuery {
    /// Who pays. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
}

/// A project, as its calls tell of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KnownProject {
    /// Who pays.
    organization_id: String,
    /// The document, or else the conversation.
    project_id: String,
    /// The same: calls carry no other name.
    project_name: String,
    /// Always empty: calls do not tell.
    created_by: &'static str,
    /// Always empty.
    tags: [String; 0],
    /// Always empty.
    #[schema(value_type = Object)]
    metadata: BTreeMap<String, String>,
    /// When its first call was complete.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its last call was complete.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The projects that calls were made for, by tenant and id.
#[utoipa::path(get, path = "/api/v1/organization/projects", tag = "organization",
    params(ProjectsQuery), responses((status = 200, body = [KnownProject])))]
async fn projects(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<ProjectsQuery>,
) -> Result<Reply<Vec<KnownProject>>, Problem> {
    let scope = caller.tenant_scope(query.organization_id)?;
    let (sequence, mut projects) = look(&state, &scope, Span::ALWAYS, |used| {
        let view = |((tenant, project), active): ((_, ExternalId), _)| {
            let active: projections::usage::Active = active;
            KnownProject {
                organization_id: text(used.names(), Some::<schemas::TenantId>(tenant)),
                project_id: project.to_string(),
                project_name: project.to_string(),
                created_by: "",
                tags: [],
                metadata: BTreeMap::new(),
                created_at: active.first,
                updated_at: active.last,
            }
        };
        used.projects().into_iter().map(view).collect::<Vec<_>>()
    })
    .await?;
    projects.sort_by(|left, right| {
        (&left.organization_id, &left.project_id).cmp(&(&right.organization_id, &right.project_id))
    });
    Ok(Reply::read(sequence, projects))
}

/// Which month of a project.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ProjectQuery {
    /// Who pays. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// `YYYY-MM`, of the tenant's; every month when left out.
    month: Option<String>,
}

/// A project's month.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProjectConsumptionMonthly {
    /// Who pays.
    organization_id: String,
    /// The project.
    project_id: String,
    /// `YYYY-MM`, of the tenant's.
    month: String,
    /// All tokens.
    total_tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    total_cost: Money,
    /// Calls.
    request_count: u64,
    /// Of all that.
    breakdown: ProjectBreakdown,
    /// When its last call was complete.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What a project's month consists of. Each adds up to all of it; calls that named none are under
/// the empty name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProjectBreakdown {
    /// By kind of assistant.
    by_assistant: BTreeMap<String, ProjectShare>,
    /// By who called.
    by_user: BTreeMap<String, ProjectShare>,
}

/// One name's share of a project's month.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectShare {
    /// All tokens.
    tokens: u64,
    /// USD.
    #[schema(value_type = f64)]
    cost: Money,
    /// Calls.
    requests: u64,
}

/// What a project used, by month and by who paid.
#[utoipa::path(get, path = "/api/v1/organization/projects/{project}/consumption",
    tag = "organization",
    params(("project" = String, Path, description = "Its id"), ProjectQuery),
    responses((status = 200, body = [ProjectConsumptionMonthly])))]
async fn project_consumption(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(project): Path<Name>,
    Query(query): Query<ProjectQuery>,
) -> Result<Reply<Vec<ProjectConsumptionMonthly>>, Problem> {
    let scope = caller.tenant_scope(query.organization_id)?;
    let span = match query.month.as_deref() {
        Some(text) => {
            let (first, last) = month(text)?;
            Span::days(first, last)
        }
        None => Span::ALWAYS,
    };
    let project = ExternalId::try_from(project.as_str())
        .map_err(|error| fault("project", error.to_string(), ParameterSource::Path))?;
    months(&state, &scope, span, Some(project)).await
}

/// Whose projects in which month.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct MonthQuery {
    /// Who pays. Required.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// `YYYY-MM`, of the tenant's. Required.
    month: Option<String>,
}

/// What each of a tenant's projects used in a month.
#[utoipa::path(get, path = "/api/v1/organization/projects/consumption/monthly",
    tag = "organization", params(MonthQuery),
    responses((status = 200, body = [ProjectConsumptionMonthly])))]
async fn monthly_consumption(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<MonthQuery>,
) -> Result<Reply<Vec<ProjectConsumptionMonthly>>, Problem> {
    let (organization, (first, last)) = organization_and_month(query.organization_id, query.month)?;
    let scope = caller.tenant_scope(Some(organization))?;
    months(&state, &scope, Span::days(first, last), None).await
}

/// A tenant and the first and the last day of a month, both of which must be there.
pub(in crate::http) fn organization_and_month(
    organization: Option<Name>,
    text: Option<String>,
) -> Result<(Name, (Day, Day)), Problem> {
    let missing = |field| required(field, "organizationId and month are required");
    let organization = organization.ok_or_else(|| missing("organizationId"))?;
    let text = text.ok_or_else(|| missing("month"))?;
    Ok((organization, month(&text)?))
}

/// The first and the last day of a month.
pub(in crate::http) fn month(text: &str) -> Result<(Day, Day), Problem> {
    let wrong = || {
        let parameter = InvalidParameter {
            field: "month".to_owned(),
            rule: "value",
            reason: "must be `YYYY-MM`".to_owned(),
            source: ParameterSource::Query,
        };
        Problem::worded("invalid month format, use YYYY-MM", parameter)
    };
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    Day::of_month(text).filter(|_| text.len() == 7 && year == 4).ok_or_else(wrong)
}

async fn months(
    state: &AppState,
    scope: &Scope,
    span: Span,
    project: Option<ExternalId>,
) -> Result<Reply<Vec<ProjectConsumptionMonthly>>, Problem> {
    let point = point(state, None)?;
    let Some(whose) = whose(state, scope) else {
        return Ok(Reply::read(point.sequence, Vec::new()));
    };
    let views = state.views().clone();
    let sequence = point.sequence;
    let months = reading(move || {
        let months = views.project_months(whose, span, project.as_ref(), &point)?;
        let names = views.look(|reading| reading.books.names.clone());
        Ok(view(&names, months))
    });
    Ok(Reply::read(sequence, months.await?))
}

fn view(names: &Names, months: ProjectMonths) -> Vec<ProjectConsumptionMonthly> {
    let view = |((tenant, project, month), used): ((_, ExternalId, String), _)| {
        let used: crate::views::ProjectMonth = used;
        ProjectConsumptionMonthly {
            organization_id: text(names, Some::<schemas::TenantId>(tenant)),
            project_id: project.to_string(),
            month,
            total_tokens: used.active.totals.total_tokens,
            total_cost: used.active.totals.cost,
            request_count: used.active.totals.requests,
            breakdown: ProjectBreakdown {
                by_assistant: shares(names, &used.by_assistant),
                by_user: shares(names, &used.by_user),
            },
            updated_at: used.active.last,
        }
    };
    let mut months: Vec<ProjectConsumptionMonthly> = months.into_iter().map(view).collect();
    months.sort_by(|left, right| {
        let key = |month: &ProjectConsumptionMonthly| {
            (month.month.clone(), month.organization_id.clone(), month.project_id.clone())
        };
        key(left).cmp(&key(right))
    });
    months
}

fn shares<Id: NameId>(
    names: &Names,
    by: &BTreeMap<Option<Id>, Totals>,
) -> BTreeMap<String, ProjectShare> {
    let share = |(id, totals): (&Option<Id>, &Totals)| {
        let share = ProjectShare {
            tokens: totals.total_tokens,
            cost: totals.cost,
            requests: totals.requests,
        };
        (text(names, *id), share)
    };
    by.iter().map(share).collect()
}

fn text<Id: NameId>(names: &Names, id: Option<Id>) -> String {
    id.map(|id| names.text(id).to_string()).unwrap_or_default()
}
