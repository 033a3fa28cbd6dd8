//! `quick_cache`: a cache by the S3-FIFO policy.
//!
//! Its guard is the record in flight. A guard has no deadline: a holder that hangs blocks its key
//! for good. New records go first: at a full cache most retries of a recent request find nothing.
//! It does not expire.

use std::hash::BuildHasher;
use std::time::Duration;

use ::quick_cache::UnitWeighter;
use ::quick_cache::sync::{Cache, DefaultLifecycle, GuardResult, PlaceholderGuard};

use crate::key::PeerKey;
use crate::record::{Bytes, Met, Record};
use crate::store::{Begun, KeyOf, Store};

/// The cache.
pub struct QuickCacheStore<K: PeerKey, S>(Cache<KeyOf<K>, Record, UnitWeighter, S>);

type Guard<'s, K, S> =
    PlaceholderGuard<'s, KeyOf<K>, Record, UnitWeighter, S, DefaultLifecycle<KeyOf<K>, Record>>;

impl<K, S> Store for QuickCacheStore<K, S>
where
    K: PeerKey,
    S: BuildHasher + Default + Clone + Send + Sync,
{
    type Key = K;
    type Lease<'s>
        = Guard<'s, K, S>
    where
        Self: 's;
    type Outcome = Bytes;
    const NAME: &'static str = "quick_cache";
    const BOUNDED: bool = true;
    const LOCKS: bool = true;
    const NOTE: &'static str = "Evicts new records first; a guard has no deadline, so that a \
        holder that hangs blocks its key for good. Does not expire.";

    fn open(capacity: usize) -> Self {
        let lifecycle = DefaultLifecycle::default();
        let weight = capacity as u64;
        Self(Cache::with(capacity, weight, UnitWeighter, S::default(), lifecycle))
    }

    #[inline]
    fn key(number: u64) -> K {
        K::of(number)
    }

    fn outcome(fill: u8) -> Bytes {
        [fill; 64]
    }

    #[inline]
    fn begin<'s>(&'s self, key: &K, into: &mut Bytes) -> Begun<Guard<'s, K, S>> {
        loop {
            match self.0.get_value_or_guard(key.borrowed(), Some(Duration::ZERO)) {
                GuardResult::Guard(guard) => return Begun::Created(guard),
                GuardResult::Timeout => return Begun::InFlight,
                GuardResult::Value(record) => match record.meet(into) {
                    Met::Replayed => return Begun::Replayed,
                    Met::InFlight => return Begun::InFlight,
                    Met::Over => {
                        self.0.remove(key.borrowed());
                    }
                },
            }
        }
    }

    #[inline]
    fn complete<'s>(&'s self, lease: Guard<'s, K, S>, outcome: &Bytes) {
        // Refused when the placeholder was removed: then nobody waits for it either.
        let _ = lease.insert(Record::done(outcome));
    }

    fn remove(&self, key: &K) {
        self.0.remove(key.borrowed());
    }
}
