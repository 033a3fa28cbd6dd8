//! Exact LRU caches, each behind a mutex: 64 of them, or one.
//!
//! Every duplicate moves its record to the front of a list, under the lock. Records in flight are
//! evicted like others, so that a key can be created twice. It does not expire.

use std::hash::BuildHasher;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::sharded::Shards;
use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// The caches.
pub struct LruStore<K: PeerKey, S, const SHARDS: usize>(
    Shards<LruCache<KeyOf<K>, Record, S>, S, SHARDS>,
);

impl<K, S, const SHARDS: usize> Store for LruStore<K, S, SHARDS>
where
    K: PeerKey,
    S: BuildHasher + Default + Send + Sync,
{
    type Key = K;
    type Lease<'s>
        = K
    where
        Self: 's;
    type Outcome = Bytes;
    const NAME: &'static str = if SHARDS == 1 { "exact LRU" } else { "64 mutexes, LRU" };
    const BOUNDED: bool = true;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Exact LRU; every duplicate takes a lock and writes; a record \
        in flight can be evicted, and its key created again. Does not expire.";

    fn open(capacity: usize) -> Self {
        Self(Shards::new(capacity, |share| {
            let share = NonZeroUsize::new(share).expect("a shard holds something");
            LruCache::with_hasher(share, S::default())
        }))
    }

    #[inline]
    fn key(number: u64) -> K {
        K::of(number)
    }

    fn outcome(fill: u8) -> Bytes {
        [fill; 64]
    }

    #[inline]
    fn begin(&self, key: &K, into: &mut Bytes) -> Begun<K> {
        let mut cache = self.0.of(key.borrowed());
        match cache.get(key.borrowed()).map(|record| record.meet(into)) {
            Some(Met::Replayed) => Begun::Replayed,
            Some(Met::InFlight) => Begun::InFlight,
            Some(Met::Over) | None => {
                cache.put(key.owned(), Record::in_flight());
                Begun::Created(*key)
            }
        }
    }

    #[inline]
    fn complete(&self, lease: K, outcome: &Bytes) {
        if let Some(record) = self.0.of(lease.borrowed()).get_mut(lease.borrowed()) {
            record.complete(outcome);
        }
    }

    fn remove(&self, key: &K) {
        self.0.of(key.borrowed()).pop(key.borrowed());
    }
}
