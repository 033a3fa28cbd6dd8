//! Shards behind `parking_lot` mutexes, as one writes them by hand.

use std::hash::BuildHasher;

use parking_lot::{Mutex, MutexGuard};

/// `N` of them, each on cache lines of its own.
pub(super) struct Shards<T, S, const N: usize> {
    shards: Vec<Shard<T>>,
    hasher: S,
}

#[repr(align(128))]
struct Shard<T>(Mutex<T>);

impl<T, S: BuildHasher + Default, const N: usize> Shards<T, S, N> {
    /// `open` gets the capacity of one shard: an even part, and room for uneven filling.
    pub(super) fn new(capacity: usize, open: impl Fn(usize) -> T) -> Self {
        let share = capacity.div_ceil(N);
        let shards = (0..N).map(|_| Shard(Mutex::new(open(share)))).collect();
        Self { shards, hasher: S::default() }
    }

    /// The shard of a key. Maps take their positions from the lower bits of the hash, so that
    /// its upper ones are free for this.
    #[inline]
    pub(super) fn of<K: std::hash::Hash + ?Sized>(&self, key: &K) -> MutexGuard<'_, T> {
        let hash = self.hasher.hash_one(key);
        // Beside the seven upper bits, which maps keep as a tag.
        let at = (hash >> 50) as usize % N;
        self.shards[at].0.lock()
    }
}
