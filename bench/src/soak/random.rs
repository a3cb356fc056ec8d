//! Seeded random numbers: the same seed makes the same attack.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): one
//! word of state, any seed is good.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of a part: its own, and the same for the same seed and number.
    #[must_use]
    pub fn part(seed: u64, number: u64) -> Self {
        Self::new(Self::new(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03)).bits())
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// 0 to `bound` without `bound` itself; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let scaled = (u128::from(self.bits()) * bound as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    /// A number of this range.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let (first, last) = range.into_inner();
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// So many milliseconds.
    pub fn milliseconds(&mut self, range: RangeInclusive<usize>) -> Duration {
        Duration::from_millis(self.within(range) as u64)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these; None of none.
    pub fn pick<'p, T>(&mut self, from: &'p [T]) -> Option<&'p T> {
        from.get(self.below(from.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        let mut random = Random::new(1_234_567);
        let first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([random.bits(), random.bits()], first);
    }

    #[test]
    fn numbers_reach_both_ends_of_their_range_and_stay_within() {
        let mut random = Random::new(1);
        let drawn: Vec<usize> = (0..1000).map(|_| random.within(3..=7)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&7)));
        assert_eq!((random.below(0), random.within(9..=9)), (0, 9));
        assert_eq!(random.pick::<u8>(&[]), None);
        assert!((0..100).any(|_| random.once_in(4)) && !(0..100).all(|_| random.once_in(4)));
    }

    #[test]
    fn parts_differ_and_repeat() {
        assert_eq!(Random::part(5, 1).bits(), Random::part(5, 1).bits());
        assert_ne!(Random::part(5, 1).bits(), Random::part(5, 2).bits());
        assert_ne!(Random::part(5, 1).bits(), Random::part(6, 1).bits());
    }
}
