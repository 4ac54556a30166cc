//! The events of users' attributes, gateway counters, strategies and vouchers as JSON. What is sealed
//! in the log stays so here: only that it changed is told.

use projections::names::Names;
use schemas::{
    Attributes, Change, Credits, Event, ItemOutcome, LotDraw, StrategyDefined, StrategyId,
    StrategyKind, Timestamp, VoucherId, VoucherOutcome,
};
use serde::Serialize;

use super::{DrawnLot, maybe, text};

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum QuotaEventData {
    UserDescribed {
        user_id: String,
        /// The attributes that were set or cleared.
        changed: Vec<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        github_star: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        vip: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        org: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        register_time: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        access_time: Option<Timestamp>,
    },
    UserErased {
        user_id: String,
    },
    Withdrawn {
        user_id: String,
        unused: Vec<DrawnLot>,
        drawn: Vec<DrawnLot>,
        reason: String,
    },
    Drawn {
        user_id: String,
        quota_lots: Vec<DrawnLot>,
        quota_overdraft: Credits,
        reason: String,
    },
    StrategyDefined {
        strategy_id: StrategyId,
        name: String,
        title: String,
        #[serde(rename = "type")]
        kind: StrategyKind,
        amount: Credits,
        model: String,
        periodic_expr: String,
        condition: String,
        status: bool,
        max_exec_per_user: u32,
    },
    StrategySwitched {
        strategy_id: StrategyId,
        status: bool,
    },
    StrategyDeleted {
        strategy_id: StrategyId,
    },
    StrategyExecuted {
        strategy_id: StrategyId,
        user_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        tick: Option<Timestamp>,
        amount: Credits,
        overdraft_paid: Credits,
        expiry_date: Timestamp,
        model: String,
    },
    StrategyFailed {
        strategy_id: StrategyId,
        user_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        tick: Option<Timestamp>,
        reason: String,
    },
    StrategyTickHandled {
        strategy_id: StrategyId,
        tick: Timestamp,
        skipped: u32,
    },
    VoucherItemReserved {
        voucher_id: VoucherId,
        giver_id: String,
        amount: Credits,
        expiry_date: Timestamp,
        quota_lots: Vec<DrawnLot>,
    },
    VoucherIssued {
        voucher_id: VoucherId,
        giver_id: String,
        receiver_id: String,
        items: u32,
        amount: Credits,
        #[serde(skip_serializing_if = "Option::is_none")]
        voucher_expires_at: Option<Timestamp>,
    },
    VoucherItemSettled {
        voucher_id: VoucherId,
        user_id: String,
        amount: Credits,
        overdraft_paid: Credits,
        expiry_date: Timestamp,
        outcome: &'static str,
        foreign: bool,
    },
    VoucherClosed {
        voucher_id: VoucherId,
        giver_id: String,
        receiver_id: String,
        outcome: &'static str,
        amount: Credits,
        items: u32,
        expired: Credits,
        items_expired: u32,
        foreign: bool,
    },
}

