//! The whole service over one data directory: opens the book, starts everything that works on it,
//! and ends it in order.

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use replay::{Restored, restore};
use schemas::Sequence;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    alerting::Alerting,
    clock::Clock,
    config::Config,
    first_developer,
    gateway::{self, Contact},
    http::{
        self, Services,
        auth::Authenticator,
        health::{Check, Readiness},
    },
    intake::{self, IntakeConfig, IntakeStatus},
    jobs::{AutoTopUps, Jobs},
    mail::{self, Mailer},
    outbox::{self, OutboxConfig},
    payments::Payments,
    personal::Vault,
    views::Views,
    webhooks::{self, Deliverer},
    writer::{Started, Writer, WriterOptions},
};

/// How often a long start says how far it is.
const PROGRESS_EVENTS: u64 = 1_000_000;

/// An open book with its writer.
pub struct Book {
    /// Where commands go in.
    pub writer: Writer,
    /// What readers read.
    pub views: Views,
    /// The keys of what the log holds sealed.
    pub vault: Vault,
    healthy: watch::Receiver<bool>,
    ended: JoinHandle<()>,
}

impl Book {
    /// Opens or creates the book in `directory`, as `config` says, and starts its writer.
    ///
    /// # Errors
    /// When the log or the keys of personal data do not open, or the system has no threads to spare.
    pub fn open(directory: &Path, config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let mut told = 0;
        let restored = restore(directory, |done: Sequence, of: Sequence| {
            if done.get().saturating_sub(told) >= PROGRESS_EVENTS {
                told = done.get();
                tracing::info!(%done, %of, "reading the log");
            }
        })
        .with_context(|| format!("cannot open the book in `{}`", directory.display()))?;
        let Restored { log, projections, checkpoints, opened, checkpoint, passed_over } = restored;
        for reason in passed_over {
            tracing::warn!(reason, "a checkpoint was passed over");
        }
        if let Some(cut) = opened.cut {
            tracing::warn!(
                first = %cut.first,
                frames = cut.frames,
                "a batch that was never acknowledged was half written, and is cut off"
            );
        }
        if opened.anchor_missing && log.head().sequence > Sequence::ZERO {
            tracing::warn!(
                head = %log.head().sequence,
                "the file `anchor` was missing: whether the log has lost its end cannot be known"
            );
        }
        // After the log, which nobody else has open now.
        let vault = Vault::open(directory).context("cannot open the keys of personal data")?;
        let books = &projections.books;
        let last_keys =
            [books.profiles.last_key(), books.tenants.last_key(), books.webhooks.last_key()];
        if let Some(last) = last_keys.into_iter().flatten().max() {
            vault.retire(last).context("cannot keep the keys of personal data apart")?;
        }
        // Of endpoints that were removed just before the last end.
        for key in books.webhooks.removed_keys().filter(|key| vault.holds(*key)) {
            vault.erase(key).context("cannot erase the key of a removed webhook")?;
        }
        let from = checkpoint.unwrap_or_default();
        tracing::info!(head = %log.head().sequence, checkpoint = %from, "the book is open");
        let options = WriterOptions {
            queue_max: config.limits.queue_commands_max,
            checkpoint_events: config.checkpoint.every_events,
            rules: config.rules()?,
        };
        let reader = log.reader();
        let Started { writer, reading, head, healthy, ended } =
            Writer::start(log, projections, Some(checkpoints), clock, options)
                .context("cannot start the writer")?;
        Ok(Self { writer, views: Views::new(reading, reader, head), vault, healthy, ended })
    }

    /// Waits until everything handed in is on disk. Requests that were cut off may still hold the
    /// writer; they get nothing in any more.
    ///
    /// # Errors
    /// When a thread of the writer has panicked.
    pub async fn close(self) -> anyhow::Result<()> {
        let Self { writer, views, vault, healthy: _, ended } = self;
        writer.end().await;
        drop((writer, views, vault));
        let ended = tokio::task::spawn_blocking(move || ended.join()).await;
        match ended.context("cannot wait for the writer")? {
            Ok(()) => Ok(()),
            Err(_) => anyhow::bail!("the storing thread has panicked"),
        }
    }
}

