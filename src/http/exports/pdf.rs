//! `GET /api/v1/export/reports/monthly/pdf`: a tenant's month on A4 pages. Long tables end with a
//! line that adds up what they leave out.

mod page;

use std::collections::BTreeMap;

use axum::{body::Body, extract::State, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::page::{Align, Paper, Style};
use super::{csv::sections, file};
use crate::{
    http::{
        AppState,
        auth::Caller,
        ledger::AtLeast,
        params::Query,
        problem::Problem,
        reports::{MonthQuery, report},
    },
    views::{MonthlyReport, Percent, ReportShare},
};

/// The longest table.
const ROWS_MAX: usize = 500;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(monthly_report))
}

/// A tenant's month beside the one before, as PDF.
#[utoipa::path(get, path = "/api/v1/export/reports/monthly/pdf", tag = "exports",
    params(MonthQuery),
    responses((status = 200, body = String, content_type = "application/pdf")))]
async fn monthly_report(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<MonthQuery>,
) -> Result<Response, Problem> {
    let (sequence, report) = report(&state, &caller, query).await?;
    let name = format!("report-{}-{}.pdf", report.organization_id, report.month);
    let drawing = tokio::task::spawn_blocking(move || draw(&report, sequence.get()));
    let drawn = drawing.await.map_err(|panic| Problem::internal(&panic))?;
    Ok(file(sequence, "application/pdf", &name, Body::from(drawn)))
}

fn draw(report: &MonthlyReport, sequence: u64) -> Vec<u8> {
    let title = format!("{} {}", report.organization_id, report.month);
    let mut paper = Paper::new(&title);
    paper.line(Style::Title, &[("Monthly report", Align::Left(0))]);
    paper.line(Style::Heading, &[(&title, Align::Left(0))]);
    let zone = report.time_zone.to_string();
    for (label, text) in [
        ("From", report.period.start.to_string()),
        ("To, excluded", report.period.end.to_string()),
        ("Time zone", zone),
        ("Reflects event", sequence.to_string()),
    ] {
        paper.line(Style::Text, &[(label, Align::Left(0)), (&text, Align::Left(110))]);
    }
    summary(&mut paper, report);
    for (name, shares) in sections(report) {
        table(&mut paper, name, shares);
    }
    paper.finish()
}

fn summary(paper: &mut Paper, report: &MonthlyReport) {
    paper.gap();
    let row = |texts: [&str; 4]| {
        let [label, current, previous, change] = texts.map(str::to_owned);
        [
            (label, Align::Left(0)),
            (current, Align::Right(250)),
            (previous, Align::Right(400)),
            (change, Align::Right(495)),
        ]
    };
    let (current, previous) = (&report.current, &report.previous);
    let told = |percent: Option<Percent>| {
        percent.map_or_else(|| "n/a".to_owned(), |percent| format!("{percent} %"))
    };
    let tokens = [current, previous].map(|totals| totals.total_tokens.to_string());
    let costs = [current, previous].map(|totals| totals.total_cost.to_string());
    let requests = [current, previous].map(|totals| totals.requests.to_string());
    let unrated = [current, previous].map(|totals| totals.unrated.to_string());
    let token_change = told(report.comparison.token_change_percent);
    let cost_change = told(report.comparison.cost_change_percent);
    for (style, texts) in [
        (Style::Bold, ["", "This month", "Month before", "Change"]),
        (Style::Text, ["Tokens", &tokens[0], &tokens[1], &token_change]),
        (Style::Text, ["Cost, USD", &costs[0], &costs[1], &cost_change]),
        (Style::Text, ["Requests", &requests[0], &requests[1], ""]),
        (Style::Text, ["Without a price yet", &unrated[0], &unrated[1], ""]),
    ] {
        let row = row(texts);
        paper.line(style, &row.each_ref().map(|(text, align)| (text.as_str(), *align)));
    }
}

fn table(paper: &mut Paper, name: &str, shares: &BTreeMap<String, ReportShare>) {
    let mut rows: Vec<(&String, &ReportShare)> = shares.iter().collect();
    rows.sort_by(|left, right| {
        let size = |row: &(&String, &ReportShare)| (row.1.cost, row.1.tokens);
        size(right).cmp(&size(left)).then_with(|| left.0.cmp(right.0))
    });
    let mut rest = ReportShare::default();
    let left_out = rows.get(ROWS_MAX..).unwrap_or_default();
    for (_, share) in left_out {
        rest.join(share);
    }
    paper.gap();
    paper.line(Style::Heading, &[(&format!("By {name}"), Align::Left(0))]);
    let head = [
        (name, Align::Left(0)),
        ("Requests", Align::Right(250)),
        ("Tokens", Align::Right(340)),
        ("Cost, USD", Align::Right(495)),
    ];
    paper.repeat(&head);
    for (name, share) in rows.iter().take(ROWS_MAX) {
        let name = if name.is_empty() { "(none named)" } else { name.as_str() };
        self::row(paper, Style::Text, name, share);
    }
    if !left_out.is_empty() {
        self::row(paper, Style::Text, &format!("{} more", left_out.len()), &rest);
    }
    let mut all = ReportShare::default();
    for share in shares.values() {
        all.join(share);
    }
    self::row(paper, Style::Bold, "Total", &all);
    paper.end_repeat();
}

fn row(paper: &mut Paper, style: Style, name: &str, share: &ReportShare) {
    let name = page::cut(name, 175);
    let numbers = [share.requests.to_string(), share.tokens.to_string(), share.cost.to_string()];
    let [requests, tokens, cost] = &numbers;
    paper.line(
        style,
        &[
            (&name, Align::Left(0)),
            (requests, Align::Right(250)),
            (tokens, Align::Right(340)),
            (cost, Align::Right(495)),
        ],
    );
}
