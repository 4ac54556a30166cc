//! One attempt to bring one user's counters in step. It begins by reading them, so that it may
//! follow any other attempt, whatever became of that one.

use projections::quota::Account;
use schemas::{Credits, Timestamp};

use super::client::{Client, Counter, Failure, Held};

/// What the gateway is to count for a user. It counts in whole units: what is granted is rounded
/// down and what is used is rounded up, so that nobody gets more than the ledger has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    total: i64,
    used: i64,
    left: i64,
}

impl Target {
    /// What an account amounts to at `now`.
    pub(super) fn of(account: &Account, now: Timestamp) -> Self {
        Self {
            total: rounded_down(account.total_at(now)),
            used: rounded_up(account.used_at(now)),
            left: rounded_down(account.available_at(now)),
        }
    }
}

fn rounded_down(amount: Credits) -> i64 {
    amount.units().max(0) / Credits::ONE.units()
}

fn rounded_up(amount: Credits) -> i64 {
    let has_rest = amount.units() % Credits::ONE.units() > 0;
    rounded_down(amount) + i64::from(has_rest)
}

/// Compares a user's counters with `target`, and corrects them.
pub(super) async fn bring_in_step(
    client: &Client,
    user: &str,
    target: Target,
) -> Result<(), Failure> {
    let unable = |what: &str| Failure::refused(format!("the gateway does not know how to {what}"));
    let counted = client.read(Counter::Used, user).await?;
    // A gateway without a second counter takes what is used from the first one.
    let total = if counted == Held::NotKept { target.left } else { target.total };
    match client.read(Counter::Total, user).await? {
        Held::NotKept => return Err(unable("tell a quota")),
        Held::Whole(held) if held == total => {}
        Held::Whole(_) | Held::Other => {
            if !client.set(Counter::Total, user, total).await? {
                return Err(unable("set a quota"));
            }
            count_correction();
        }
    }
    let difference = match counted {
        Held::NotKept => return Ok(()),
        Held::Whole(held) if held == target.used => return Ok(()),
        Held::Whole(held) => target.used.checked_sub(held),
        Held::Other => None,
    };
    if !client.set(Counter::Used, user, target.used).await? {
        let difference = difference.ok_or_else(|| unable("set what is used"))?;
        if !client.add(Counter::Used, user, difference).await? {
            return Err(unable("change what is used"));
        }
    }
    count_correction();
    Ok(())
}

fn count_correction() {
    metrics::counter!("gateway_corrections_total").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gains_by_rounding() {
        for (text, down, up) in [
            ("0", 0, 0),
            ("0.000001", 0, 1),
            ("1", 1, 1),
            ("1.999999", 1, 2),
            ("-0.5", 0, 0),
            ("-3", 0, 0),
        ] {
            let amount = Credits::parse(text).unwrap();
            assert_eq!((rounded_down(amount), rounded_up(amount)), (down, up), "{text}");
        }
    }
}
