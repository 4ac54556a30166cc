//! Every recharge and expiry of a user's quota, and every top-up and adjustment of a tenant's money,
//! newest first, out of the log. What calls drew and cost is in their own history.

use replay::ReadError;
use schemas::{Credits, Event, Money, Recorded, Sequence, TenantId, Timestamp, UserId};
use serde::Serialize;

use super::Views;

/// One movement of a user's quota: the seed's audit record, with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotaEntry {
    /// Signed.
    pub amount: Credits,
    /// `RECHARGE` or `EXPIRED`.
    pub operation: &'static str,
    /// The expiry of the lot concerned.
    pub expiry_date: Timestamp,
    /// Why, in the giver's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Of a recharge, what paid the overdraft.
    pub overdraft_paid: Credits,
    /// Who did it.
    pub actor: String,
    /// When.
    pub create_time: Timestamp,
    /// The lot, by the sequence of its recharge.
    pub lot: Sequence,
    /// Its position in the log.
    pub sequence: Sequence,
}

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
    /// How many movements of a user's quota there are up to `through`, and, newest first, those
    /// after the first `skip`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn quota_audit(
        &self,
        user: UserId,
        through: Sequence,
        skip: usize,
        entries_max: usize,
    ) -> Result<(usize, Vec<QuotaEntry>), ReadError> {
        let list = self.look(|reading| reading.histories.user_quota(user).clone());
        let total = list.ascending(Sequence::ZERO, through).count();
        let page: Vec<Sequence> = list.descending(through).skip(skip).take(entries_max).collect();
        let mut entries = Vec::with_capacity(page.len());
        for recorded in self.log.read_many(&page)? {
            entries.extend(self.quota_entry(&recorded)?);
        }
        Ok((total, entries))
    }

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

    fn quota_entry(&self, recorded: &Recorded) -> Result<Option<QuotaEntry>, ReadError> {
        let actor = self.actor(recorded)?;
        let (sequence, create_time) = (recorded.sequence, recorded.recorded_at);
        Ok(match &recorded.event {
            Event::QuotaRecharged(recharge) => Some(QuotaEntry {
                amount: recharge.amount,
                operation: "RECHARGE",
                expiry_date: recharge.expires_at,
                reason: recharge.reason.clone(),
                overdraft_paid: recharge.overdraft_paid,
                actor,
                create_time,
                lot: sequence,
                sequence,
            }),
            Event::QuotaExpired(expired) => {
                let expiry_date = match self.log.read(expired.lot)?.map(|lot| lot.event) {
                    Some(Event::QuotaRecharged(recharge)) => recharge.expires_at,
                    _ => create_time,
                };
                Some(QuotaEntry {
                    amount: expired.amount.checked_neg().unwrap_or_default(),
                    operation: "EXPIRED",
                    expiry_date,
                    reason: String::new(),
                    overdraft_paid: Credits::ZERO,
                    actor,
                    create_time,
                    lot: expired.lot,
                    sequence,
                })
            }
            _ => None,
        })
    }

    fn wallet_entry(&self, recorded: &Recorded) -> Result<Option<WalletEntry>, ReadError> {
        let (operation, amount, reason) = match &recorded.event {
            Event::WalletToppedUp(top_up) => ("TOP_UP", top_up.amount, top_up.reference.clone()),
            Event::WalletAdjusted(adjusted) => {
                ("ADJUSTMENT", adjusted.amount, adjusted.reason.clone())
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

    /// Who issued the command that led to an event.
    pub(super) fn actor(&self, recorded: &Recorded) -> Result<String, ReadError> {
        let command = match recorded.command {
            Some(command) => Some(command),
            None => self.log.read(recorded.cause)?.and_then(|first| first.command),
        };
        let name = |actor| self.look(|reading| reading.books.names.text(actor).to_string());
        Ok(command.map(|command| name(command.actor)).unwrap_or_default())
    }
}
