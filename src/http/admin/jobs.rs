//! `POST /api/v1/admin/jobs/{job}`: does now what otherwise comes with its time, and says what it did.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        params::Path,
        problem::{Kind, Problem},
    },
    jobs::{ExpiryReport, JobError, ScanReport},
};

const STRATEGY_SCAN: &str = "strategy-scan";
const QUOTA_EXPIRY: &str = "quota-expiry";

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run))
}

/// What a job did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Report {
    /// Of `strategy-scan`.
    Scan(ScanReport),
    /// Of `quota-expiry`.
    Expiry(ExpiryReport),
}

/// Does a job now: `strategy-scan` lets every strategy give what it owes, `quota-expiry` writes off
/// what remains of quota that has expired.
///
/// The answer comes when it is done. What was done before is not done again.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{job}", tag = "admin",
    params(("job" = String, Path, description = "`strategy-scan` or `quota-expiry`")),
    responses((status = 200, body = Report)))]
async fn run(
    State(state): State<AppState>,
    Path(job): Path<String>,
) -> Result<Json<Report>, Problem> {
    let jobs = state.jobs();
    match job.as_str() {
        STRATEGY_SCAN => Ok(Json(Report::Scan(jobs.scan_strategies().await?))),
        QUOTA_EXPIRY => {
            let now = state.clock().now();
            Ok(Json(Report::Expiry(jobs.book_expired(now).await?)))
        }
        _ => {
            let detail =
                format!("there is no such job; there are `{STRATEGY_SCAN}` and `{QUOTA_EXPIRY}`");
            Err(Problem::new(Kind::NotFound, "no_such_job", detail))
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Submit(error) => error.into(),
            JobError::Read(error) => error.into(),
        }
    }
}
