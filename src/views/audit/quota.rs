//! Every movement of a user's quota but those by calls: the audit record of the first quota manager,
//! with its place in the log.

use replay::ReadError;
use schemas::{
    Credits, Draw, Event, ItemOutcome, LotDraw, QuotaRecharged, Recorded, Sequence,
    StrategyExecuted, Timestamp, UserId, VoucherClosed, VoucherId, VoucherOutcome,
};
use serde::Serialize;

use crate::personal::Vault;
use crate::views::{IssuedVoucher, Views};

const RECHARGE: &str = "RECHARGE";
const TRANSFER_OUT: &str = "TRANSFER_OUT";
const TRANSFER_IN: &str = "TRANSFER_IN";
const EXPIRED: &str = "EXPIRED";

/// One movement of a user's quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotaEntry {
    /// Signed.
    pub amount: Credits,
    /// `RECHARGE`, `EXPIRED`, `TRANSFER_OUT`, `TRANSFER_IN`, `TRANSFER_CANCELLED`,
    /// `TRANSFER_LAPSED`, `ADJUSTMENT`, `CONSUMPTION` or `REFUND`.
    pub operation: &'static str,
    /// Of a transfer; absent once what it says of the giver has been erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voucher_code: Option<String>,
    /// Of a transfer: the other user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related_user: Option<String>,
    /// Of a recharge by a strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_name: Option<String>,
    /// The earliest expiry of the lots concerned; of a movement that touched no lot, its own moment.
    pub expiry_date: Timestamp,
    /// Lot by lot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<AuditDetails>,
    /// When.
    pub create_time: Timestamp,
    /// Why, in the words of who did it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Of what was given, what paid the overdraft; of what was drawn, what became overdraft.
    pub overdraft_paid: Credits,
    /// Who did it.
    pub actor: String,
    /// The lot, by the sequence of its recharge, where there is just one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<Sequence>,
    /// Of a transfer: by which its voucher is recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voucher_id: Option<VoucherId>,
    /// Its position in the log.
    pub sequence: Sequence,
}

/// What a movement consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditDetails {
    operation: &'static str,
    summary: Summary,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Summary {
    /// Of the items that succeeded.
    total_amount: Credits,
    total_items: usize,
    #[serde(skip_serializing_if = "is_zero")]
    successful_items: usize,
    #[serde(skip_serializing_if = "is_zero")]
    expired_items: usize,
    earliest_expiry_date: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    amount: Credits,
    expiry_date: Timestamp,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    /// What the user held of this expiry before, where the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_quota: Option<Credits>,
    /// And after.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_quota: Option<Credits>,
}

impl Item {
    const fn success(amount: Credits, expiry_date: Timestamp) -> Self {
        let (failure_reason, original_quota, new_quota) = (None, None, None);
        let status = "SUCCESS";
        Self { amount, expiry_date, status, failure_reason, original_quota, new_quota }
    }

    fn held(self, before: Credits, after: Option<Credits>) -> Self {
        Self { original_quota: Some(before), new_quota: after, ..self }
    }

    const fn expired(self) -> Self {
        Self { status: EXPIRED, failure_reason: Some("Quota expired"), ..self }
    }

    const fn is_success(&self) -> bool {
        self.failure_reason.is_none()
    }
}

impl AuditDetails {
    fn new(operation: &'static str, items: Vec<Item>, otherwise: Timestamp) -> Self {
        let good = || items.iter().filter(|item| item.is_success());
        let successful_items = good().count();
        let earliest = good().map(|item| item.expiry_date).min();
        let earliest = earliest.or_else(|| items.iter().map(|item| item.expiry_date).min());
        let summary = Summary {
            total_amount: Credits::saturating_sum(good().map(|item| item.amount)),
            total_items: items.len(),
            successful_items,
            expired_items: items.len().saturating_sub(successful_items),
            earliest_expiry_date: earliest.unwrap_or(otherwise),
        };
        Self { operation, summary, items }
    }
}

impl QuotaEntry {
    /// Of these items, up or down; nothing else is known yet.
    fn of(recorded: &Recorded, operation: &'static str, is_up: bool, items: Vec<Item>) -> Self {
        let details = AuditDetails::new(operation, items, recorded.recorded_at);
        let amount = details.summary.total_amount;
        Self {
            amount: if is_up { amount } else { negated(amount) },
            operation,
            voucher_code: None,
            related_user: None,
            strategy_name: None,
            expiry_date: details.summary.earliest_expiry_date,
            details: Some(details),
            create_time: recorded.recorded_at,
            reason: String::new(),
            overdraft_paid: Credits::ZERO,
            actor: String::new(),
            lot: None,
            voucher_id: None,
            sequence: recorded.sequence,
        }
    }

