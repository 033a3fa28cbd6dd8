//! Half of the requests are new, half are duplicates that follow Zipf's law (0.99).

use std::ops::Range;

use super::{FIRST_NEW, NewKeys, News, Step, Stream, Workload};
use crate::rng::{Rng, ZIPF_RANKS, zipf_draws};
use crate::store::Store;

/// Duplicates of a million popular keys.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// How many popular keys there are, at most a million; as many new ones are kept.
    pub popular: usize,
}

impl Workload for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn capacity(&self) -> usize {
        self.popular * 2
    }

    fn filled(&self, _: bool) -> [Range<u64>; 2] {
        let popular = self.popular as u64;
        [FIRST_NEW..FIRST_NEW + popular, 0..popular]
    }

    fn stream<S: Store>(&self, news: &NewKeys, seed: u64) -> impl Stream<S> {
        let mut rng = Rng::new(seed);
        let at = rng.below(zipf_draws().len() as u64) as usize;
        let popular = self.popular as u64;
        MixKeys { news: News::new(news), rng, draws: zipf_draws(), at, popular }
    }
}

struct MixKeys<'n> {
    news: News<'n>,
    rng: Rng,
    draws: &'static [u32],
    at: usize,
    popular: u64,
}

impl<S: Store> Stream<S> for MixKeys<'_> {
    #[inline]
    fn next(&mut self) -> Step<S::Key> {
        if self.rng.word() & 1 == 0 {
            let number = self.news.next();
            return Step { key: S::key(number), leaves: Some(number - self.popular) };
        }
        self.at = if self.at + 1 == self.draws.len() { 0 } else { self.at + 1 };
        let rank = u64::from(self.draws[self.at]);
        // A smaller run has fewer ranks: its popular ones get the rest.
        let number = if rank < self.popular { rank } else { rank % self.popular };
        debug_assert!(self.popular <= ZIPF_RANKS as u64);
        Step { key: S::key(number), leaves: None }
    }
}
