//! Slows down whoever guesses passwords. Every attempt counts as failed until it has succeeded, so
//! that many at once gain nothing. Only so much is remembered: under a flood the oldest goes first.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use parking_lot::Mutex;
use schemas::Timestamp;

/// As many may fail from one address before it waits.
const FREE: u32 = 5;
/// And as many for one account, from wherever: nobody shuts its holder out by a few guesses.
const FREE_OF_ACCOUNT: u32 = 50;
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
    /// An e-mail address, anybody's or not, by a hash.
    Email(u64),
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

impl Who {
    /// How many may fail before anybody waits.
    const fn free(&self) -> u32 {
        match self {
            Self::Address(_) => FREE,
            Self::User(_) | Self::Nobody(_) | Self::Email(_) => FREE_OF_ACCOUNT,
        }
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

    /// Until when nothing more may be tried when as many as `free` may fail.
    fn waits_until(self, free: u32) -> Option<Timestamp> {
        let beyond = self.count.checked_sub(free)?;
        let seconds = 2_i64.checked_pow(beyond.saturating_add(1)).unwrap_or(MEMORY_SECONDS);
        Some(self.last.plus_seconds(seconds.min(MEMORY_SECONDS)))
    }
}

/// Who has failed how often.
#[derive(Debug, Default)]
pub(in crate::http) struct Attempts {
    table: Mutex<HashMap<Who, Failures>>,
    /// Keys the hashes of e-mail addresses.
    key: RandomState,
}

impl Attempts {
    /// Whoever has this e-mail address.
    pub(in crate::http) fn email(&self, email: &str) -> Who {
        Who::Email(self.key.hash_one(email))
    }

    /// Begins an attempt that concerns all of `whom`.
    ///
    /// # Errors
    /// When one of them has to wait: for how many seconds. It does not count then.
    pub(in crate::http) fn begin(&self, whom: &[Who], now: Timestamp) -> Result<(), u32> {
        let mut table = self.table.lock();
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
        check(&self.table.lock(), std::slice::from_ref(who), now)
    }

    /// The attempt was none at guessing: the account of `user`, which was got into, has no failures
    /// any more, and an address one less. Others that were tried with it keep theirs.
    pub(in crate::http) fn succeeded(&self, whom: &[Who], user: &str) {
        let mut table = self.table.lock();
        for who in whom {
            let is_over = match who {
                Who::User(name) if name == user => true,
                Who::User(_) | Who::Nobody(_) => false,
                Who::Address(_) | Who::Email(_) => table.get_mut(who).is_some_and(|failures| {
                    failures.count = failures.count.saturating_sub(1);
                    failures.count == 0
                }),
            };
            if is_over {
                table.remove(who);
            }
        }
    }
}

fn check(table: &HashMap<Who, Failures>, whom: &[Who], now: Timestamp) -> Result<(), u32> {
    let until = |who: &Who| {
        let failures: &Failures = table.get(who)?;
        if failures.is_remembered(now) { failures.waits_until(who.free()) } else { None }
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

    fn address(last: u8) -> Who {
        Who::at(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn the_sixth_attempt_waits_and_each_further_one_twice_as_long() {
        let attempts = Attempts::default();
        let one = [address(1)];
        for _ in 0..5 {
            assert_eq!(attempts.begin(&one, at(0)), Ok(()));
        }
        let mut now = 0;
        for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900_u32] {
            assert_eq!(attempts.begin(&one, at(now)), Err(wait));
            assert_eq!(attempts.begin(&one, at(now + 1)), Err(wait - 1), "nothing is added");
            now += i64::from(wait);
            assert_eq!(attempts.begin(&one, at(now)), Ok(()), "after {wait}");
        }
        // 900 seconds after the last failure it is forgotten.
        for _ in 1..5 {
            assert_eq!(attempts.begin(&one, at(now)), Ok(()));
        }
        assert_eq!(attempts.begin(&one, at(now)), Err(2));
        assert_eq!(attempts.begin(&[address(2)], at(now)), Ok(()), "nobody else waits");
    }

    #[test]
    fn an_account_waits_after_fifty_from_wherever() {
        let attempts = Attempts::default();
        for who in [user("ann"), Who::Nobody("ann".to_owned()), attempts.email("ann@example.org")] {
            for last in 0..50 {
                assert_eq!(attempts.begin(&[who.clone(), address(last)], at(0)), Ok(()));
            }
            assert_eq!(attempts.begin(&[who, address(99)], at(0)), Err(2));
            for last in 0..50 {
                attempts.succeeded(&[address(last)], "bob");
            }
        }
        assert_eq!(attempts.begin(&[user("bob"), address(99)], at(0)), Ok(()));
    }

    #[test]
    fn five_failures_count_within_a_quarter_of_an_hour() {
        let attempts = Attempts::default();
        for minute in [0, 16, 32, 48, 64, 80, 96] {
            assert_eq!(attempts.begin(&[address(1)], at(minute * 60)), Ok(()));
        }
    }

    #[test]
    fn success_forgives_the_account_and_neither_the_address_nor_others() {
        let attempts = Attempts::default();
        for guess in 0..5 {
            let whom = [Who::Nobody(guess.to_string()), address(7)];
            assert_eq!(attempts.begin(&whom, at(0)), Ok(()));
        }
        let both = [user("ann"), address(7)];
        assert_eq!(attempts.begin(&both, at(1)), Err(1));
        assert_eq!(attempts.begin(&both, at(2)), Ok(()));
        attempts.succeeded(&both, "ann");
        assert_eq!(attempts.begin(&both, at(3)), Err(1), "two seconds after the last attempt");
        // Who shares an e-mail address with somebody takes no failure from them.
        let email = attempts.email("both@example.org");
        let shared = [user("ann"), user("eve"), email];
        for _ in 0..50 {
            assert_eq!(attempts.begin(&shared, at(3)), Ok(()));
            attempts.succeeded(&shared, "eve");
        }
        assert_eq!(attempts.begin(&shared[..1], at(3)), Err(2));
        assert_eq!(attempts.begin(&shared[1..], at(3)), Ok(()));
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
        for second in 0..50_000 {
            let whom = [Who::Nobody(second.to_string())];
            assert_eq!(attempts.begin(&whom, at(second / 100)), Ok(()));
        }
        assert!(attempts.table.lock().len() <= REMEMBERED_MAX);
        for _ in 0..5 {
            assert_eq!(attempts.begin(&[address(1)], at(500)), Ok(()));
        }
        assert_eq!(attempts.begin(&[address(1)], at(500)), Err(2));
    }
}
