//! `GET /api/v1/export/{consumption,reports/monthly}/csv`. Texts that a spreadsheet would take for a
//! formula get a leading `'`. Costs keep every decimal, so that they add up to bills.

use std::{borrow::Cow, collections::BTreeMap};

use ::csv::{Terminator, Writer, WriterBuilder};
use anyhow::anyhow;
use axum::{body::Body, extract::State, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Calls, CallsQuery, file, sent};
use crate::{
    http::{
        AppState,
        auth::Caller,
        ledger::AtLeast,
        params::Query,
        problem::Problem,
        reports::{MonthQuery, report},
    },
    views::{MonthlyReport, ReportShare, ReportTotals, TokenConsumption},
};

pub(super) const MEDIA_TYPE: &str = "text/csv; charset=utf-8";
const HEAD: &str = "Date,User ID,Organization ID,Assistant Type,Model,Total Tokens,Cost,Status\r\n";

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(consumption)).routes(routes!(monthly_report))
}

/// Lines as RFC 4180 has them.
pub(super) fn lines() -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new())
}

/// The bytes of lines.
pub(super) fn bytes(lines: Writer<Vec<u8>>) -> Result<Vec<u8>, anyhow::Error> {
    lines.into_inner().map_err(|error| anyhow!("{error}"))
}

/// A text that no spreadsheet takes for a formula.
pub(in crate::http) fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

/// Calls as CSV, newest first: those that were recorded when it was asked for.
#[utoipa::path(get, path = "/api/v1/export/consumption/csv", tag = "exports",
    params(CallsQuery), responses((status = 200, body = String, content_type = "text/csv")))]
async fn consumption(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<CallsQuery>,
) -> Result<Response, Problem> {
    let calls = Calls::of(&state, &caller, query)?;
    let through = calls.through;
    let body = Body::from_stream(sent(calls, (HEAD, ""), |page, _| write(page)));
    Ok(file(through, MEDIA_TYPE, &format!("consumption-{through}.csv"), body))
}

fn write(page: &[TokenConsumption]) -> Result<Vec<u8>, anyhow::Error> {
    let mut lines = lines();
    for call in page {
        lines.write_record([
            call.timestamp.to_string().as_str(),
            &cell(&call.user_id),
            &cell(&call.organization_id),
            &cell(&call.assistant_type),
            &cell(&call.model),
            &call.total_tokens.to_string(),
            &call.cost.map(|cost| cost.to_string()).unwrap_or_default(),
            call.status,
        ])?;
    }
    bytes(lines)
}

/// A tenant's month beside the one before, as CSV.
#[utoipa::path(get, path = "/api/v1/export/reports/monthly/csv", tag = "exports",
    params(MonthQuery), responses((status = 200, body = String, content_type = "text/csv")))]
async fn monthly_report(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<MonthQuery>,
) -> Result<Response, Problem> {
    let (sequence, report) = report(&state, &caller, query).await?;
    let body = write_report(&report).map_err(|error| Problem::internal(&error))?;
    let name = format!("report-{}-{}.csv", report.organization_id, report.month);
    Ok(file(sequence, MEDIA_TYPE, &name, Body::from(body)))
}

fn write_report(report: &MonthlyReport) -> Result<Vec<u8>, anyhow::Error> {
    let mut lines = lines();
    lines.write_record(["Section", "Name", "Total Tokens", "Cost", "Requests", "Unrated"])?;
    for (section, totals) in [("current", &report.current), ("previous", &report.previous)] {
        let ReportTotals { total_tokens, total_cost, requests, unrated } = totals;
        lines.write_record([
            section,
            "",
            &total_tokens.to_string(),
            &total_cost.to_string(),
            &requests.to_string(),
            &unrated.to_string(),
        ])?;
    }
    let told = |percent: Option<crate::views::Percent>| {
        percent.map(|percent| percent.to_string()).unwrap_or_default()
    };
    lines.write_record([
        "change in percent",
        "",
        &told(report.comparison.token_change_percent),
        &told(report.comparison.cost_change_percent),
        "",
        "",
    ])?;
    for (section, shares) in sections(report) {
        for (name, ReportShare { tokens, cost, requests }) in shares {
            lines.write_record([
                section,
                &cell(name),
                &tokens.to_string(),
                &cost.to_string(),
                &requests.to_string(),
                "",
            ])?;
        }
    }
    bytes(lines)
}

/// The breakdowns of a report, each under its name.
pub(super) fn sections(
    report: &MonthlyReport,
) -> [(&'static str, &BTreeMap<String, ReportShare>); 4] {
    let breakdown = &report.breakdown;
    [
        ("assistant", &breakdown.by_assistant),
        ("user", &breakdown.by_user),
        ("model", &breakdown.by_model),
        ("project", &breakdown.by_project),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_and_every_text_is_read_back() {
        let texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a,b", "a\"b", "a\nb", "plain", ""];
        let mut written = lines();
        written.write_record(texts.map(cell).iter().map(|text| text.as_bytes())).expect("written");
        let written = bytes(written).expect("bytes");
        let mut read = ::csv::ReaderBuilder::new().has_headers(false).from_reader(&*written);
        let read = read.records().next().expect("a line").expect("CSV");
        for (read, text) in read.iter().zip(texts) {
            assert_eq!(read.strip_prefix('\'').unwrap_or(read), text);
            assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']), "{read}");
        }
    }
}
