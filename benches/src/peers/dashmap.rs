//! `dashmap`: a map of shards behind read-write locks.
//!
//! It neither evicts nor expires. A duplicate takes a shard's lock: the exclusive one through
//! `entry`, the shared one when it is read first.

use std::hash::BuildHasher;

use ::dashmap::DashMap;
use ::dashmap::mapref::entry::Entry;

use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// `READ_FIRST`: look under the shared lock before asking for the exclusive one.
pub struct DashMapStore<K: PeerKey, S, const READ_FIRST: bool>(DashMap<KeyOf<K>, Record, S>);

impl<K, S, const READ_FIRST: bool> Store for DashMapStore<K, S, READ_FIRST>
where
    K: PeerKey,
    S: BuildHasher + Default + Clone + Send + Sync,
{
    type Key = K;
    type Lease<'s>
        = K
    where
        Self: 's;
    type Outcome = Bytes;
    const NAME: &'static str = if READ_FIRST { "dashmap, read first" } else { "dashmap" };
    const BOUNDED: bool = false;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Neither evicts nor expires; every duplicate takes a shard's \
        lock.";

    fn open(capacity: usize) -> Self {
        Self(DashMap::with_capacity_and_hasher(capacity, S::default()))
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
        if READ_FIRST || K::ALLOCATES {
            match self.0.get(key.borrowed()).map(|record| record.meet(into)) {
                Some(Met::Replayed) => return Begun::Replayed,
                Some(Met::InFlight) => return Begun::InFlight,
                Some(Met::Over) | None => {}
            }
        }
        match self.0.entry(key.owned()) {
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
        if let Some(mut record) = self.0.get_mut(lease.borrowed()) {
            record.complete(outcome);
        }
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.0.remove(key.borrowed());
    }
}
