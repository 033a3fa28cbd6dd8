//! Timers: many behind one descriptor; each fires once, and none before its time.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oncegate::{Clock as _, PreciseClock};
use oncegate_ffi::*;

use crate::support::{
    Engine, Refused, SOON, call, first_wrong, in_child, is_readable, refused, spawn_known,
    until_asleep,
};

const HOUR: u64 = 3_600_000;

/// Timers, which end with the test.
struct Timers(*mut RawTimers);

// SAFETY: any thread may use a handle.
unsafe impl Send for Timers {}
// SAFETY: the same.
unsafe impl Sync for Timers {}

impl Timers {
    fn open_with(capacity: u64) -> Result<Self, Refused> {
        let mut timers = ptr::null_mut();
        // SAFETY: what is pointed to lives for the call, here and below.
        call(|error| unsafe { oncegate_timers_open(capacity, &raw mut timers, error) })?;
        Ok(Self(timers))
    }

    fn open() -> Self {
        Self::open_with(0).expect("a descriptor is left")
    }

    fn insert(&self, after_ms: u64, data: u64) -> Result<u64, Refused> {
        let mut id = 0;
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_timers_insert(self.0, after_ms, data, &raw mut id, error)
        })?;
        assert_ne!(id, 0);
        Ok(id)
    }

    fn cancel(&self, id: u64) -> Result<bool, Refused> {
        let mut cancelled = 77;
        // SAFETY: as above.
        call(|error| unsafe { oncegate_timers_cancel(self.0, id, &raw mut cancelled, error) })?;
        assert!(cancelled < 2, "{cancelled}");
        Ok(cancelled == 1)
    }

    fn take(&self, timeout_ms: u64, most: usize) -> Result<Vec<u64>, Refused> {
        let (mut data, mut count) = (vec![u64::MAX; most], usize::MAX);
        let (at, count_at) = (data.as_mut_ptr(), &raw mut count);
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_timers_take(self.0, timeout_ms, at, most, count_at, error)
        })?;
        data.truncate(count);
        Ok(data)
    }

    fn descriptor(&self) -> Result<i32, Refused> {
        let mut fd = -1;
        // SAFETY: as above.
        call(|error| unsafe { oncegate_timers_descriptor(self.0, &raw mut fd, error) })?;
        Ok(fd)
    }

    fn close(&self) -> Result<(), Refused> {
        // SAFETY: as above.
        call(|error| unsafe { oncegate_timers_close(self.0, error) })
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        // SAFETY: as above. `ONCEGATE_BAD_HANDLE` is what a test that closed it wants.
        unsafe { oncegate_timers_close(self.0, ptr::null_mut()) };
    }
}

/// Goal: timers fire in the order of their times, and none is early. Method: four, inserted in
/// another order, one of them for at once; the time when each is taken.
#[test]
fn timers_fire_in_their_order_and_not_early() {
    let timers = Timers::open();
    let began = PreciseClock.now();
    for after_ms in [30, 10, 0, 20] {
        timers.insert(after_ms, after_ms).expect("room");
    }
    let mut fired = Vec::new();
    while fired.len() < 4 {
        for after_ms in timers.take(SOON, 8).expect("open") {
            let passed = PreciseClock.now() - began;
            assert!(passed >= Duration::from_millis(after_ms), "{after_ms} ms after {passed:?}");
            fired.push(after_ms);
        }
    }
    assert_eq!(fired, [0, 10, 20, 30]);
    assert!(timers.take(0, 8).expect("open").is_empty(), "each once");
}

