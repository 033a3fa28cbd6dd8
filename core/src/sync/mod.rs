//! The one door to atomics, threads and locks: the standard library's, or a model checker's.
//!
//! Everything that belongs to a protocol comes through here, so that a model runs the shipped
//! code: loom every schedule of two or three threads, shuttle many schedules of more. [`plain`]
//! holds what no protocol depends on (counters, injected time): it stays out of the models, which
//! keeps them small.

use std::sync::TryLockError;

#[cfg(oncegate_tsan)]
mod gated;
#[cfg(any(oncegate_failpoints, oncegate_loom, oncegate_shuttle))]
pub(crate) mod mortal;
pub(crate) mod planted;

/// The words that a region is made of, before any of them is mortal.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod words {
    pub(crate) use std::sync::atomic::AtomicU64;
}
#[cfg(oncegate_loom)]
mod words {
    pub(crate) use loom::sync::atomic::AtomicU64;
}
#[cfg(oncegate_shuttle)]
mod words {
    pub(crate) use shuttle::sync::atomic::AtomicU64;
}

/// Words of this process alone: nobody sees them when it has died.
pub(crate) mod own {
    pub(crate) use super::words::AtomicU64;
}

#[cfg(any(oncegate_failpoints, oncegate_loom, oncegate_shuttle))]
pub(crate) use mortal::AtomicU64;
#[cfg(not(any(oncegate_failpoints, oncegate_loom, oncegate_shuttle)))]
pub(crate) use words::AtomicU64;

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod imp {
    pub(crate) use std::sync::atomic::Ordering;
    pub(crate) use std::thread::{Thread, current};

    pub(crate) use super::plain::{Mutex, MutexGuard};

    /// Sleeps until unparked, or at most for `limit`. May wake early.
    pub(crate) fn park(limit: Option<std::time::Duration>) {
        match limit {
            Some(limit) => std::thread::park_timeout(limit),
            None => std::thread::park(),
        }
    }
}

#[cfg(oncegate_loom)]
mod imp {
    pub(crate) use loom::sync::atomic::Ordering;
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current};

    /// Sleeps until unparked; a model has no time, so a limit never passes.
    pub(crate) fn park(_limit: Option<std::time::Duration>) {
        loom::thread::park();
    }
}

#[cfg(oncegate_shuttle)]
mod imp {
    pub(crate) use shuttle::sync::atomic::Ordering;
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
    pub(crate) use shuttle::thread::{Thread, current};

    /// Sleeps until unparked; a schedule has no time, so a limit never passes.
    pub(crate) fn park(_limit: Option<std::time::Duration>) {
        shuttle::thread::park();
    }
}

pub(crate) use imp::{Mutex, MutexGuard, Ordering, Thread, current, park};

/// Atomics and locks that no protocol depends on. Never modelled.
pub(crate) mod plain {
    #[cfg(oncegate_tsan)]
    pub(crate) use super::gated::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};
    #[cfg(not(oncegate_tsan))]
    pub(crate) use std::sync::{Mutex, MutexGuard};
}

/// A step outside the region that others can see: a file that is made, named or locked. Where
/// processes are killed at every step, they are killed before it too.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(oncegate_failpoints)]
    mortal::fate::before_write();
}

/// Takes the lock; a panic of another holder leaves plain data behind, so poison means nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The same, unless another thread has the lock.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
