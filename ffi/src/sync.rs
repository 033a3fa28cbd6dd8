//! What the slots of handles are made of. A model of them brings its own.

use std::cell::UnsafeCell;
use std::time::Duration;

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

/// A cell that whoever keeps the protocol of [`slot`](crate::slot) may write.
pub(crate) struct Cell<T>(UnsafeCell<T>);

impl<T> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// Nobody writes meanwhile, or for as long as the result is used.
    pub(crate) unsafe fn get(&self) -> &T {
        // SAFETY: the same contract.
        unsafe { &*self.0.get() }
    }

    /// Where the value is, for whoever alone reads and writes it.
    pub(crate) fn place(&self) -> *mut T {
        self.0.get()
    }

    /// # Safety
    ///
    /// Nobody reads or writes meanwhile.
    pub(crate) unsafe fn replace(&self, value: T) -> T {
        // SAFETY: the same contract.
        unsafe { self.0.get().replace(value) }
    }
}

/// Lets others run.
pub(crate) fn wait_a_little() {
    std::thread::park_timeout(Duration::from_micros(100));
}

/// Mistakes that a model plants, to see that it finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A call looks at its line before it is counted there.
    LooksBeforeItCounts,
    /// Closing does not wait for calls that are under way.
    ClosesUnderCalls,
    /// A slot keeps its generation when it is used again.
    SameGeneration,
    /// Every call has what its line keeps.
    SharesWhatIsKept,
}

impl Mistake {
    /// Never, in what is shipped.
    #[inline(always)]
    pub(crate) fn is_planted(self) -> bool {
        false
    }
}