    /// The same, with what moved beside the lots: paid to the overdraft, or added to it.
    fn beyond(self, overdraft: Credits, is_up: bool) -> Self {
        let moved = if is_up { overdraft } else { negated(overdraft) };
        let amount = self.amount.checked_add(moved).unwrap_or(self.amount);
        Self { amount, overdraft_paid: overdraft, ..self }
    }
}

impl Views {
    /// How many movements of a user's quota there are up to `through`, and, newest first, those up to
    /// `from` after the first `skip`, with whether there are more.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn quota_audit(
        &self,
        vault: &Vault,
        user: UserId,
        through: Sequence,
        from: Sequence,
        skip: usize,
        entries_max: usize,
    ) -> Result<(usize, Vec<QuotaEntry>, bool), ReadError> {
        let list = self.look(|reading| reading.histories.user_quota(user).clone());
        let total = list.ascending(Sequence::ZERO, through).count();
        let mut rest = list.descending(from.min(through)).skip(skip);
        let page: Vec<Sequence> = rest.by_ref().take(entries_max).collect();
        let has_more = rest.next().is_some();
        let mut entries = Vec::with_capacity(page.len());
        for recorded in self.log.read_many(&page)? {
            if let Some(entry) = self.quota_entry(vault, &recorded)? {
                entries.push(QuotaEntry { actor: self.actor(&recorded)?, ..entry });
            }
        }
        Ok((total, entries, has_more))
    }

    fn quota_entry(
        &self,
        vault: &Vault,
        recorded: &Recorded,
    ) -> Result<Option<QuotaEntry>, ReadError> {
        Ok(Some(match &recorded.event {
            Event::QuotaRecharged(given) => recharge(recorded, given),
            Event::StrategyExecuted(given) => {
                let entry = execution(recorded, given);
                QuotaEntry { strategy_name: self.strategy_name(given), ..entry }
            }
            Event::QuotaExpired(expired) => {
                let expiry = self.expiries(&[expired.lot])?.pop().flatten();
                let expiry_date = expiry.unwrap_or(recorded.recorded_at);
                let items = vec![Item::success(expired.amount, expiry_date)];
                let lot = Some(expired.lot);
                QuotaEntry { details: None, lot, ..QuotaEntry::of(recorded, EXPIRED, false, items) }
            }
            Event::QuotaWithdrawn(taken) => {
                let mut items = self.parts(recorded, &taken.unused)?;
                items.extend(self.parts(recorded, &taken.drawn)?);
                let reason = taken.reason.clone();
                QuotaEntry { reason, ..QuotaEntry::of(recorded, "ADJUSTMENT", false, items) }
            }
            Event::QuotaDrawn(drawn) => {
                let Draw { lots, overdraft, rule_version: _ } = &drawn.draw;
                let items = self.parts(recorded, lots)?;
                let entry = QuotaEntry::of(recorded, "CONSUMPTION", false, items);
                let reason = drawn.reason.clone();
                QuotaEntry { reason, ..entry.beyond(*overdraft, false) }
            }
            Event::QuotaRefunded(refund) => {
                let items = self.parts(recorded, &refund.lots)?;
                let entry = QuotaEntry::of(recorded, "REFUND", true, items);
                let reason = refund.reason.clone();
                QuotaEntry { reason, ..entry.beyond(refund.overdraft, true) }
            }
            Event::VoucherIssued(_) => match self.issued_voucher(recorded.sequence)? {
                Some(issued) => transfer_out(vault, recorded, &issued),
                None => return Ok(None),
            },
            Event::VoucherClosed(closed) => self.voucher_end(vault, recorded, closed)?,
            _ => return Ok(None),
        }))
    }

    fn strategy_name(&self, given: &StrategyExecuted) -> Option<String> {
        self.look(|reading| {
            let strategy = reading.books.strategies.find(given.strategy)?;
            Some(strategy.definition.name.clone())
        })
    }

    /// How a voucher ended, as the one sees it who got its quota.
    fn voucher_end(
        &self,
        vault: &Vault,
        recorded: &Recorded,
        closed: &VoucherClosed,
    ) -> Result<QuotaEntry, ReadError> {
        let mut items = Vec::new();
        let mut overdraft_paid = Credits::ZERO;
        for settled in self.command_until(recorded.sequence)? {
            let Event::VoucherItemSettled(item) = settled.event else { continue };
            if item.voucher != closed.voucher {
                continue;
            }
            let kept = item.amount.checked_sub(item.overdraft_paid);
            let after = kept.and_then(|kept| item.before.checked_add(kept));
            let entry = Item::success(item.amount, item.expires_at);
            items.push(match item.outcome {
                ItemOutcome::Expired => entry.expired(),
                ItemOutcome::Redeemed | ItemOutcome::Returned => entry.held(item.before, after),
            });
            overdraft_paid = Credits::saturating_sum([overdraft_paid, item.overdraft_paid]);
        }
        let (operation, other) = match closed.outcome {
            VoucherOutcome::Redeemed if closed.items == 0 => (EXPIRED, closed.giver),
            VoucherOutcome::Redeemed => (TRANSFER_IN, closed.giver),
            VoucherOutcome::Cancelled => ("TRANSFER_CANCELLED", closed.receiver),
            VoucherOutcome::Lapsed => ("TRANSFER_LAPSED", closed.receiver),
        };
        let issued = self.look(|reading| {
            reading.books.vouchers.find(closed.voucher).map(|voucher| voucher.issued)
        });
        let issued = match issued {
            Some(issued) => self.issued_voucher(issued)?,
            None => None,
        };
        let related_user = self.look(|reading| reading.books.names.text(other).to_string());
        Ok(QuotaEntry {
            voucher_code: issued.and_then(|issued| issued.code_from(vault)),
            related_user: Some(related_user),
            overdraft_paid,
            voucher_id: Some(closed.voucher),
            ..QuotaEntry::of(recorded, operation, true, items)
        })
    }

    /// The parts of lots, each with the lot's expiry.
    fn parts(&self, recorded: &Recorded, parts: &[LotDraw]) -> Result<Vec<Item>, ReadError> {
        let lots: Vec<Sequence> = parts.iter().map(|part| part.lot).collect();
        let expiries = self.expiries(&lots)?.into_iter();
        let items = parts.iter().zip(expiries).map(|(part, expiry)| {
            Item::success(part.amount, expiry.unwrap_or(recorded.recorded_at))
        });
        Ok(items.collect())
    }

    /// When each of these lots expires, wherever it comes from.
    fn expiries(&self, lots: &[Sequence]) -> Result<Vec<Option<Timestamp>>, ReadError> {
        let mut expiries = Vec::with_capacity(lots.len());
        for recorded in self.log.read_many(lots)? {
            expiries.push(match recorded.event {
                Event::QuotaRecharged(lot) => Some(lot.expires_at),
                Event::StrategyExecuted(lot) => Some(lot.expires_at),
                Event::VoucherItemSettled(lot) => Some(lot.expires_at),
                _ => None,
            });
        }
        Ok(expiries)
    }
}

