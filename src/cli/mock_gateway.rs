//! `tallybook mock-gateway`: a gateway that counts in memory, and misbehaves when it is told to.

use std::io::{self, Write};

use anyhow::Context;
use axum::http::HeaderName;
use clap::Args;
use tokio::net::TcpListener;

use super::stop;
use crate::{
    config::Listen,
    gateway::mock::{self, Dialect, MockConfig},
};

/// The flags of `mock-gateway`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where HTTP is served. The address is printed.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: Listen,
    /// What callers must know. Anyone may call when left out.
    #[arg(long, value_name = "KEY")]
    admin_key: Option<String>,
    /// The header that carries the key; `Authorization: Bearer` does as well.
    #[arg(long, value_name = "NAME", default_value = "x-admin-key")]
    header: HeaderName,
    /// Which operations there are.
    #[arg(long, value_enum, default_value_t)]
    dialect: Dialect,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { listen, admin_key, header, dialect } = arguments;
    let stop = stop::on_signal()?;
    let listener = TcpListener::bind((listen.host.as_str(), listen.port))
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr().context("the address of the listener")?;
    writeln!(io::stdout(), "http://{address}").context("cannot print the address")?;
    mock::serve(listener, MockConfig { admin_key, header, dialect }, stop).await
}
