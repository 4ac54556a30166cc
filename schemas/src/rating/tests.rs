#![expect(clippy::arithmetic_side_effects, reason = "the numbers of a test are small")]

use proptest::prelude::*;

use super::*;

const TIERS: [ServiceTier; 6] = [
    ServiceTier::Standard,
    ServiceTier::Priority,
    ServiceTier::Flex,
    ServiceTier::Batch,
    ServiceTier::Balanced,
    ServiceTier::Ultrafast,
];

/// A sheet of (class, tier, threshold, price in the smallest unit).
fn sheet(rates: &[(TokenClass, ServiceTier, u32, i128)]) -> PriceSheet {
    let rate = |&(class, tier, above_tokens, units): &_| Rate {
        class,
        tier,
        above_tokens,
        per_token: Money::from_units(units),
    };
    PriceSheet::new(rates.iter().map(rate).collect()).expect("a sheet")
}

fn units(sheet: &PriceSheet, usage: &Usage, tier: ServiceTier) -> Option<i128> {
    rate(sheet, usage, tier).map(Money::units)
}

fn flat() -> PriceSheet {
    use TokenClass::{Input, Output};
    sheet(&[(Input, ServiceTier::Standard, 0, 10), (Output, ServiceTier::Standard, 0, 100)])
}

/// Ten tokens of each class.
const EVERYTHING: Usage = Usage {
    prompt: 50,
    completion: 30,
    total: 80,
    cache_read: 10,
    cache_write: 10,
    cache_write_1h: 10,
    audio_input: 10,
    reasoning: 10,
    audio_output: 10,
};

#[test]
fn every_token_is_priced_once() {
    let prices =
        TokenClass::ALL.iter().zip([1, 20, 300, 4_000, 50_000, 600_000, 7_000_000, 80_000_000]);
    let rates: Vec<_> =
        prices.map(|(&class, price)| (class, ServiceTier::Standard, 0, price)).collect();
    assert_eq!(units(&sheet(&rates), &EVERYTHING, ServiceTier::Standard), Some(876_543_210));
}

#[test]
fn a_class_without_a_price_costs_plain_input_or_output() {
    assert_eq!(units(&flat(), &EVERYTHING, ServiceTier::Standard), Some(50 * 10 + 30 * 100));
    let hour = Usage { prompt: 10, cache_write_1h: 10, ..Usage::default() };
    let write = sheet(&[
        (TokenClass::Input, ServiceTier::Standard, 0, 10),
        (TokenClass::CacheWrite, ServiceTier::Standard, 0, 12),
    ]);
    assert_eq!(units(&write, &hour, ServiceTier::Standard), Some(120));
}

#[test]
fn a_missing_price_is_no_price_and_never_zero() {
    let usage = Usage { prompt: 1, completion: 1, ..Usage::default() };
    assert_eq!(rate(&PriceSheet::default(), &usage, ServiceTier::Standard), None);
    assert_eq!(rate(&PriceSheet::default(), &Usage::default(), ServiceTier::Standard), None);
    let output_only = sheet(&[(TokenClass::Output, ServiceTier::Standard, 0, 100)]);
    assert_eq!(units(&output_only, &usage, ServiceTier::Standard), None);
    assert_eq!(
        units(&output_only, &Usage { prompt: 0, ..usage }, ServiceTier::Standard),
        Some(100)
    );
    let free = sheet(&[
        (TokenClass::Input, ServiceTier::Standard, 0, 0),
        (TokenClass::Output, ServiceTier::Standard, 0, 0),
    ]);
    assert_eq!(units(&free, &usage, ServiceTier::Standard), Some(0));
    let dear_tier = sheet(&[(TokenClass::Input, ServiceTier::Priority, 0, 10)]);
    assert_eq!(units(&dear_tier, &usage, ServiceTier::Standard), None);
}

