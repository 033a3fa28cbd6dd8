//! 64 hash maps, each behind a mutex: the table that most services write by hand.
//!
//! It neither evicts nor expires.

use std::hash::BuildHasher;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use super::sharded::Shards;
use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// The maps.
pub struct ShardedMapStore<K: PeerKey, S>(Shards<HashMap<KeyOf<K>, Record, S>, S, 64>);

impl<K, S> Store for ShardedMapStore<K, S>
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
    const NAME: &'static str = "64 mutexes, hashbrown";
    const BOUNDED: bool = false;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Neither evicts nor expires; every duplicate takes a shard's \
        lock.";

    fn open(capacity: usize) -> Self {
        // A little more for shards that get more than their share.
        let room = |share: usize| share + share / 32;
        Self(Shards::new(capacity, |share| {
            HashMap::with_capacity_and_hasher(room(share), S::default())
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
        let mut map = self.0.of(key.borrowed());
        match map.entry_ref(key.borrowed()) {
            EntryRef::Vacant(vacant) => {
                vacant.insert(Record::in_flight());
            }
            EntryRef::Occupied(mut found) => match found.get().meet(into) {
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
        if let Some(record) = self.0.of(lease.borrowed()).get_mut(lease.borrowed()) {
            record.complete(outcome);
        }
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.0.of(key.borrowed()).remove(key.borrowed());
    }
}
