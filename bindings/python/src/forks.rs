//! Forks: what belongs to a parent is not its child's.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

use crate::error::{Given, Refused};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// How often this process, and those that it comes from, were forked.
pub(crate) fn forks() -> u64 {
    // Relaxed: only the child's single thread has changed it, before there was another.
    FORKS.load(Ordering::Relaxed)
}

/// Refuses a child what was made in its parent.
pub(crate) fn no_child(field: &'static str, born: u64) -> Given<()> {
    if born == forks() { Ok(()) } else { Err(Refused::Forked(field)) }
}

/// Called by Python in a forked child, before anything else runs there.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    // Relaxed: see `forks`.
    FORKS.fetch_add(1, Ordering::Relaxed);
}
