//! `scc::HashMap`: a map with a lock in each bucket.
//!
//! It neither evicts nor expires.

use std::hash::BuildHasher;

use scc::HashMap;
use scc::hash_map::Entry;

use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// The map.
pub struct SccMapStore<K: PeerKey, S: BuildHasher>(HashMap<KeyOf<K>, Record, S>);

impl<K, S> Store for SccMapStore<K, S>
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
    const NAME: &'static str = "scc HashMap";
    const BOUNDED: bool = false;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Neither evicts nor expires; every duplicate takes a bucket's \
        lock.";

    fn open(capacity: usize) -> Self {
        Self(HashMap::with_capacity_and_hasher(capacity, S::default()))
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
            match self.0.read_sync(key.borrowed(), |_, record| record.meet(into)) {
                Some(Met::Replayed) => return Begun::Replayed,
                Some(Met::InFlight) => return Begun::InFlight,
                Some(Met::Over) | None => {}
            }
        }
        match self.0.entry_sync(key.owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert_entry(Record::in_flight());
            }
            Entry::Occupied(mut found) => match found.get().meet(into) {
                Met::Replayed => return Begun::Replayed,
                Met::InFlight => return Begun::InFlight,
                Met::Over => {
                    found.insert(Record::in_flight());
                }
            },
        }
        Begun::Created(*key)
    }

    #[inline]
    fn complete(&self, lease: K, outcome: &Bytes) {
        self.0.update_sync(lease.borrowed(), |_, record| record.complete(outcome));
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.0.remove_sync(key.borrowed());
    }
}
