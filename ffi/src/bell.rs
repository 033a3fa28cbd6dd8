//! A bell: a descriptor that is readable while there may be something to do.
//!
//! It is a timer of the kernel. Who rings sets it to a time that has passed; who has looked sets it
//! to when something is due next. All settings are made under one lock, under which that time is
//! asked for as well, so that none of two who look at once sets a time that the other has outdated.
//! It is set anew even where it is readable already: an event loop that is told of edges sees one.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use oncegate::{Clock, PreciseClock};

use crate::status::{ONCEGATE_CLOSED, Refusal};

/// Rung by any thread; answered by whoever looks.
#[derive(Debug)]
pub(crate) struct Bell {
    timer: kernel::Timer,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Since somebody began to look last.
    rung: bool,
    closing: bool,
    set: Setting,
}

/// When the descriptor becomes readable, by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Never,
    Now,
    At(Duration),
}

impl Bell {
    /// A bell that nobody has rung.
    pub(crate) fn new() -> Result<Self, Refusal> {
        let state = State { rung: false, closing: false, set: Setting::Never };
        Ok(Self { timer: kernel::Timer::new()?, state: Mutex::new(state) })
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.timer.as_raw_fd()
    }

    /// There may be something to do: the descriptor is readable until somebody has looked.
    pub(crate) fn ring(&self) {
        let mut state = self.lock();
        if !state.rung {
            state.rung = true;
            // Whoever looks just now sets it again.
            if state.set != Setting::Now {
                self.set(&mut state, Setting::Now);
            }
        }
    }

    /// Before a look: what is rung from now on is not for that look.
    pub(crate) fn answer(&self) {
        self.lock().rung = false;
    }

    /// After a look: readable when the time comes that `next` gives, or at once if it was rung
    /// meanwhile. `next` is called under the lock, and may not ring.
    pub(crate) fn rest(&self, next: impl FnOnce() -> Option<Duration>) {
        let mut state = self.lock();
        let to = match next() {
            _ if state.rung || state.closing => Setting::Now,
            Some(at) => Setting::At(at),
            None => Setting::Never,
        };
        self.set(&mut state, to);
    }

