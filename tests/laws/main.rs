//! The laws of the book, tried on random commands: through the rules and the folds alone, through
//! the log, and through the writer over a disk that fails. What must follow is said a second time,
//! naively, by `model`.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod billing;
#[cfg(test)]
mod book;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod draws;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod model;
#[cfg(test)]
mod pairing;
#[cfg(test)]
mod rebuilding;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod top_ups;

/// How often a property is tried: `cases` times, or as many times more as the environment says.
fn rounds(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases: cases.saturating_mul(more_rounds()),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}

/// Of the environment: multiplies the rounds of every law.
#[expect(clippy::disallowed_methods, reason = "how long to test is nobody's configuration")]
fn more_rounds() -> u32 {
    std::env::var("TALLYBOOK_LAWS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}
