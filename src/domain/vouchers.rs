//! Vouchers: quota leaves its giver's lots when one is issued, and becomes the receiver's, or the
//! giver's again, once.

use std::collections::{BTreeMap, HashSet};

use projections::books::Books;
use projections::quota::{Account, LOTS_A_DRAW_MAX, take};
use projections::vouchers::Voucher;
use schemas::{
    Credits, Event, IssueVoucher, ItemOutcome, Name, RedeemVoucher, SigningKeys, Timestamp,
    TransferItem, UserId, VOUCHER_BYTES_MAX, VoucherClosed, VoucherId, VoucherIssued, VoucherItem,
    VoucherItemReserved, VoucherItemSettled, VoucherOutcome, VoucherPayload, is_expired,
};

use super::Rules;
use super::naming::Naming;
use super::quota::check_room;
use super::rejection::Rejection;

/// The most items of one voucher: what one command may record.
pub const VOUCHER_ITEMS_MAX: usize = 10_000;

/// The items, taken out of the giver's lots, and the voucher that carries them.
pub(super) fn issue(
    books: &Books,
    rules: &Rules,
    command: &IssueVoucher,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let order = &command.order;
    let keys = rules.signing_keys.as_ref().ok_or(Rejection::VouchersOff)?;
    let receiver: Option<UserId> = naming.known(&order.receiver);
    if order.receiver == order.giver {
        return Err(Rejection::TransferToSelf);
    }
    let receiver = receiver.ok_or(Rejection::ReceiverUnknown)?;
    if order.items.is_empty() || order.items.len() > VOUCHER_ITEMS_MAX {
        return Err(Rejection::ItemCount { max: VOUCHER_ITEMS_MAX });
    }
    if order.lapses_at.is_some_and(|lapses_at| lapses_at <= now) {
        return Err(Rejection::VoucherLapsesAtOnce);
    }
    let giver: UserId = naming.id(&order.giver);
    let account = books.quota.account(giver);
    // What a hold keeps for a call is not given away.
    let held = books.holds.held_credits(giver, now);
    let (amount, taken) = take_items(account, &order.items, held, now)?;

    let (timestamp, signature, voucher) = sign(books, keys, command, giver, now)?;
    let mut events = Vec::with_capacity(taken.len().saturating_add(1));
    for (number, (item, lots)) in (0..).zip(order.items.iter().zip(taken)) {
        let before = account.held_until(item.expires_at);
        for lots in lots.chunks(LOTS_A_DRAW_MAX) {
            events.push(Event::VoucherItemReserved(VoucherItemReserved {
                voucher,
                number,
                giver,
                amount: Credits::saturating_sum(lots.iter().map(|part| part.amount)),
                expires_at: item.expires_at,
                offset_seconds: item.offset_seconds,
                lots: lots.to_vec(),
                before,
            }));
        }
    }
    events.push(Event::VoucherIssued(Box::new(VoucherIssued {
        voucher,
        giver,
        receiver,
        identity: command.sealed.clone(),
        timestamp,
        items: count(order.items.len()),
        amount,
        lapses_at: order.lapses_at,
        signature,
    })));
    Ok(events)
}

/// The time, the signature and the name of the voucher: the first second of the giver's, from now on,
/// whose code is not taken.
fn sign(
    books: &Books,
    keys: &SigningKeys,
    command: &IssueVoucher,
    giver: UserId,
    now: Timestamp,
) -> Result<(i64, [u8; 32], VoucherId), Rejection> {
    let IssueVoucher { order, identity, sealed: _ } = command;
    let mut payload = VoucherPayload {
        giver_id: order.giver.as_str().to_owned(),
        giver_name: identity.name.clone(),
        giver_phone: identity.phone.clone(),
        giver_github: identity.github.clone(),
        receiver_id: order.receiver.as_str().to_owned(),
        items: order.items.iter().copied().map(VoucherItem::from).collect(),
        timestamp: now.micros().div_euclid(1_000_000),
    };
    payload.timestamp =
        payload.timestamp.max(books.vouchers.last_timestamp(giver).saturating_add(1));
    loop {
        let json = payload.to_json();
        let signature = keys.sign(&json);
        let code = SigningKeys::code(&json, &signature);
        if code.len() > VOUCHER_BYTES_MAX {
            return Err(Rejection::TooLong);
        }
        let voucher = VoucherId::of(&code);
        // One that another book has issued, and that was redeemed here, may have it.
        if books.vouchers.find(voucher).is_none() {
            return Ok((payload.timestamp, signature, voucher));
        }
        payload.timestamp = payload.timestamp.saturating_add(1);
    }
}