impl QuotaEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::UserDescribed(event) => described(text(names, event.user), &event.attributes),
            Event::UserErased(event) => Self::UserErased { user_id: text(names, event.user) },
            Event::QuotaWithdrawn(event) => Self::Withdrawn {
                user_id: text(names, event.user),
                unused: drawn(&event.unused),
                drawn: drawn(&event.drawn),
                reason: event.reason.clone(),
            },
            Event::QuotaDrawn(event) => Self::Drawn {
                user_id: text(names, event.user),
                quota_lots: drawn(&event.draw.lots),
                quota_overdraft: event.draw.overdraft,
                reason: event.reason.clone(),
            },
            Event::QuotaRefunded(event) => Self::Drawn {
                user_id: text(names, event.user),
                quota_lots: drawn(&event.lots),
                quota_overdraft: event.overdraft,
                reason: event.reason.clone(),
            },
            other => {
                return Self::of_strategies(names, other)
                    .or_else(|| Self::of_vouchers(names, other));
            }
        })
    }

    fn of_strategies(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::StrategyCreated(event) | Event::StrategyUpdated(event) => {
                let StrategyDefined { strategy, definition } = event.as_ref();
                let definition = definition.clone();
                Self::StrategyDefined {
                    strategy_id: *strategy,
                    name: definition.name,
                    title: definition.title,
                    kind: definition.kind,
                    amount: definition.amount,
                    model: maybe(names, definition.model),
                    periodic_expr: definition.periodic_expr,
                    condition: definition.condition,
                    status: definition.enabled,
                    max_exec_per_user: definition.max_exec_per_user,
                }
            }
            Event::StrategySwitched(event) => {
                Self::StrategySwitched { strategy_id: event.strategy, status: event.enabled }
            }
            Event::StrategyDeleted(event) => Self::StrategyDeleted { strategy_id: event.strategy },
            Event::StrategyExecuted(event) => Self::StrategyExecuted {
                strategy_id: event.strategy,
                user_id: text(names, event.user),
                tick: event.tick,
                amount: event.amount,
                overdraft_paid: event.overdraft_paid,
                expiry_date: event.expires_at,
                model: maybe(names, event.model),
            },
            Event::StrategyFailed(event) => Self::StrategyFailed {
                strategy_id: event.strategy,
                user_id: text(names, event.user),
                tick: event.tick,
                reason: event.reason.clone(),
            },
            Event::StrategyTickHandled(event) => Self::StrategyTickHandled {
                strategy_id: event.strategy,
                tick: event.tick,
                skipped: event.skipped,
            },
            _ => return None,
        })
    }

    fn of_vouchers(names: &Names, event: &Event) -> Option<Self> {
        Some(match event {
            Event::VoucherItemReserved(event) => Self::VoucherItemReserved {
                voucher_id: event.voucher,
                giver_id: text(names, event.giver),
                amount: event.amount,
                expiry_date: event.expires_at,
                quota_lots: drawn(&event.lots),
            },
            Event::VoucherIssued(event) => Self::VoucherIssued {
                voucher_id: event.voucher,
                giver_id: text(names, event.giver),
                receiver_id: text(names, event.receiver),
                items: event.items,
                amount: event.amount,
                voucher_expires_at: event.lapses_at,
            },
            Event::VoucherItemSettled(event) => Self::VoucherItemSettled {
                voucher_id: event.voucher,
                user_id: text(names, event.user),
                amount: event.amount,
                overdraft_paid: event.overdraft_paid,
                expiry_date: event.expires_at,
                outcome: match event.outcome {
                    ItemOutcome::Redeemed => "redeemed",
                    ItemOutcome::Returned => "returned",
                    ItemOutcome::Expired => "expired",
                },
                foreign: event.foreign,
            },
            Event::VoucherClosed(event) => Self::VoucherClosed {
                voucher_id: event.voucher,
                giver_id: text(names, event.giver),
                receiver_id: text(names, event.receiver),
                outcome: outcome_name(event.outcome),
                amount: event.amount,
                items: event.items,
                expired: event.expired,
                items_expired: event.items_expired,
                foreign: event.foreign,
            },
            _ => return None,
        })
    }
}

fn described(user_id: String, attributes: &Attributes) -> QuotaEventData {
    let Attributes {
        name,
        email,
        phone,
        github_username,
        github_star,
        vip,
        org,
        register_time,
        access_time,
    } = attributes.clone();
    let is_change = [
        ("name", name != Change::Keep),
        ("email", email != Change::Keep),
        ("phone", phone != Change::Keep),
        ("github_username", github_username != Change::Keep),
        ("github_star", github_star != Change::Keep),
        ("vip", vip != Change::Keep),
        ("org", org != Change::Keep),
        ("register_time", register_time != Change::Keep),
        ("access_time", access_time != Change::Keep),
    ];
    QuotaEventData::UserDescribed {
        user_id,
        changed: is_change.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect(),
        github_star: github_star.new_value(),
        vip: vip.new_value(),
        org: org.new_value(),
        register_time: register_time.new_value(),
        access_time: access_time.new_value(),
    }
}

fn drawn(parts: &[LotDraw]) -> Vec<DrawnLot> {
    parts.iter().map(|part| DrawnLot { lot: part.lot, amount: part.amount }).collect()
}

/// How a voucher ended, on the wire.
#[must_use]
pub const fn outcome_name(outcome: VoucherOutcome) -> &'static str {
    match outcome {
        VoucherOutcome::Redeemed => "redeemed",
        VoucherOutcome::Cancelled => "cancelled",
        VoucherOutcome::Lapsed => "lapsed",
    }
}
