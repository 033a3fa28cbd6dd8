//! The descriptor of an event loop: readable when something is due.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::super::Engine;
use super::drive::Driven;
use super::scheduler::Kind;
use crate::error::{Error, ErrorCode};
use crate::fork;
use crate::sync::{Mutex, lock};

/// A descriptor that becomes readable when something is due, for the event loops of asyncio, tokio,
/// libuv and others. Linux only.
///
/// Register it for reading. When it is readable, call [`advance`](Self::advance): it looks at what
/// is due, wakes the futures that wait for attempts, and arms the descriptor again. The descriptor
/// is a timer of the kernel; whoever schedules something earlier, in any process, arms it anew.
///
/// ```
/// use std::os::fd::AsFd;
/// use std::sync::Arc;
/// use oncegate::Engine;
///
/// let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
/// let due = engine.due_descriptor()?;
/// let _fd = due.as_fd(); // for the event loop
/// due.advance(1_000)?; // when it is readable
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct DueDescriptor {
    engine: Arc<Engine>,
    timer: Arc<Timer>,
    ticket: Mutex<Option<u64>>,
    born: u64,
}

/// A timer of the kernel.
struct Timer(OwnedFd);

impl Timer {
    /// Readable after `left`; `None`: not until it is set again.
    fn set(&self, left: Option<Duration>) -> Result<(), Error> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would disarm it.
        let left = left.map(|left| left.clamp(Duration::from_nanos(1), LONGEST));
        let value = left.map_or(zero, |left| Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        });
        let setting = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &setting)
            .map(|_| ())
            .map_err(|error| refused(&error))
    }
}

impl Wake for Timer {
    fn wake(self: Arc<Self>) {
        // A timer that was made can be set.
        let _ = self.set(Some(Duration::ZERO));
    }
}

impl Engine {
    /// A descriptor for an event loop, which becomes readable when something is due.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Os`]: no descriptor is left. [`ErrorCode::Forked`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use oncegate::Engine;
    /// let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
    /// let due = engine.due_descriptor()?;
    /// # drop(due);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn due_descriptor(self: &Arc<Self>) -> Result<DueDescriptor, Error> {
        self.enter()?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags);
        let timer = Arc::new(Timer(timer.map_err(|error| refused(&error))?));
        let (engine, born) = (Arc::clone(self), fork::generation());
        let due = DueDescriptor { engine, timer, ticket: Mutex::new(None), born };
        due.advance(0)?;
        Ok(due)
    }
}

impl DueDescriptor {
    /// [`Engine::advance`], and arms the descriptor for what is due next. Costs two calls of the
    /// kernel besides.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`] in a forked child, which makes a descriptor of its own.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use oncegate::Engine;
    /// # let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
    /// # let due = engine.due_descriptor()?;
    /// assert_eq!(due.advance(1_000)?.ready, 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn advance(&self, limit: usize) -> Result<Driven, Error> {
        if self.born != fork::generation() {
            return Err(fork::forked());
        }
        let waker = Waker::from(Arc::clone(&self.timer));
        let mut own = lock(&self.ticket);
        let scheduler = self.engine.scheduler();
        if let Some(ticket) = own.take() {
            scheduler.leave(ticket);
        }
        // Not readable until it is set below, or by whoever schedules something meanwhile.
        self.timer.set(None)?;
        let ticket = *own.insert(scheduler.enter(waker.clone(), Kind::Driver));
        // Before the look: a clock that jumps after it has something due sooner, and not later.
        let before_ms = self.engine.now_ms();
        let driven = self.engine.advance(limit)?;
        let left = if driven.more { Some(Duration::ZERO) } else { driven.due_in };
        let until_ms =
            left.map_or(u64::MAX, |left| before_ms.saturating_add(super::super::millis_up(left)));
        // Before the plan: whoever schedules something earlier after it sets the timer again, and
        // whoever did so before it has taken the ticket.
        self.timer.set(left)?;
        let planned = scheduler.plan(ticket, until_ms);
        if planned {
            self.engine.life.time().wake_on_jump(&waker);
        }
        // It jumped before it was asked to say so.
        let is_due = self.engine.now_ms() >= until_ms;
        if !planned || is_due || self.engine.will_hear() {
            self.timer.set(Some(Duration::ZERO))?;
        }
        Ok(driven)
    }
}

impl AsFd for DueDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.0.as_fd()
    }
}

impl Drop for DueDescriptor {
    fn drop(&mut self) {
        if self.born == fork::generation()
            && let Some(ticket) = lock(&self.ticket).take()
        {
            self.engine.scheduler().leave(ticket);
            self.engine.relieve();
        }
    }
}

impl std::fmt::Debug for DueDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DueDescriptor").field("fd", &self.timer.0).finish_non_exhaustive()
    }
}

fn refused(error: &rustix::io::Errno) -> Error {
    let found = format!("a timer of the kernel: {error}");
    Error::new(ErrorCode::Os, "due_descriptor", found, "a descriptor is left")
}

/// What a timer of the kernel takes on every system.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
