//! What can be said: the events of the log, the commands that lead to them, and the values inside.
//! No I/O, no clock, no async.
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod amount;
mod builtin_prices;
mod command;
mod condition;
mod decimal;
mod event;
mod expiry;
mod ids;
mod price;
mod price_map;
mod rating;
mod record;
mod role;
mod schedule;
mod sealed;
mod time;
mod top_up;
mod usage;
mod voucher;
mod webhook;
mod zone;
mod zoned;

pub use chrono_tz::Tz;

pub use amount::{Credits, Money};
pub use builtin_prices::{builtin_sheet, builtin_sheets};
pub use command::*;
pub use condition::{Condition, ConditionError, Facts};
pub use decimal::DecimalError;
pub use event::*;
pub use expiry::{ExpiryRule, ExpiryRuleError};
pub use ids::{
    ActorId, AssistantId, ExternalId, FinishReasonId, ModelId, Name, NameError, NameId, NameKind,
    Sequence, TenantId, UserId,
};
pub use price::{Charge, PriceSheet, PriceSheetError, PriceVersion, Rate, TokenClass};
pub use price_map::{
    PriceEntryError, PriceFault, PriceMap, PriceMapError, PriceMapReport, RoundedPrice,
};
pub use rating::rate;
pub use record::{
    CodecError, CommandHeader, CommandKey, Fingerprint, RECORD_BYTES_MAX, Record, Recorded,
};
pub use role::Role;
pub use schedule::{FieldFault, Schedule, ScheduleError};
pub use sealed::Sealed;
pub use time::{Day, Timestamp, TimestampError, is_expired};
pub use top_up::{TopUpId, TopUpIdError, TopUpTerms};
pub use usage::{RequestType, ServiceTier, Usage, UsageOrigin};
pub use voucher::{
    KeyError, OpenedVoucher, SigningKeys, VOUCHER_BYTES_MAX, VoucherError, VoucherId,
    VoucherIdError, VoucherItem, VoucherPayload,
};
pub use webhook::{WebhookId, WebhookIdError};
pub use zone::Zone;
pub use zoned::ZonedTimestamp;
