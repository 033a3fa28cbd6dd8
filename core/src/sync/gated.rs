//! The standard library's lock behind a gate of our own, for ThreadSanitizer.
//!
//! The sanitizer sees the fast path of a lock, which is compiled into this crate, and nothing of
//! what the precompiled library does when a lock is contended. So it would take what such a lock
//! protects for unprotected. Behind the gate no lock is ever contended. Only built under the
//! private cfg `oncegate_tsan`.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// A mutual exclusion that waits by going round.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    shut: AtomicBool,
    inner: std::sync::Mutex<T>,
}

/// Fields are dropped in order: the lock is free before the gate opens.
pub(crate) struct MutexGuard<'a, T> {
    inner: std::sync::MutexGuard<'a, T>,
    _gate: Gate<'a>,
}

struct Gate<'a>(&'a AtomicBool);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { shut: AtomicBool::new(false), inner: std::sync::Mutex::new(value) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        // Acquire: pairs with the Release of whoever opened the gate.
        while self.shut.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        self.inside()
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        // Acquire: as in `lock`.
        if self.shut.swap(true, Ordering::Acquire) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.inside()?)
    }

    /// The lock, of which the gate is shut.
    fn inside(&self) -> LockResult<MutexGuard<'_, T>> {
        let gate = Gate(&self.shut);
        match self.inner.lock() {
            Ok(inner) => Ok(MutexGuard { inner, _gate: gate }),
            Err(poisoned) => {
                let inner = poisoned.into_inner();
                Err(PoisonError::new(MutexGuard { inner, _gate: gate }))
            }
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        // Release: publishes what was done under the lock to whoever shuts the gate next.
        self.0.store(false, Ordering::Release);
    }
}
