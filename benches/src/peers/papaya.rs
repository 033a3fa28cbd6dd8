//! `papaya`: a lock-free map whose memory is reclaimed in batches.
//!
//! It neither evicts nor expires, and each record is an allocation of its own. Removed records
//! are freed when a batch of them is full, by whoever filled it: that call takes tens of
//! microseconds. The outcome is set once, in place, which spares it a second allocation.

use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ::papaya::HashMap;

use crate::key::PeerKey;
use crate::record::{Bytes, LEASE_MS, Met, WINDOW_MS, now_ms};
use crate::store::{Begun, KeyOf, Store};

/// The map.
pub struct PapayaStore<K: PeerKey, S>(HashMap<KeyOf<K>, Cell, S>);

/// A record whose outcome arrives while others read it.
struct Cell {
    deadline_ms: AtomicU64,
    outcome: OnceLock<Bytes>,
}

impl Cell {
    #[inline]
    fn in_flight() -> Self {
        let deadline_ms = AtomicU64::new(now_ms() + LEASE_MS);
        Self { deadline_ms, outcome: OnceLock::new() }
    }

    #[inline]
    fn meet(&self, into: &mut Bytes) -> Met {
        // Relaxed: the deadline orders nothing; the outcome comes with its own publication.
        if self.deadline_ms.load(Ordering::Relaxed) < now_ms() {
            return Met::Over;
        }
        let Some(outcome) = self.outcome.get() else { return Met::InFlight };
        *into = *outcome;
        Met::Replayed
    }
}

impl<K, S> Store for PapayaStore<K, S>
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
    const NAME: &'static str = "papaya";
    const BOUNDED: bool = false;
    const LOCKS: bool = false;
    const NOTE: &'static str = "Neither evicts nor expires; each record is an allocation; \
        whoever fills a batch of removed records frees it, in tens of microseconds.";

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
        let map = self.0.pin();
        loop {
            let met = match map.get(key.borrowed()) {
                Some(found) => found.meet(into),
                None => match map.try_insert(key.owned(), Cell::in_flight()) {
                    Ok(_) => return Begun::Created(*key),
                    Err(found) => found.current.meet(into),
                },
            };
            match met {
                Met::Replayed => return Begun::Replayed,
                Met::InFlight => return Begun::InFlight,
                Met::Over => {
                    let over = |_: &KeyOf<K>, cell: &Cell| cell.meet(&mut [0; 64]) == Met::Over;
                    let _ = map.remove_if(key.borrowed(), over);
                }
            }
        }
    }

    #[inline]
    fn complete(&self, lease: K, outcome: &Bytes) {
        let map = self.0.pin();
        if let Some(found) = map.get(lease.borrowed())
            && found.outcome.set(*outcome).is_ok()
        {
            // Relaxed: as above.
            found.deadline_ms.store(now_ms() + WINDOW_MS, Ordering::Relaxed);
        }
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.0.pin().remove(key.borrowed());
    }
}
