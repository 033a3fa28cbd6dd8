//! Seeded numbers: SplitMix64, and samples of a Zipf distribution.

use std::sync::OnceLock;

use crate::key::mix;

/// A generator whose whole state is its seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next word.
    #[inline]
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`.
    #[inline]
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from 0 to 1, excluded.
    #[inline]
    pub fn share(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// Draws ranks from 0 on, each as often as its Zipf weight says.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// The share of draws up to each rank.
    cumulated: Vec<f64>,
}

impl Zipf {
    /// The distribution over `ranks` with this exponent.
    #[must_use]
    pub fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=ranks).map(|rank| (rank as f64).powf(-exponent));
        let mut cumulated: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        cumulated.iter_mut().for_each(|share| *share /= sum);
        Self { cumulated }
    }

    /// One draw.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let share = rng.share();
        self.cumulated.partition_point(|&upto| upto <= share).min(self.cumulated.len() - 1)
    }
}

/// Draws over a million ranks with exponent 0.99, made once: reading them costs next to nothing.
pub fn zipf_draws() -> &'static [u32] {
    static DRAWS: OnceLock<Vec<u32>> = OnceLock::new();
    DRAWS.get_or_init(|| {
        let (zipf, mut rng) = (Zipf::new(ZIPF_RANKS, 0.99), Rng::new(0x2157));
        (0..1 << 20).map(|_| zipf.draw(&mut rng) as u32).collect()
    })
}

/// How many different ranks [`zipf_draws`] has.
pub const ZIPF_RANKS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the draws follow the distribution. Method: the share of the first rank against the
    /// harmonic sum, with a seeded generator.
    #[test]
    fn zipf_draws_follow_their_weights() {
        let (zipf, mut rng) = (Zipf::new(1_000, 0.99), Rng::new(1));
        let firsts = (0..100_000).filter(|_| zipf.draw(&mut rng) == 0).count() as f64 / 100_000.0;
        let sum: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-0.99)).sum();
        assert!((firsts - 1.0 / sum).abs() < 0.005, "{firsts} against {}", 1.0 / sum);
    }
}
