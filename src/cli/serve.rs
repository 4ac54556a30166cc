//! `tallybook serve`: keeps the book and serves it until told to stop.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use schemas::Timestamp;
use tokio::net::TcpListener;

use super::{logging, stop};
use crate::{
    clock::Clock,
    config::{Config, Flags, Listen, LogFormat},
    service,
};

/// The flags of `serve`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the log lives.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where HTTP is served.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<Listen>,
    /// The configuration, in TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For tests: stand at this moment until `POST /api/v1/admin/clock` moves on.
    #[arg(long, value_name = "RFC3339", value_parser = Timestamp::parse)]
    manual_clock: Option<Timestamp>,
}

pub(super) fn run(arguments: Arguments, log_format: Option<LogFormat>) -> anyhow::Result<()> {
    let Arguments { data_dir, listen, config, manual_clock } = arguments;
    let config = Config::load(&Flags { config, data_dir, listen, log_format })?;
    config.refuse_examples()?;
    logging::start(&config.log)?;
    warn_of(&config);
    let clock = match manual_clock {
        Some(moment) => {
            tracing::warn!(%moment, "the clock is manual: this is no service for real work");
            Clock::manual(moment)
        }
        None => Clock::system(),
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(config, clock))
}

async fn serve(config: Config, clock: Clock) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let Listen { host, port } = &config.listen;
    let listener = TcpListener::bind((host.as_str(), *port))
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr().context("the address of the listener")?;
    tracing::info!(%address, "serving");
    service::run(config, clock, listener, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// What is allowed, and should be known.
fn warn_of(config: &Config) {
    let jwt = &config.auth.jwt;
    if jwt.trust_upstream_jwt {
        tracing::warn!(
            "tokens are believed without being verified (`auth.jwt.trust_upstream_jwt`)"
        );
    }
    if jwt.hs256_secret.as_ref().is_some_and(|secret| secret.expose().len() < 32) {
        tracing::warn!("`auth.jwt.hs256_secret` is shorter than the 32 bytes that HS256 asks for");
    }
    let stripe = &config.stripe;
    if stripe.secret_key.is_some() && stripe.webhook_secret.is_none() {
        tracing::warn!(
            "payments are taken, and nobody hears that they have come in (`STRIPE_WEBHOOK_SECRET`)"
        );
    }
    let takes_tokens =
        jwt.hs256_secret.is_some() || jwt.jwks_url.is_some() || jwt.trust_upstream_jwt;
    if config.auth.api_keys.is_empty() && !takes_tokens {
        tracing::warn!("no API key and no way to verify tokens: nobody can call (`X_API_KEY`)");
    }
    if config.smtp.sends_password_in_clear() {
        tracing::warn!(
            "`smtp.url` is `smtp://` with a password, which goes in clear: use `smtps://` or \
             `smtp+starttls://`"
        );
    }
}
