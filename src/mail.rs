//! E-mail that goes out: what events tell is written to the people of the tenant concerned, in the
//! order of the log, at least once. The cursor on disk says up to where that is done; it begins where
//! the log ended when mail was switched on, and a start without mail forgets it. Whatever the server does, only mail waits for it.

mod letter;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use projections::notices::Notice;
use schemas::{Recorded, Sequence};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::{next_pause, pauses};
use crate::config;
use crate::cursor::{Cursor, CursorError, blocking, gauge};
use crate::http::health::Check;
use crate::personal::{EMAIL, Vault};
use crate::views::Views;
use letter::Letter;

/// Holds the cursor, in the data directory.
const CURSOR: &str = "mail.cursor";
/// The most events that are read at once.
const BATCH_EVENTS_MAX: u64 = 1024;
/// How long the server may take for one step.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two moves of the cursor over events that nobody is written about.
const BETWEEN_MOVES: Duration = Duration::from_secs(1);
/// After the log could not be read.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a letter is tried that the server puts off: the others wait behind it.
const ATTEMPTS_MAX: u32 = 20;
/// What the server answers when it does not know us: the operator's to mend, not the letter's.
const NOT_KNOWN: [&str; 4] = ["530", "534", "535", "538"];

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Makes what sends, and the sender's name, out of the configuration; `None`: there is no mail.
///
/// # Errors
/// When the address of the server or the sender cannot be understood.
pub(crate) fn transport(config: &config::Smtp) -> anyhow::Result<Option<(Transport, Mailbox)>> {
    let Some(url) = &config.url else { return Ok(None) };
    let url = config::smtp_url(url.expose());
    let transport = Transport::from_url(&url).context("`smtp.url`")?;
    let from = config.from.parse().context("`smtp.from`")?;
    Ok(Some((transport.timeout(Some(TIMEOUT)).build(), from)))
}

/// Forgets up to where was written, because there is no mail now: what happens until it is switched on
/// again is not written about.
///
/// # Errors
/// When the cursor cannot be removed.
pub(crate) async fn forget(data_dir: &Path) -> Result<(), CursorError> {
    Cursor::forget(data_dir, CURSOR).await
}

/// What writes.
pub(crate) struct Mailer {
    pub(crate) transport: Transport,
    pub(crate) from: Mailbox,
    pub(crate) views: Views,
    pub(crate) vault: Vault,
    pub(crate) check: watch::Sender<Check>,
}

impl Mailer {
    /// Works until `stop`.
    ///
    /// # Errors
    /// When the cursor cannot be read or written, or does not belong to this log.
    pub(crate) async fn run(self, data_dir: &Path, stop: CancellationToken) -> anyhow::Result<()> {
        let end = self.views.head();
        let mut cursor = Cursor::open_at(data_dir, CURSOR, end).await?;
        anyhow::ensure!(
            cursor.position() <= end,
            "mail is written up to event {}, but the log ends at {end}: it is another log, or an \
             older copy; remove `{CURSOR}` to begin at its end",
            cursor.position(),
        );
        self.check.send_replace(Check::Ok);
        let mut read = cursor.position();
        tokio::select! {
            () = stop.cancelled() => {}
            outcome = self.work(&mut cursor, &mut read) => outcome?,
        }
        // What is between them concerns nobody.
        if read > cursor.position() {
            cursor.advance(read).await?;
        }
        Ok(())
    }

    /// Writes letter after letter, until the writer has ended. `read` never goes past an event that is
    /// still to be written about.
    async fn work(&self, cursor: &mut Cursor, read: &mut Sequence) -> Result<(), CursorError> {
        let mut head = self.views.watch_head();
        let mut moved = Instant::now();
        loop {
            let end = *head.borrow_and_update();
            metrics::gauge!("mail_lag_events").set(gauge(end.get().saturating_sub(read.get())));
            if *read >= end {
                let overdue = moved + BETWEEN_MOVES;
                tokio::select! {
                    changed = head.changed() => if changed.is_err() { return Ok(()) },
                    () = tokio::time::sleep_until(overdue), if *read > cursor.position() => {
                        cursor.advance(*read).await?;
                        moved = Instant::now();
                    }
                }
                continue;
            }
            for recorded in self.page(*read, end).await {
                if let Some(message) = self.message(&recorded) {
                    self.deliver(recorded.sequence, message).await;
                    cursor.advance(recorded.sequence).await?;
                    moved = Instant::now();
                }
                *read = recorded.sequence;
            }
            if moved.elapsed() >= BETWEEN_MOVES && *read > cursor.position() {
                cursor.advance(*read).await?;
                moved = Instant::now();
            }
        }
    }

