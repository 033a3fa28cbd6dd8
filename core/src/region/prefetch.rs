//! Prefetch: the one processor hint that the look-up and the timer wheel need.
#![allow(unsafe_code)]

use crate::sync::AtomicU64;

/// Asks the processor to load the line of `word`, wherever that points.
#[inline(always)]
pub(crate) fn line(word: *const AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        let address = word.cast::<i8>();
        // SAFETY: SSE is part of the x86-64 baseline, and a prefetch reads no memory in the
        // abstract machine: any address is allowed, and an invalid one is ignored.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

/// The same for a word of this process's own memory.
#[inline(always)]
pub(crate) fn word(word: &u64) {
    line(std::ptr::from_ref(word).cast());
}