/// Goal: a timer that was cancelled never fires, and whoever cancels is told whether it was in
/// time. Method: one before it is due, twice; one that was taken; numbers that nobody has.
#[test]
fn cancelled_timers_never_fire() {
    let timers = Timers::open();
    let cancelled = timers.insert(0, 1).expect("room");
    let fires = timers.insert(0, 2).expect("room");
    assert!(timers.cancel(cancelled).expect("open"));
    assert!(!timers.cancel(cancelled).expect("open"), "once");
    assert_eq!(timers.take(SOON, 8).expect("open"), [2]);
    assert!(!timers.cancel(fires).expect("open"), "it was taken");
    for nobody in [0, u64::MAX, fires ^ 1 << 40] {
        assert!(!timers.cancel(nobody).expect("open"));
    }
    let next = timers.insert(HOUR, 3).expect("room");
    assert!(!timers.cancel(cancelled).expect("open"), "its number is never another's");
    assert!(timers.cancel(next).expect("open"));
}

/// Goal: numbers that somebody made up cancel nothing, whatever they name. Method: the next uses of
/// a timer that fired and of one that was cancelled, and the first uses of others; then as many
/// timers as may be, all of which fire.
#[test]
fn numbers_that_are_still_to_come_cancel_nothing() {
    let timers = Timers::open_with(2).expect("a descriptor is left");
    let fired = timers.insert(0, 1).expect("room");
    let cancelled = timers.insert(HOUR, 2).expect("room");
    assert_eq!(timers.take(SOON, 8).expect("open"), [1]);
    assert!(timers.cancel(cancelled).expect("open"));
    // A number has its timer above bit 36, and how often that was used above bit 32.
    let uses = [fired, cancelled].into_iter().flat_map(|id| (1..4).map(move |use_| (id, use_)));
    for made_up in uses.map(|(id, use_)| id + (use_ << 32)).chain((2..9).map(|at| 1 + (at << 36))) {
        assert!(!timers.cancel(made_up).expect("open"), "{made_up:#x}");
    }
    for data in [3, 4] {
        timers.insert(0, data).expect("as many as may be");
    }
    refused(timers.insert(0, 5), ONCEGATE_FULL, "timers");
    let mut taken = Vec::new();
    while taken.len() < 2 {
        taken.extend(timers.take(SOON, 8).expect("open"));
    }
    taken.sort_unstable();
    assert_eq!(taken, [3, 4]);
}

/// Goal: the descriptor is readable when a timer is due, and not before, whichever was inserted
/// first. Method: none, one in an hour, then one in some milliseconds; and again when it is taken.
#[test]
fn the_descriptor_is_readable_when_one_is_due() {
    let timers = Timers::open();
    let fd = timers.descriptor().expect("open");
    assert!(!is_readable(fd, 0));
    timers.insert(HOUR, 1).expect("room");
    assert!(!is_readable(fd, 0));
    timers.insert(5, 2).expect("room");
    loop {
        assert!(is_readable(fd, SOON as i32), "never");
        let fired = timers.take(0, 8).expect("open");
        if !fired.is_empty() {
            assert_eq!(fired, [2]);
            break;
        }
    }
    assert!(!is_readable(fd, 0), "it was taken");
}

/// Goal: what is due is taken by the first call, whatever was cancelled beside it. Method: five for
/// the same time, of which the middle one is left; that it is due, another set's timer tells.
#[test]
fn what_is_due_is_taken_at_once() {
    let (timers, other) = (Timers::open(), Timers::open());
    let ids: Vec<u64> = (0..5).map(|data| timers.insert(0, data).expect("room")).collect();
    for id in [0, 1, 3, 4] {
        assert!(timers.cancel(ids[id]).expect("open"));
    }
    other.insert(1, 0).expect("room");
    while other.take(SOON, 1).expect("open").is_empty() {}
    assert_eq!(timers.take(0, 1).expect("open"), [2]);
}

/// Goal: a thread that blocks is woken for a timer that comes later and is due earlier, and by its
/// own timeout. Method: it blocks while there is one in an hour.
#[test]
fn a_blocked_thread_is_woken() {
    let timers = Timers::open();
    timers.insert(HOUR, 1).expect("room");
    assert!(timers.take(1, 8).expect("open").is_empty());
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| timers.take(SOON, 8));
        timers.insert(1, 2).expect("room");
        assert_eq!(blocked.join().expect("no panic").expect("open"), [2]);
    });
}

