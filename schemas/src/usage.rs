//! What one LLM call used. The numbers are kept as they were reported; the disjoint classes that
//! prices apply to are derived from them.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Token counts as a provider reports them. Cached and audio input is part of `prompt`, reasoning
/// and audio output is part of `completion`: the OpenAI, LiteLLM and OpenTelemetry convention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Usage {
    /// All input tokens.
    pub prompt: u64,
    /// All output tokens.
    pub completion: u64,
    /// The total as reported; providers count differently, so it need not be the sum.
    pub total: u64,
    /// Of `prompt`: read from a cache.
    pub cache_read: u64,
    /// Of `prompt`: written to a cache for minutes (5 by most providers).
    pub cache_write: u64,
    /// Of `prompt`: written to a cache for an hour or more.
    pub cache_write_1h: u64,
    /// Of `prompt`: audio.
    pub audio_input: u64,
    /// Of `completion`: reasoning that is not shown.
    pub reasoning: u64,
    /// Of `completion`: audio.
    pub audio_output: u64,
}

impl Usage {
    /// The largest count that is believed; more is an error of the sender.
    pub const TOKENS_MAX: u64 = 1_000_000_000_000;
}

/// Where the counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageOrigin {
    /// The provider reported them.
    Reported,
    /// The gateway estimated them from text lengths, for want of a report.
    Estimated,
}

/// The class of service that a call was sent with; prices differ by it. The other spellings are
/// those of the providers and of LiteLLM: `auto` bills as standard until a report says otherwise.
/// Stored by position: append only.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The ordinary price.
    #[default]
    #[serde(alias = "default", alias = "auto")]
    Standard,
    /// Faster, dearer.
    #[serde(alias = "fast")]
    Priority,
    /// Slower, cheaper.
    Flex,
    /// In bulk, later, cheapest.
    #[serde(alias = "batches")]
    Batch,
    /// Between flex and standard.
    Balanced,
    /// Faster than priority, dearest.
    Ultrafast,
}

/// How a request was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum RequestType {
    /// Not said.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// `stream`
    #[serde(rename = "stream")]
    Stream,
    /// `non-stream`
    #[serde(rename = "non-stream")]
    NonStream,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_known_by_the_names_that_providers_give_it() {
        let tier = |name: &str| serde_json::from_str(&format!("\"{name}\"")).ok();
        for name in ["standard", "default", "auto"] {
            assert_eq!(tier(name), Some(ServiceTier::Standard), "{name}");
        }
        assert_eq!(tier("fast"), Some(ServiceTier::Priority));
        assert_eq!(tier("batches"), Some(ServiceTier::Batch));
        assert_eq!(tier("ultrafast"), Some(ServiceTier::Ultrafast));
        assert_eq!(tier("free"), None);
    }

    #[test]
    fn a_stored_tier_keeps_its_number() {
        use ServiceTier::{Balanced, Batch, Flex, Priority, Standard, Ultrafast};
        let tiers = [Standard, Priority, Flex, Batch, Balanced, Ultrafast];
        let bytes = bincode::encode_to_vec(tiers, bincode::config::standard()).expect("encodes");
        assert_eq!(bytes, [0, 1, 2, 3, 4, 5]);
    }
}
