//! Alerts and deliveries as lists show them: what is raised or pending now out of the folds, what was
//! before out of the log, newest first.

use projections::notices::Notice;
use replay::ReadError;
use schemas::{DeliveryAttempted, Event, Recorded, Sequence, TenantId, Timestamp, WebhookId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Views;
use super::event::{delivery_outcome_name, retry_at};
use super::notice::AlertView;

/// An alert that is raised, or something that became of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertEntry {
    /// What is the matter, as webhooks call it.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// `raised` or `cleared`.
    pub state: &'static str,
    /// What it is about.
    pub about: AlertView,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The event.
    #[schema(value_type = u64)]
    pub sequence: Sequence,
}

/// A delivery that is still to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingDelivery {
    /// The event that is sent.
    #[schema(value_type = u64)]
    pub event: Sequence,
    /// What it tells.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
}

/// An attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptEntry {
    /// The event that was sent.
    #[schema(value_type = u64)]
    pub event: Sequence,
    /// What it tells.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// Counts the attempts, from 1.
    pub attempt: u32,
    /// The status of the answer; none when there was no answer.
    pub status: Option<u16>,
    /// Why it did not arrive, in words; none when it did.
    pub error: Option<String>,
    /// `delivered`, `retry`, `given_up` or `gone`.
    pub outcome: &'static str,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
    /// When it was tried.
    #[schema(value_type = String, format = DateTime)]
    pub attempted_at: Timestamp,
    /// The event that says so.
    #[schema(value_type = u64)]
    pub sequence: Sequence,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Sequence>,
}

impl Views {
    /// What is raised for a tenant now, with the event that this reflects.
    #[must_use]
    pub fn alerts(&self, tenant: TenantId) -> (Sequence, Vec<AlertEntry>) {
        self.look_now(|reading| {
            let names = &reading.books.names;
            let raised = reading.books.alerts.of_tenant(tenant);
            let entry = |(subject, raised): (_, &projections::alerts::Raised)| {
                let schemas::AlertSubject { kind, .. } = subject;
                AlertEntry {
                    name: Notice::of_alert(kind).name(),
                    state: "raised",
                    about: AlertView::new(names, subject, raised.period, Some(raised.figures)),
                    at: raised.at,
                    sequence: raised.sequence,
                }
            };
            raised.map(entry).collect()
        })
    }

    /// At most `entries_max` alerts that were raised or cleared for a tenant up to `through`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn alert_history(
        &self,
        tenant: TenantId,
        through: Sequence,
        entries_max: usize,
    ) -> Result<Page<AlertEntry>, ReadError> {
        let list = self.look(|reading| reading.histories.tenant_alerts(tenant).clone());
        let (recorded, next) =
            self.newest(list.descending(through).take(entries_max.saturating_add(1)), entries_max)?;
        let names = self.look(|reading| reading.books.names.clone());
        let entries = recorded.iter().filter_map(|recorded| alert_entry(&names, recorded));
        Ok(Page { entries: entries.collect(), next })
    }

    /// What is still to be delivered to an endpoint, the earliest event first; at most `entries_max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn pending_deliveries(
        &self,
        webhook: WebhookId,
        entries_max: usize,
    ) -> Result<Vec<PendingDelivery>, ReadError> {
        let pending: Vec<_> = self.look(|reading| {
            let pending = reading.books.webhooks.pending(webhook);
            let all = pending.into_iter().flat_map(projections::webhooks::Pending::all);
            all.take(entries_max).map(|(event, delivery)| (event, *delivery)).collect()
        });
        let events: Vec<Sequence> = pending.iter().map(|(event, _)| *event).collect();
        let told = self.log.read_many(&events)?;
        let entries = pending.iter().zip(&told).map(|((event, delivery), told)| PendingDelivery {
            event: *event,
            name: told_as(told),
            attempts: delivery.attempts,
            due_at: delivery.due_at,
        });
        Ok(entries.collect())
    }

    /// At most `entries_max` attempts at deliveries to an endpoint up to `through`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn delivery_attempts(
        &self,
        webhook: WebhookId,
        through: Sequence,
        entries_max: usize,
    ) -> Result<Page<AttemptEntry>, ReadError> {
        let list = self.look(|reading| reading.histories.deliveries(webhook).cloned());
        let list = list.unwrap_or_default();
        let (recorded, next) =
            self.newest(list.descending(through).take(entries_max.saturating_add(1)), entries_max)?;
        let mut entries = Vec::with_capacity(recorded.len());
        for recorded in &recorded {
            let Event::DeliveryAttempted(attempted) = &recorded.event else { continue };
            let told = self.log.read(attempted.event)?;
            entries.push(attempt_entry(recorded, attempted, told.as_ref()));
        }
        Ok(Page { entries, next })
    }

    /// The events at the first `entries_max` positions, and the position after them.
    fn newest(
        &self,
        positions: impl Iterator<Item = Sequence>,
        entries_max: usize,
    ) -> Result<(Vec<Recorded>, Option<Sequence>), ReadError> {
        let positions: Vec<Sequence> = positions.collect();
        let (page, rest) = positions.split_at(entries_max.min(positions.len()));
        Ok((self.log.read_many(page)?, rest.first().copied()))
    }
}

fn alert_entry(names: &projections::names::Names, recorded: &Recorded) -> Option<AlertEntry> {
    let (subject, state, period, figures) = match &recorded.event {
        Event::AlertRaised(alert) => (alert.subject, "raised", alert.period, Some(alert.figures)),
        Event::AlertCleared(alert) => (alert.subject, "cleared", None, None),
        _ => return None,
    };
    Some(AlertEntry {
        name: Notice::of_alert(subject.kind).name(),
        state,
        about: AlertView::new(names, subject, period, figures),
        at: recorded.recorded_at,
        sequence: recorded.sequence,
    })
}

fn attempt_entry(
    recorded: &Recorded,
    attempted: &DeliveryAttempted,
    told: Option<&Recorded>,
) -> AttemptEntry {
    AttemptEntry {
        event: attempted.event,
        name: told.map_or("", told_as),
        attempt: attempted.attempt,
        status: Some(attempted.status).filter(|status| *status > 0),
        error: Some(attempted.error.clone()).filter(|error| !error.is_empty()),
        outcome: delivery_outcome_name(attempted.outcome),
        retry_at: retry_at(attempted.outcome),
        attempted_at: recorded.recorded_at,
        sequence: recorded.sequence,
    }
}

fn told_as(recorded: &Recorded) -> &'static str {
    Notice::of(&recorded.event).map_or("", |(_, notice)| notice.name())
}