/// Serves the book in the configured directory on `listener` until `stop`.
///
/// # Errors
/// When the book does not open, or when the log takes nothing more.
pub async fn run(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    run_beside(config, clock, listener, stop, |_| ()).await
}

/// As [`run`]. `beside` is shown the open book, to start work of its own on it; that work must end
/// at `stop` and let go of its clones of the writer.
///
/// # Errors
/// As [`run`].
pub async fn run_beside(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    stop: CancellationToken,
    beside: impl FnOnce(&Book),
) -> anyhow::Result<()> {
    let authenticator = Authenticator::new(&config.auth)?;
    let mail_transport = mail::transport(&config.smtp)?;
    let signing_keys = config.rules()?.signing_keys;
    let (readiness, reporters) = Readiness::starting();
    let book = {
        let (config, clock) = (config.clone(), clock.clone());
        tokio::task::spawn_blocking(move || Book::open(&config.data_dir, &config, clock))
            .await
            .context("cannot open the book")??
    };
    reporters.log.send_replace(Check::Ok);
    reporters.writer.send_replace(Check::Ok);

    if mail_transport.is_none() {
        mail::forget(&config.data_dir).await?;
    }
    http::keep_metrics()?;
    first_developer::make(&book, &config.accounts).await?;
    beside(&book);

    let jobs =
        Jobs::new(book.writer.clone(), book.views.clone(), clock.clone(), config.job_rules()?);
    let mut work = JoinSet::new();
    work.spawn(jobs.clone().run(stop.clone()));
    let payments = Payments::new(&config, book.writer.clone(), book.views.clone(), clock.clone())?;
    let auto_top_ups = AutoTopUps::new(payments.clone(), &config.billing);
    work.spawn(auto_top_ups.clone().run(stop.clone()));
    if let Some(intake) = intake_config(&config) {
        let (status_sender, status) = watch::channel(IntakeStatus::default());
        let (writer, clock, stop) = (book.writer.clone(), clock.clone(), stop.clone());
        work.spawn(report_intake(status, reporters.intake, stop.clone()));
        work.spawn(publish(&config, book.views.clone(), reporters.outbox, stop.clone()));
        work.spawn(intake::run(intake, writer, move || clock.now(), status_sender, stop));
    } else {
        tracing::warn!("no broker is configured (`RABBITMQ_URL`): the intake is off");
        reporters.intake.send_replace(Check::Off);
        reporters.outbox.send_replace(Check::Off);
    }
    let gateway = keep_in_step(&config, &book.views, &clock, reporters.gateway, &stop);
    let gateway_status = gateway.map(|(status, keeping)| {
        work.spawn(keeping);
        status
    });
    let sender = webhooks::Sender::new(&config.webhooks, book.vault.clone())?;
    let alerting = Alerting::new(book.writer.clone(), book.views.clone(), clock.clone());
    work.spawn(alerting.run(stop.clone()));
    let (writer, views) = (book.writer.clone(), book.views.clone());
    let deliverer = Deliverer::new(sender.clone(), writer, views, clock.clone());
    work.spawn(deliverer.run(stop.clone()));
    match mail_transport {
        Some((transport, from)) => {
            let (views, vault) = (book.views.clone(), book.vault.clone());
            let mailer = Mailer { transport, from, views, vault, check: reporters.mail };
            work.spawn(write_letters(mailer, config.data_dir.clone(), stop.clone()));
        }
        None => drop(reporters.mail.send_replace(Check::Off)),
    }
    let mut healthy = book.healthy.clone();
    let failed = {
        let (stop, writer) = (stop.clone(), reporters.writer);
        async move {
            // The sender ends with the writer.
            let poisoned = healthy.wait_for(|healthy| !healthy).await.is_ok();
            if poisoned {
                writer.send_replace(Check::Failed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                stop.cancel();
            }
            poisoned
        }
    };
    let failed = tokio::spawn(failed);

    let services = Services {
        clock,
        authenticator,
        accounts: config.accounts,
        limits: config.limits,
        readiness,
        writer: book.writer.clone(),
        views: book.views.clone(),
        vault: book.vault.clone(),
        signing_keys,
        jobs,
        payments,
        auto_top_ups,
        gateway: gateway_status,
        webhooks: sender,
        stop: stop.clone(),
    };
    let served = http::serve(listener, services).await;
    stop.cancel();
    while let Some(ended) = work.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the service ended badly");
        }
    }
    book.close().await?;
    served?;
    anyhow::ensure!(!failed.await.unwrap_or(true), "a batch could not be stored");
    Ok(())
}