/// All items together, and the lots that each is taken from.
fn take_items(
    account: &Account,
    items: &[TransferItem],
    held: Credits,
    now: Timestamp,
) -> Result<(Credits, Vec<Vec<schemas::LotDraw>>), Rejection> {
    let mut seen = HashSet::new();
    let mut total = Credits::ZERO;
    let mut taken = Vec::with_capacity(items.len());
    let available = account.available_at(now).checked_sub(held).unwrap_or_default();
    for (place, item) in items.iter().enumerate() {
        let expiry = item.expires_at;
        if !item.amount.is_positive() {
            return Err(Rejection::ItemNotPositive { place });
        }
        if !seen.insert(expiry) {
            return Err(Rejection::ItemRepeated { place, expiry });
        }
        if is_expired(expiry, now) {
            return Err(Rejection::ItemExpired { place, expiry });
        }
        let mut lots = account.lots_expiring(expiry).peekable();
        if lots.peek().is_none() {
            return Err(Rejection::ItemNotFound { place, expiry });
        }
        let there = account.held_until(expiry);
        let insufficient =
            |have| Rejection::ItemInsufficient { place, expiry, have, need: item.amount };
        let (parts, left) = take(item.amount, lots.map(|lot| (lot.id, lot.remaining)));
        if !left.is_zero() {
            return Err(insufficient(there));
        }
        // What is owed, or held, is not given away.
        let before = total;
        total = total.checked_add(item.amount).ok_or_else(|| insufficient(there))?;
        if total > available {
            let free = available.checked_sub(before).unwrap_or_default();
            return Err(insufficient(free.max(Credits::ZERO)));
        }
        taken.push(parts);
    }
    Ok((total, taken))
}

/// The voucher's items as lots of its receiver, those that have expired aside.
pub(super) fn redeem(
    books: &Books,
    rules: &Rules,
    command: &RedeemVoucher,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let RedeemVoucher { voucher, giver, receiver, items } = command;
    let outcome = VoucherOutcome::Redeemed;
    let settling = if let Some(open) = books.vouchers.find(*voucher) {
        let receiver: Option<UserId> = naming.known(receiver);
        if receiver != Some(open.receiver) {
            return Err(Rejection::VoucherOfAnother);
        }
        check_open(open, now)?;
        let Voucher { giver, receiver, .. } = *open;
        Settling { voucher: *voucher, giver, receiver, outcome, foreign: false }
    } else {
        let is_sound = giver != receiver
            && items.len() <= VOUCHER_ITEMS_MAX
            && items.iter().all(|item| item.amount.is_positive());
        if !rules.foreign_vouchers || !is_sound {
            return Err(Rejection::VoucherUnknown);
        }
        let (giver, receiver) = (naming.id(giver), naming.id(receiver));
        Settling { voucher: *voucher, giver, receiver, outcome, foreign: true }
    };
    settling.settle(books, items, now)
}

/// The voucher's items as lots of its giver again.
pub(super) fn cancel(
    books: &Books,
    voucher: VoucherId,
    giver: &Name,
    now: Timestamp,
    naming: &Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let giver: Option<UserId> = naming.known(giver);
    let open = books
        .vouchers
        .find(voucher)
        .filter(|open| giver == Some(open.giver))
        .ok_or(Rejection::NoSuchVoucher)?;
    check_open(open, now)?;
    give_back(books, voucher, open, VoucherOutcome::Cancelled, now)
}

