//! The command line: one file a subcommand. What a person reads goes to standard error; what a
//! program reads goes to standard output.

mod demo;
mod logging;
mod members;
mod mock_gateway;
mod output;
mod prices;
mod progress;
mod replay;
mod serve;
mod stop;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::config::{ConfigError, Log, LogFormat};

/// The book of record for LLM usage.
#[derive(Debug, Parser)]
#[command(name = "tallybook", version, arg_required_else_help = true)]
struct Cli {
    /// For whom the log on standard error is written.
    #[arg(long, value_enum, global = true)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: Command,
}

/// Everything the binary can do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Keep the book and serve it.
    Serve(serve::Arguments),
    /// Check, rebuild, compare and export a log that no service uses.
    Replay(replay::Arguments),
    /// Publish price books.
    Prices(prices::Arguments),
    /// Be a gateway, for tests and demonstrations.
    MockGateway(mock_gateway::Arguments),
    /// Show everything at once, with a generated company and live traffic.
    Demo(demo::Arguments),
}

/// Arguments that contradict each other.
#[derive(Debug, Error)]
#[error("{0}")]
struct UsageError(String);

impl UsageError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Does what the command line says. Exits with 2 when that, or the configuration, cannot be
/// understood, and with 1 when it fails.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { log_format, command } = Cli::parse();
    let outcome = match command {
        Command::Serve(arguments) => serve::run(arguments, log_format).map(|()| ExitCode::SUCCESS),
        Command::Replay(arguments) => {
            logging::start(&warnings(log_format)).and_then(|()| replay::run(arguments))
        }
        Command::Prices(arguments) => logging::start(&warnings(log_format))
            .and_then(|()| prices::run(arguments))
            .map(|()| ExitCode::SUCCESS),
        Command::MockGateway(arguments) => logging::start(&warnings(log_format))
            .and_then(|()| mock_gateway::run(arguments))
            .map(|()| ExitCode::SUCCESS),
        Command::Demo(arguments) => demo::run(arguments, log_format).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        // Whoever closed the pipe has what they wanted.
        Err(error) if error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done when there is nobody to tell.
            writeln!(io::stderr(), "tallybook: {error:#}").ok();
            let is_usage = error.is::<ConfigError>() || error.is::<UsageError>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// The log of a command whose own output is what counts.
fn warnings(format: Option<LogFormat>) -> Log {
    Log { filter: "warn".to_owned(), format: format.unwrap_or(LogFormat::Auto) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_takes_its_flags_and_checks_them() {
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["tallybook"], arguments].concat());
        assert!(
            parse(&[
                "serve",
                "--data-dir",
                "d",
                "--listen",
                "[::1]:0",
                "--config",
                "c.toml",
                "--manual-clock",
                "2025-01-01T00:00:00Z",
                "--log-format",
                "json",
            ])
            .is_ok()
        );
        for wrong in [
            &["serve", "--listen", "8080"][..],
            &["serve", "--manual-clock", "yesterday"],
            &["serve", "--manual-clock"],
            &["serve", "--colour"],
            &["mock-gateway", "--header", "x admin"],
            &["mock-gateway", "--dialect", "klingon"],
            &["serv"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