fn recharge(recorded: &Recorded, given: &QuotaRecharged) -> QuotaEntry {
    let items = vec![Item::success(given.amount, given.expires_at)];
    QuotaEntry {
        reason: given.reason.clone(),
        overdraft_paid: given.overdraft_paid,
        lot: Some(recorded.sequence),
        ..QuotaEntry::of(recorded, RECHARGE, true, items)
    }
}

fn execution(recorded: &Recorded, given: &StrategyExecuted) -> QuotaEntry {
    let kept = given.amount.checked_sub(given.overdraft_paid);
    let after = kept.and_then(|kept| given.before.checked_add(kept));
    let item = Item::success(given.amount, given.expires_at).held(given.before, after);
    QuotaEntry {
        overdraft_paid: given.overdraft_paid,
        lot: Some(recorded.sequence),
        ..QuotaEntry::of(recorded, RECHARGE, true, vec![item])
    }
}

fn transfer_out(vault: &Vault, recorded: &Recorded, issued: &IssuedVoucher) -> QuotaEntry {
    let item = |(item, before): (&schemas::VoucherItem, &Credits)| {
        let after = before.checked_sub(item.amount);
        Item::success(item.amount, item.expires_at.moment()).held(*before, after)
    };
    let items = issued.items.iter().zip(&issued.before).map(item).collect();
    QuotaEntry {
        voucher_code: issued.code_from(vault),
        related_user: Some(issued.receiver.clone()),
        voucher_id: Some(issued.id),
        ..QuotaEntry::of(recorded, TRANSFER_OUT, false, items)
    }
}

fn negated(amount: Credits) -> Credits {
    amount.checked_neg().unwrap_or_default()
}
