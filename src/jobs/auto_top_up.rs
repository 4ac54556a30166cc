//! Wallets that fill themselves, and payments of which nobody knows what became: looked at again and
//! again, beside the other jobs, since the provider may take its time. Every look follows from the
//! book, so that running it twice, late, or after a crash asks for each payment once. What a payer
//! completes at the provider is looked up there too, ever more rarely: no webhook need arrive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use projections::books::Books;
use schemas::{
    AutoTopUp, Command, Envelope, Money, Name, StartTopUp, TenantId, Timestamp, TopUpId, TopUpKind,
    TopUpTerms,
};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::config::Billing;
use crate::domain::{auto_top_up_due, auto_top_up_from};
use crate::payments::{PaymentError, Payments};
use crate::views::top_up_status;
use crate::writer::Outcome;

/// The most requests to the provider that are under way at once.
const AT_ONCE: usize = 8;
/// How long a payment is left alone after the provider was first asked in vain.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// And at the longest.
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// How many payments that payers complete are looked up at once.
const LOOK_UPS_MAX: usize = 50;
/// How old a payment is when it is first looked up, in seconds.
const LOOK_UP_SECONDS_MIN: i64 = 60;
/// It is looked up again when it is twice as old, or after this many seconds.
const LOOK_UP_SECONDS_MAX: i64 = 3600;

/// What a look at the wallets did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoTopUpReport {
    /// `auto-top-up`.
    pub job: &'static str,
    /// What was asked for now.
    pub top_ups: Vec<AskedTopUp>,
}

/// A top-up that the provider was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedTopUp {
    /// Whose wallet.
    pub organization_id: String,
    /// Which.
    #[schema(value_type = String)]
    pub top_up_id: TopUpId,
    /// USD.
    #[schema(value_type = f64)]
    pub amount: Money,
    /// `pending`, `succeeded` or `failed`.
    pub status: &'static str,
}

/// When a payment may be asked for again, and how long it was left alone before.
#[derive(Debug, Clone, Copy)]
struct Pause {
    ends: Instant,
    length: Duration,
}

/// Looks after the wallets that fill themselves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AutoTopUps {
    payments: Payments,
    actor: Name,
    cooldown_seconds: u32,
    every: Option<Duration>,
    pauses: Arc<Mutex<HashMap<TopUpId, Pause>>>,
    /// When the payments that payers complete are looked up next; forgotten by a new start, which
    /// looks sooner.
    look_ups: Arc<Mutex<HashMap<TopUpId, Timestamp>>>,
}

impl AutoTopUps {
    /// By `payments`, as `config` says.
    ///
    /// # Panics
    /// Never: the name of the jobs is a name.
    #[must_use]
    pub fn new(payments: Payments, config: &Billing) -> Self {
        let every = match config.auto_top_up_every_seconds {
            0 => None,
            seconds => Some(Duration::from_secs(u64::from(seconds))),
        };
        let actor = Name::try_from("job").expect("invariant: a name");
        let cooldown_seconds = config.auto_top_up_cooldown_seconds;
        let (pauses, look_ups) = (Arc::default(), Arc::default());
        Self { payments, actor, cooldown_seconds, every, pauses, look_ups }
    }

    /// Until when a tenant's wallet waits before it may fill itself again; `None` when it need not.
    #[must_use]
    pub fn waits_until(&self, books: &Books, tenant: TenantId) -> Option<Timestamp> {
        let from = auto_top_up_from(books, tenant, self.cooldown_seconds)?;
        (from > self.payments.clock().now()).then_some(from)
    }

