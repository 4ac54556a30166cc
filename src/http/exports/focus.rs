//! `GET /api/v1/export/focus/csv`: a month in the columns of the `FinOps` Open Cost and Usage
//! Specification, version 1.2: a line a tenant, day and model, which add up to the month exactly.

use std::collections::BTreeMap;

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use futures_util::{Stream, stream};
use projections::{
    directory::Directory,
    names::Names,
    usage::{Totals, UsageByDay},
};
use schemas::{Day, Name, Sequence, TenantId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    csv::{MEDIA_TYPE, bytes, cell, lines},
    file,
};
use crate::{
    http::{
        AppState, auth::Caller, consumption::required, ledger::AtLeast, organization::month,
        params::Query, problem::Problem,
    },
    views::{Dimension, break_down},
};

/// How many tenants are written at once.
const TENANTS: usize = 32;

const COLUMNS: [&str; 39] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_CompletionTokens",
    "x_Model",
    "x_PromptTokens",
    "x_Requests",
    "x_TimeZone",
    "x_UnratedRequests",
];

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(focus))
}

/// Which month.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct FocusQuery {
    /// Who pays. Developers may leave it out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// `YYYY-MM`, of each tenant's. Required.
    month: Option<String>,
}

/// A month's usage in the columns of FOCUS 1.2: a line a tenant, day and model.
#[utoipa::path(get, path = "/api/v1/export/focus/csv", tag = "exports",
    params(FocusQuery), responses((status = 200, body = String, content_type = "text/csv")))]
async fn focus(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<FocusQuery>,
) -> Result<Response, Problem> {
    let scope = caller.tenant_scope(query.organization_id)?;
    let text = query.month.ok_or_else(|| required("month", "month is required"))?;
    let month = month(&text)?;
    let (sequence, book) = state.views().look_now(|reading| {
        let names = &reading.books.names;
        let tenants = match &scope.tenant {
            Some(tenant) => names.find(tenant.as_str()).into_iter().collect(),
            None => names.all().map(|(tenant, _)| tenant).collect(),
        };
        Book {
            sequence: reading.books.head,
            names: names.clone(),
            directory: reading.books.directory.clone(),
            usage: reading.usage.clone(),
            month,
            tenants,
        }
    });
    let body = Body::from_stream(sent(book));
    Ok(file(sequence, MEDIA_TYPE, &format!("focus-{text}.csv"), body))
}

/// The usage as it was when it was asked for. The copies share what has not changed since.
struct Book {
    sequence: Sequence,
    names: Names,
    directory: Directory,
    usage: UsageByDay,
    month: (Day, Day),
    tenants: Vec<TenantId>,
}

fn sent(book: Book) -> impl Stream<Item = Result<Bytes, anyhow::Error>> {
    stream::try_unfold((book, 0_usize, true), |(book, done, is_first)| async move {
        if !is_first && done >= book.tenants.len() {
            return Ok(None);
        }
        let writing = tokio::task::spawn_blocking(move || {
            let mut lines = lines();
            if is_first {
                lines.write_record(COLUMNS)?;
            }
            for tenant in book.tenants.iter().skip(done).take(TENANTS) {
                book.write(*tenant, &mut lines)?;
            }
            Ok::<_, anyhow::Error>((book, bytes(lines)?))
        });
        let (book, bytes) = writing.await??;
        Ok(Some((Bytes::from(bytes), (book, done.saturating_add(TENANTS), false))))
    })
}

impl Book {
    fn write(
        &self,
        tenant: TenantId,
        lines: &mut ::csv::Writer<Vec<u8>>,
    ) -> Result<(), anyhow::Error> {
        let (first, last) = self.month;
        for (day, used) in self.usage.days(tenant, first, last) {
            let mut models = BTreeMap::<String, Totals>::new();
            break_down(&self.names, (tenant, used), Dimension::Model, |model, totals| {
                models.entry(model).or_default().add(totals);
            });
            for (model, totals) in models {
                let line = self.line(tenant, day, &model, &totals);
                lines.write_record(COLUMNS.map(|column| line.value(column)))?;
            }
        }
        Ok(())
    }

    fn line(&self, tenant: TenantId, day: Day, model: &str, totals: &Totals) -> Line {
        let zone = self.usage.zone_at(tenant, self.sequence);
        let id = self.names.text(tenant).to_string();
        let name = self.directory.tenant(tenant).display_name.clone();
        let (first, last) = self.month;
        Line {
            name: cell(name.as_deref().unwrap_or(&id)).into_owned(),
            id: cell(&id).into_owned(),
            zone: zone.to_string(),
            billing: [first.start_in(zone.0), last.next().start_in(zone.0)],
            charged: [day.start_in(zone.0), day.next().start_in(zone.0)],
            model: cell(model).into_owned(),
            totals: *totals,
        }
    }
}

/// A line of the file.
struct Line {
    id: String,
    name: String,
    zone: String,
    billing: [Timestamp; 2],
    charged: [Timestamp; 2],
    model: String,
    totals: Totals,
}

impl Line {
    fn value(&self, column: &str) -> String {
        let [billing_start, billing_end] = self.billing;
        let [charge_start, charge_end] = self.charged;
        let fixed = |text: &str| text.to_owned();
        match column {
            // What a tenant pays is all that is on record: there is no other price beside it.
            "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" => {
                self.totals.cost.to_string()
            }
            "BillingAccountId" | "SubAccountId" => self.id.clone(),
            "BillingAccountName" | "SubAccountName" => self.name.clone(),
            "BillingAccountType" | "SubAccountType" => fixed("Organization"),
            "BillingCurrency" => fixed("USD"),
            "BillingPeriodStart" => billing_start.to_string(),
            "BillingPeriodEnd" => billing_end.to_string(),
            "ChargeCategory" => fixed("Usage"),
            "ChargeDescription" => match self.model.as_str() {
                "" => fixed("Tokens of calls that named no model"),
                model => format!("Tokens of {}", model.trim_start_matches('\'')),
            },
            "ChargeFrequency" => fixed("Usage-Based"),
            "ChargePeriodStart" => charge_start.to_string(),
            "ChargePeriodEnd" => charge_end.to_string(),
            "ConsumedQuantity" | "PricingQuantity" => self.totals.total_tokens.to_string(),
            "ConsumedUnit" | "PricingUnit" => fixed("Tokens"),
            "InvoiceIssuerName" | "ProviderName" | "PublisherName" => fixed("Tallybook"),
            "PricingCategory" => fixed("Standard"),
            "ServiceCategory" => fixed("AI and Machine Learning"),
            "ServiceName" => fixed("LLM usage"),
            "ServiceSubcategory" => fixed("Generative AI"),
            "SkuId" | "x_Model" => self.model.clone(),
            "Tags" => fixed("{}"),
            "x_CompletionTokens" => self.totals.completion_tokens.to_string(),
            "x_PromptTokens" => self.totals.prompt_tokens.to_string(),
            "x_Requests" => self.totals.requests.to_string(),
            "x_TimeZone" => self.zone.clone(),
            "x_UnratedRequests" => self.totals.unrated.to_string(),
            // `ChargeClass` is empty where nothing is corrected; a line is of no one resource.
            _ => String::new(),
        }
    }
}
