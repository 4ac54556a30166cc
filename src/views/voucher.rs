//! Vouchers as their givers see them: what they said when they were issued, read back out of the log,
//! and what became of them. A code is not kept anywhere: it is put together again.

use projections::vouchers::Voucher;
use replay::ReadError;
use schemas::{
    Credits, Event, Giver, Recorded, SealedGiver, Sequence, SigningKeys, Timestamp, TransferItem,
    UserId, VoucherId, VoucherIssued, VoucherItem, VoucherOutcome, VoucherPayload,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Views;
use crate::personal::Vault;

/// A voucher as it was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedVoucher {
    /// By which it is recognised.
    pub id: VoucherId,
    /// Who gives.
    pub giver: String,
    /// Who may redeem it.
    pub receiver: String,
    /// What its code says of the giver, sealed.
    pub identity: SealedGiver,
    /// What is in it.
    pub items: Vec<VoucherItem>,
    /// What the giver's lots of each item's expiry held before.
    pub before: Vec<Credits>,
    /// All items together.
    pub amount: Credits,
    /// The moment after which its quota goes back to the giver.
    pub lapses_at: Option<Timestamp>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The event that issued it.
    pub sequence: Sequence,
    timestamp: i64,
    signature: [u8; 32],
}

impl IssuedVoucher {
    /// The code, of a voucher that says this of its giver. `None` when that is not what it says.
    #[must_use]
    pub fn code(&self, giver: &Giver) -> Option<String> {
        let payload = VoucherPayload {
            giver_id: self.giver.clone(),
            giver_name: giver.name.clone(),
            giver_phone: giver.phone.clone(),
            giver_github: giver.github.clone(),
            receiver_id: self.receiver.clone(),
            items: self.items.clone(),
            timestamp: self.timestamp,
        };
        let code = SigningKeys::code(&payload.to_json(), &self.signature);
        (VoucherId::of(&code) == self.id).then_some(code)
    }

    /// The code. `None` once what it says of the giver has been erased.
    #[must_use]
    pub fn code_from(&self, vault: &Vault) -> Option<String> {
        self.code(&vault.unseal_giver(&self.identity)?)
    }
}

/// How a voucher stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoucherStatus {
    /// It can be redeemed.
    Open,
    /// Its receiver took it.
    Redeemed,
    /// Its giver took it back.
    Cancelled,
    /// Its own time ran out.
    Lapsed,
}

impl VoucherStatus {
    /// Of a voucher at `now`.
    #[must_use]
    pub fn of(voucher: &Voucher, now: Timestamp) -> Self {
        match voucher.closed {
            Some((VoucherOutcome::Redeemed, _)) => Self::Redeemed,
            Some((VoucherOutcome::Cancelled, _)) => Self::Cancelled,
            Some((VoucherOutcome::Lapsed, _)) => Self::Lapsed,
            None if voucher.has_lapsed(now) => Self::Lapsed,
            None => Self::Open,
        }
    }
}

/// A part of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct VoucherPart {
    /// How much.
    #[schema(value_type = f64)]
    pub amount: Credits,
    /// Until when it is valid, as the giver wrote it.
    #[schema(value_type = String, format = DateTime)]
    #[serde(rename = "expiry_date")]
    pub expires_at: schemas::ZonedTimestamp,
}

impl From<&VoucherItem> for VoucherPart {
    fn from(item: &VoucherItem) -> Self {
        Self { amount: item.amount, expires_at: item.expires_at }
    }
}

/// A voucher as its giver sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VoucherEntry {
    /// By which it is recognised.
    #[schema(value_type = String)]
    voucher_id: VoucherId,
    /// What the receiver redeems; absent once what it says of the giver has been erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    voucher_code: Option<String>,
    /// Who may redeem it.
    receiver_id: String,
    /// All that is in it.
    #[schema(value_type = f64)]
    amount: Credits,
    /// What is in it.
    quota_list: Vec<VoucherPart>,
    /// How it stands.
    status: VoucherStatus,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// What became quota of the receiver, or of the giver again, when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    settled_amount: Option<Credits>,
    /// What had expired by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    expired_amount: Option<Credits>,
    /// The moment after which its quota goes back to the giver.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    voucher_expires_at: Option<Timestamp>,
    /// The event that issued it.
    #[schema(value_type = u64)]
    sequence: Sequence,
}