#[test]
fn parts_that_exceed_their_whole_have_no_cost() {
    for usage in [
        Usage { prompt: 9, cache_read: 10, ..Usage::default() },
        Usage { prompt: 39, ..EVERYTHING },
        Usage { completion: 19, ..EVERYTHING },
        Usage { cache_read: u64::MAX, cache_write: u64::MAX, ..EVERYTHING },
    ] {
        assert_eq!(rate(&flat(), &usage, ServiceTier::Standard), None, "{usage:?}");
    }
}

#[test]
fn a_long_prompt_reprices_the_whole_call_above_its_threshold() {
    use TokenClass::{CacheRead, Input, Output};
    let standard = ServiceTier::Standard;
    let long = sheet(&[
        (Input, standard, 0, 10),
        (Input, standard, 200_000, 20),
        (Input, standard, 400_000, 30),
        (Output, standard, 0, 100),
        (Output, standard, 200_000, 150),
        (CacheRead, standard, 0, 1),
        (CacheRead, standard, 200_000, 2),
    ]);
    let usage = Usage { prompt: 200_000, completion: 10, cache_read: 150_000, ..Usage::default() };
    assert_eq!(units(&long, &usage, standard), Some(50_000 * 10 + 150_000 + 1_000));
    // Cached tokens count towards the threshold, output does not.
    let usage = Usage { prompt: 200_001, ..usage };
    assert_eq!(units(&long, &usage, standard), Some(50_001 * 20 + 150_000 * 2 + 1_500));
    let usage = Usage { prompt: 200_000, completion: 300_000, ..usage };
    assert_eq!(units(&long, &usage, standard), Some(50_000 * 10 + 150_000 + 300_000 * 100));
    // Above 400 000, what has no price of its own there keeps that of 200 000.
    let usage = Usage { prompt: 400_001, completion: 10, cache_read: 1, ..Usage::default() };
    assert_eq!(units(&long, &usage, standard), Some(400_000 * 30 + 2 + 1_500));
}

#[test]
fn a_tier_costs_its_own_price_or_the_standard_one() {
    use TokenClass::{CacheRead, Input, Output};
    let tiers = sheet(&[
        (Input, ServiceTier::Standard, 0, 10),
        (Input, ServiceTier::Standard, 100, 15),
        (Input, ServiceTier::Priority, 0, 20),
        (Output, ServiceTier::Standard, 0, 100),
        (Output, ServiceTier::Priority, 0, 200),
        (CacheRead, ServiceTier::Standard, 0, 1),
    ]);
    let usage = Usage { prompt: 10, completion: 1, cache_read: 5, ..Usage::default() };
    assert_eq!(units(&tiers, &usage, ServiceTier::Priority), Some(5 * 20 + 5 + 200));
    assert_eq!(units(&tiers, &usage, ServiceTier::Flex), Some(5 * 10 + 5 + 100));
    // A threshold goes before a tier.
    let usage = Usage { prompt: 101, ..Usage::default() };
    assert_eq!(units(&tiers, &usage, ServiceTier::Priority), Some(101 * 15));
}

#[test]
fn a_batch_is_priced_by_its_own_table() {
    use TokenClass::{AudioInput, CacheRead, Input, Output};
    let (standard, batch) = (ServiceTier::Standard, ServiceTier::Batch);
    let rates = [
        (Input, standard, 0, 10),
        (Output, standard, 0, 100),
        (CacheRead, standard, 0, 8),
        (AudioInput, standard, 0, 30),
        (Input, batch, 0, 5),
        (Output, batch, 0, 50),
    ];
    let usage =
        Usage { prompt: 30, completion: 1, cache_read: 10, audio_input: 10, ..Usage::default() };
    assert_eq!(units(&sheet(&rates), &usage, batch), Some(30 * 5 + 50));
    let unpublished = rates.get(..4).expect("the standard rates");
    assert_eq!(units(&sheet(unpublished), &usage, batch), Some(100 + 80 + 300 + 100));
}

