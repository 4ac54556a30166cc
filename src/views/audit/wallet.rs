//! Every movement of a tenant's money, newest first: top-ups, adjustments, bills, refunds, credits.

use replay::ReadError;
use schemas::{CreditKind, Event, Money, Recorded, Sequence, TenantId, Timestamp};
use serde::Serialize;

use crate::views::Views;

/// One movement of a tenant's wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletEntry {
    /// USD, signed.
    pub amount: Money,
    /// `TOP_UP`, `ADJUSTMENT`, `BILL`, `REFUND` or `CREDIT`.
    pub operation: &'static str,
    /// The payment's reference, the reason in words, or the day that is billed.
    pub reason: String,
    /// The bill, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill_id: Option<String>,
    /// Who did it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// Its position in the log.
    pub sequence: Sequence,
}

/// A page of movements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalletPage {
    /// The movements, newest first.
    pub entries: Vec<WalletEntry>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Sequence>,
}

impl Views {
    /// At most `entries_max` movements of a tenant's wallet, the newest up to `through` first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn wallet_audit(
        &self,
        tenant: TenantId,
        through: Sequence,
        entries_max: usize,
    ) -> Result<WalletPage, ReadError> {
        let list = self.look(|reading| reading.histories.tenant_money(tenant).clone());
        let mut sequences = list.descending(through);
        let some: Vec<Sequence> = sequences.by_ref().take(entries_max).collect();
        let next = sequences.next();
        let mut entries = Vec::with_capacity(some.len());
        for recorded in self.log.read_many(&some)? {
            entries.extend(self.wallet_entry(&recorded)?);
        }
        Ok(WalletPage { entries, next })
    }

    fn wallet_entry(&self, recorded: &Recorded) -> Result<Option<WalletEntry>, ReadError> {
        let of_bill = |sequence: Sequence| Some(sequence.to_string());
        let (operation, amount, reason, bill_id) = match &recorded.event {
            Event::WalletToppedUp(top_up) => {
                ("TOP_UP", top_up.amount, top_up.reference.clone(), None)
            }
            Event::TopUpSucceeded(top_up) => {
                ("TOP_UP", top_up.amount, top_up.payment_intent.clone(), None)
            }
            Event::WalletAdjusted(adjusted) => {
                ("ADJUSTMENT", adjusted.amount, adjusted.reason.clone(), None)
            }
            Event::WalletCredited(credit) => {
                let operation = match credit.kind {
                    CreditKind::Refund => "REFUND",
                    CreditKind::Credit => "CREDIT",
                };
                let bill_id = credit.bill.and_then(of_bill);
                (operation, credit.amount, credit.reason.clone(), bill_id)
            }
            Event::BillPosted(bill) => {
                let taken = bill.cost.checked_neg().unwrap_or_default();
                ("BILL", taken, bill.day.to_string(), of_bill(recorded.sequence))
            }
            _ => return Ok(None),
        };
        Ok(Some(WalletEntry {
            amount,
            operation,
            reason,
            bill_id,
            actor: self.actor(recorded)?,
            created_at: recorded.recorded_at,
            sequence: recorded.sequence,
        }))
    }
}
