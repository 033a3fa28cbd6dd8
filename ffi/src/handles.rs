//! Handles: what stands for an engine, or a part of one, in another language.
//!
//! A handle has the type of a pointer, so that compilers tell kinds apart, but is none: it is a
//! generation, an index and the magic number of its kind, and is looked up. So a handle that was
//! closed, is of another kind, or never was one is refused, whatever it holds. Whoever is inside a
//! call is counted, on one of many lines: closing waits for them, and none of them touches what has
//! been closed.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::status::{
    ONCEGATE_BAD_HANDLE, ONCEGATE_CLOSED, ONCEGATE_NULL_ARGUMENT, ONCEGATE_POISONED,
    ONCEGATE_TOO_MANY_HANDLES, Refusal,
};

/// All handles of one kind in this process.
pub(crate) struct Handles<T: 'static> {
    /// What the argument is called in refusals.
    field: &'static str,
    magic: u8,
    slots: [OnceLock<Box<Slot<T>>>; MOST],
}

struct Slot<T> {
    /// Generation, and one of the states below.
    word: AtomicU64,
    /// Calls under way, by where the stacks of their threads lie.
    calls: [CachePadded<AtomicU64>; SHARDS],
    object: UnsafeCell<Option<T>>,
}

// SAFETY: the object is written only by whoever moved the word to `BUSY` and has seen that no call
// is under way, and is read only by calls that were counted before they saw the word `OPEN`.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

/// A call on what a handle stands for, which is there until the call is over.
pub(crate) struct Held<T: 'static> {
    slot: &'static Slot<T>,
    open: u64,
    shard: &'static AtomicU64,
}

impl<T: Send + Sync> Handles<T> {
    pub(crate) const fn new(field: &'static str, magic: u8) -> Self {
        Self { field, magic, slots: [const { OnceLock::new() }; MOST] }
    }

