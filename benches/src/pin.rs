//! Pin: one thread, one processor.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that this process may use.
#[must_use]
pub fn processors() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect()
}

/// Ties the calling thread to one of `processors`. False: the system would not; then it runs where
/// it likes.
pub fn pin(processors: &[usize], thread: usize) -> bool {
    let Some(&cpu) = processors.get(thread % processors.len().max(1)) else { return false };
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).is_ok()
}
