//! Private memory: an anonymous mapping of zeroes, huge pages asked for.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::error::{Error, ErrorCode};
use crate::sync::{AtomicU64, Ordering};

/// A mapping that holds `words` atomic words until it is dropped.
pub(crate) struct PrivateMemory {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping is plain memory owned by this value, reached only as `&[AtomicU64]`, whose
// elements any thread may use.
unsafe impl Send for PrivateMemory {}
// SAFETY: as for `Send`: shared access goes through atomics only.
unsafe impl Sync for PrivateMemory {}

impl PrivateMemory {
    pub(crate) fn map(words: usize, prefault: bool) -> Result<Self, Error> {
        let refused = || Error::new(ErrorCode::NoMemory, "region", format!("{words} words"), "");
        let bytes = words.checked_mul(WORD_BYTES).ok_or_else(refused)?;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(|_| refused())?;
        let start = NonNull::new(start.cast::<AtomicU64>()).ok_or_else(refused)?;
        let memory = Self { start, words };
        memory.advise(prefault);
        Ok(memory)
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `map` made `words` words at `start`, readable, writable, zeroed (a valid
        // AtomicU64), page-aligned; they stay mapped until `self` is dropped, and every access
        // in this process goes through this slice of atomics.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// Huge pages save a quarter of the time of a look-up in a large table; the kernel may refuse.
    fn advise(&self, prefault: bool) {
        // Miri has the mapping and knows no advice.
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            use rustix::mm::{Advice, madvise};
            let (start, bytes) = (self.start.as_ptr().cast(), self.words * WORD_BYTES);
            // SAFETY: the range is exactly our own mapping; the advice keeps its content.
            let _ = unsafe { madvise(start, bytes, Advice::LinuxHugepage) };
            // SAFETY: as above; populating faults pages in and changes no byte.
            let populate = || unsafe { madvise(start, bytes, Advice::LinuxPopulateWrite) };
            if prefault && populate().is_ok() {
                return;
            }
        }
        if prefault {
            // Kernels before 5.14, and others, know no such advice.
            for word in self.words().iter().step_by(PAGE_WORDS) {
                // Relaxed: nobody else has the memory yet.
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for PrivateMemory {
    fn drop(&mut self) {
        // SAFETY: `map` created exactly this mapping; no slice of it outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.words * WORD_BYTES) };
    }
}

const WORD_BYTES: usize = size_of::<AtomicU64>();
/// Words of the smallest page.
const PAGE_WORDS: usize = 4096 / WORD_BYTES;
