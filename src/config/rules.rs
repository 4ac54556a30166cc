//! What follows from a checked configuration for the writer and the jobs.

use std::sync::Arc;

use schemas::{Schedule, SigningKeys};

use super::{Config, Vouchers};
use crate::{domain::Rules, jobs::JobRules};

impl Config {
    /// The rules that the writer decides by.
    ///
    /// # Errors
    /// Never, once the configuration is checked: a key is long enough and a schedule is one.
    pub fn rules(&self) -> anyhow::Result<Rules> {
        let Vouchers { signing_key, signing_keys, accept_foreign } = &self.vouchers;
        let keys: Vec<Vec<u8>> = signing_key
            .iter()
            .chain(signing_keys)
            .map(|key| key.expose().as_bytes().to_vec())
            .collect();
        let signing_keys =
            if keys.is_empty() { None } else { Some(Arc::new(SigningKeys::new(keys)?)) };
        Ok(Rules {
            pairing_timeout_seconds: i64::from(self.intake.pairing_timeout_seconds),
            expiry: self.quota.expiry,
            zone: self.quota.time_zone,
            signing_keys,
            auto_top_up_cooldown_seconds: self.billing.auto_top_up_cooldown_seconds,
            foreign_vouchers: *accept_foreign,
        })
    }

    /// When the jobs run.
    ///
    /// # Errors
    /// As [`Self::rules`].
    pub fn job_rules(&self) -> anyhow::Result<JobRules> {
        let zone = self.quota.time_zone;
        Ok(JobRules {
            strategy_scan: Schedule::parse(&self.schedule.strategy_scan, zone)?,
            quota_expiry: Schedule::parse(&self.schedule.quota_expiry, zone)?,
            zone,
            catch_up_ticks_max: self.strategies.catch_up_ticks_max,
        })
    }
}
