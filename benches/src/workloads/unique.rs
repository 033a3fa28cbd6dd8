//! Every request is new, and the table is full: each begin makes room for itself.

use std::ops::Range;

use super::{FIRST_NEW, NewKeys, News, Step, Stream, Workload};
use crate::store::Store;

/// A full table of that many records.
#[derive(Clone, Copy, Debug)]
pub struct Unique {
    /// How many are kept.
    pub records: usize,
}

impl Workload for Unique {
    fn name(&self) -> &'static str {
        "unique"
    }

    fn capacity(&self) -> usize {
        self.records
    }

    fn filled(&self, bounded: bool) -> [Range<u64>; 2] {
        // Stores that evict by themselves get more than they can hold.
        let records = self.records as u64;
        let count = if bounded { records * 2 } else { records };
        [FIRST_NEW + records * 2 - count..FIRST_NEW + records * 2, 0..0]
    }

    fn stream<S: Store>(&self, news: &NewKeys, _: u64) -> impl Stream<S> {
        UniqueKeys { news: News::new(news), lag: self.records as u64 }
    }
}

struct UniqueKeys<'n> {
    news: News<'n>,
    lag: u64,
}

impl<S: Store> Stream<S> for UniqueKeys<'_> {
    #[inline]
    fn next(&mut self) -> Step<S::Key> {
        let number = self.news.next();
        Step { key: S::key(number), leaves: Some(number - self.lag) }
    }
}