#[test]
fn reasoning_does_not_mix_tiers() {
    use TokenClass::{Output, Reasoning};
    let standard = ServiceTier::Standard;
    let rates = [
        (Output, standard, 0, 100),
        (Output, ServiceTier::Flex, 0, 50),
        (Reasoning, standard, 0, 300),
        (Reasoning, ServiceTier::Priority, 0, 700),
    ];
    let usage = Usage { completion: 3, reasoning: 2, ..Usage::default() };
    let cost = |tier| units(&sheet(&rates), &usage, tier);
    assert_eq!(cost(standard), Some(100 + 600));
    assert_eq!(cost(ServiceTier::Priority), Some(100 + 1_400));
    assert_eq!(cost(ServiceTier::Flex), Some(150));
    assert_eq!(cost(ServiceTier::Balanced), Some(700));
}

fn any_sheet() -> impl Strategy<Value = PriceSheet> {
    let rate = (0..8_usize, 0..6_usize, 0..4_u32, 0..i128::MAX);
    prop::collection::btree_map(
        rate.prop_map(|(class, tier, above, _)| (class, tier, above)),
        0..i128::MAX,
        0..60,
    )
    .prop_map(|rates| {
        let rates = rates.into_iter().filter_map(|((class, tier, above), price)| {
            let class = *TokenClass::ALL.get(class)?;
            Some((class, *TIERS.get(tier)?, above.checked_mul(100_000)?, price))
        });
        sheet(&rates.collect::<Vec<_>>())
    })
}

fn any_usage() -> impl Strategy<Value = Usage> {
    prop::array::uniform9(prop_oneof![any::<u64>(), 0..500_000_u64]).prop_map(
        |[
            prompt,
            completion,
            total,
            cache_read,
            cache_write,
            cache_write_1h,
            audio_input,
            reasoning,
            audio_output,
        ]| {
            Usage {
                prompt,
                completion,
                total,
                cache_read,
                cache_write,
                cache_write_1h,
                audio_input,
                reasoning,
                audio_output,
            }
        },
    )
}

proptest! {
    #[test]
    fn no_usage_and_no_sheet_panics_or_earns(sheet in any_sheet(), usage in any_usage()) {
        for tier in TIERS {
            prop_assert!(rate(&sheet, &usage, tier).is_none_or(|cost| !cost.is_negative()));
        }
    }

    #[test]
    fn more_tokens_never_cost_less(
        input in 0..1_000_000_000_i128,
        output in 0..1_000_000_000_i128,
        prompt in 0..10_000_000_u64,
        completion in 0..10_000_000_u64,
        more in 1..10_000_000_u64,
    ) {
        let standard = ServiceTier::Standard;
        let sheet = sheet(&[
            (TokenClass::Input, standard, 0, input),
            (TokenClass::Input, standard, 200_000, input * 2),
            (TokenClass::Output, standard, 0, output),
        ]);
        let usage = Usage { prompt, completion, ..Usage::default() };
        let cost = |usage| rate(&sheet, &usage, standard).expect("priced");
        let longer = Usage { prompt: prompt + more, ..usage };
        let wordier = Usage { completion: completion + more, ..usage };
        prop_assert!(cost(usage) <= cost(longer));
        prop_assert!(cost(usage) <= cost(wordier));
    }

    #[test]
    fn without_special_prices_only_the_sums_matter(
        parts in prop::array::uniform8(0..1_000_000_u64),
        tier in prop::sample::select(TIERS.to_vec()),
    ) {
        let [input, read, write, hour, heard, output, reasoning, spoken] = parts;
        let usage = Usage {
            prompt: input + read + write + hour + heard,
            completion: output + reasoning + spoken,
            total: 0,
            cache_read: read,
            cache_write: write,
            cache_write_1h: hour,
            audio_input: heard,
            reasoning,
            audio_output: spoken,
        };
        let want = i128::from(usage.prompt) * 10 + i128::from(usage.completion) * 100;
        prop_assert_eq!(units(&flat(), &usage, tier), Some(want));
    }
}
