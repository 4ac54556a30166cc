//! Every top-up and adjustment of a tenant's money, newest first.

use replay::ReadError;
use schemas::{Event, Money, Recorded, Sequence, TenantId, Timestamp};
use serde::Serialize;

use crate::views::Views;

/// One movement of a tenant's wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletEntry {
    /// USD, signed.
    pub amount: Money,
    /// `TOP_UP` or `ADJUSTMENT`.
    pub operation: &'static str,
    /// The payment's reference, or the reason in words.
    pub reason: String,
    /// Who did it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// Its position in the log.
    pub sequence: Sequence,
}

impl Views {
    /// The movements of a tenant's wallet up to `through`, newest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn wallet_audit(
        &self,
        tenant: TenantId,
        through: Sequence,
        entries_max: usize,
    ) -> Result<Vec<WalletEntry>, ReadError> {
        let list = self.look(|reading| reading.histories.tenant_money(tenant).clone());
        let page: Vec<Sequence> = list.descending(through).take(entries_max).collect();
        let mut entries = Vec::with_capacity(page.len());
        for recorded in self.log.read_many(&page)? {
            entries.extend(self.wallet_entry(&recorded)?);
        }
        Ok(entries)
    }

    fn wallet_entry(&self, recorded: &Recorded) -> Result<Option<WalletEntry>, ReadError> {
        let (operation, amount, reason) = match &recorded.event {
            Event::WalletToppedUp(top_up) => ("TOP_UP", top_up.amount, top_up.reference.clone()),
            Event::WalletAdjusted(adjusted) => {
                ("ADJUSTMENT", adjusted.amount, adjusted.reason.clone())
            }
            Event::TopUpSucceeded(top_up) => {
                ("TOP_UP", top_up.amount, top_up.payment_intent.clone())
            }
            _ => return Ok(None),
        };
        Ok(Some(WalletEntry {
            amount,
            operation,
            reason,
            actor: self.actor(recorded)?,
            created_at: recorded.recorded_at,
            sequence: recorded.sequence,
        }))
    }
}