/// Goal: no more are pending than may be, and no more are taken than there is room for. Method: a
/// capacity of five, and one more; two at a time, which leaves the descriptor readable.
#[test]
fn capacities_are_kept() {
    let timers = Timers::open_with(5).expect("a descriptor is left");
    let ids: Vec<u64> = (0..5).map(|data| timers.insert(0, data).expect("room")).collect();
    refused(timers.insert(0, 5), ONCEGATE_FULL, "timers");
    assert!(timers.cancel(ids[4]).expect("open"));
    timers.insert(0, 5).expect("room again");
    let fd = timers.descriptor().expect("open");
    let mut fired = Vec::new();
    while fired.len() < 5 {
        assert!(is_readable(fd, SOON as i32));
        let some = timers.take(SOON, 2).expect("open");
        assert!(some.len() <= 2);
        fired.extend(some);
    }
    fired.sort_unstable();
    assert_eq!(fired, [0, 1, 2, 3, 5]);
    assert!(!is_readable(fd, 0));
    for capacity in [ONCEGATE_ZERO, (1 << 27) + 1] {
        let opened = Timers::open_with(capacity).map(drop);
        refused(opened, ONCEGATE_BAD_VALUE, "capacity");
    }
}

/// Goal: of a cancellation and a thread that takes, one has the timer, and each timer comes to its
/// end. Method: two threads insert timers for at once and cancel every second one; two take.
#[test]
fn each_timer_ends_once() {
    const EACH: u64 = 5_000;
    let timers = Timers::open();
    let (cancelled, fired) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let ended = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (timers, cancelled, ended) = (&timers, &cancelled, &ended);
            scope.spawn(move || {
                for number in 0..EACH {
                    let data = half * EACH + number;
                    let id = timers.insert(number % 3, data).expect("room");
                    if number % 2 == 0 && timers.cancel(id).expect("open") {
                        cancelled.lock().expect("no panic").push(data);
                        ended.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            scope.spawn(|| {
                let mut in_vain = 0;
                while ended.load(Ordering::Relaxed) < 2 * EACH as usize && in_vain < 1_000 {
                    let some = timers.take(20, 16).expect("open");
                    in_vain += usize::from(some.is_empty());
                    ended.fetch_add(some.len(), Ordering::Relaxed);
                    fired.lock().expect("no panic").extend(some);
                }
            });
        }
    });
    let mut all = cancelled.into_inner().expect("no panic");
    let in_time = all.len();
    all.extend(fired.into_inner().expect("no panic"));
    all.sort_unstable();
    assert!(all == (0..2 * EACH).collect::<Vec<_>>(), "{} ended, {in_time} cancelled", all.len());
}

/// Goal: closing ends calls that block, and everything that is pending. Method: a thread blocks
/// while there is one in an hour; every call on the closed handle.
#[test]
fn closing_ends_those_who_block() {
    let timers = Timers::open();
    let id = timers.insert(HOUR, 1).expect("room");
    std::thread::scope(|scope| {
        let (blocked, thread) = spawn_known(scope, || timers.take(u64::MAX, 1));
        until_asleep(thread);
        timers.close().expect("open");
        refused(blocked.join().expect("no panic"), ONCEGATE_CLOSED, "timers");
    });
    let bad = ONCEGATE_BAD_HANDLE;
    refused(timers.close(), bad, "timers");
    refused(timers.insert(0, 1), bad, "timers");
    refused(timers.cancel(id), bad, "timers");
    refused(timers.take(0, 1), bad, "timers");
    refused(timers.descriptor(), bad, "timers");
}

/// Goal: timers are their process's own. Method: a forked child makes every call and closes them;
/// the parent's fire as they were to.
#[test]
fn a_forked_child_has_no_part_in_them() {
    let timers = Timers::open();
    let id = timers.insert(HOUR, 1).expect("room");
    let fd = timers.descriptor().expect("open");
    in_child(|| {
        let forked = |made: Result<(), Refused>| {
            made.is_err_and(|found| found.status == ONCEGATE_FORKED && found.field == "timers")
        };
        let own = Timers::open();
        first_wrong(&[
            forked(timers.insert(0, 2).map(drop)),
            forked(timers.cancel(id).map(drop)),
            forked(timers.take(0, 1).map(drop)),
            forked(timers.descriptor().map(drop)),
            timers.close().is_ok(),
            own.insert(0, 3).is_ok() && own.take(SOON, 1).is_ok_and(|fired| fired == [3]),
        ])
    });
    assert!(!is_readable(fd, 0), "only what the parent does counts");
    timers.insert(0, 4).expect("room");
    assert_eq!(timers.take(SOON, 8).expect("open"), [4]);
    assert!(timers.cancel(id).expect("open"));
}

/// Goal: arguments that cannot be are refused by their names. Method: one call for each.
#[test]
fn bad_arguments_are_refused() {
    let (engine, timers) = (Engine::manual(), Timers::open());
    let wrong = engine.0.cast::<RawTimers>();
    let (null, bad) = (ONCEGATE_NULL_ARGUMENT, ONCEGATE_BAD_HANDLE);
    let (mut id, mut cancelled, mut count, mut fd, mut data) = (77, 77, 77, 77, 77);
    let (id_at, cancelled_at, count_at) = (&raw mut id, &raw mut cancelled, &raw mut count);
    let (fd_at, data_at, none) = (&raw mut fd, &raw mut data, ptr::null_mut());
    let t0 = ptr::null();
    refused(timers.take(0, 0), ONCEGATE_BAD_SIZE, "capacity");
    // SAFETY: what is pointed to lives for the call, in all of them.
    let cases: Vec<(Result<(), Refused>, Status, &str)> = unsafe {
        vec![
            (call(|e| oncegate_timers_open(0, ptr::null_mut(), e)), null, "timers"),
            (call(|e| oncegate_timers_close(wrong, e)), bad, "timers"),
            (call(|e| oncegate_timers_descriptor(t0, fd_at, e)), null, "timers"),
            (call(|e| oncegate_timers_descriptor(timers.0, ptr::null_mut(), e)), null, "fd"),
            (call(|e| oncegate_timers_insert(t0, 0, 1, id_at, e)), null, "timers"),
            (call(|e| oncegate_timers_insert(wrong, 0, 1, id_at, e)), bad, "timers"),
            (call(|e| oncegate_timers_insert(timers.0, 0, 1, ptr::null_mut(), e)), null, "id"),
            (call(|e| oncegate_timers_cancel(t0, 1, cancelled_at, e)), null, "timers"),
            (call(|e| oncegate_timers_cancel(timers.0, 1, ptr::null_mut(), e)), null, "cancelled"),
            (call(|e| oncegate_timers_take(t0, 0, data_at, 1, count_at, e)), null, "timers"),
            (call(|e| oncegate_timers_take(timers.0, 0, none, 1, count_at, e)), null, "user_data"),
            (
                call(|e| oncegate_timers_take(timers.0, 0, data_at, 1, ptr::null_mut(), e)),
                null,
                "count",
            ),
        ]
    };
    for (made, status, field) in cases {
        refused(made, status, field);
    }
    assert_eq!((id, cancelled, count, fd, data), (77, 77, 77, 77, 77), "outputs are as they were");
    // SAFETY: as above.
    call(|error| unsafe { oncegate_timers_close(ptr::null_mut(), error) }).expect("NULL is fine");
    assert!(timers.take(0, 1).expect("open").is_empty(), "nothing was inserted");
}
