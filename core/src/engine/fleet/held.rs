//! Held: the leases that a tier has granted to this process.

use std::collections::HashMap;
use std::time::Duration;

use crate::tier::Renewal;

/// A lease of this process.
#[derive(Clone, Debug)]
pub(super) struct HeldLease {
    /// As the tier is asked for it, with the whole time that it is asked for at once.
    pub(super) renewal: Renewal,
    /// When it ends in the tier, at the earliest; on the engine's clock.
    pub(super) until: Duration,
    /// How long the engine renews it.
    pub(super) wanted_until: Duration,
}

/// The leases of this process, by slot.
#[derive(Default)]
pub(super) struct Held {
    leases: HashMap<usize, HeldLease>,
}

impl Held {
    pub(super) fn add(&mut self, slot: usize, lease: HeldLease) {
        self.leases.insert(slot, lease);
    }

    /// Forgets the lease of `slot`, if it is that of `counter`.
    pub(super) fn remove(&mut self, slot: usize, counter: u64) {
        if self.leases.get(&slot).is_some_and(|held| held.counter() == counter) {
            self.leases.remove(&slot);
        }
    }

    pub(super) fn get_mut(&mut self, slot: usize, counter: u64) -> Option<&mut HeldLease> {
        self.leases.get_mut(&slot).filter(|held| held.counter() == counter)
    }

    /// When the next lease is to be renewed.
    pub(super) fn next_due(&self, now: Duration) -> Option<Duration> {
        self.leases.values().filter(|held| held.until > now).filter_map(HeldLease::due).min()
    }

    /// Those that are to be renewed at `now`; or, where the tier may have forgotten them, all.
    /// `is_open`: whether the attempt of that slot and counter has not ended.
    pub(super) fn due(
        &mut self,
        now: Duration,
        all: bool,
        is_open: impl Fn(usize, u64) -> bool,
    ) -> Vec<(usize, HeldLease)> {
        // What has lapsed is nobody's to renew. Whoever ends the attempt for that needs to know
        // what the tier had granted.
        self.leases.retain(|slot, held| held.until > now || is_open(*slot, held.counter()));
        let lasting = self.leases.iter().filter(|(_, held)| held.until > now);
        let is_due = |held: &HeldLease| held.due().is_some_and(|due| due <= now);
        let due = lasting.filter(|(_, held)| all || is_due(held));
        due.map(|(slot, held)| (*slot, held.clone())).collect()
    }
}

impl HeldLease {
    pub(super) fn counter(&self) -> u64 {
        self.renewal.holder.counter
    }

    /// A third of its time after it was granted, if it is to last for longer.
    fn due(&self) -> Option<Duration> {
        let slice = self.renewal.lease;
        let due = self.until.saturating_sub(slice - slice / 3);
        (self.until < self.wanted_until).then_some(due)
    }
}
