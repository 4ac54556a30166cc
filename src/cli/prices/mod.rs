//! `tallybook prices`: price books from the command line.

mod import;

use clap::{Args, Subcommand};

/// The subcommands of `prices`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with prices.
#[derive(Debug, Subcommand)]
enum Command {
    /// Publish a price book from a file in the shape of the public price map.
    Import(import::Arguments),
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Import(arguments) => import::run(&arguments),
    }
}
