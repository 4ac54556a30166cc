//! Events as JSON, with every number resolved to its name: what `GET /api/v1/events`, the event
//! stream, the outgoing messages and exports show.

mod accounts;
mod alerts;
mod bills;
mod holds;
mod quota;
mod tenants;
mod top_ups;

use projections::names::Names;
use replay::ReadError;
use schemas::{
    Charge, Credits, Draw, DrawRule, Event, Half, LotSource, Money, NameId, NameKind, PriceSheet,
    PriceVersion, Recorded, RequestType, Sequence, ServiceTier, Timestamp,
};
use serde::Serialize;

pub use accounts::AccountEventData;
pub(super) use alerts::retry_at;
pub use alerts::{AlertEventData, delivery_outcome_name};
pub use bills::BillEventData;
pub use holds::HoldEventData;
pub use quota::{QuotaEventData, outcome_name};
pub use tenants::{TenantEventData, percent};
pub use top_ups::TopUpEventData;

use super::{Consumed, DrawnLot, TokenConsumption, Views};
use crate::outbox::OutgoingEvent;

/// One event, to be read by people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// Its position.
    pub sequence: Sequence,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// The first event of the same command.
    pub cause: Sequence,
    /// Who issued the command; only on the command's first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The event's own fields.
    pub data: EventData,
}

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum EventData {
    NameIntroduced {
        kind: NameKind,
        number: u32,
        name: String,
    },
    QuotaRecharged {
        user_id: String,
        amount: Credits,
        overdraft_paid: Credits,
        expiry_date: Timestamp,
        source: &'static str,
        reason: String,
    },
    QuotaExpired {
        user_id: String,
        lot: Sequence,
        amount: Credits,
    },
    WalletToppedUp {
        organization_id: String,
        amount: Money,
        reference: String,
    },
    WalletAdjusted {
        organization_id: String,
        amount: Money,
        reason: String,
    },
    DrawRuleSet {
        organization_id: String,
        version: u32,
        rule: &'static str,
        weights: Vec<(String, Credits)>,
    },
    ModelPriced {
        version: PriceVersion,
        model: String,
        rates: PriceSheet,
    },
    PriceBookPublished {
        version: PriceVersion,
        effective_at: Timestamp,
        models: u32,
        source: String,
    },
    Call(Box<TokenConsumption>),
    PairingTimedOut {
        organization_id: String,
        user_id: String,
        request_id: String,
        present: &'static str,
        half: Sequence,
    },
    ConflictObserved {
        organization_id: String,
        request_id: String,
        half: &'static str,
        stands: Sequence,
    },
    RequestReceived {
        organization_id: String,
        user_id: String,
        request_id: String,
        model: String,
        timestamp: Timestamp,
        token_count: u64,
        request_type: RequestType,
    },
    ResponseReceived {
        organization_id: String,
        user_id: String,
        request_id: String,
        model: String,
        timestamp: Timestamp,
        total_tokens: u64,
        service_tier: ServiceTier,
    },
    ConsumptionRated {
        organization_id: String,
        user_id: String,
        request_id: String,
        consumption: Sequence,
        cost: Money,
        price_version: PriceVersion,
        quota_lots: Vec<DrawnLot>,
        quota_overdraft: Credits,
    },
    TenantRegistered {
        organization_id: String,
        name: String,
    },
    UserRegistered {
        user_id: String,
        organization_id: String,
    },
    Tenant(Box<TenantEventData>),
    Account(Box<AccountEventData>),
    Hold(Box<HoldEventData>),
    Bill(Box<BillEventData>),
    TopUp(Box<TopUpEventData>),
    Alert(Box<AlertEventData>),
    Quota(Box<QuotaEventData>),
}

impl EventView {
    /// The event, with its names.
    #[must_use]
    pub fn new(names: &Names, recorded: &Recorded) -> Self {
        Self {
            sequence: recorded.sequence,
            recorded_at: recorded.recorded_at,
            type_name: recorded.event.type_name(),
            cause: recorded.cause,
            actor: recorded.command.map(|command| names.text(command.actor).to_string()),
            data: EventData::new(names, recorded),
        }
    }
}

impl Views {
    /// At most `events_max` events after `after`, in order.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn events(&self, after: Sequence, events_max: u64) -> Result<Vec<EventView>, ReadError> {
        let events_max = events_max.min(self.head().get().saturating_sub(after.get()));
        let page = self.log.page(after.next(), events_max)?;
        Ok(self.look(|reading| {
            page.iter().map(|recorded| EventView::new(&reading.books.names, recorded)).collect()
        }))
    }
}

