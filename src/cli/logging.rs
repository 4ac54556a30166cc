//! Sets up what the operator reads on standard error.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Starts the log of this process.
///
/// # Errors
/// When there is one already.
pub(super) fn start(config: &Log) -> anyhow::Result<()> {
    let is_terminal = io::stderr().is_terminal();
    let is_json = match config.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let filter = EnvFilter::try_new(&config.filter)?;
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if is_json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer).try_init()
    };
    started.context("cannot start the log")
}
