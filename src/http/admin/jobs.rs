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
    jobs::{AutoTopUpReport, ExpiryReport, JobError, ScanReport},
};

const STRATEGY_SCAN: &str = "strategy-scan";
const QUOTA_EXPIRY: &str = "quota-expiry";
const AUTO_TOP_UP: &str = "auto-top-up";

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
    /// Of `auto-top-up`.
    AutoTopUp(AutoTopUpReport),
}

/// Does a job now: `strategy-scan` lets every strategy give what it owes, `quota-expiry` writes off
/// what remains of quota that has expired, `auto-top-up` fills the wallets that fill themselves and
/// asks the payment provider again for what nobody knows of.
///
/// The answer comes when it is done. What was done before is not done again.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{job}", tag = "admin",
    params(("job" = String, Path, description = "`strategy-scan`, `quota-expiry` or `auto-top-up`")),
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
        AUTO_TOP_UP => Ok(Json(Report::AutoTopUp(state.auto_top_ups().run_now().await?))),
        _ => {
            let detail = format!(
                "there is no such job; there are `{STRATEGY_SCAN}`, `{QUOTA_EXPIRY}` and `{AUTO_TOP_UP}`"
            );
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