    /// Looks again and again, until `stop`; not at all without a provider, or when it is told to
    /// look by hand only.
    pub async fn run(self, stop: CancellationToken) {
        let (Some(every), Ok(())) = (self.every, self.payments.check_on()) else { return };
        let mut moved = self.payments.clock().changed();
        loop {
            // Whatever is cut off here is taken up at the next start.
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.look(false) => outcome,
            };
            if let Err(error) = outcome {
                tracing::warn!(error = &error as &dyn std::error::Error, "top-ups were put off");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
                _ = moved.changed() => {}
            }
        }
    }

    /// Looks now, also at what was asked for in vain a moment ago. What payers complete is looked up
    /// when its time has come, by hand or not.
    ///
    /// # Errors
    /// When there is no provider, or the writer does not take a command.
    pub async fn run_now(&self) -> Result<AutoTopUpReport, PaymentError> {
        self.payments.check_on()?;
        Ok(AutoTopUpReport { job: "auto-top-up", top_ups: self.look(true).await? })
    }

    async fn look(&self, is_by_hand: bool) -> Result<Vec<AskedTopUp>, PaymentError> {
        let (open, due) = self.payments.views().look(|reading| {
            let books = &reading.books;
            let now = self.payments.clock().now();
            let open: Vec<TopUpId> = books.top_ups.to_be_asked_for().collect();
            let due = |(tenant, _): (TenantId, _)| {
                let auto = auto_top_up_due(books, tenant, self.cooldown_seconds, now)?;
                let name = Name::try_from(books.names.text(tenant).to_string()).ok()?;
                Some((name, auto.clone()))
            };
            (open, books.tenants.all().filter_map(due).collect::<Vec<(Name, AutoTopUp)>>())
        });
        self.pauses.lock().retain(|id, _| open.contains(id));
        let now = Instant::now();
        let is_left_alone = |id: &TopUpId| {
            !is_by_hand && self.pauses.lock().get(id).is_some_and(|pause| pause.ends > now)
        };
        let again = open.into_iter().filter(|id| !is_left_alone(id)).map(Work::Again);
        let begin = due.into_iter().map(|(tenant, auto)| Work::Begin(tenant, auto));
        let work = again.chain(begin).chain(self.to_be_looked_up().into_iter().map(Work::LookUp));
        let done: Vec<Result<Option<TopUpId>, PaymentError>> = futures_util::stream::iter(work)
            .map(|work| self.work(work))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let asked: Vec<TopUpId> =
            done.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(self.report(&asked))
    }

    /// What payers complete and is to be looked up now: what waits longest, and not too many.
    fn to_be_looked_up(&self) -> Vec<TopUpId> {
        let now = self.payments.clock().now();
        let all: HashMap<TopUpId, Timestamp> = self.payments.views().look(|reading| {
            let all = reading.books.top_ups.to_be_looked_up(now);
            all.map(|(created_at, id)| (id, created_at)).collect()
        });
        let mut look_ups = self.look_ups.lock();
        look_ups.retain(|id, _| all.contains_key(id));
        let next = |(id, created_at): (&TopUpId, &Timestamp)| {
            let first = || created_at.plus_seconds(LOOK_UP_SECONDS_MIN);
            (look_ups.get(id).copied().unwrap_or_else(first), *id)
        };
        let mut due: Vec<(Timestamp, TopUpId)> =
            all.iter().map(next).filter(|(next, _)| *next <= now).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).take(LOOK_UPS_MAX).collect()
    }

    /// The top-up that was asked for; `None` when somebody else does so.
    async fn work(&self, work: Work) -> Result<Option<TopUpId>, PaymentError> {
        let id = match &work {
            Work::Again(id) | Work::LookUp(id) => *id,
            Work::Begin(..) => TopUpId(Uuid::now_v7().into_bytes()),
        };
        let Ok(taken) = self.payments.take(id) else { return Ok(None) };
        let is_look_up = matches!(work, Work::LookUp(_));
        if let Work::Begin(tenant, auto) = work {
            let AutoTopUp { enabled: _, threshold: _, amount, payment_method, customer } = auto;
            let terms = TopUpTerms { payment_method, customer, ..TopUpTerms::default() };
            let start = StartTopUp { top_up: id, tenant, amount, kind: TopUpKind::Auto, terms };
            let command = Command::StartTopUp(Box::new(start));
            let envelope = Envelope::new(self.actor.clone(), command);
            let receipt = self.payments.writer().submit(envelope).await?;
            // The wallet has been filled in the meantime.
            if receipt.outcome != Outcome::Recorded {
                return Ok(None);
            }
        }
        let asked = self.payments.ask(&taken).await;
        if is_look_up {
            let is_over = match &asked {
                Ok(asked) => asked.is_over(),
                Err(error) => matches!(error, PaymentError::Failed(_)),
            };
            self.look_up_later(id, is_over);
        } else {
            self.leave_alone(id);
        }
        match asked {
            Ok(_)
            | Err(PaymentError::Failed(_) | PaymentError::Unknown | PaymentError::Currency) => {
                Ok(Some(id))
            }
            Err(error) => Err(error),
        }
    }

    /// Of what is settled by now, nothing comes of it.
    fn leave_alone(&self, id: TopUpId) {
        let mut pauses = self.pauses.lock();
        let last = pauses.get(&id).map(|pause| pause.length);
        let length = last.map_or(PAUSE_MIN, |last| last.saturating_mul(2).min(PAUSE_MAX));
        let ends = Instant::now().checked_add(length).unwrap_or_else(Instant::now);
        pauses.insert(id, Pause { ends, length });
    }

    /// A payment is looked up again when it is twice as old, or after an hour; never when it is over.
    fn look_up_later(&self, id: TopUpId, is_over: bool) {
        let created_at = self
            .payments
            .views()
            .look(|reading| reading.books.top_ups.find(id).map(|(_, top_up)| top_up.created_at));
        let now = self.payments.clock().now();
        let age = created_at.map_or(0, |created_at| {
            now.micros().saturating_sub(created_at.micros()).div_euclid(1_000_000)
        });
        let pause = age.clamp(LOOK_UP_SECONDS_MIN, LOOK_UP_SECONDS_MAX);
        let next = if is_over { Timestamp::from_micros(i64::MAX) } else { now.plus_seconds(pause) };
        self.look_ups.lock().insert(id, next);
    }

    fn report(&self, asked: &[TopUpId]) -> Vec<AskedTopUp> {
        self.payments.views().look(|reading| {
            let books = &reading.books;
            let entry = |id: &TopUpId| {
                let (tenant, top_up) = books.top_ups.find(*id)?;
                Some(AskedTopUp {
                    organization_id: books.names.text(tenant).to_string(),
                    top_up_id: *id,
                    amount: top_up.amount,
                    status: top_up_status(top_up.state),
                })
            };
            asked.iter().filter_map(entry).collect()
        })
    }
}

/// What is to be asked for.
enum Work {
    /// What has begun, and is not known to have ended.
    Again(TopUpId),
    /// What a payer completes.
    LookUp(TopUpId),
    /// What a wallet is filled with.
    Begin(Name, AutoTopUp),
}
