//! What readers read: the folds as they are now, and, out of the log, histories, audits and the
//! state as of any moment in the past. Nothing here waits for the writer or holds it up.

mod alerts;
mod analytics;
mod as_of;
mod audit;
mod bills;
mod consumption;
mod event;
mod executions;
mod history;
mod holds;
mod notice;
mod projects;
mod report;
mod revenue;
mod top_ups;
mod usage;
mod voucher;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use projections::books::Reading;
use replay::LogReader;
use schemas::Sequence;
use tokio::sync::watch;

pub use alerts::{AlertEntry, AttemptEntry, Page, PendingDelivery};
pub use analytics::{Overview, TenantTotals, UserActivity};
pub use as_of::{AsOf, AsOfError, Point};
pub use audit::{AuditDetails, QuotaEntry, WalletEntry, WalletPage};
pub use bills::{Bill, BillPage};
pub use consumption::{Consumed, DrawnLot, TokenConsumption};
pub use event::{
    AccountEventData, AlertEventData, BillEventData, EventData, EventView, HoldEventData,
    QuotaEventData, TenantEventData, TopUpEventData, delivery_outcome_name, outcome_name, percent,
    rule_name,
};
pub use executions::{ExecutionFilter, ExecutionPage};
pub use history::{CallFilter, CallPage, Whose};
pub use holds::{HoldStatus, HoldView};
pub use notice::{AlertView, Figures, NoticeData, NoticeView};
pub use projects::{ProjectMonth, ProjectMonths};
pub use report::{
    Comparison, MonthlyReport, Percent, ReportBreakdown, ReportPeriod, ReportShare, ReportTotals,
};
pub use revenue::{Billed, Payments};
pub use top_ups::{TopUpPage, TopUpTransaction, top_up_status};
pub use usage::{Breakdown, Dimension, Edge, Span, Used, break_down, is_quick};
pub use voucher::{IssuedVoucher, VoucherEntry, VoucherPart, VoucherStatus};

/// Access to the read models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Views {
    reading: Arc<RwLock<Reading>>,
    log: LogReader,
    head: watch::Receiver<Sequence>,
}

impl Views {
    /// Over what the writer shows.
    #[must_use]
    pub const fn new(
        reading: Arc<RwLock<Reading>>,
        log: LogReader,
        head: watch::Receiver<Sequence>,
    ) -> Self {
        Self { reading, log, head }
    }

    /// The last event that is readable here.
    #[must_use]
    pub fn head(&self) -> Sequence {
        self.look(|reading| reading.books.head)
    }

    /// Changes with every batch.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<Sequence> {
        self.head.clone()
    }

    /// The log itself.
    #[must_use]
    pub const fn log(&self) -> &LogReader {
        &self.log
    }

    /// A look at the folds as they are now. Keep it short: the next batch waits for it. What two
    /// looks show need not be of the same moment.
    pub fn look<T>(&self, look: impl FnOnce(&Reading) -> T) -> T {
        look(&self.reading.read())
    }

    /// A look at the folds as they are now, with the event that they reflect.
    pub fn look_now<T>(&self, look: impl FnOnce(&Reading) -> T) -> (Sequence, T) {
        self.look(|reading| (reading.books.head, look(reading)))
    }

    /// Waits until the event `at_least` is readable here. Whether that came to be within `patience`.
    pub async fn reach(&self, at_least: Sequence, patience: Duration) -> bool {
        let mut head = self.head.clone();
        let reached = head.wait_for(|head| *head >= at_least);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }
}
