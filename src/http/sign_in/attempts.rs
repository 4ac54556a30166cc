//! Slows down whoever guesses passwords. Every attempt counts as failed until it has succeeded, so
//! that many at once gain nothing. Only so much is remembered: under a flood the oldest goes first.

use std::{collections::HashMap, net::IpAddr};

use parking_lot::Mutex;
use schemas::Timestamp;

/// As many may fail before anybody waits.
const FREE: u32 = 5;
/// How long a failure is remembered, and the longest that anybody waits: 15 minutes.
const MEMORY_SECONDS: i64 = 900;
/// How many accounts and addresses are remembered together.
const REMEMBERED_MAX: usize = 20_000;

/// Whose failures are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::http) enum Who {
    /// An account that is there.
    User(String),
    /// What was given as one, and is none.
    Nobody(String),
    /// A client; of IPv6, the network of one household.
    Address(IpAddr),
}

impl Who {
    /// The client at `address`.
    pub(in crate::http) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                IpAddr::V6(network.into())
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn is_remembered(self, now: Timestamp) -> bool {
        now < self.last.plus_seconds(MEMORY_SECONDS)
    }

    /// Until when nothing more may be tried.
    fn waits_until(self) -> Option<Timestamp> {
        let beyond = self.count.checked_sub(FREE)?;
        let seconds = 2_i64.checked_pow(beyond.saturating_add(1)).unwrap_or(MEMORY_SECONDS);
        Some(self.last.plus_seconds(seconds.min(MEMORY_SECONDS)))
    }
}

/// Who has failed how often.
#[derive(Debug, Default)]
pub(in crate::http) struct Attempts(Mutex<HashMap<Who, Failures>>);

impl Attempts {
    /// Begins an attempt that concerns all of `whom`.
    ///
    /// # Errors
    /// When one of them has to wait: for how many seconds. It does not count then.
    pub(in crate::http) fn begin(&self, whom: &[Who], now: Timestamp) -> Result<(), u32> {
        let mut table = self.0.lock();
        check(&table, whom, now)?;
        for who in whom {
            if !table.contains_key(who) && table.len() >= REMEMBERED_MAX {
                make_room(&mut table, now);
            }
            let failures = table.entry(who.clone()).or_insert(Failures { count: 0, last: now });
            if !failures.is_remembered(now) {
                failures.count = 0;
            }
            *failures = Failures { count: failures.count.saturating_add(1), last: now };
        }
        Ok(())
    }

    /// Whether an attempt of `who` may begin.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(in crate::http) fn check(&self, who: &Who, now: Timestamp) -> Result<(), u32> {
        check(&self.0.lock(), std::slice::from_ref(who), now)
    }

    /// The attempt was none at guessing: an account that was got into has no failures any more, and
    /// an address one less.
    pub(in crate::http) fn succeeded(&self, whom: &[Who]) {
        let mut table = self.0.lock();
        for who in whom {
            match (who, table.get_mut(who)) {
                (Who::Address(_), Some(failures)) if failures.count > 1 => failures.count -= 1,
                (_, Some(_)) => drop(table.remove(who)),
                (_, None) => {}
            }
        }
    }
}

fn check(table: &HashMap<Who, Failures>, whom: &[Who], now: Timestamp) -> Result<(), u32> {
    let until = |who| {
        let failures: &Failures = table.get(who)?;
        if failures.is_remembered(now) { failures.waits_until() } else { None }
    };
    match whom.iter().filter_map(until).max() {
        Some(until) if until > now => {
            let micros = until.micros().saturating_sub(now.micros());
            let seconds = micros.saturating_add(999_999) / 1_000_000;
            Err(u32::try_from(seconds).unwrap_or(u32::MAX))
        }
        _ => Ok(()),
    }
}

fn make_room(table: &mut HashMap<Who, Failures>, now: Timestamp) {
    table.retain(|_, failures| failures.is_remembered(now));
    if table.len() < REMEMBERED_MAX {
        return;
    }
    // Many at once, so that a flood does not look for the oldest each time.
    let mut moments: Vec<Timestamp> = table.values().map(|failures| failures.last).collect();
    let (_, middle, _) = moments.select_nth_unstable(REMEMBERED_MAX / 2);
    let middle = *middle;
    table.retain(|_, failures| failures.last > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::EPOCH.plus_seconds(second)
    }

    fn user(name: &str) -> Who {
        Who::User(name.to_owned())
    }

    #[test]
    fn the_sixth_attempt_waits_and_each_further_one_twice_as_long() {
        let attempts = Attempts::default();
        let ann = [user("ann")];
        for _ in 0..5 {
            assert_eq!(attempts.begin(&ann, at(0)), Ok(()));
        }
        let mut now = 0;
        for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900_u32] {
            assert_eq!(attempts.begin(&ann, at(now)), Err(wait));
            assert_eq!(attempts.begin(&ann, at(now + 1)), Err(wait - 1), "nothing is added");
            now += i64::from(wait);
            assert_eq!(attempts.begin(&ann, at(now)), Ok(()), "after {wait}");
        }
        // 900 seconds after the last failure it is forgotten.
        for _ in 1..5 {
            assert_eq!(attempts.begin(&ann, at(now)), Ok(()));
        }
        assert_eq!(attempts.begin(&ann, at(now)), Err(2));
        assert_eq!(attempts.begin(&[user("bob")], at(now)), Ok(()), "nobody else waits");
    }

    #[test]
    fn five_failures_count_within_a_quarter_of_an_hour() {
        let attempts = Attempts::default();
        let ann = [user("ann")];
        for minute in [0, 16, 32, 48, 64, 80, 96] {
            assert_eq!(attempts.begin(&ann, at(minute * 60)), Ok(()));
        }
    }

    #[test]
    fn success_forgives_the_account_and_not_the_address() {
        let attempts = Attempts::default();
        let address = Who::at("192.0.2.7".parse().unwrap());
        for guess in 0..5 {
            let whom = [Who::Nobody(guess.to_string()), address.clone()];
            assert_eq!(attempts.begin(&whom, at(0)), Ok(()));
        }
        let both = [user("ann"), address];
        assert_eq!(attempts.begin(&both, at(1)), Err(1));
        assert_eq!(attempts.begin(&both, at(2)), Ok(()));
        attempts.succeeded(&both);
        assert_eq!(attempts.begin(&both, at(3)), Err(1), "two seconds after the last attempt");
        for _ in 0..5 {
            assert_eq!(attempts.begin(&both[..1], at(3)), Ok(()));
        }
    }

    #[test]
    fn a_household_is_one_client() {
        let at = |text: &str| Who::at(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
    }

    #[test]
    fn a_flood_is_not_remembered_without_end() {
        let attempts = Attempts::default();
        let ann = [user("ann")];
        for second in 0..50_000 {
            let whom = [Who::Nobody(second.to_string())];
            assert_eq!(attempts.begin(&whom, at(second / 100)), Ok(()));
        }
        assert!(attempts.0.lock().len() <= REMEMBERED_MAX);
        for _ in 0..5 {
            assert_eq!(attempts.begin(&ann, at(500)), Ok(()));
        }
        assert_eq!(attempts.begin(&ann, at(500)), Err(2));
    }
}
