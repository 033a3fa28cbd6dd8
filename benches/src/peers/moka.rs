//! `moka`: a cache with windows, and by default an admission policy.
//!
//! `or_insert_with` creates a key once. `or_insert` does not: it looks, and then inserts, so that
//! two callers can both be told that the record is theirs (`ATOMIC` is false for it). The default
//! policy, TinyLFU, refuses or evicts new records in favour of popular ones: a retry of a request
//! that the cache has just seen finds nothing. Records in flight are evicted like others. There is
//! no update in place: a completion replaces the record unseen, whoever it belongs to by then.

use std::hash::BuildHasher;

use ::moka::policy::EvictionPolicy;
use ::moka::sync::Cache;

use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record, WINDOW};
use crate::store::{Begun, KeyOf, Store};

/// `LRU`: with the policy of that name instead of the default.
pub struct MokaStore<K: PeerKey, S, const ATOMIC: bool, const LRU: bool>(
    Cache<KeyOf<K>, Record, S>,
);

impl<K, S, const ATOMIC: bool, const LRU: bool> Store for MokaStore<K, S, ATOMIC, LRU>
where
    K: PeerKey,
    S: BuildHasher + Default + Clone + Send + Sync + 'static,
{
    type Key = K;
    type Lease<'s>
        = K
    where
        Self: 's;
    type Outcome = Bytes;
    const NAME: &'static str = match (ATOMIC, LRU) {
        (true, false) => "moka",
        (true, true) => "moka, LRU",
        (false, _) => "moka or_insert",
    };
    const BOUNDED: bool = true;
    const LOCKS: bool = true;
    const NOTE: &'static str = match (ATOMIC, LRU) {
        (true, false) => {
            "Evicts by popularity, so that new records go first. A record in flight can be \
             evicted, and its key created again; a completion replaces whatever is there."
        }
        (true, true) => {
            "Evicts by recency. A record in flight can be evicted, and its key created again; a \
             completion replaces whatever is there."
        }
        (false, _) => {
            "Looks and then inserts: two callers can both be told that they created the record."
        }
    };

    fn open(capacity: usize) -> Self {
        let policy = if LRU { EvictionPolicy::lru() } else { EvictionPolicy::tiny_lfu() };
        let builder = Cache::builder().max_capacity(capacity as u64).initial_capacity(capacity);
        let builder = builder.time_to_live(WINDOW).eviction_policy(policy);
        Self(builder.build_with_hasher(S::default()))
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
        let place = self.0.entry_by_ref(key.borrowed());
        let found = if ATOMIC {
            place.or_insert_with(Record::in_flight)
        } else {
            place.or_insert(Record::in_flight())
        };
        if found.is_fresh() {
            return Begun::Created(*key);
        }
        match found.value().meet(into) {
            Met::Replayed => Begun::Replayed,
            Met::InFlight => Begun::InFlight,
            Met::Over => {
                self.0.insert(key.owned(), Record::in_flight());
                Begun::Created(*key)
            }
        }
    }

    #[inline]
    fn complete(&self, lease: K, outcome: &Bytes) {
        self.0.insert(lease.owned(), Record::done(outcome));
    }

    fn remove(&self, key: &K) {
        self.0.invalidate(key.borrowed());
    }
}
