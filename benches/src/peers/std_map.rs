//! One `std` map behind one `std` mutex.
//!
//! It neither evicts nor expires. Threads wait for each other even when they want different keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// The map.
pub struct StdMapStore<K: PeerKey, S>(Mutex<HashMap<KeyOf<K>, Record, S>>);

impl<K: PeerKey, S> StdMapStore<K, S> {
    #[inline]
    fn map(&self) -> MutexGuard<'_, HashMap<KeyOf<K>, Record, S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, S> Store for StdMapStore<K, S>
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
    const NAME: &'static str = "std Mutex<HashMap>";
    const BOUNDED: bool = false;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Neither evicts nor expires; one lock for all keys.";

    fn open(capacity: usize) -> Self {
        Self(Mutex::new(HashMap::with_capacity_and_hasher(capacity, S::default())))
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
        let mut map = self.map();
        if K::ALLOCATES {
            match map.get(key.borrowed()).map(|record| record.meet(into)) {
                Some(Met::Replayed) => return Begun::Replayed,
                Some(Met::InFlight) => return Begun::InFlight,
                Some(Met::Over) | None => {}
            }
        }
        match map.entry(key.owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Record::in_flight());
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
        if let Some(record) = self.map().get_mut(lease.borrowed()) {
            record.complete(outcome);
        }
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.map().remove(key.borrowed());
    }
}
