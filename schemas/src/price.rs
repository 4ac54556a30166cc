//! A price sheet: what one model costs, per token class, service tier and length of context.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Money, ServiceTier};

/// Disjoint classes of tokens that a price can name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenClass {
    /// Input that no cache or audio class takes.
    Input,
    /// Output that no reasoning or audio class takes.
    Output,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache for minutes.
    CacheWrite,
    /// Input written to a cache for an hour or more.
    CacheWrite1h,
    /// Audio input.
    AudioInput,
    /// Audio output.
    AudioOutput,
    /// Reasoning output.
    Reasoning,
}

/// One price: of a class, in a tier, for prompts longer than a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Rate {
    /// What it prices.
    pub class: TokenClass,
    /// In which tier.
    pub tier: ServiceTier,
    /// For prompts of more than this many tokens; 0 for the base price.
    pub above_tokens: u32,
    /// USD for one token.
    pub per_token: Money,
}

/// All rates of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct PriceSheet {
    /// In the order (class, tier, threshold), each at most once.
    pub rates: Vec<Rate>,
}

/// The number of a published price book; 0 is the built-in one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize,
)]
#[serde(transparent)]
pub struct PriceVersion(pub u32);

/// What a consumption costs, by which price book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Charge {
    /// The price book that was applied.
    pub version: PriceVersion,
    /// USD.
    pub cost: Money,
}
