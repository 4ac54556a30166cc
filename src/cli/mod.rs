//! The command line: one file a subcommand. What a person reads goes to standard error; what a
//! program reads goes to standard output.

mod logging;
mod serve;
mod stop;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, LogFormat};

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
}

/// Does what the command line says. Exits with 2 when that, or the configuration, cannot be
/// understood, and with 1 when it fails.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { log_format, command } = Cli::parse();
    let outcome = match command {
        Command::Serve(arguments) => serve::run(arguments, log_format),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done when there is nobody to tell.
            writeln!(io::stderr(), "tallybook: {error:#}").ok();
            if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
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
            &["serv"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