impl Views {
    /// The same as [`Self::events`], as messages.
    ///
    /// # Errors
    /// When the log cannot be read.
    ///
    /// # Panics
    /// Never: every event is JSON.
    pub fn outgoing(
        &self,
        after: Sequence,
        events_max: usize,
    ) -> Result<Vec<OutgoingEvent>, ReadError> {
        let events_max = u64::try_from(events_max).unwrap_or(u64::MAX);
        let events = self.events(after, events_max)?;
        Ok(events
            .iter()
            .map(|event| OutgoingEvent {
                sequence: event.sequence,
                type_name: event.type_name,
                body: serde_json::to_vec(event).expect("invariant: an event is JSON"),
            })
            .collect())
    }
}

impl EventData {
    fn new(names: &Names, recorded: &Recorded) -> Self {
        let event = &recorded.event;
        match event {
            Event::NameIntroduced(event) => Self::NameIntroduced {
                kind: event.kind,
                number: event.number,
                name: event.name.clone(),
            },
            Event::DrawRuleSet(event) => Self::DrawRuleSet {
                organization_id: text(names, event.tenant),
                version: event.version,
                rule: rule_name(event.rule),
                weights: event
                    .weights
                    .iter()
                    .map(|(model, weight)| (text(names, *model), *weight))
                    .collect(),
            },
            Event::ModelPriced(_) | Event::PriceBookPublished(_) => Self::of_prices(names, event),
            Event::TenantRegistered(event) => {
                let organization_id = text(names, event.tenant);
                Self::TenantRegistered { organization_id, name: event.display_name.clone() }
            }
            Event::UserRegistered(event) => {
                let organization_id = text(names, event.tenant);
                Self::UserRegistered { user_id: text(names, event.user), organization_id }
            }
            Event::QuotaRecharged(_)
            | Event::QuotaExpired(_)
            | Event::WalletToppedUp(_)
            | Event::WalletAdjusted(_) => Self::of_amounts(names, event),
            Event::RequestReceived(_)
            | Event::ResponseReceived(_)
            | Event::PairingTimedOut(_)
            | Event::ConflictObserved(_)
            | Event::ConsumptionRecorded(_)
            | Event::ConsumptionRated(_) => Self::of_calls(names, recorded),
            Event::TenantUpdated(_)
            | Event::TenantStatusChanged(_)
            | Event::ConsumptionLimitsSet(_)
            | Event::AutoTopUpSet(_) => {
                Self::of(TenantEventData::new(names, event), Self::Tenant, event)
            }
            Event::AccountSet(_)
            | Event::PasswordSet(_)
            | Event::PasswordCleared(_)
            | Event::SessionOpened(_)
            | Event::SessionClosed(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_) => {
                Self::of(AccountEventData::new(names, event), Self::Account, event)
            }
            Event::HoldPlaced(_) | Event::HoldReleased(_) | Event::HoldExpired(_) => {
                Self::of(HoldEventData::new(names, event), Self::Hold, event)
            }
            Event::BillItemized(_)
            | Event::BillPosted(_)
            | Event::WalletCredited(_)
            | Event::PeriodClosed(_) => {
                Self::of(BillEventData::new(names, event), Self::Bill, event)
            }
            Event::TopUpStarted(_)
            | Event::TopUpLinked(_)
            | Event::TopUpSucceeded(_)
            | Event::TopUpFailed(_) => {
                Self::of(TopUpEventData::new(names, event), Self::TopUp, event)
            }
            Event::AlertRaised(_)
            | Event::AlertCleared(_)
            | Event::WebhookSet(_)
            | Event::WebhookRemoved(_)
            | Event::DeliveryAttempted(_)
            | Event::DeliveryRequested(_) => {
                Self::of(AlertEventData::new(names, event), Self::Alert, event)
            }
            Event::UserDescribed(_)
            | Event::UserErased(_)
            | Event::QuotaWithdrawn(_)
            | Event::QuotaDrawn(_)
            | Event::QuotaRefunded(_)
            | Event::StrategyCreated(_)
            | Event::StrategyUpdated(_)
            | Event::StrategySwitched(_)
            | Event::StrategyDeleted(_)
            | Event::StrategyExecuted(_)
            | Event::StrategyFailed(_)
            | Event::StrategyTickHandled(_)
            | Event::VoucherItemReserved(_)
            | Event::VoucherIssued(_)
            | Event::VoucherItemSettled(_)
            | Event::VoucherClosed(_) => {
                Self::of(QuotaEventData::new(names, event), Self::Quota, event)
            }
        }
    }

    /// The fields that the file of their area gives.
    fn of<T>(data: Option<T>, wrap: impl FnOnce(Box<T>) -> Self, event: &Event) -> Self {
        match data {
            Some(data) => wrap(Box::new(data)),
            None => unreachable!("`{}` is of another area", event.type_name()),
        }
    }

