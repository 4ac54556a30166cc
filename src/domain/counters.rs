//! The two counters by which gateways know a user's quota. Moving one is a recharge, a withdrawal, a
//! draw or a refund of lots.

use projections::books::Books;
use projections::quota::{Account, LOTS_A_DRAW_MAX, take};
use schemas::{
    Counter, Credits, Event, LotDraw, LotSource, Move, MoveCounter, QuotaDrawn, QuotaRecharged,
    QuotaRefunded, QuotaWithdrawn, Timestamp, UserId,
};

use super::Rules;
use super::naming::Naming;
use super::quota::check_room;
use super::rejection::Rejection;

/// Stands in the log for why the quota moved.
const REASON: &str = "gateway";

/// The events that move the counter; none when it stands there already.
pub(super) fn move_counter(
    books: &Books,
    rules: &Rules,
    command: &MoveCounter,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    let user: UserId = naming.id(&command.user);
    let account = books.quota.account(user);
    let (counter, stands) = match command.counter {
        Counter::Total => ("quota", account.total_at(now)),
        Counter::Used => ("used quota", account.used_at(now)),
    };
    let (field, to, by) = match command.movement {
        Move::To(to) => ("quota", Some(to), to.checked_sub(stands)),
        Move::By(by) => ("value", stands.checked_add(by), Some(by)),
    };
    let out_of_range = || Rejection::AmountOutOfRange { field };
    let (Some(to), Some(by)) = (to, by) else { return Err(out_of_range()) };
    if to.is_negative() {
        return Err(Rejection::CounterBelowZero { field, counter, stands });
    }
    let down = by.checked_neg().ok_or_else(out_of_range)?;
    if by.is_zero() {
        return Ok(Vec::new());
    }
    Ok(match (command.counter, by.is_positive()) {
        (Counter::Total, true) => {
            check_room(account, by, now, field)?;
            vec![Event::QuotaRecharged(QuotaRecharged {
                user,
                amount: by,
                overdraft_paid: account.overdraft().min(by),
                expires_at: rules.expiry(now),
                source: LotSource::Gateway,
                reason: REASON.to_owned(),
            })]
        }
        (Counter::Total, false) => withdraw(account, user, down, now).ok_or_else(out_of_range)?,
        (Counter::Used, true) => vec![Event::QuotaDrawn(QuotaDrawn {
            user,
            draw: account.plan_draw(by, now, 0),
            reason: REASON.to_owned(),
        })],
        (Counter::Used, false) => refund(account, user, down, now).ok_or_else(out_of_range)?,
    })
}

/// Takes `amount` back: what is unused first, soonest expiry first; then what was used, which is owed
/// from then on. `None` when so much cannot be owed.
fn withdraw(
    account: &Account,
    user: UserId,
    amount: Credits,
    now: Timestamp,
) -> Option<Vec<Event>> {
    let (unused, left) = take(amount, account.lots_at(now).map(|lot| (lot.id, lot.remaining)));
    account.overdraft().checked_add(left)?;
    let (drawn, _) = take(left, account.lots_at(now).map(|lot| (lot.id, lot.drawn())));
    let withdrawn = |unused: &[LotDraw], drawn: &[LotDraw]| {
        Event::QuotaWithdrawn(QuotaWithdrawn {
            user,
            unused: unused.to_vec(),
            drawn: drawn.to_vec(),
            reason: REASON.to_owned(),
        })
    };
    let unused = unused.chunks(LOTS_A_DRAW_MAX).map(|parts| withdrawn(parts, &[]));
    let drawn = drawn.chunks(LOTS_A_DRAW_MAX).map(|parts| withdrawn(&[], parts));
    Some(unused.chain(drawn).collect())
}

/// Gives `amount` back: what is owed first; then into the lots, latest expiry first, which is the
/// order in which they would have been left alone. `None` when the account cannot hold so much beside
/// what has expired and is not written off.
fn refund(account: &Account, user: UserId, amount: Credits, now: Timestamp) -> Option<Vec<Event>> {
    let overdraft = account.overdraft().min(amount);
    let left = amount.checked_sub(overdraft).unwrap_or_default();
    account.remaining().checked_add(left)?;
    let drawn: Vec<_> = account.lots_at(now).map(|lot| (lot.id, lot.drawn())).collect();
    let (lots, _) = take(left, drawn.into_iter().rev());
    let refunded = |lots: &[LotDraw], overdraft| {
        let (lots, reason) = (lots.to_vec(), REASON.to_owned());
        Event::QuotaRefunded(QuotaRefunded { user, lots, overdraft, reason })
    };
    let (first, rest) = lots.split_at(lots.len().min(LOTS_A_DRAW_MAX));
    let rest = rest.chunks(LOTS_A_DRAW_MAX).map(|parts| refunded(parts, Credits::ZERO));
    Some(std::iter::once(refunded(first, overdraft)).chain(rest).collect())
}
