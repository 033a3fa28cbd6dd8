//! Timers: many of them behind one descriptor, in a timing wheel of the engine's kind.

use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncegate::{Clock, PreciseClock, Tick, TimerHandle, TimerWheel};

use crate::bell::{Bell, give_up, left};
use crate::convert::given;
use crate::entry::{ErrorInfo, entry};
use crate::handles::{Handles, Held, forks, no_child, watch_forks};
use crate::raw::{Out, OutElements, handle_out};
use crate::status::{ONCEGATE_BAD_SIZE, ONCEGATE_BAD_VALUE, ONCEGATE_FULL, Refusal, Status};

/// Timers, behind a handle. Any thread may use them, several at once.
pub struct RawTimers {
    _opaque: [u8; 0],
}

pub(crate) static TIMERS: Handles<Timers> = Handles::new("timers", 0xe4);

/// # Safety
///
/// None: handles are looked up. It is unsafe so that it can be named in `entry!`.
unsafe fn held(_field: &'static str, handle: *const RawTimers) -> Result<Held<Timers>, Refusal> {
    let held = TIMERS.enter(handle)?;
    no_child("timers", held.born)?;
    Ok(held)
}

/// Opens a set of timers, and gives its handle, which `oncegate_timers_close` ends. No engine is
/// needed: they run by the monotonic clock of the system. Above 256 sets in a process it is
/// `ONCEGATE_TOO_MANY_HANDLES`.
///
/// `capacity` is how many may be pending, at most 134,217,728; zero: 1,048,576. Memory is taken as
/// they come, about 19 bytes for each, and kept. A set takes one descriptor: `ONCEGATE_OS` where
/// none is left. It belongs to the process that opened it: in a forked child its functions return
/// `ONCEGATE_FORKED`. Linux only: `ONCEGATE_UNSUPPORTED` elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_timers_open(
    capacity: u64,
    timers: *mut *mut RawTimers,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; timers = handle_out; => {
        timers.write(TIMERS.insert(Timers::open(capacity)?)?);
        Ok(())
    })
}

/// Closes timers: those that are pending never fire. `NULL` is fine, and nothing happens.
///
/// A call that blocks in another thread returns `ONCEGATE_CLOSED`. Take the descriptor out of event
/// loops before: its number may be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_timers_close(
    timers: *mut RawTimers,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; => {
        if !timers.is_null() {
            TIMERS.take(timers.cast_const(), Timers::leave_all)?.end();
        }
        Ok(())
    })
}

/// Gives the descriptor of the timers, for `poll` and its like: it is readable when one is due, or
/// may be. Never read from it, and never close it: it is the set's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_timers_descriptor(
    timers: *const RawTimers,
    fd: *mut i32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; timers = held; fd = Out::new; => {
        fd.write(timers.descriptor());
        Ok(())
    })
}

/// Starts a timer that fires after `after_ms`, and never earlier. Its `user_data` comes by
/// `oncegate_timers_take`; `id`, which is never zero, cancels it.
///
/// Costs a lock and two words in a timing wheel, whatever the number of timers, and a call of the
/// kernel where no other is due before. `ONCEGATE_FULL`: as many are pending as may be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_timers_insert(
    timers: *const RawTimers,
    after_ms: u64,
    user_data: u64,
    id: *mut u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; timers = held; id = Out::new; => {
        id.write(timers.insert(after_ms, user_data)?);
        Ok(())
    })
}

/// Cancels a timer. `*cancelled` is 1 where its `user_data` will not be given; 0 where it was given
/// already, or the timer was cancelled before, or there is none of that number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_timers_cancel(
    timers: *const RawTimers,
    id: u64,
    cancelled: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; timers = held; cancelled = Out::new; => {
        cancelled.write(u32::from(timers.cancel(id)));
        Ok(())
    })
}

/// Takes the `user_data` of timers that have fired, at most `capacity`, in the order of their
/// times.
///
/// Blocks until one has, for at most `timeout_ms`; zero never blocks. Several threads may do so at
/// once; each timer is taken by one. `ONCEGATE_CLOSED`: the timers are being closed.
/// `ONCEGATE_BAD_SIZE`: no capacity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_timers_take(
    timers: *const RawTimers,
    timeout_ms: u64,
    user_data: *mut u64,
    capacity: usize,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; timers = held; user_data = OutElements::new, capacity; count = Out::new; => {
        if capacity == 0 {
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "capacity", "found 0; limit: at least 1"));
        }
        count.write(timers.take(timeout_ms, user_data)?);
        Ok(())
    })
}

/// What the handle of timers stands for.
pub(crate) struct Timers {
    bell: Bell,
    wheel: Mutex<Wheel>,
    most: usize,
    born: u64,
}

