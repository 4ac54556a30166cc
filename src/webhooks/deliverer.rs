//! Makes the deliveries that are due, some at a time and few to one endpoint, so that a slow one does
//! not hold up the others, and has the log say what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use projections::webhooks::{Endpoint, Webhooks};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, redirect};
use schemas::{
    Command, DeliveryAttempted, DeliveryOutcome, Envelope, Name, Sequence, Timestamp, WebhookId,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SECRET_FIELD;
use super::address::{self, Resolver};
use super::signature::Secret;
use crate::clock::Clock;
use crate::config;
use crate::cursor::{blocking, gauge};
use crate::personal::Vault;
use crate::views::{NoticeView, Views};
use crate::writer::{SubmitError, Writer};

/// The most deliveries that are under way at once.
const UNDER_WAY_MAX: usize = 32;
/// Of them, those to one endpoint.
const UNDER_WAY_TO_ONE_MAX: usize = 2;
/// How long after each attempt the next one is made, in seconds; after the last of them there is none.
const PAUSES: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// The longest time without a look.
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);
/// After the writer was busy or the log could not be read.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 200;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The status of the answer; 0: there was none.
    pub status: u16,
    /// Why it did not arrive, in words; empty when it did.
    pub error: String,
}

/// Sends what is signed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    vault: Vault,
    allow_private: bool,
}

impl Sender {
    /// As configured.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(config: &config::Webhooks, vault: Vault) -> anyhow::Result<Self> {
        let allow_private = config.allow_private_addresses;
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { allow_private }))
            .timeout(Duration::from_millis(config.timeout_ms.into()))
            .user_agent(concat!("tallybook/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make an HTTP client for webhooks")?;
        Ok(Self { client, vault, allow_private })
    }

    /// Whether webhooks may go to addresses that are not public.
    #[must_use]
    pub const fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Sends `body` to an endpoint under an id, signed at `now` by every secret that signs then.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        id: &str,
        now: Timestamp,
        body: Vec<u8>,
    ) -> Attempt {
        let failed = |error: &str| Attempt { status: 0, error: error.to_owned() };
        let url = match address::parse(&endpoint.url, self.allow_private) {
            Ok(url) => url,
            Err(reason) => return failed(&format!("the address {reason}")),
        };
        let timestamp = now.micros().div_euclid(1_000_000);
        let signatures: Vec<String> = self
            .secrets(endpoint, now)
            .iter()
            .map(|secret| secret.sign(id, timestamp, &body))
            .collect();
        if signatures.is_empty() {
            return failed("the secret cannot be read any more; rotate it");
        }
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                Attempt { status: answer.status().as_u16(), error: String::new() }
            }
            Ok(answer) => Attempt {
                status: answer.status().as_u16(),
                error: format!("it was answered `{}`", answer.status()),
            },
            Err(error) => failed(&told(error)),
        }
    }

    fn secrets(&self, endpoint: &Endpoint, now: Timestamp) -> Vec<Secret> {
        let signing = endpoint
            .secrets
            .iter()
            .filter(|secret| secret.signs_until.is_none_or(|until| now < until));
        let texts = signing.filter_map(|secret| self.vault.unseal(SECRET_FIELD, &secret.sealed));
        texts.filter_map(|text| Secret::parse(&text).ok()).collect()
    }
}

/// An error with its causes and without the address.
fn told(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let text = format!("{:#}", anyhow::Error::new(error.without_url()));
    text.chars().take(REASON_CHARS_MAX).collect()
}

/// What is due: which event goes where, for the how-manieth time.
#[derive(Debug, Clone)]
struct Due {
    webhook: WebhookId,
    endpoint: Endpoint,
    event: Sequence,
    attempt: u32,
}

/// A delivery under way: which one it is, and whether the writer is still there afterwards.
type UnderWay = Pin<Box<dyn Future<Output = ((WebhookId, Sequence), bool)> + Send>>;

/// What makes deliveries.
#[derive(Clone)]
pub(crate) struct Deliverer {
    sender: Sender,
    writer: Writer,
    views: Views,
    clock: Clock,
    actor: Name,
}

impl Deliverer {
    pub(crate) fn new(sender: Sender, writer: Writer, views: Views, clock: Clock) -> Self {
        let actor = Name::try_from("webhooks").expect("invariant: a name");
        Self { sender, writer, views, clock, actor }
    }

