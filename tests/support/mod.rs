//! What the tests stand on: the real binary on a real data directory, a real `RabbitMQ`, and
//! producers that are not ours. Started and stopped here; nothing is mocked.

pub mod bills;
pub mod broker;
pub mod calls;
pub mod gateway;
pub mod http;
pub mod people;
pub mod producer;
pub mod receiver;
pub mod recharges;
pub mod service;
pub mod smtp;
pub mod stripe;
pub mod stripe_webhooks;

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives it up.
const PATIENCE: Duration = Duration::from_mins(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A variable that `tests/run` sets.
#[expect(clippy::disallowed_methods, reason = "the test command tells where its parts are")]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set: run `tests/run`"))
}

/// How many rounds a test goes; more when it is asked for by `TALLYBOOK_TEST_ROUNDS`.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests may ask for more")]
pub fn rounds(usual: u64) -> u64 {
    match std::env::var("TALLYBOOK_TEST_ROUNDS") {
        Ok(text) => text.parse().expect("`TALLYBOOK_TEST_ROUNDS` is a number"),
        Err(_) => usual,
    }
}

/// The next of a series of numbers that look like chance and are the same for the same seed
/// (`SplitMix64`).
pub const fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A name that no other test uses.
pub fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}-{}-{count}", std::process::id())
}

/// Looks again and again until `look` gives `Ok`; fails with the last `Err` when patience is out.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("{what}: not in time; last: {seen}"),
            Err(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}

/// Sends a signal to a process, or, with a leading `-`, to a group.
pub fn signal(name: &str, target: &str) {
    let status = Command::new("kill").args(["-s", name, "--", target]).status();
    assert!(status.is_ok(), "`kill` must be there");
}

/// Ports that nobody listens on right now.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