/// Under one lock: an insertion holds it for some ten nanoseconds, and whoever takes timers for as
/// long as it takes to move that many.
struct Wheel {
    timers: TimerWheel,
    /// By the index of the timer.
    user_data: Vec<u64>,
    /// By the same index: whether it is pending. The wheel takes the number of a use that is still
    /// to come for a timer, and callers may pass any.
    pending: Vec<bool>,
}

impl Timers {
    fn open(capacity: u64) -> Result<Self, Refusal> {
        let most = given(capacity).unwrap_or(DEFAULT_CAPACITY);
        if !(1..=MOST_CAPACITY).contains(&most) {
            let detail = format!("found {most}; limit: 1 to {MOST_CAPACITY}");
            return Err(Refusal::new(ONCEGATE_BAD_VALUE, "capacity", detail));
        }
        watch_forks();
        let now = Tick::default().now(PreciseClock.now());
        let wheel = Wheel::new(now);
        let (bell, wheel) = (Bell::new()?, Mutex::new(wheel));
        Ok(Self { bell, wheel, most: most as usize, born: forks() })
    }

    /// Has everybody leave who blocks on them, or comes to them.
    fn leave_all(&self) {
        if no_child("timers", self.born).is_ok() {
            self.bell.close();
        }
    }

    fn end(self) {
        let Self { wheel, born, .. } = self;
        if no_child("timers", born).is_err() {
            // Threads of the parent's may have been in the midst of changing it.
            std::mem::forget(wheel);
        }
    }

    fn descriptor(&self) -> RawFd {
        self.bell.descriptor()
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel> {
        self.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, after_ms: u64, user_data: u64) -> Result<u64, Refusal> {
        let time = PreciseClock.now().saturating_add(Duration::from_millis(after_ms));
        let due = Tick::default().due(time);
        let mut wheel = self.wheel();
        if wheel.timers.len() >= self.most {
            let detail = format!("found {}; limit: {}", wheel.timers.len(), self.most);
            return Err(Refusal::new(ONCEGATE_FULL, "timers", detail));
        }
        let is_first = wheel.timers.next_due().is_none_or(|first| due < first);
        let timer = wheel.timers.insert(due)?;
        wheel.note(timer, user_data);
        drop(wheel);
        if is_first {
            self.rest();
        }
        // No handle has all bits set.
        Ok(timer.to_bits() + 1)
    }

    fn cancel(&self, id: u64) -> bool {
        let bits = id.checked_sub(1);
        bits.is_some_and(|bits| self.wheel().cancel(TimerHandle::from_bits(bits)))
    }

    fn take(&self, timeout_ms: u64, mut out: OutElements<u64>) -> Result<usize, Refusal> {
        let give_up = give_up(timeout_ms);
        loop {
            self.bell.check_open("timers")?;
            self.bell.answer();
            let count = self.wheel().fire(&mut out);
            self.rest();
            match left(give_up) {
                Some(left) if count == 0 => self.bell.wait(left)?,
                _ => return Ok(count),
            }
        }
    }

    /// Sets the descriptor to when the next timer may be due.
    fn rest(&self) {
        let first = || self.wheel().timers.next_due();
        self.bell.rest(|| first().map(|tick| Tick::default().start(tick)));
    }
}

impl Wheel {
    fn new(now: u64) -> Self {
        Self { timers: TimerWheel::new(now), user_data: Vec::new(), pending: Vec::new() }
    }

    /// Keeps what belongs to a timer that was inserted.
    fn note(&mut self, timer: TimerHandle, user_data: u64) {
        let index = timer.index();
        if index >= self.user_data.len() {
            self.user_data.resize(index + 1, 0);
            self.pending.resize(index + 1, false);
        }
        self.user_data[index] = user_data;
        self.pending[index] = true;
    }

    fn cancel(&mut self, timer: TimerHandle) -> bool {
        let Some(pending) = self.pending.get_mut(timer.index()).filter(|pending| **pending) else {
            return false;
        };
        let was_in_time = self.timers.cancel(timer);
        *pending = !was_in_time;
        was_in_time
    }

    /// Gives the timers that are due to the caller, as many as there is room for.
    fn fire(&mut self, out: &mut OutElements<u64>) -> usize {
        let now = Tick::default().now(PreciseClock.now());
        let Self { timers, user_data, pending } = self;
        let mut count = 0;
        loop {
            let room = out.len() - count;
            let advanced = timers.advance(now, room, |timer| {
                let data = user_data.get(timer.index()).copied().unwrap_or_default();
                if let Some(pending) = pending.get_mut(timer.index()) {
                    *pending = false;
                }
                out.set(count, data);
                count += 1;
            });
            if !advanced.more || count == out.len() {
                return count;
            }
        }
    }
}

/// As in the engine's own timers.
const DEFAULT_CAPACITY: u64 = 1 << 20;
/// Half of the wheel's numbers, so that there are enough beside those that rest.
const MOST_CAPACITY: u64 = 1 << 27;