    async fn page(&self, after: Sequence, end: Sequence) -> Vec<Recorded> {
        let views = self.views.clone();
        let events_max = BATCH_EVENTS_MAX.min(end.get().saturating_sub(after.get()));
        match blocking(move || views.log().page(after.next(), events_max)).await {
            Ok(events) => events,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(error, "cannot read the log for mail");
                tokio::time::sleep(PAUSE).await;
                Vec::new()
            }
        }
    }

    /// What is written about an event; `None` when nobody is, or there is nobody to write to.
    fn message(&self, recorded: &Recorded) -> Option<Message> {
        let (tenant, notice) = Notice::of(&recorded.event)?;
        let (sealed, letter) = self.views.look(|reading| {
            let terms = reading.books.tenants.terms(tenant);
            let (first, second) = if notice.is_about_money() {
                (&terms.billing_email, &terms.contact_email)
            } else {
                (&terms.contact_email, &terms.billing_email)
            };
            let sealed = first.as_ref().or(second.as_ref()).cloned();
            (sealed, Letter::about(&reading.books, recorded))
        });
        let Letter { subject, body } = letter?;
        let address = self.vault.unseal(EMAIL, &sealed?)?;
        let sequence = recorded.sequence;
        let Ok(to) = address.parse::<Mailbox>() else {
            tracing::warn!(%sequence, "the e-mail address of a tenant is none");
            count("given_up");
            return None;
        };
        let micros = u64::try_from(recorded.recorded_at.micros()).unwrap_or(0);
        let date = std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .date(date)
            .message_id(Some(format!("<evt_{sequence}@tallybook>")))
            .header(ContentType::TEXT_PLAIN)
            .body(body);
        match message {
            Ok(message) => Some(message),
            Err(error) => {
                tracing::error!(%error, %sequence, "a letter cannot be written");
                count("given_up");
                None
            }
        }
    }

    /// Hands a letter over, again and again, until the server has it or will never take it.
    async fn deliver(&self, sequence: Sequence, message: Message) {
        let mut pauses = pauses();
        let mut put_off = 0_u32;
        loop {
            let Err(error) = self.transport.send(message.clone()).await else {
                self.check.send_replace(Check::Connected);
                return count("sent");
            };
            let answered = error.status().is_some();
            self.check.send_replace(if answered { Check::Connected } else { Check::Reconnecting });
            let is_last = match Verdict::of(&error) {
                Verdict::Never => true,
                Verdict::Later => {
                    put_off = put_off.saturating_add(1);
                    put_off >= ATTEMPTS_MAX
                }
                Verdict::NoServer => false,
            };
            let error = format!("{:#}", anyhow::Error::new(error));
            if is_last {
                tracing::error!(error, %sequence, "a letter is given up");
                return count("given_up");
            }
            let pause = next_pause(&mut pauses);
            tracing::warn!(error, %sequence, ?pause, "a letter is put off");
            count("put_off");
            tokio::time::sleep(pause).await;
        }
    }
}

/// What a failure says of a letter.
enum Verdict {
    /// The server does not take it.
    Never,
    /// The server, or the connection to it, does not take it now.
    Later,
    /// There is no server that would say anything, or none that knows us.
    NoServer,
}

impl Verdict {
    fn of(error: &SmtpError) -> Self {
        let code = error.status().map(|code| code.to_string()).unwrap_or_default();
        if NOT_KNOWN.contains(&&*code) {
            Self::NoServer
        } else if error.is_permanent() {
            Self::Never
        } else if error.is_transient() || error.is_client() || error.is_response() {
            Self::Later
        } else {
            Self::NoServer
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("mail_letters_total", "outcome" => outcome).increment(1);
}