    fn of_prices(names: &Names, event: &Event) -> Self {
        match event {
            Event::ModelPriced(event) => Self::ModelPriced {
                version: event.version,
                model: text(names, event.model),
                rates: event.sheet.clone(),
            },
            Event::PriceBookPublished(event) => Self::PriceBookPublished {
                version: event.version,
                effective_at: event.effective_at,
                models: event.models,
                source: event.source.clone(),
            },
            other => unreachable!("not an event of prices: {}", other.type_name()),
        }
    }

    fn of_amounts(names: &Names, event: &Event) -> Self {
        match event {
            Event::QuotaRecharged(event) => Self::QuotaRecharged {
                user_id: text(names, event.user),
                amount: event.amount,
                overdraft_paid: event.overdraft_paid,
                expiry_date: event.expires_at,
                source: match event.source {
                    LotSource::Grant => "grant",
                    LotSource::Gateway => "gateway",
                    LotSource::Strategy => "strategy",
                    LotSource::Transfer => "transfer",
                    LotSource::Return => "return",
                },
                reason: event.reason.clone(),
            },
            Event::QuotaExpired(event) => Self::QuotaExpired {
                user_id: text(names, event.user),
                lot: event.lot,
                amount: event.amount,
            },
            Event::WalletToppedUp(event) => Self::WalletToppedUp {
                organization_id: text(names, event.tenant),
                amount: event.amount,
                reference: event.reference.clone(),
            },
            Event::WalletAdjusted(event) => Self::WalletAdjusted {
                organization_id: text(names, event.tenant),
                amount: event.amount,
                reason: event.reason.clone(),
            },
            other => unreachable!("not an event of amounts: {}", other.type_name()),
        }
    }

    fn of_calls(names: &Names, recorded: &Recorded) -> Self {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) => Self::Call(Box::new(TokenConsumption::new(
                names,
                recorded,
                Consumed::Complete(consumption, None),
            ))),
            Event::RequestReceived(half) => Self::RequestReceived {
                organization_id: text(names, half.context.tenant),
                user_id: maybe(names, half.context.user),
                request_id: half.context.request_id.to_string(),
                model: maybe(names, half.context.model),
                timestamp: half.details.timestamp,
                token_count: half.details.token_count,
                request_type: half.details.request_type,
            },
            Event::ResponseReceived(half) => Self::ResponseReceived {
                organization_id: text(names, half.context.tenant),
                user_id: maybe(names, half.context.user),
                request_id: half.context.request_id.to_string(),
                model: maybe(names, half.context.model),
                timestamp: half.timestamp,
                total_tokens: half.usage.map_or(half.details.token_count, |usage| usage.total),
                service_tier: half.tier,
            },
            Event::PairingTimedOut(event) => Self::PairingTimedOut {
                organization_id: text(names, event.tenant),
                user_id: maybe(names, event.user),
                request_id: event.request_id.to_string(),
                present: half_name(event.present),
                half: event.half,
            },
            Event::ConflictObserved(event) => Self::ConflictObserved {
                organization_id: text(names, event.tenant),
                request_id: event.request_id.to_string(),
                half: half_name(event.half),
                stands: event.stands,
            },
            Event::ConsumptionRated(event) => {
                let Charge { version, cost } = event.charge;
                let Draw { rule_version: _, lots, overdraft } = &event.draw;
                Self::ConsumptionRated {
                    organization_id: text(names, event.context.tenant),
                    user_id: maybe(names, event.context.user),
                    request_id: event.context.request_id.to_string(),
                    consumption: event.consumption,
                    cost,
                    price_version: version,
                    quota_lots: lots
                        .iter()
                        .map(|lot| DrawnLot { lot: lot.lot, amount: lot.amount })
                        .collect(),
                    quota_overdraft: *overdraft,
                }
            }
            other => unreachable!("not an event of calls: {}", other.type_name()),
        }
    }
}

fn text<Id: NameId>(names: &Names, id: Id) -> String {
    names.text(id).to_string()
}

fn maybe<Id: NameId>(names: &Names, id: Option<Id>) -> String {
    id.map(|id| text(names, id)).unwrap_or_default()
}

const fn half_name(half: Half) -> &'static str {
    match half {
        Half::Request => "request",
        Half::Response => "response",
    }
}

/// The rule's name on the wire.
#[must_use]
pub const fn rule_name(rule: DrawRule) -> &'static str {
    match rule {
        DrawRule::PerToken => "per_token",
        DrawRule::PerRequest => "per_request",
        DrawRule::PerCost => "per_cost",
        DrawRule::None => "none",
    }
}
