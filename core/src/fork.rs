//! Forks: which process an engine belongs to.
//!
//! A forked child has a copy of a private table that drifts apart from the parent's: both would
//! admit the same request. Of a shared table it has the parent's place. So every call that comes to
//! the table checks two words: a generation that a `pthread_atfork` handler raises in the child,
//! and a page that the kernel wipes in the child, which also tells of a raw `clone` that runs no
//! handlers.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::{Once, OnceLock};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::error::{Error, ErrorCode};
use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;

/// Knows whether this process is the one that the engine belongs to.
pub(crate) struct ForkGuard {
    /// The generation of that process; [`JOINING`] on top while a child makes the engine its own.
    state: AtomicU64,
    canary: Option<Canary>,
}

/// How many forks there were between the first process and this one. What was made in another
/// generation is an ancestor's.
#[inline(always)]
pub(crate) fn generation() -> u64 {
    // Relaxed: written before any thread of this process began but the one that forked.
    GENERATION.load(Ordering::Relaxed)
}

impl ForkGuard {
    pub(crate) fn new() -> Result<Self, Error> {
        static REGISTER: Once = Once::new();
        // Miri does not fork, and knows no handlers and no advice.
        if cfg!(miri) {
            return Ok(Self { state: AtomicU64::new(0), canary: None });
        }
        REGISTER.call_once(|| {
            // SAFETY: the handler is an `extern "C"` function without arguments that stays valid
            // for the life of the process, and only does what is async-signal-safe.
            unsafe { libc::pthread_atfork(None, None, Some(raise_generation)) };
        });
        Ok(Self { state: AtomicU64::new(generation()), canary: Canary::map()? })
    }

    /// Whether the engine belongs to this process.
    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        // Acquire: pairs with the Release of `adopt`: what made the engine this process's own is
        // seen. Both, since a kernel that is emulated may accept the advice and not follow it.
        let same = self.state.load(Ordering::Acquire) == generation();
        let alive = self.canary.as_ref().is_none_or(Canary::is_alive);
        same && alive || Bug::ForkUnnoticed.is_planted()
    }

    /// The engine is nobody's from now on: its table has been removed.
    pub(crate) fn lose(&self) {
        // Relaxed: whoever does not see it yet came before.
        self.state.store(LOST, Ordering::Relaxed);
    }

    /// Makes the engine this process's own by `join`, if it is a forked child that comes here for
    /// the first time: once, whichever of its threads comes first.
    pub(crate) fn adopt(&self, join: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let (own, joining) = (generation(), generation() | JOINING);
        loop {
            // Acquire: as in `is_own`.
            let found = self.state.load(Ordering::Acquire);
            if found == own {
                // By another thread; or this is no child of a fork but of a raw `clone`, which has
                // no place of its own to take.
                let alive = self.canary.as_ref().is_none_or(Canary::is_alive);
                return if alive { Ok(()) } else { Err(forked()) };
            }
            if found == LOST {
                return Err(removed());
            }
            if found == joining {
                std::thread::yield_now();
                continue;
            }
            // Relaxed on success: nothing is done yet. Relaxed on failure: it is loaded again.
            let won =
                self.state.compare_exchange(found, joining, Ordering::Relaxed, Ordering::Relaxed);
            if won.is_ok() {
                let joined = join();
                if joined.is_ok()
                    && let Some(canary) = &self.canary
                {
                    canary.revive();
                }
                let next = if joined.is_ok() { own } else { found };
                // Release: pairs with the Acquire of `is_own`.
                self.state.store(next, Ordering::Release);
                return joined;
            }
        }
    }
}

/// This process has no part in the engine.
#[cold]
pub(crate) fn forked() -> Error {
    Error::of(ErrorCode::Forked, "engine")
}

#[cold]
fn removed() -> Error {
    let found = "a file that was removed while it was open";
    Error::new(ErrorCode::RegionInvalid, "region", found, "open the engine anew")
}

/// A value that each process has for itself: a forked child gets a new one, since threads that are
/// not there may have left the old one locked.
pub(crate) struct PerProcess<T> {
    born: u64,
    value: T,
    next: OnceLock<Box<PerProcess<T>>>,
}

impl<T> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { born: generation(), value, next: OnceLock::new() }
    }

    /// This process's value, made by `fresh` if a fork came in between.
    pub(crate) fn get(&self, fresh: impl Fn() -> T) -> &T {
        let (mut at, now) = (self, generation());
        while at.born != now {
            at = at.next.get_or_init(|| Box::new(Self::new(fresh())));
        }
        &at.value
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
            canary.revive();
            Ok(Some(canary))
        }
        #[cfg(not(target_os = "linux"))]
        Ok(None)
    }

    fn revive(&self) {
        // Relaxed: published with the engine itself, or with its state.
        self.word().store(ALIVE, Ordering::Relaxed);
    }

    #[inline]
    fn is_alive(&self) -> bool {
        // Relaxed: written before this thread began, or before the state that it has loaded.
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

/// More than there are generations.
const JOINING: u64 = 1 << 63;
/// No generation.
const LOST: u64 = u64::MAX;
const PAGE: usize = 4096;
const ALIVE: u64 = 0x6f6e_6365_6761_7465;
