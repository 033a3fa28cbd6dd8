//! The right to something that one thread has at a time, and for which nobody waits.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use crate::sync::Ordering;
use crate::sync::own::AtomicU64;
use crate::sync::plain::{Mutex, MutexGuard};

/// Whoever takes the right has the value until it drops it.
///
/// The word decides who has it, so that a model sees each step; the lock below it is never
/// contended.
pub(super) struct Right<T> {
    taken: AtomicU64,
    value: Mutex<T>,
}

/// The value, while the right is taken. Fields are dropped in order: the lock is free before the
/// right is.
pub(super) struct Taken<'r, T> {
    value: MutexGuard<'r, T>,
    _release: Release<'r>,
}

struct Release<'r>(&'r AtomicU64);

impl<T> Right<T> {
    pub(super) fn new(value: T) -> Self {
        Self { taken: AtomicU64::new(0), value: Mutex::new(value) }
    }

    /// Takes the right, if nobody has it.
    pub(super) fn take(&self) -> Option<Taken<'_, T>> {
        // Acquire: pairs with the Release of whoever had it last, and left the value as it is.
        // Relaxed on failure: nothing is read.
        self.taken.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let release = Release(&self.taken);
        // A panic of another holder leaves plain data behind, so poison means nothing.
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Taken { value, _release: release })
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of `take`.
        self.0.store(0, Ordering::Release);
    }
}
