//! Workloads: which keys come in which order.
//!
//! A workload is a stream of keys for each thread. What is done with a key is always the same:
//! begin, and complete if the record is new.

mod batch;
mod hits;
mod hot;
mod mix;
mod race;
mod unique;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::batch::Batched;
pub use self::hits::Hits;
pub use self::hot::Hot;
pub use self::mix::Mix;
pub use self::race::Race;
pub use self::unique::Unique;

use crate::store::{Begun, Store};

/// Keys in an order.
pub trait Workload: Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;
    /// How many records a store must have room for.
    fn capacity(&self) -> usize;
    /// The numbers of the keys that are completed before anything is measured; `bounded` stores
    /// are filled until they evict, where the workload wants that.
    fn filled(&self, bounded: bool) -> [Range<u64>; 2];
    /// The keys of one thread of one slice.
    fn stream<S: Store>(&self, news: &NewKeys, seed: u64) -> impl Stream<S>;
}

/// The keys of one thread.
pub trait Stream<S: Store> {
    /// The next one.
    fn next(&mut self) -> Step<S::Key>;
}

/// A key, and what goes for it.
#[derive(Clone, Copy, Debug)]
pub struct Step<K> {
    /// To begin.
    pub key: K,
    /// If the record is new, the number of the one that leaves a store that keeps all.
    pub leaves: Option<u64>,
}

/// Numbers that no key had before, handed to threads in blocks.
#[derive(Debug)]
pub struct NewKeys {
    next: AtomicU64,
}

impl NewKeys {
    /// From [`FIRST_NEW`] on, after those that the filling took.
    #[must_use]
    pub fn after(taken: u64) -> Self {
        Self { next: AtomicU64::new(FIRST_NEW + taken) }
    }

    fn block(&self) -> Range<u64> {
        // Relaxed: only the numbers must differ.
        let first = self.next.fetch_add(BLOCK, Ordering::Relaxed);
        first..first + BLOCK
    }
}

/// New numbers of one thread.
#[derive(Debug)]
struct News<'n> {
    from: &'n NewKeys,
    block: Range<u64>,
}

impl<'n> News<'n> {
    fn new(from: &'n NewKeys) -> Self {
        Self { from, block: 0..0 }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        if self.block.is_empty() {
            self.block = self.from.block();
        }
        let number = self.block.start;
        self.block.start += 1;
        number
    }
}

/// Completes the keys of these numbers.
pub fn fill<S: Store>(store: &S, numbers: Range<u64>) {
    let (outcome, mut buffer) = (S::outcome(7), S::outcome(0));
    for number in numbers {
        if let Begun::Created(lease) = store.begin(&S::key(number), &mut buffer) {
            store.complete(lease, &outcome);
        }
    }
}

/// New keys have numbers from here on; those that duplicates have lie below.
pub const FIRST_NEW: u64 = 1 << 40;
/// How many numbers a thread takes at a time.
const BLOCK: u64 = 1_024;
