//! `POST /api/v1/admin/jobs/{job}`: does now what otherwise comes with its time, and says what it did.

use axum::{Json, extract::State};
use schemas::Period;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        params::Path,
        problem::{Kind, Problem},
    },
    jobs::{AutoTopUpReport, BillingReport, ClosingReport, ExpiryReport, JobError, ScanReport},
};

const STRATEGY_SCAN: &str = "strategy-scan";
const QUOTA_EXPIRY: &str = "quota-expiry";
const DAILY_BILLING: &str = "daily-billing";
const DAILY_AGGREGATION: &str = "daily-aggregation";
const MONTHLY_AGGREGATION: &str = "monthly-aggregation";
const AUTO_TOP_UP: &str = "auto-top-up";
const JOBS: [&str; 6] = [
    STRATEGY_SCAN,
    QUOTA_EXPIRY,
    DAILY_BILLING,
    DAILY_AGGREGATION,
    MONTHLY_AGGREGATION,
    AUTO_TOP_UP,
];

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
    /// Of `daily-billing`.
    Billing(BillingReport),
    /// Of `daily-aggregation` and `monthly-aggregation`.
    Closing(ClosingReport),
    /// Of `auto-top-up`.
    AutoTopUp(AutoTopUpReport),
}

/// Does a job now: `strategy-scan` lets every strategy give what it owes, `quota-expiry` writes off
/// what remains of quota that has expired, `daily-billing` posts the bills of all days that are over,
/// `daily-aggregation` and `monthly-aggregation` close the tenants' last complete days and months,
/// `auto-top-up` fills the wallets that fill themselves and asks the payment provider again for what
/// nobody knows of.
///
/// The answer comes when it is done. What was done before is not done again.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{job}", tag = "admin",
    params(("job" = String, Path, description = "`strategy-scan`, `quota-expiry`, \
        `daily-billing`, `daily-aggregation`, `monthly-aggregation` or `auto-top-up`")),
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
        DAILY_BILLING => Ok(Json(Report::Billing(jobs.bill(jobs.yesterday()).await?))),
        DAILY_AGGREGATION => Ok(Json(Report::Closing(jobs.close_periods(Period::Day).await?))),
        MONTHLY_AGGREGATION => Ok(Json(Report::Closing(jobs.close_periods(Period::Month).await?))),
        AUTO_TOP_UP => Ok(Json(Report::AutoTopUp(state.auto_top_ups().run_now().await?))),
        _ => {
            let detail = format!("there is no such job; there are `{}`", JOBS.join("`, `"));
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
