//! 99 of 100 requests are duplicates, of any live record alike.

use std::ops::Range;

use super::{FIRST_NEW, NewKeys, News, Step, Stream, Workload};
use crate::rng::Rng;
use crate::store::Store;

/// Duplicates of that many live records.
#[derive(Clone, Copy, Debug)]
pub struct Hits {
    /// How it is called.
    pub name: &'static str,
    /// Live records.
    pub records: usize,
    /// What a store is opened for: more, so that the new ones have room too.
    pub capacity: usize,
}

impl Workload for Hits {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn filled(&self, _: bool) -> [Range<u64>; 2] {
        [0..self.records as u64, 0..0]
    }

    fn stream<S: Store>(&self, news: &NewKeys, seed: u64) -> impl Stream<S> {
        let lag = ((self.capacity - self.records) / 2) as u64;
        let records = self.records as u64;
        HitKeys { news: News::new(news), rng: Rng::new(seed), records, lag }
    }
}

struct HitKeys<'n> {
    news: News<'n>,
    rng: Rng,
    records: u64,
    /// How many new ones are kept.
    lag: u64,
}

impl<S: Store> Stream<S> for HitKeys<'_> {
    #[inline]
    fn next(&mut self) -> Step<S::Key> {
        let word = self.rng.word();
        // The upper half chooses a record, the lower one whether it is new.
        if (word & 0xffff_ffff) >= ONE_IN_100 {
            let number = ((word >> 32) * self.records) >> 32;
            return Step { key: S::key(number), leaves: None };
        }
        let number = self.news.next();
        let leaves = number.checked_sub(self.lag).filter(|&old| old >= FIRST_NEW);
        Step { key: S::key(number), leaves }
    }
}

const ONE_IN_100: u64 = (1 << 32) / 100;