    /// Makes a handle for `object`.
    pub(crate) fn insert<H>(&'static self, object: T) -> Result<*mut H, Refusal> {
        for (index, slot) in self.slots.iter().enumerate() {
            let slot = slot.get_or_init(Box::default);
            // Relaxed: the exchange decides.
            let word = slot.word.load(Ordering::Relaxed);
            if word & STATE != FREE {
                continue;
            }
            // Acquire: pairs with the Release of `take`: the object before is gone.
            let mine = slot.word.compare_exchange(
                word,
                (word + NEXT) | BUSY,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if mine.is_err() {
                continue;
            }
            // SAFETY: the word is `BUSY`, by this thread; calls that are counted look at nothing.
            unsafe { *slot.object.get() = Some(object) };
            let open = (word + NEXT) | OPEN;
            // Release: pairs with the load of `enter`, which is no weaker than Acquire.
            slot.word.store(open, Ordering::Release);
            let value = (open >> STATE_BITS) << GENERATION_SHIFT
                | (index as u64) << INDEX_SHIFT
                | u64::from(self.magic);
            return Ok(std::ptr::without_provenance_mut(value as usize));
        }
        let limit = format!("limit: {MOST}");
        Err(Refusal::new(ONCEGATE_TOO_MANY_HANDLES, self.field, limit))
    }

    fn find<H>(&'static self, handle: *const H) -> Result<(&'static Slot<T>, u64), Refusal> {
        let value = handle.addr() as u64;
        if value == 0 {
            return Err(Refusal::new(ONCEGATE_NULL_ARGUMENT, self.field, ""));
        }
        let index = (value >> INDEX_SHIFT) as usize & (MOST - 1);
        let slot = self.slots.get(index).and_then(OnceLock::get);
        let slot = slot.filter(|_| value & 0xff == u64::from(self.magic));
        let generation = value >> GENERATION_SHIFT;
        slot.map(|slot| (&**slot, generation << STATE_BITS | OPEN)).ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Refusal {
        Refusal::new(ONCEGATE_BAD_HANDLE, self.field, "")
    }

    /// Begins a call on what `handle` stands for.
    pub(crate) fn enter<H>(&'static self, handle: *const H) -> Result<Held<T>, Refusal> {
        let (slot, open) = self.find(handle)?;
        let shard = slot.calls.get(shard_of_this_thread()).ok_or_else(|| self.unknown())?;
        // SeqCst, as the load after it and both steps of `take`: either this call sees that the
        // handle is being closed, or whoever closes it sees this call.
        shard.fetch_add(1, Ordering::SeqCst);
        let held = Held { slot, open, shard };
        // SeqCst: see above.
        let word = slot.word.load(Ordering::SeqCst);
        if word == open {
            crate::planted::panic_at("call");
            return Ok(held);
        }
        let poisoned = word == open & !STATE | POISONED;
        drop(held);
        if poisoned {
            return Err(Refusal::new(ONCEGATE_POISONED, self.field, ""));
        }
        Err(self.unknown())
    }

    /// Closes `handle`, waits until no call is under way, and gives what it stood for.
    pub(crate) fn take<H>(&'static self, handle: *const H) -> Result<T, Refusal> {
        let (slot, open) = self.find(handle)?;
        let busy = open & !STATE | BUSY;
        // SeqCst: see `enter`.
        let close = |from| {
            slot.word.compare_exchange(from, busy, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        if !close(open) && !close(open & !STATE | POISONED) {
            return Err(self.unknown());
        }
        // Nothing rings when the last call ends: it would have to look at a word more each time.
        while slot.calls.iter().any(|calls| calls.load(Ordering::SeqCst) != 0) {
            std::thread::park_timeout(LOOK_AGAIN);
        }
        // SAFETY: the word is `BUSY`, by this thread; calls that come now see it and leave.
        let object = unsafe { (*slot.object.get()).take() };
        // Release: pairs with the Acquire of `insert`.
        slot.word.store(open & !STATE | FREE, Ordering::Release);
        object.ok_or_else(|| self.unknown())
    }

    /// In a forked child: the threads that were inside a call are not here.
    fn forget_calls(&self) {
        for slot in self.slots.iter().filter_map(OnceLock::get) {
            for calls in &slot.calls {
                // Relaxed: there is one thread.
                calls.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            word: AtomicU64::new(FREE),
            calls: [const { CachePadded::new(AtomicU64::new(0)) }; SHARDS],
            object: UnsafeCell::new(None),
        }
    }
}

impl<T> Held<T> {
    /// Refuses to go on waiting when the handle is being closed.
    pub(crate) fn check_open(&self, field: &'static str) -> Result<(), Refusal> {
        // Relaxed: a hint; whoever closes waits for this call.
        if self.slot.word.load(Ordering::Relaxed) == self.open {
            return Ok(());
        }
        Err(Refusal::new(ONCEGATE_CLOSED, field, ""))
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this call was counted before it saw the word `OPEN`; the object is there, and
        // nobody writes to it, until the call is over.
        let object = unsafe { (*self.slot.object.get()).as_ref() };
        object.expect("an open handle stands for something")
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let poisoned = self.open & !STATE | POISONED;
            // Relaxed: no data hangs on it. One that is being closed stays so.
            let _ = self.slot.word.compare_exchange(
                self.open,
                poisoned,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        // Release: pairs with the loads of `take`: what this call did comes before the end.
        self.shard.fetch_sub(1, Ordering::Release);
    }
}

/// Has `forget` called in every forked child from now on.
pub(crate) fn watch_forks() {
    static REGISTER: Once = Once::new();
    extern "C" fn in_child() {
        crate::engine::ENGINES.forget_calls();
    }
    REGISTER.call_once(|| {
        // SAFETY: the handler is valid for the life of the process, since the library is never
        // unmapped, and only writes to atomics.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Threads are told apart by where their stacks lie: a thread-local would cost a call.
#[inline(always)]
fn shard_of_this_thread() -> usize {
    let here = 0_u8;
    let page = ((&raw const here).addr() >> STACK_PAGE_BITS) as u64;
    (page.wrapping_mul(SPREAD) >> (u64::BITS - SHARDS.trailing_zeros())) as usize
}

/// Handles of a kind in a process.
const MOST: usize = 256;
const SHARDS: usize = 64;

const STATE_BITS: u32 = 2;
const STATE: u64 = 3;
const FREE: u64 = 0;
const OPEN: u64 = 1;
const POISONED: u64 = 2;
/// Being made, or being closed.
const BUSY: u64 = 3;
/// One generation more.
const NEXT: u64 = 1 << STATE_BITS;

const INDEX_SHIFT: u32 = 8;
const GENERATION_SHIFT: u32 = 16;
const _: () = assert!(MOST == 1 << (GENERATION_SHIFT - INDEX_SHIFT));
const _: () = assert!(usize::BITS == u64::BITS, "a handle needs the room");

/// Threads whose stacks are smaller would share lines, and still be counted.
const STACK_PAGE_BITS: u32 = 14;
/// Odd, and the golden ratio's share of 2^64: neighbours land far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const LOOK_AGAIN: Duration = Duration::from_micros(100);