fn intake_config(config: &Config) -> Option<IntakeConfig> {
    let intake = &config.intake;
    Some(IntakeConfig {
        url: intake.url.as_ref()?.expose().to_owned(),
        exchange: intake.exchange.clone(),
        request_queue: intake.request_queue.clone(),
        response_queue: intake.response_queue.clone(),
        dead_exchange: intake.dead_exchange.clone(),
        prefetch: intake.prefetch,
    })
}

/// Publishes the log to the broker.
fn publish(
    config: &Config,
    views: Views,
    check: watch::Sender<Check>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let outbox = OutboxConfig {
        url: config.intake.url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default(),
        exchange: config.intake.events_exchange.clone(),
        data_dir: config.data_dir.clone(),
    };
    let head = views.watch_head();
    let next = move |after: Sequence, events_max: usize| {
        let views = views.clone();
        async move {
            let page = tokio::task::spawn_blocking(move || views.outgoing(after, events_max)).await;
            match page {
                Ok(Ok(events)) => events,
                Ok(Err(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot publish");
                    Vec::new()
                }
                Err(error) => {
                    tracing::error!(%error, "cannot publish");
                    Vec::new()
                }
            }
        }
    };
    async move {
        check.send_replace(Check::Ok);
        if let Err(error) = outbox::run(outbox, next, head, stop).await {
            check.send_replace(Check::Failed);
            tracing::error!(error = &error as &dyn std::error::Error, "the outbox has stopped");
        }
    }
}

/// Writes to people what events tell.
async fn write_letters(mailer: Mailer, data_dir: PathBuf, stop: CancellationToken) {
    let check = mailer.check.clone();
    if let Err(error) = mailer.run(&data_dir, stop).await {
        check.send_replace(Check::Failed);
        tracing::error!(error = format!("{error:#}"), "mail has stopped");
    }
}

/// Keeps the counters of the gateway in step, when there is one: how they stand, and the work.
fn keep_in_step(
    config: &Config,
    views: &Views,
    clock: &Clock,
    check: watch::Sender<Check>,
    stop: &CancellationToken,
) -> Option<(watch::Receiver<gateway::Status>, impl Future<Output = ()> + use<>)> {
    let Some(base_url) = config.gateway.base_url.clone() else {
        check.send_replace(Check::Off);
        return None;
    };
    check.send_replace(Check::Ok);
    let (status_sender, status) = watch::channel(gateway::Status::default());
    let (config, data_dir) = (config.gateway.clone(), config.data_dir.clone());
    let (book, stop) = ((views.clone(), clock.clone()), stop.clone());
    let mut shown = status.clone();
    let keeping = async move {
        let kept = gateway::run(&base_url, &config, &data_dir, book, status_sender, stop);
        tokio::pin!(kept);
        loop {
            tokio::select! {
                outcome = &mut kept => {
                    if let Err(error) = outcome {
                        check.send_replace(Check::Failed);
                        tracing::error!(error = format!("{error:#}"), "the gateway is left alone");
                    }
                    return;
                }
                Ok(()) = shown.changed() => {
                    check.send_replace(match shown.borrow_and_update().contact {
                        Contact::None => Check::Ok,
                        Contact::Made => Check::Connected,
                        Contact::Lost => Check::Reconnecting,
                    });
                }
            }
        }
    };
    Some((status, keeping))
}

/// Says in readiness how the intake is doing.
async fn report_intake(
    mut status: watch::Receiver<IntakeStatus>,
    intake: watch::Sender<Check>,
    stop: CancellationToken,
) {
    let mut seen = false;
    loop {
        let status_now = *status.borrow_and_update();
        seen |= status_now.is_consuming() || status_now.failed_before;
        intake.send_replace(match (status_now.is_consuming(), seen) {
            (true, _) => Check::Connected,
            (false, true) => Check::Reconnecting,
            (false, false) => Check::Starting,
        });
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}
