//! Bells: a word of the region that a process sleeps on until another one rings.
//!
//! On Linux a futex, shared between processes; elsewhere whoever listens looks again after a few
//! milliseconds. `oncegate_polling` does so on Linux, for the tests.
#![allow(unsafe_code)]

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// How often the bell was rung.
pub(crate) fn rung(bell: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release of `ring`: the mail came before.
    bell.load(Ordering::Acquire)
}

/// Rings: whoever sleeps on `bell` wakes up.
pub(crate) fn ring(bell: &AtomicU64) {
    // Release: pairs with the Acquire of `rung`.
    bell.fetch_add(1, Ordering::Release);
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle, oncegate_polling))))]
    futex::wake(bell);
}

/// Sleeps until `bell` was rung more often than `seen`, or for `limit`. May wake early.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
pub(crate) fn sleep(bell: &AtomicU64, seen: u64, limit: Option<Duration>) {
    #[cfg(all(target_os = "linux", not(oncegate_polling)))]
    futex::wait(bell, seen, limit);
    #[cfg(any(not(target_os = "linux"), oncegate_polling))]
    if rung(bell) == seen {
        std::thread::park_timeout(limit.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN));
    }
}

/// How often a listener looks where nobody can wake it.
#[cfg(any(not(target_os = "linux"), oncegate_polling))]
const LOOK_AGAIN: Duration = Duration::from_millis(5);

#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle, oncegate_polling))))]
mod futex {
    use super::{AtomicU64, Duration};

    /// Where the low half of the word lies, which counts.
    fn low_half(word: &AtomicU64) -> *mut u32 {
        word.as_ptr().cast::<u32>().wrapping_add(usize::from(cfg!(target_endian = "big")))
    }

    pub(super) fn wait(word: &AtomicU64, seen: u64, limit: Option<Duration>) {
        let limit = limit.map(|limit| libc::timespec {
            tv_sec: limit.as_secs() as libc::time_t,
            tv_nsec: limit.subsec_nanos() as _,
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the address is that of a word that lives for the call; the kernel compares it
        // with the low half of `seen` and sleeps if they are equal. The time limit is null or lives
        // for the call.
        unsafe {
            let (wait, seen) = (libc::FUTEX_WAIT, seen as u32);
            libc::syscall(libc::SYS_futex, low_half(word), wait, seen, limit);
        }
    }

    pub(super) fn wake(word: &AtomicU64) {
        // SAFETY: the address is that of a word that lives for the call; the kernel only looks for
        // those who sleep on it.
        unsafe {
            libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, i32::MAX);
        }
    }
}