impl Views {
    /// All events of the command that led to the event at `last`, up to that event.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn command_until(&self, last: Sequence) -> Result<Vec<Recorded>, ReadError> {
        let Some(recorded) = self.log.read(last)? else { return Ok(Vec::new()) };
        let count = last.get().saturating_sub(recorded.cause.get()).saturating_add(1);
        self.log.page(recorded.cause, count)
    }

    /// The voucher that the event at `sequence` issued; `None` when it issued none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn issued_voucher(&self, sequence: Sequence) -> Result<Option<IssuedVoucher>, ReadError> {
        let mut events = self.command_until(sequence)?;
        let Some(last) = events.pop() else { return Ok(None) };
        let Event::VoucherIssued(issued) = last.event else { return Ok(None) };
        let (items, before) = reserved(&events, issued.voucher);
        let VoucherIssued { voucher, giver, receiver, identity, timestamp, .. } = *issued;
        let name = |user: UserId| self.look(|reading| reading.books.names.text(user).to_string());
        Ok(Some(IssuedVoucher {
            id: voucher,
            giver: name(giver),
            receiver: name(receiver),
            identity,
            items: items.into_iter().map(VoucherItem::from).collect(),
            before,
            amount: issued.amount,
            lapses_at: issued.lapses_at,
            issued_at: last.recorded_at,
            sequence,
            timestamp,
            signature: issued.signature,
        }))
    }

    /// A voucher as its giver sees it at `now`; `None` when it was not issued by this book.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn voucher(
        &self,
        vault: &Vault,
        id: VoucherId,
        now: Timestamp,
    ) -> Result<Option<VoucherEntry>, ReadError> {
        let voucher = self.look(|reading| reading.books.vouchers.find(id).cloned());
        let Some(voucher) = voucher else { return Ok(None) };
        let Some(issued) = self.issued_voucher(voucher.issued)? else { return Ok(None) };
        let closed = match voucher.closed {
            Some((_, sequence)) => self.log.read(sequence)?,
            None => None,
        };
        let (settled_amount, expired_amount) = match closed.as_ref().map(|closed| &closed.event) {
            Some(Event::VoucherClosed(closed)) => (Some(closed.amount), Some(closed.expired)),
            _ => (None, None),
        };
        Ok(Some(VoucherEntry {
            voucher_id: id,
            voucher_code: issued.code_from(vault),
            quota_list: issued.items.iter().map(VoucherPart::from).collect(),
            receiver_id: issued.receiver,
            amount: issued.amount,
            status: VoucherStatus::of(&voucher, now),
            created_at: issued.issued_at,
            closed_at: closed.map(|closed| closed.recorded_at),
            settled_amount,
            expired_amount,
            voucher_expires_at: issued.lapses_at,
            sequence: issued.sequence,
        }))
    }
}

/// The items of a voucher in their order, each with what was held before. What was reserved of one in
/// several events adds up.
fn reserved(events: &[Recorded], voucher: VoucherId) -> (Vec<TransferItem>, Vec<Credits>) {
    let mut items: Vec<TransferItem> = Vec::new();
    let mut before = Vec::new();
    let mut last = None;
    for recorded in events {
        let Event::VoucherItemReserved(part) = &recorded.event else { continue };
        if part.voucher != voucher {
            continue;
        }
        if let Some(item) = items.last_mut().filter(|_| last == Some(part.number)) {
            item.amount = item.amount.checked_add(part.amount).unwrap_or(item.amount);
        } else {
            items.push(TransferItem {
                amount: part.amount,
                expires_at: part.expires_at,
                offset_seconds: part.offset_seconds,
            });
            before.push(part.before);
        }
        last = Some(part.number);
    }
    (items, before)
}
