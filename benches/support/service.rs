//! The service as it is run: the real binary in a process of its own. What the benchmarks know of
//! its command line, its paths and its shapes stands here and nowhere else.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::http::{self, Answer};
use super::process::{self, Program};

/// What callers send as `X-API-Key`.
pub(crate) const API_KEY: &str = "benchmark-key";
/// One call.
pub(crate) const CONSUMPTION: &str = "/api/v1/consumption";
/// Many calls.
pub(crate) const CONSUMPTION_BATCH: &str = "/api/v1/consumption/batch";
/// May a call go ahead?
pub(crate) const HOLDS: &str = "/api/v1/holds";
const READY: &str = "/health/ready";
/// Every answer to a read tells the last event that it reflects.
const SEQUENCE_HEADER: &str = "x-ledger-sequence";

/// Where a tenant's money is read.
pub(crate) fn wallet_path(tenant: &str) -> String {
    format!("/api/v1/billing/wallet?organizationId={tenant}")
}

/// Where a tenant's month is read, day by day: 31 lines.
pub(crate) fn days_path(tenant: &str) -> String {
    format!("{}&groupBy=organization", month_path(tenant))
}

/// The same for each model: hundreds of lines.
pub(crate) fn models_path(tenant: &str) -> String {
    format!("{}&groupBy=model", month_path(tenant))
}

fn month_path(tenant: &str) -> String {
    let month = "startDate=2025-01-01&endDate=2025-01-31";
    format!("/api/v1/consumption/aggregates?organizationId={tenant}&{month}")
}

/// The body that reports several calls.
pub(crate) fn batch_body(calls: &[String]) -> String {
    format!("[{}]", calls.join(","))
}

/// A running service.
#[derive(Debug)]
pub(crate) struct Service {
    program: Program,
    address: SocketAddr,
}

impl Service {
    /// Starts the service over the log in `data`, fed by `broker` if there is one, and waits until
    /// it is ready.
    pub(crate) fn start(binary: &str, data: &Path, broker: Option<&str>) -> anyhow::Result<Self> {
        let port = process::free_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .env("SERVER_HOST", "127.0.0.1")
            .env("SERVER_PORT", port.to_string())
            .env("X_API_KEY", API_KEY)
            .env("TALLYBOOK__DATA_DIR", data)
            .env_remove("RABBITMQ_URL")
            .current_dir(data);
        if let Some(url) = broker {
            command.env("RABBITMQ_URL", url);
        }
        let mut program =
            Program::start("`tallybook serve`", &mut command, &data.join("serve.out"))?;
        program.wait_until(Duration::from_mins(2), || {
            http::once(address, &http::get(READY)).is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { program, address })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// The last event that readers see.
    pub(crate) fn sequence(&self) -> anyhow::Result<u64> {
        let path = wallet_path(&super::company::tenant_name(0));
        let Answer { head, .. } = http::once(self.address, &http::get(&path))?;
        let value = http::header(&head, SEQUENCE_HEADER)
            .with_context(|| format!("no header `{SEQUENCE_HEADER}` in: {head}"))?;
        value.parse().with_context(|| format!("`{SEQUENCE_HEADER}: {value}` is not a number"))
    }

    /// Ends it in order.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.program.stop()
    }
}
