//! News: who waits for a record that another table runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use super::porter::wake;
use crate::sync::Ordering;
use crate::sync::plain::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use crate::tier::{TierKey, Watcher};

/// Those of one process who wait, by record.
#[derive(Default)]
pub(super) struct News {
    seats: Mutex<HashMap<TierKey, Vec<Seated>>>,
    numbers: AtomicU64,
}

struct Seated {
    number: u64,
    told: Arc<AtomicBool>,
    waker: Waker,
}

/// A place among those who wait; left when it is dropped.
pub(super) struct Seat {
    news: Arc<News>,
    key: TierKey,
    number: u64,
    told: Arc<AtomicBool>,
}

impl News {
    /// Takes a place: from now on `waker` is woken when the record of `key` changes.
    pub(super) fn enter(self: &Arc<Self>, key: TierKey, waker: Waker) -> Seat {
        // Relaxed: the numbers only have to differ.
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let told = Arc::new(AtomicBool::new(false));
        let seated = Seated { number, told: Arc::clone(&told), waker };
        self.seats().entry(key).or_default().push(seated);
        Seat { news: Arc::clone(self), key, number, told }
    }

    fn tell(&self, of: impl Fn(&TierKey) -> bool) {
        let mut wakers = Vec::new();
        for (_, seated) in self.seats().iter().filter(|(key, _)| of(key)) {
            for seat in seated {
                // Release: pairs with the Acquire of `take_told`: what changed came before.
                seat.told.store(true, Ordering::Release);
                wakers.push(seat.waker.clone());
            }
        }
        // Without the lock: whoever is woken may leave at once.
        wakers.into_iter().for_each(wake);
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<TierKey, Vec<Seated>>> {
        self.seats.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Watcher for News {
    fn changed(&self, key: TierKey) {
        self.tell(|other| *other == key);
    }

    fn may_have_missed(&self) {
        self.tell(|_| true);
    }
}

impl Seat {
    /// Whether there was news since this was asked last.
    pub(super) fn take_told(&self) -> bool {
        // Acquire: pairs with the Release of `tell`.
        self.told.swap(false, Ordering::Acquire)
    }

    /// From now on `waker` is the one to wake.
    pub(super) fn renew(&self, waker: &Waker) {
        let mut seats = self.news.seats();
        let seated = seats.get_mut(&self.key).into_iter().flatten();
        if let Some(seat) = seated.into_iter().find(|seat| seat.number == self.number) {
            seat.waker.clone_from(waker);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.news.seats();
        if let Some(seated) = seats.get_mut(&self.key) {
            seated.retain(|seat| seat.number != self.number);
            if seated.is_empty() {
                seats.remove(&self.key);
            }
        }
    }
}
