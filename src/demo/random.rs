//! Chance as an argument: the same numbers from the same seed, for ever. Not for secrets.

/// `SplitMix64` (Steele, Lea, Flood 2014): every seed gives another sequence.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        let count = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(self.next().checked_rem(count).unwrap_or(0))
    }

    /// As [`Self::between`], and small numbers more often than large ones.
    pub(super) fn skewed(&mut self, low: u64, high: u64) -> u64 {
        let once = self.between(low, high);
        self.between(low, once)
    }

    /// True this many times in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.between(0, 999) < per_mille
    }

    /// One of `choices`, of which there is at least one.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let last = u64::try_from(choices.len().saturating_sub(1)).unwrap_or(0);
        let place = usize::try_from(self.between(0, last)).unwrap_or(0);
        choices.get(place).expect("invariant: there is something to pick")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut random = Random::new(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn chances_stay_within_their_bounds() {
        let mut random = Random::new(7);
        assert!((0..10_000).all(|_| (3..=5).contains(&random.between(3, 5))));
        let hits = (0..100_000).filter(|_| random.chance(30)).count();
        assert!((2_500..3_500).contains(&hits), "{hits}");
    }
}
