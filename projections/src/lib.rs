//! What follows from the log: pure folds of its events. No I/O, no clock, no async.
#![deny(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod accounts;
pub mod alerts;
pub mod bills;
pub mod books;
pub mod calls;
pub mod collections;
pub mod directory;
pub mod draw_rules;
pub mod histories;
pub mod holds;
pub mod ledger;
pub mod limit_usage;
pub mod names;
pub mod notices;
pub mod prices;
pub mod profiles;
mod projection;
mod projections;
pub mod quota;
pub mod strategies;
pub mod tenants;
pub mod top_ups;
pub mod unbilled;
pub mod unrated;
pub mod usage;
pub mod vouchers;
pub mod wallets;
pub mod webhooks;

pub use projection::Projection;
pub use projections::{PARTS, Part, Projections, Save};
