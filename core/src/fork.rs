//! Forks: which process an engine belongs to.
//!
//! A forked child has a copy of a private table that drifts apart from the parent's: both would
//! admit the same request. Of a shared table it has the parent's place. So every call that comes to
//! the table checks two words: a generation that a `pthread_atfork` handler raises in the child,
//! and a page that the kernel wipes in the child, which also tells of a raw `clone` that runs no
//! handlers.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Once as OnlyOnce;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::error::{Error, ErrorCode};
use crate::sync::Ordering;
use crate::sync::plain::{AtomicPtr, AtomicU64};
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

/// Has forks counted from now on, for what is [`PerProcess`] and belongs to no engine.
pub(crate) fn watch() {
    static REGISTER: OnlyOnce = OnlyOnce::new();
    if cfg!(miri) {
        return;
    }
    REGISTER.call_once(|| {
        // SAFETY: the handlers are `extern "C"` functions without arguments that stay valid for
        // the life of the process, and only do what is async-signal-safe.
        unsafe { libc::pthread_atfork(Some(close_gate), Some(open_gate), Some(raise_generation)) };
    });
}

impl ForkGuard {
    pub(crate) fn new() -> Result<Self, Error> {
        // Miri does not fork, and knows no handlers and no advice.
        if cfg!(miri) {
            return Ok(Self { state: AtomicU64::new(0), canary: None });
        }
        watch();
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

    /// The engine answers nobody from now on: its table has been removed.
    pub(crate) fn lose(&self) {
        // Relaxed: whoever does not see it yet came before.
        self.state.fetch_or(LOST, Ordering::Relaxed);
    }

    /// Whether what the engine holds is this process's to give up, lost or not.
    pub(crate) fn is_holder(&self) -> bool {
        // Acquire: as in `is_own`.
        let same = self.state.load(Ordering::Acquire) & !LOST == generation();
        same && self.canary.as_ref().is_none_or(Canary::is_alive)
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
            if found & LOST != 0 {
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
/// not there may have left the old one locked. A child never drops its parent's: that would be the
/// end of threads that it does not have.
pub(crate) struct PerProcess<T> {
    born: u64,
    value: ManuallyDrop<T>,
    next: Once<PerProcess<T>>,
}

impl<T> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { born: generation(), value: ManuallyDrop::new(value), next: Once::new() }
    }

    /// This process's value, made by `fresh` if a fork came in between.
    pub(crate) fn get(&self, fresh: impl Fn() -> T) -> &T {
        let (mut at, now) = (self, generation());
        while at.born != now {
            at = at.next.get_or_set(|| Self::new(fresh()));
        }
        &at.value
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.born == generation() {
            // SAFETY: once, and nothing uses it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
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

/// A value that is set once, and never waited for: a fork may leave any lock as it was.
pub(crate) struct Once<T>(AtomicPtr<T>);

// SAFETY: it owns the value that it points to, and lends it out by shared reference.
unsafe impl<T: Send> Send for Once<T> {}
// SAFETY: as for `Send`; several threads may set it, of which one wins.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the Release of `get_or_set`.
        let value = self.0.load(Ordering::Acquire);
        // SAFETY: null, or the pointer of a box that `get_or_set` has given up to this value, which
        // frees it when it is dropped.
        unsafe { value.as_ref() }
    }

    /// The value; `fresh` makes it, perhaps in vain.
    pub(crate) fn get_or_set(&self, fresh: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new(fresh()));
        let empty = std::ptr::null_mut();
        // Release: publishes the value to `get`. Acquire on failure: another one is read.
        match self.0.compare_exchange(empty, made, Ordering::Release, Ordering::Acquire) {
            // SAFETY: it was just made, and is owned by this value from now on.
            Ok(_) => unsafe { &*made },
            Err(other) => {
                // SAFETY: made above, and seen by nobody else.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as in `get`; it is not null.
                unsafe { &*other }
            }
        }
    }
}

impl<T> Once<T> {
    /// The value, if it was set; then it is not any more.
    pub(crate) fn take(&mut self) -> Option<T> {
        let value = std::mem::replace(self.0.get_mut(), std::ptr::null_mut());
        // SAFETY: as in `get`; nobody has a reference any more, since this one is exclusive.
        (!value.is_null()).then(|| *unsafe { Box::from_raw(value) })
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        let value = *self.0.get_mut();
        if !value.is_null() {
            // SAFETY: as in `get`; nobody has a reference any more.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

/// While it lives nobody forks: for what a child must not inherit half done.
pub(crate) struct Gate(());

impl Gate {
    pub(crate) fn shut() -> Self {
        close_gate();
        Self(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        open_gate();
    }
}

extern "C" fn close_gate() {
    // Acquire: pairs with the Release of `open_gate`. Relaxed on failure: it is tried again.
    while GATE.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        std::thread::yield_now();
    }
}

extern "C" fn open_gate() {
    // Release: pairs with the Acquire of `close_gate`.
    GATE.store(0, Ordering::Release);
}

extern "C" fn raise_generation() {
    // Relaxed: the child has one thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
    open_gate();
}

/// One while somebody is behind it: whoever forks, or does what no child may inherit half done.
static GATE: AtomicU64 = AtomicU64::new(0);

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// More than there are generations.
const JOINING: u64 = 1 << 63;
/// The table is gone.
const LOST: u64 = 1 << 62;
const PAGE: usize = 4096;
const ALIVE: u64 = 0x6f6e_6365_6761_7465;
