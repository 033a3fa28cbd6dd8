//! Forks: a private engine belongs to the process that opened it.
//!
//! A forked child has a copy of the table that drifts apart from the parent's: both would admit
//! the same request. So every call that comes to the table checks two words: a generation that a
//! `pthread_atfork` handler raises in the child, and a page that the kernel wipes in the child,
//! which also tells of a raw `clone` that runs no handlers.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Once;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::error::{Error, ErrorCode};
use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;

/// Knows whether this process is the one that opened the engine.
pub(crate) struct ForkGuard {
    generation: u64,
    canary: Option<Canary>,
}

impl ForkGuard {
    pub(crate) fn new() -> Result<Self, Error> {
        static REGISTER: Once = Once::new();
        // Miri does not fork, and knows no handlers and no advice.
        if cfg!(miri) {
            return Ok(Self { generation: 0, canary: None });
        }
        REGISTER.call_once(|| {
            // SAFETY: the handler is an `extern "C"` function without arguments that stays valid
            // for the life of the process, and only does what is async-signal-safe.
            unsafe { libc::pthread_atfork(None, None, Some(raise_generation)) };
        });
        // Relaxed: only the forking thread itself goes on in the child.
        Ok(Self { generation: GENERATION.load(Ordering::Relaxed), canary: Canary::map()? })
    }

    /// `Forked` in a child of the process that opened the engine.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        // Relaxed, both: written before this thread began, or by it. Both, since a kernel that is
        // emulated may accept the advice and not follow it.
        let same = GENERATION.load(Ordering::Relaxed) == self.generation;
        let alive = self.canary.as_ref().is_none_or(Canary::is_alive);
        let own = same && alive || Bug::ForkUnnoticed.is_planted();
        if own { Ok(()) } else { Err(Error::of(ErrorCode::Forked, "engine")) }
    }
}

/// A page that reads as zero in a child.
struct Canary {
    page: NonNull<AtomicU64>,
}

// SAFETY: the page is owned by this value and only read, as an atomic, after `map`.
unsafe impl Send for Canary {}
// SAFETY: as for `Send`.
unsafe impl Sync for Canary {}

impl Canary {
    /// `None` where the kernel cannot wipe pages on fork: the generation remains.
    fn map() -> Result<Option<Self>, Error> {
        #[cfg(target_os = "linux")]
        {
            let refused = |_| Error::new(ErrorCode::NoMemory, "canary", "one page", "");
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: a new anonymous mapping at an address of the kernel's choice.
            let page = unsafe {
                mmap_anonymous(std::ptr::null_mut(), PAGE, protection, MapFlags::PRIVATE)
            }
            .map_err(refused)?;
            let Some(words) = NonNull::new(page.cast::<AtomicU64>()) else {
                return Ok(None);
            };
            let canary = Self { page: words };
            // SAFETY: the range is exactly the mapping made above.
            let advised =
                unsafe { rustix::mm::madvise(page, PAGE, rustix::mm::Advice::LinuxWipeOnFork) };
            if advised.is_err() {
                return Ok(None);
            }
            // Relaxed: published with the engine itself.
            canary.word().store(ALIVE, Ordering::Relaxed);
            Ok(Some(canary))
        }
        #[cfg(not(target_os = "linux"))]
        Ok(None)
    }

    #[inline]
    fn is_alive(&self) -> bool {
        // Relaxed: see `ForkGuard::check`.
        self.word().load(Ordering::Relaxed) == ALIVE
    }

    #[inline]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: `map` made the page, zeroed and page-aligned, and it stays mapped until drop.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping of `map`, to which no reference is left.
        let _ = unsafe { munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

extern "C" fn raise_generation() {
    // Relaxed: the child has one thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

static GENERATION: AtomicU64 = AtomicU64::new(0);

const PAGE: usize = 4096;
const ALIVE: u64 = 0x6f6e_6365_6761_7465;
