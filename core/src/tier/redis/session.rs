//! Sessions: what a store is known to be, so that a claim is refused once it is something else.
//!
//! Each bucket's guard holds a random epoch. Whoever empties the store removes the guards, and the
//! next claim of any bucket meets none, or one with another epoch: it is refused by the script that
//! would have granted it, in the same atomic step. A server that restarts shows another run id, and
//! a claim is sent only on connections to a run that the session knows. One that was a replica in
//! between, and is the primary again, goes on with another's history: whoever joins sees that.

use std::sync::Arc;

use super::fault::Fault;
use super::keys::BUCKETS;
use crate::sync::plain::AtomicU64;
use crate::sync::{Mutex, Ordering, lock};

pub(super) type Epoch = [u8; 8];

/// What one session knows.
#[derive(Debug)]
pub(super) struct Known {
    /// A digest of all the rest: the same for everybody who knows the same.
    pub(super) id: u64,
    pub(super) epochs: [Epoch; BUCKETS],
    /// Of the servers that are responsible, in ascending order.
    pub(super) runs: Arc<[u64]>,
    /// Of those that were replicas before: the run, and whose history it goes on with. A primary
    /// forgets that an hour after its last replica has gone.
    pub(super) pasts: Vec<(u64, u64)>,
}

impl Known {
    /// One number for the servers and what is in them: never nought.
    fn place(&self) -> u64 {
        let mut bytes: Vec<u8> = self.epochs.as_flattened().to_vec();
        bytes.extend(self.runs.iter().flat_map(|run| run.to_le_bytes()));
        xxhash_rust::xxh3::xxh3_64(&bytes) | 1
    }

    /// One number for their pasts; nought: they have none.
    fn past(&self) -> u64 {
        let words = self.pasts.iter().flat_map(|&(run, past)| [run, past]);
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        if bytes.is_empty() { 0 } else { xxhash_rust::xxh3::xxh3_64(&bytes) | 1 }
    }

    /// Remembers what servers have forgotten since `before`.
    fn remember(&mut self, before: &[(u64, u64)]) {
        let has = |pasts: &[(u64, u64)], run| pasts.iter().any(|&(of, _)| of == run);
        let forgotten =
            |&&(run, _): &&(u64, u64)| self.runs.contains(&run) && !has(&self.pasts, run);
        let forgotten: Vec<(u64, u64)> = before.iter().filter(forgotten).copied().collect();
        self.pasts.extend(forgotten);
        self.pasts.sort_unstable();
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { id: 0, epochs: [[0; 8]; BUCKETS], runs: Arc::new([]), pasts: Vec::new() }
    }
}

/// The session of a process.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Known>>,
    /// The pasts of the last session.
    pasts: Vec<(u64, u64)>,
}

impl Sessions {
    /// The session `id`, unless it is over.
    pub(super) fn get(&self, id: u64) -> Result<Arc<Known>, Fault> {
        let known = lock(&self.0).current.clone();
        known
            .filter(|known| known.id == id)
            .ok_or_else(|| Fault::session_over("the session is over"))
    }

    pub(super) fn end(&self, id: u64) {
        let current = &mut lock(&self.0).current;
        if current.as_ref().is_some_and(|known| known.id == id) {
            *current = None;
        }
    }

    /// Begins a session, or goes on with the one that there is if the store is what it was.
    pub(super) fn begin(&self, mut known: Known) -> Arc<Known> {
        let mut state = lock(&self.0);
        known.remember(&state.pasts);
        state.pasts.clone_from(&known.pasts);
        known.id = known.place().wrapping_add(known.past()) | 1;
        if let Some(current) = state.current.as_ref().filter(|current| current.id == known.id) {
            return Arc::clone(current);
        }
        Arc::clone(state.current.insert(Arc::new(known)))
    }
}

/// What somebody was told last. It outlives a fork, and the end of a session.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The last session's place; nought: there was none.
    place: AtomicU64,
    /// The last of its pasts. A child may find that it was forgotten.
    past: AtomicU64,
}

impl History {
    /// Notes a session. Whether the store may have forgotten what it had acknowledged before.
    pub(super) fn note(&self, known: &Known) -> bool {
        let (place, past) = (known.place(), known.past());
        // Relaxed, all: they are compared with what was, and order nothing.
        let before = self.place.swap(place, Ordering::Relaxed);
        let has_past = past != 0 && self.past.swap(past, Ordering::Relaxed) != past;
        before != 0 && (before != place || has_past)
    }
}

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
