//! Mappings: the memory of a region, anonymous or of a file, with huge pages asked for; and the
//! page that holds a lock.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

#[cfg(target_os = "linux")]
use rustix::mm::mmap;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::error::{Error, ErrorCode};
use crate::sync::{AtomicU64, Ordering};

/// A mapping that holds `words` atomic words until it is dropped.
pub(crate) struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping is plain memory owned by this value, reached only as `&[AtomicU64]`, whose
// elements any thread may use.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`: shared access goes through atomics only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `words` words of zeroes that are this process's own. A forked child has a copy.
    pub(crate) fn private(words: usize, prefault: bool) -> Result<Self, Error> {
        let memory = Self::map(words, |bytes| {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps
            // nothing.
            unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, MapFlags::PRIVATE) }
        })?;
        if prefault && !memory.populate(ErrorCode::NoMemory)? {
            // Systems without that advice.
            for word in memory.words().iter().step_by(PAGE_WORDS) {
                // Relaxed: nobody else has the memory yet.
                word.store(0, Ordering::Relaxed);
            }
        }
        Ok(memory)
    }

    /// The first `words` words of `file`, shared with everybody who maps them.
    ///
    /// The file is at least that long, and nobody shortens it: a page beyond its end would be a
    /// signal.
    #[cfg(target_os = "linux")]
    pub(crate) fn shared(file: BorrowedFd<'_>, words: usize) -> Result<Self, Error> {
        Self::map(words, |bytes| {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing. What
            // other processes do to it is seen through atomics alone.
            unsafe { mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, file, 0) }
        })
    }

    fn map(
        words: usize,
        make: impl FnOnce(usize) -> rustix::io::Result<*mut std::ffi::c_void>,
    ) -> Result<Self, Error> {
        let refused = || Error::new(ErrorCode::NoMemory, "region", format!("{words} words"), "");
        let bytes = words.checked_mul(WORD_BYTES).ok_or_else(refused)?;
        let start = make(bytes).map_err(|_| refused())?;
        let start = NonNull::new(start.cast::<AtomicU64>()).ok_or_else(refused)?;
        let memory = Self { start, words };
        memory.ask_for_huge_pages();
        Ok(memory)
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `map` made `words` words at `start`, readable and writable, page-aligned, of
        // which any bits are a valid AtomicU64; they stay mapped until `self` is dropped, and every
        // access in this process goes through this slice of atomics.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// Huge pages save a quarter of the time of a look-up in a large table; the kernel may refuse.
    fn ask_for_huge_pages(&self) {
        // Miri has the mapping and knows no advice.
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            let bytes = self.words * WORD_BYTES;
            // SAFETY: the range is exactly our own mapping; the advice keeps its content.
            let _ = unsafe {
                rustix::mm::madvise(
                    self.start.as_ptr().cast(),
                    bytes,
                    rustix::mm::Advice::LinuxHugepage,
                )
            };
        }
    }

    /// Faults all pages in, as if they were written. False: the system cannot do that (Linux before
    /// 5.14, and others).
    ///
    /// # Errors
    ///
    /// There is no memory, or no room on the disk.
    pub(crate) fn populate(&self, code: ErrorCode) -> Result<bool, Error> {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            use rustix::io::Errno;
            let bytes = self.words * WORD_BYTES;
            let advice = rustix::mm::Advice::LinuxPopulateWrite;
            // SAFETY: the range is exactly our own mapping; populating changes no byte.
            let made = unsafe { rustix::mm::madvise(self.start.as_ptr().cast(), bytes, advice) };
            match made {
                Ok(()) => Ok(true),
                Err(Errno::INVAL) => Ok(false),
                Err(_) => {
                    let found = format!("no room for {bytes} bytes");
                    let limit = "the memory of this machine, and of the file system";
                    Err(Error::new(code, "region", found, limit))
                }
            }
        }
        #[cfg(not(all(target_os = "linux", not(miri))))]
        {
            let _ = code;
            Ok(false)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `map` created exactly this mapping; no slice of it outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.words * WORD_BYTES) };
    }
}

/// Keeps the file description that it was made from open, in this process alone: a forked child
/// has no part in it, and nobody can close it by mistake. So a lock that belongs to the description
/// is held exactly as long as this process lives, or until this value is dropped.
#[cfg(target_os = "linux")]
pub(super) struct LockPage {
    start: NonNull<std::ffi::c_void>,
}

// SAFETY: the page is never read; it is unmapped once, by whichever thread owns it.
#[cfg(target_os = "linux")]
unsafe impl Send for LockPage {}

#[cfg(target_os = "linux")]
impl LockPage {
    pub(super) fn keep(file: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        use rustix::mm::{Advice, madvise};
        // SAFETY: a new mapping at an address of the kernel's choice, without any access.
        let start = unsafe {
            mmap(std::ptr::null_mut(), PAGE, ProtFlags::empty(), MapFlags::SHARED, file, 0)
        }?;
        let start = NonNull::new(start).ok_or(rustix::io::Errno::NOMEM)?;
        let page = Self { start };
        // SAFETY: the range is exactly the mapping made above, which holds nothing to lose.
        unsafe { madvise(page.start.as_ptr(), PAGE, Advice::LinuxDontFork) }?;
        Ok(page)
    }

    /// Forgets the page, in a child that never had it: something else may lie there.
    pub(super) fn forget(self) {
        std::mem::forget(self);
    }
}

#[cfg(target_os = "linux")]
impl Drop for LockPage {
    fn drop(&mut self) {
        // SAFETY: `keep` made exactly this mapping, in this process: a child forgets it instead.
        let _ = unsafe { munmap(self.start.as_ptr(), PAGE) };
    }
}

const PAGE: usize = 4096;
const WORD_BYTES: usize = size_of::<AtomicU64>();
/// Words of the smallest page.
const PAGE_WORDS: usize = PAGE / WORD_BYTES;