    /// Readable for ever: who waits for it is to leave.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.set(&mut state, Setting::Now);
    }

    /// Refuses to look when the bell is being closed.
    pub(crate) fn check_open(&self, field: &'static str) -> Result<(), Refusal> {
        if self.lock().closing {
            return Err(Refusal::new(ONCEGATE_CLOSED, field, ""));
        }
        Ok(())
    }

    /// Blocks until the descriptor is readable, for at most `left`; perhaps for less.
    pub(crate) fn wait(&self, left: Duration) -> Result<(), Refusal> {
        self.timer.wait(left).map(|_| ())
    }

    fn set(&self, state: &mut State, to: Setting) {
        if state.set != to || to == Setting::Now {
            self.timer.set(match to {
                Setting::Never => Duration::ZERO,
                // Long past, and not zero, which would stop it.
                Setting::Now => Duration::from_nanos(1),
                Setting::At(at) => at.max(Duration::from_nanos(1)),
            });
            state.set = to;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Until when a call with `timeout_ms` may block, by the monotonic clock.
pub(crate) fn give_up(timeout_ms: u64) -> Duration {
    PreciseClock.now().saturating_add(Duration::from_millis(timeout_ms))
}

/// How long it may still block; `None`: not any more.
pub(crate) fn left(give_up: Duration) -> Option<Duration> {
    let left = give_up.saturating_sub(PreciseClock.now());
    (!left.is_zero()).then_some(left)
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use crate::status::{ONCEGATE_OS, Refusal};

    /// A timer of the kernel, by the monotonic clock.
    #[derive(Debug)]
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        pub(super) fn new() -> Result<Self, Refusal> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let made = timerfd_create(TimerfdClockId::Monotonic, flags);
            made.map(Self).map_err(|errno| refused(&errno))
        }

        /// Readable from `at` on; zero: never.
        pub(super) fn set(&self, at: Duration) {
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let setting = Itimerspec { it_interval, it_value: timespec(at) };
            // A timer that was made can be set.
            let _ = timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &setting);
        }

        /// Whether it is readable, within `left`.
        pub(super) fn wait(&self, left: Duration) -> Result<bool, Refusal> {
            let mut asked = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut asked, Some(&timespec(left))) {
                Ok(found) => Ok(found == 1),
                // A signal came: the caller knows how much is left.
                Err(Errno::INTR) => Ok(false),
                Err(errno) => Err(refused(&errno)),
            }
        }
    }

    impl AsRawFd for Timer {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_raw_fd()
        }
    }

    fn timespec(time: Duration) -> Timespec {
        let tv_sec = time.as_secs().min(LONGEST_SECS).cast_signed();
        Timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
    }

    fn refused(errno: &Errno) -> Refusal {
        let detail = format!("found {errno}; limit: a descriptor is left");
        Refusal::new(ONCEGATE_OS, "descriptor", detail)
    }

    /// What the kernel takes on every system: a hundred years.
    const LONGEST_SECS: u64 = 100 * 365 * 24 * 3600;
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::os::fd::{AsRawFd, RawFd};
    use std::time::Duration;

    use crate::status::{ONCEGATE_UNSUPPORTED, Refusal};

    /// There is none on this system, so that nothing below is ever called.
    #[derive(Debug)]
    pub(super) struct Timer(std::convert::Infallible);

    impl Timer {
        pub(super) fn new() -> Result<Self, Refusal> {
            Err(Refusal::new(ONCEGATE_UNSUPPORTED, "descriptor", "limit: Linux"))
        }

        pub(super) fn set(&self, _at: Duration) {
            match self.0 {}
        }

        pub(super) fn wait(&self, _left: Duration) -> Result<bool, Refusal> {
            match self.0 {}
        }
    }

    impl AsRawFd for Timer {
        fn as_raw_fd(&self) -> RawFd {
            match self.0 {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn is_readable(bell: &Bell) -> bool {
        bell.timer.wait(Duration::ZERO).expect("the timer is there")
    }

    /// Goal: what is rung while somebody looks is not lost, and what was rung before is.
    /// Method: one look that nothing comes between, and one with a ring in its midst.
    #[test]
    fn a_ring_in_the_midst_of_a_look_stays() {
        let bell = Bell::new().expect("a descriptor is left");
        assert!(!is_readable(&bell));
        bell.ring();
        assert!(is_readable(&bell));
        bell.answer();
        bell.rest(|| None);
        assert!(!is_readable(&bell), "it was answered");
        bell.answer();
        bell.ring();
        bell.rest(|| None);
        assert!(is_readable(&bell), "it was rung since");
    }

    /// Goal: the descriptor is readable from the time on that was asked for.
    /// Method: a time that has passed, one in a hundred years, and one that a wait comes to.
    #[test]
    fn it_is_readable_when_the_time_comes() {
        let bell = Bell::new().expect("a descriptor is left");
        let now = PreciseClock.now();
        bell.rest(|| Some(now));
        assert!(is_readable(&bell));
        bell.rest(|| Some(now + Duration::from_secs(100 * 365 * 24 * 3600)));
        assert!(!is_readable(&bell));
        let soon = PreciseClock.now() + Duration::from_millis(5);
        bell.rest(|| Some(soon));
        while !is_readable(&bell) {
            bell.wait(Duration::MAX).expect("the timer is there");
        }
        assert!(PreciseClock.now() >= soon, "too early");
    }

    /// Goal: a bell that is closed stays readable, whoever has looked, and says so.
    /// Method: a look after it was closed.
    #[test]
    fn a_closed_bell_stays_readable() {
        let bell = Bell::new().expect("a descriptor is left");
        assert!(bell.check_open("waits").is_ok());
        bell.close();
        assert!(bell.check_open("waits").is_err_and(|refusal| refusal.status == ONCEGATE_CLOSED));
        bell.answer();
        bell.rest(|| None);
        assert!(is_readable(&bell));
    }
}
