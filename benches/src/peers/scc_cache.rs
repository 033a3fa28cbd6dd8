//! `scc::HashCache`: a cache of buckets with 32 places, each with its own order of use.
//!
//! It evicts inside a bucket, so that a record can go long before the cache is full: it keeps 93
//! to 98 % of its capacity, which it rounds up to a power of two. Nothing protects a record in
//! flight from eviction, so that a key can be created twice. It does not expire.

use std::hash::BuildHasher;

use scc::HashCache;
use scc::hash_cache::Entry;

use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// The cache.
pub struct SccCacheStore<K: PeerKey, S: BuildHasher>(HashCache<KeyOf<K>, Record, S>);

impl<K, S> Store for SccCacheStore<K, S>
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
    const NAME: &'static str = "scc HashCache";
    const BOUNDED: bool = true;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Rounds its capacity up to a power of two. Evicts within \
        buckets of 32, so that records go before it is full; a record in flight can be \
        evicted, and its key created again. Does not expire.";

    fn open(capacity: usize) -> Self {
        Self(HashCache::with_capacity_and_hasher(capacity, capacity, S::default()))
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
        if K::ALLOCATES {
            match self.0.get_sync(key.borrowed()).map(|found| found.get().meet(into)) {
                Some(Met::Replayed) => return Begun::Replayed,
                Some(Met::InFlight) => return Begun::InFlight,
                Some(Met::Over) | None => {}
            }
        }
        match self.0.entry_sync(key.owned()) {
            Entry::Vacant(vacant) => {
                vacant.put_entry(Record::in_flight());
            }
            Entry::Occupied(mut found) => match found.get().meet(into) {
                Met::Replayed => return Begun::Replayed,
                Met::InFlight => return Begun::InFlight,
                Met::Over => {
                    found.put(Record::in_flight());
                }
            },
        }
        Begun::Created(*key)
    }

    #[inline]
    fn complete(&self, lease: K, outcome: &Bytes) {
        if let Some(mut found) = self.0.get_sync(lease.borrowed()) {
            found.get_mut().complete(outcome);
        }
    }

    fn remove(&self, key: &K) {
        self.0.remove_sync(key.borrowed());
    }
}
