//! What a usage costs by a price sheet: exact integer arithmetic, price × tokens, summed over the
//! disjoint token classes. It knows no model and no provider; a sheet that lacks a needed price
//! gives no cost, never zero.
//!
//! The order in which prices stand in for missing ones is that of LiteLLM 1.109.1
//! (`litellm_core_utils/llm_cost_calc/utils.py`); `PRICING.md` lists where it is left, and why.

use crate::{Money, PriceSheet, Rate, ServiceTier, TokenClass, Usage};

/// The cost of `usage` by `sheet` when served in `tier`, in USD.
///
/// A price above a threshold applies to the whole call, once the *prompt*, cached tokens included,
/// has more tokens than the threshold. `None` when the sheet lacks a price that the usage needs,
/// when the parts of the usage exceed its whole, or when the cost is out of range.
#[must_use]
pub fn rate(sheet: &PriceSheet, usage: &Usage, tier: ServiceTier) -> Option<Money> {
    if sheet.is_empty() {
        return None;
    }
    let prices = Prices::new(sheet, tier, usage.prompt);
    let mut cost = Money::ZERO;
    for (class, tokens) in disjoint(usage)? {
        if tokens > 0 {
            cost = cost.checked_add(prices.of(class)?.checked_times(tokens)?)?;
        }
    }
    Some(cost)
}

/// The tokens of each class, so that every token is counted once: what the classes inside `prompt`
/// and `completion` leave is plain input and output. `None` when they exceed them.
fn disjoint(usage: &Usage) -> Option<[(TokenClass, u64); 8]> {
    let Usage {
        prompt,
        completion,
        total: _,
        cache_read,
        cache_write,
        cache_write_1h,
        audio_input,
        reasoning,
        audio_output,
    } = *usage;
    let input = prompt
        .checked_sub(cache_read)?
        .checked_sub(cache_write)?
        .checked_sub(cache_write_1h)?
        .checked_sub(audio_input)?;
    let output = completion.checked_sub(reasoning)?.checked_sub(audio_output)?;
    Some([
        (TokenClass::Input, input),
        (TokenClass::Output, output),
        (TokenClass::CacheRead, cache_read),
        (TokenClass::CacheWrite, cache_write),
        (TokenClass::CacheWrite1h, cache_write_1h),
        (TokenClass::AudioInput, audio_input),
        (TokenClass::AudioOutput, audio_output),
        (TokenClass::Reasoning, reasoning),
    ])
}

/// The prices that one call sees.
struct Prices<'sheet> {
    sheet: &'sheet PriceSheet,
    tier: ServiceTier,
    /// Whether the standard price stands in for one that the tier does not state.
    or_standard: bool,
    prompt: u64,
}

impl<'sheet> Prices<'sheet> {
    /// A tier without a price of its own costs the standard price. Batch is a table of its own: a
    /// sheet with a batch price for input prices cached and audio input by that table alone, so that
    /// a read from a cache never costs more in a batch than plain input.
    fn new(sheet: &'sheet PriceSheet, tier: ServiceTier, prompt: u64) -> Self {
        let mut prices = Self { sheet, tier, or_standard: false, prompt };
        prices.or_standard =
            tier != ServiceTier::Batch || prices.stated(TokenClass::Input).is_none();
        prices
    }

    /// USD for one token of `class`, stated or standing in.
    fn of(&self, class: TokenClass) -> Option<Money> {
        let stated = self.stated(class);
        match class {
            TokenClass::Input => stated,
            TokenClass::Output => {
                stated.or_else(|| self.longest_context(class, ServiceTier::Standard, false))
            }
            TokenClass::CacheRead | TokenClass::CacheWrite | TokenClass::AudioInput => {
                stated.or_else(|| self.of(TokenClass::Input))
            }
            TokenClass::CacheWrite1h => stated.or_else(|| self.of(TokenClass::CacheWrite)),
            TokenClass::AudioOutput => stated.or_else(|| self.of(TokenClass::Output)),
            TokenClass::Reasoning => self.reasoning(),
        }
    }

    /// The reasoning price of the tier; else the tier's own output price, if it has one, since the
    /// standard reasoning price would mix tiers; else the standard reasoning price; else output.
    fn reasoning(&self) -> Option<Money> {
        let own = |class| self.longest_context(class, self.tier, false);
        own(TokenClass::Reasoning).or_else(|| {
            let tier_has_output =
                self.tier != ServiceTier::Standard && own(TokenClass::Output).is_some();
            let standard = if tier_has_output { None } else { self.stated(TokenClass::Reasoning) };
            standard.or_else(|| self.of(TokenClass::Output))
        })
    }

    fn stated(&self, class: TokenClass) -> Option<Money> {
        self.longest_context(class, self.tier, self.or_standard)
    }

    /// The price of `class` with the highest threshold that the prompt exceeds; at one threshold
    /// the tier's own price goes before the standard one.
    fn longest_context(
        &self,
        class: TokenClass,
        tier: ServiceTier,
        or_standard: bool,
    ) -> Option<Money> {
        let applies = |rate: &&Rate| {
            let reached = rate.above_tokens == 0 || self.prompt > u64::from(rate.above_tokens);
            let in_tier = rate.tier == tier || (or_standard && rate.tier == ServiceTier::Standard);
            rate.class == class && in_tier && reached
        };
        let rates = self.sheet.rates().iter().filter(applies);
        rates.max_by_key(|rate| (rate.above_tokens, rate.tier == tier)).map(|rate| rate.per_token)
    }
}

#[cfg(test)]
mod tests;