/// As [`cancel`], for vouchers whose own time has run out at `now`. One of each giver: what the
/// giver owes is paid once. At most `most`; one that its giver has no room for waits.
pub(super) fn lapse(
    books: &Books,
    vouchers: impl Iterator<Item = VoucherId>,
    most: u32,
    now: Timestamp,
) -> Vec<Event> {
    let mut givers = HashSet::new();
    vouchers
        .filter_map(|voucher| Some((voucher, books.vouchers.find(voucher)?)))
        .filter(|(_, open)| open.closed.is_none() && open.has_lapsed(now))
        .filter(|(_, open)| givers.insert(open.giver))
        .filter_map(|(id, open)| give_back(books, id, open, VoucherOutcome::Lapsed, now).ok())
        .take(usize::try_from(most).unwrap_or(usize::MAX))
        .flatten()
        .collect()
}

fn give_back(
    books: &Books,
    voucher: VoucherId,
    open: &Voucher,
    outcome: VoucherOutcome,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let Voucher { giver, receiver, .. } = *open;
    let settling = Settling { voucher, giver, receiver, outcome, foreign: false };
    settling.settle(books, &open.items, now)
}

fn check_open(voucher: &Voucher, now: Timestamp) -> Result<(), Rejection> {
    match voucher.closed {
        Some((VoucherOutcome::Redeemed, _)) => Err(Rejection::VoucherRedeemed),
        Some((VoucherOutcome::Cancelled, _)) => Err(Rejection::VoucherCancelled),
        Some((VoucherOutcome::Lapsed, _)) => Err(Rejection::VoucherLapsed),
        None if voucher.has_lapsed(now) => Err(Rejection::VoucherLapsed),
        None => Ok(()),
    }
}

/// A voucher on its way to its end.
#[derive(Clone, Copy)]
struct Settling {
    voucher: VoucherId,
    giver: UserId,
    receiver: UserId,
    outcome: VoucherOutcome,
    foreign: bool,
}

impl Settling {
    fn settle(
        self,
        books: &Books,
        items: &[TransferItem],
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let Self { voucher, giver, receiver, outcome, foreign } = self;
        let (user, kept) = match outcome {
            VoucherOutcome::Redeemed => (receiver, ItemOutcome::Redeemed),
            VoucherOutcome::Cancelled | VoucherOutcome::Lapsed => (giver, ItemOutcome::Returned),
        };
        let account = books.quota.account(user);
        let is_good = |item: &&TransferItem| !is_expired(item.expires_at, now);
        let mut good = items.iter().filter(is_good).map(|item| item.amount);
        let amount = good.try_fold(Credits::ZERO, Credits::checked_add);
        let amount = amount.ok_or(Rejection::AmountOutOfRange { field: "voucher_code" })?;
        check_room(account, amount, now, "voucher_code")?;
        let mut owed = account.overdraft();
        let mut held: BTreeMap<Timestamp, Credits> = BTreeMap::new();
        let mut events = Vec::with_capacity(items.len().saturating_add(1));
        for (number, item) in (0..).zip(items) {
            let expiry = item.expires_at;
            let is_kept = is_good(&item);
            let overdraft_paid = if is_kept { owed.min(item.amount) } else { Credits::ZERO };
            owed = owed.checked_sub(overdraft_paid).unwrap_or_default();
            let held = held.entry(expiry).or_insert_with(|| account.held_until(expiry));
            let before = *held;
            if is_kept {
                *held = Credits::saturating_sum([before, item.amount]);
            }
            events.push(Event::VoucherItemSettled(VoucherItemSettled {
                voucher,
                number,
                user,
                amount: item.amount,
                overdraft_paid,
                expires_at: expiry,
                outcome: if is_kept { kept } else { ItemOutcome::Expired },
                foreign,
                before,
            }));
        }
        events.push(Event::VoucherClosed(VoucherClosed {
            voucher,
            giver,
            receiver,
            outcome,
            amount,
            items: count(items.iter().filter(is_good).count()),
            expired: Credits::saturating_sum(
                items.iter().filter(|item| !is_good(item)).map(|item| item.amount),
            ),
            items_expired: count(items.iter().filter(|item| !is_good(item)).count()),
            foreign,
        }));
        Ok(events)
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
