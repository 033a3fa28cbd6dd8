//! A value that each process has for itself: in a forked child it begins anew, since threads that
//! are not there may have left the parent's locked, or half changed.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::OnceLock;

use crate::handles::forks;

/// Leads to the value of this process.
pub(crate) struct PerProcess<T: Default> {
    born: u64,
    value: ManuallyDrop<T>,
    /// The child's.
    next: OnceLock<Box<PerProcess<T>>>,
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self { born: forks(), value: ManuallyDrop::default(), next: OnceLock::new() }
    }
}

impl<T: Default> Deref for PerProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let mut at = self;
        while at.born != forks() {
            at = at.next.get_or_init(Box::default);
        }
        &at.value
    }
}

impl<T: Default> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.born == forks() {
            // SAFETY: once, and nothing uses it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
