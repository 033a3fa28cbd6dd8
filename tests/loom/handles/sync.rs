//! What the slots of handles are made of, in a model.

#[cfg(oncegate_loom)]
use loom::cell::UnsafeCell;
#[cfg(oncegate_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(oncegate_loom))]
use std::cell::UnsafeCell;
#[cfg(not(oncegate_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

/// A cell whose accesses the model checks.
pub(crate) struct Cell<T>(UnsafeCell<T>);

impl<T> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// As for the shipped one.
    pub(crate) unsafe fn get(&self) -> &T {
        #[cfg(oncegate_loom)]
        let at = self.0.with(|at| at);
        #[cfg(not(oncegate_loom))]
        let at = self.0.get();
        // SAFETY: the same contract.
        unsafe { &*at }
    }

    /// Where the value is; a write, to the checker.
    pub(crate) fn place(&self) -> *mut T {
        #[cfg(oncegate_loom)]
        return self.0.with_mut(|at| at);
        #[cfg(not(oncegate_loom))]
        self.0.get()
    }

    /// # Safety
    ///
    /// As for the shipped one.
    pub(crate) unsafe fn replace(&self, value: T) -> T {
        #[cfg(oncegate_loom)]
        let at = self.0.with_mut(|at| at);
        #[cfg(not(oncegate_loom))]
        let at = self.0.get();
        // SAFETY: the same contract.
        unsafe { at.replace(value) }
    }
}

/// Lets others run.
pub(crate) fn wait_a_little() {
    crate::support::thread::yield_now();
}

/// Mistakes that a twin plants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    LooksBeforeItCounts,
    ClosesUnderCalls,
    SameGeneration,
    SharesWhatIsKept,
}

std::thread_local! {
    /// All threads of a model are one of the machine's.
    static PLANTED: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

impl Mistake {
    pub(crate) fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }

    /// Runs a model on this thread with the mistake planted, which must fail.
    #[cfg(oncegate_loom)]
    pub(crate) fn must_fail(self, search: impl FnOnce()) {
        PLANTED.set(Some(self));
        crate::support::must_fail(&format!("{self:?}"), || PLANTED.set(None), search);
    }
}
