//! Handles: what stands for an engine, or a part of one, in another language.
//!
//! A handle has the type of a pointer, so that compilers tell kinds apart, but is none: it is a
//! generation, an index and the magic number of its kind, and is looked up. So a handle that was
//! closed, is of another kind, or never was one is refused, whatever it holds.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};

use crate::slot::{Call, Refused, Slot};
use crate::status::{
    ONCEGATE_BAD_HANDLE, ONCEGATE_CLOSED, ONCEGATE_FORKED, ONCEGATE_NULL_ARGUMENT,
    ONCEGATE_POISONED, ONCEGATE_TOO_MANY_HANDLES, Refusal,
};

/// All handles of one kind in this process. Each keeps some `S`, memory to work with, for calls
/// that meet no other.
pub(crate) struct Handles<T: 'static, S: 'static = ()> {
    /// What the argument is called in refusals.
    field: &'static str,
    magic: u8,
    slots: [OnceLock<Box<Slot<T, S, LINES>>>; MOST],
}

/// A call on what a handle stands for, which is there until the call is over.
pub(crate) struct Held<T: 'static, S: 'static = ()>(Counted<T, S>);

pub(crate) type Counted<T, S> = Call<'static, T, S, LINES>;

/// The slot of a handle, and its generation.
type Found<T, S> = (&'static Slot<T, S, LINES>, u64);

impl<T: Send + Sync, S: Send + Default> Handles<T, S> {
    pub(crate) const fn new(field: &'static str, magic: u8) -> Self {
        Self { field, magic, slots: [const { OnceLock::new() }; MOST] }
    }

    /// Makes a handle for `object`.
    pub(crate) fn insert<H>(&'static self, object: T) -> Result<*mut H, Refusal> {
        let mut object = object;
        for (index, slot) in self.slots.iter().enumerate() {
            match slot.get_or_init(|| Box::new(Slot::new())).fill(object) {
                Ok(generation) => {
                    let value = (generation << GENERATION_SHIFT)
                        | (index as u64) << INDEX_SHIFT
                        | u64::from(self.magic);
                    return Ok(std::ptr::without_provenance_mut(value as usize));
                }
                Err(back) => object = back,
            }
        }
        Err(Refusal::new(ONCEGATE_TOO_MANY_HANDLES, self.field, format!("limit: {MOST}")))
    }

    /// The slot and the generation of a handle.
    #[inline]
    fn find<H>(&'static self, handle: *const H) -> Result<Found<T, S>, Refusal> {
        let value = handle.addr() as u64;
        if value == 0 {
            return Err(Refusal::new(ONCEGATE_NULL_ARGUMENT, self.field, ""));
        }
        let index = (value >> INDEX_SHIFT) as usize & (MOST - 1);
        let slot = self.slots.get(index).and_then(OnceLock::get);
        match slot.filter(|_| value & MAGIC == u64::from(self.magic)) {
            Some(slot) => Ok((slot, value >> GENERATION_SHIFT)),
            None => Err(self.refuse(Refused::Unknown)),
        }
    }

    #[cold]
    fn refuse(&self, why: Refused) -> Refusal {
        let status = match why {
            Refused::Unknown => ONCEGATE_BAD_HANDLE,
            Refused::Poisoned => ONCEGATE_POISONED,
        };
        Refusal::new(status, self.field, "")
    }

    /// Begins a call on what `handle` stands for.
    #[inline]
    pub(crate) fn enter<H>(&'static self, handle: *const H) -> Result<Held<T, S>, Refusal> {
        let (slot, generation) = self.find(handle)?;
        let call = slot.enter(generation, line_of_this_thread());
        let held = call.map(Held).map_err(|why| self.refuse(why))?;
        crate::planted::panic_at("call");
        Ok(held)
    }

    /// Closes `handle`, has those who wait in a call come back by `hurry`, waits until no call is
    /// under way, and gives what it stood for.
    pub(crate) fn take<H>(
        &'static self,
        handle: *const H,
        hurry: impl FnOnce(&T),
    ) -> Result<T, Refusal> {
        let (slot, generation) = self.find(handle)?;
        slot.empty(generation, hurry).ok_or_else(|| self.refuse(Refused::Unknown))
    }

    /// In a forked child: the threads that were inside a call are not here.
    pub(crate) fn forget_calls(&self) {
        self.slots.iter().filter_map(OnceLock::get).for_each(|slot| slot.forget_calls());
    }
}

impl<T, S> Held<T, S> {
    /// The call, and what is kept for it, if it meets no other.
    #[inline]
    pub(crate) fn with_kept(&mut self) -> (&Counted<T, S>, Option<&mut S>) {
        self.0.with_kept()
    }

    /// Refuses to go on waiting when the handle is being closed.
    pub(crate) fn check_open(&self, field: &'static str) -> Result<(), Refusal> {
        check_open(&self.0, field)
    }
}

impl<T, S> Deref for Held<T, S> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Refuses to go on waiting when the handle of a call is being closed.
pub(crate) fn check_open<T, S>(call: &Counted<T, S>, field: &'static str) -> Result<(), Refusal> {
    if call.is_open() { Ok(()) } else { Err(Refusal::new(ONCEGATE_CLOSED, field, "")) }
}

/// How many forks there were between the first process and this one.
pub(crate) fn forks() -> u64 {
    // Relaxed: written before any thread of this process began but the one that forked.
    FORKS.load(Ordering::Relaxed)
}

/// Refuses what was opened when there were `born` forks, and so by another process.
pub(crate) fn no_child(field: &'static str, born: u64) -> Result<(), Refusal> {
    if forks() == born { Ok(()) } else { Err(Refusal::new(ONCEGATE_FORKED, field, "")) }
}

/// Has every forked child count itself, and forget the calls that were under way, from now on.
pub(crate) fn watch_forks() {
    static REGISTER: Once = Once::new();
    extern "C" fn in_child() {
        // Relaxed: there is one thread.
        FORKS.fetch_add(1, Ordering::Relaxed);
        crate::engine::ENGINES.forget_calls();
        crate::waits::WAITS.forget_calls();
        crate::drive::DUES.forget_calls();
        crate::timers::TIMERS.forget_calls();
    }
    REGISTER.call_once(|| {
        // SAFETY: the handler is valid for the life of the process, since the library is never
        // unmapped, and only writes to atomics.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Threads are told apart by where their stacks lie: a thread-local would cost a call.
#[inline(always)]
fn line_of_this_thread() -> usize {
    let here = 0_u8;
    let page = ((&raw const here).addr() >> STACK_PAGE_BITS) as u64;
    (page.wrapping_mul(SPREAD) >> (u64::BITS - LINES.trailing_zeros())) as usize
}

static FORKS: AtomicU64 = AtomicU64::new(0);

/// Handles of a kind in a process.
const MOST: usize = 256;
const LINES: usize = 64;

const MAGIC: u64 = 0xff;
const INDEX_SHIFT: u32 = 8;
const GENERATION_SHIFT: u32 = 16;
const _: () = assert!(MOST == 1 << (GENERATION_SHIFT - INDEX_SHIFT));
const _: () = assert!(usize::BITS == u64::BITS, "a handle needs the room");

/// Threads whose stacks are smaller would share lines, and still be counted.
const STACK_PAGE_BITS: u32 = 14;
/// Odd, and the golden ratio's share of 2^64: neighbours land far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