    /// Works until `stop`, or until the writer has ended. What is cut off is sent again at the next
    /// start, under the same id.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        let mut head = self.views.watch_head();
        let mut moved = self.clock.changed();
        let mut under_way = BTreeSet::new();
        let mut sending = FuturesUnordered::<UnderWay>::new();
        let mut last = WebhookId([0; 16]);
        loop {
            head.mark_unchanged();
            moved.mark_unchanged();
            let now = self.clock.now();
            let (due, next) = self.views.look(|reading| {
                let webhooks = &reading.books.webhooks;
                metrics::gauge!("webhook_deliveries_pending").set(gauge(count(webhooks)));
                find_due(webhooks, &under_way, last, now)
            });
            for due in due {
                last = due.webhook;
                under_way.insert((due.webhook, due.event));
                let deliverer = self.clone();
                sending.push(Box::pin(async move {
                    let key = (due.webhook, due.event);
                    (key, deliverer.deliver(due).await)
                }));
            }
            let wake = Instant::now() + pause_until(next, now);
            tokio::select! {
                Some((key, goes_on)) = sending.next() => {
                    under_way.remove(&key);
                    if !goes_on {
                        return;
                    }
                }
                changed = head.changed() => if changed.is_err() { return },
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Makes one attempt and has it recorded. Whether the writer is still there.
    async fn deliver(&self, due: Due) -> bool {
        let Due { webhook, endpoint, event, attempt } = due;
        let Attempt { status, error } = match self.body(event).await {
            Some(body) => {
                let id = format!("evt_{event}");
                self.sender.send(&endpoint, &id, self.clock.now(), body).await
            }
            None => Attempt { status: 0, error: "there is nothing to tell of it".to_owned() },
        };
        let outcome = outcome(status, webhook, event, attempt, self.clock.now());
        let delivery = DeliveryAttempted { webhook, event, attempt, status, error, outcome };
        self.record(delivery).await
    }

    async fn body(&self, event: Sequence) -> Option<Vec<u8>> {
        let views = self.views.clone();
        let read = blocking(move || {
            let recorded = views.log().read(event)?;
            Ok(views.look(|reading| NoticeView::new(&reading.books.names, &recorded?)))
        });
        let notice: Result<_, replay::ReadError> = read.await;
        match notice {
            Ok(notice) => serde_json::to_vec(&notice?).ok(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, %event, "cannot read the log for a webhook");
                None
            }
        }
    }

    async fn record(&self, delivery: DeliveryAttempted) -> bool {
        let name = crate::views::delivery_outcome_name(delivery.outcome);
        metrics::counter!("webhook_attempts_total", "outcome" => name).increment(1);
        if matches!(delivery.outcome, DeliveryOutcome::GivenUp | DeliveryOutcome::Gone) {
            let DeliveryAttempted { webhook, event, error, .. } = &delivery;
            tracing::warn!(%webhook, %event, error, outcome = name, "a webhook did not arrive");
        }
        loop {
            let command = Command::RecordDelivery(Box::new(delivery.clone()));
            match self.writer.submit(Envelope::new(self.actor.clone(), command)).await {
                Ok(_) => return true,
                Err(SubmitError::Stopped) => return false,
                Err(SubmitError::Busy) => tokio::time::sleep(PAUSE).await,
                Err(SubmitError::Rejected(rejection)) => {
                    tracing::error!(%rejection, "what became of a webhook cannot be recorded");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn count(webhooks: &Webhooks) -> u64 {
    let counts = webhooks.all_pending().map(|(_, pending)| pending.len());
    u64::try_from(counts.sum::<usize>()).unwrap_or(u64::MAX)
}

/// The deliveries that can begin now, and when the next one is due besides. Endpoints take turns,
/// beginning after `last`.
fn find_due(
    webhooks: &Webhooks,
    under_way: &BTreeSet<(WebhookId, Sequence)>,
    last: WebhookId,
    now: Timestamp,
) -> (Vec<Due>, Option<Timestamp>) {
    let mut to_one = BTreeMap::<WebhookId, usize>::new();
    for (webhook, _) in under_way {
        *to_one.entry(*webhook).or_default() += 1;
    }
    let mut room = UNDER_WAY_MAX.saturating_sub(under_way.len());
    let (mut due, mut next) = (Vec::new(), None::<Timestamp>);
    let after = webhooks.all_pending().filter(|(webhook, _)| *webhook > last);
    let before = webhooks.all_pending().filter(|(webhook, _)| *webhook <= last);
    for (webhook, pending) in after.chain(before) {
        let Some(endpoint) = webhooks.find(webhook).filter(|endpoint| endpoint.enabled) else {
            continue;
        };
        let busy = to_one.get(&webhook).copied().unwrap_or(0);
        let mut free = UNDER_WAY_TO_ONE_MAX.saturating_sub(busy).min(room);
        let waiting = pending.by_due().filter(|(_, event)| !under_way.contains(&(webhook, *event)));
        for (due_at, event) in waiting {
            if due_at > now {
                next = Some(next.map_or(due_at, |next| next.min(due_at)));
                break;
            }
            // Who waits for room is woken by the end of another delivery.
            if free == 0 {
                break;
            }
            free -= 1;
            room -= 1;
            let attempts = pending.get(event).map_or(0, |delivery| delivery.attempts);
            let attempt = attempts.saturating_add(1);
            due.push(Due { webhook, endpoint: endpoint.clone(), event, attempt });
        }
    }
    (due, next)
}

/// How long to sleep until `next`.
fn pause_until(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let micros = next.map(|next| next.micros().saturating_sub(now.micros()));
    let pause = micros.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros);
    pause.map_or(BETWEEN_LOOKS, |pause| pause.min(BETWEEN_LOOKS))
}

/// What becomes of a delivery after an attempt that ended at `now`.
fn outcome(
    status: u16,
    webhook: WebhookId,
    event: Sequence,
    attempt: u32,
    now: Timestamp,
) -> DeliveryOutcome {
    if (200..300).contains(&status) {
        return DeliveryOutcome::Delivered;
    }
    if status == StatusCode::GONE.as_u16() {
        return DeliveryOutcome::Gone;
    }
    let place = usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1);
    match PAUSES.get(place) {
        Some(seconds) => {
            let micros = jittered(*seconds, webhook, event, attempt);
            DeliveryOutcome::RetryAt(Timestamp::from_micros(now.micros().saturating_add(micros)))
        }
        None => DeliveryOutcome::GivenUp,
    }
}

/// `seconds` and up to a tenth more, in microseconds, so that what failed together does not come back
/// together. The same for the same attempt.
fn jittered(seconds: i64, webhook: WebhookId, event: Sequence, attempt: u32) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&webhook.0).update(&event.get().to_le_bytes()).update(&attempt.to_le_bytes());
    let mut bytes = [0; 2];
    hasher.finalize_xof().fill(&mut bytes);
    let part = i64::from(u16::from_le_bytes(bytes));
    let micros = seconds.saturating_mul(1_000_000);
    micros.saturating_add((micros / 10).saturating_mul(part) / i64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_ten_times_and_the_pauses_are_those_of_the_specification() {
        let (webhook, event, now) = (WebhookId([7; 16]), Sequence::new(9), Timestamp::EPOCH);
        let mut pauses = Vec::new();
        for attempt in 1.. {
            let DeliveryOutcome::RetryAt(at) = outcome(500, webhook, event, attempt, now) else {
                break;
            };
            assert_eq!(outcome(0, webhook, event, attempt, now), DeliveryOutcome::RetryAt(at));
            pauses.push(at.micros());
        }
        assert_eq!(pauses.len(), 9);
        for (pause, seconds) in pauses.into_iter().zip(PAUSES) {
            let least = seconds * 1_000_000;
            assert!((least..=least + least / 10).contains(&pause), "{pause} of {least}");
        }
        assert_eq!(outcome(503, webhook, event, 10, now), DeliveryOutcome::GivenUp);
        assert_eq!(outcome(302, webhook, event, 10, now), DeliveryOutcome::GivenUp);
        assert_eq!(outcome(204, webhook, event, 10, now), DeliveryOutcome::Delivered);
        assert_eq!(outcome(410, webhook, event, 1, now), DeliveryOutcome::Gone);
    }
}
