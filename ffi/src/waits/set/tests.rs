use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;

use oncegate::{Admission, Request, Scope};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::begin::ONCEGATE_ADMITTED;
use crate::raw::{Buffer, Bytes};
use crate::request::{ONCEGATE_PAYLOAD_NONE, ONCEGATE_SCOPE_NAMED, RawRequest, parts};

const LEASE: Duration = Duration::from_secs(60);

/// The clock of a set, which jumps by a lease when it is read for the `at`-th time.
#[derive(Debug)]
struct Leaping {
    clock: ManualClock,
    at: AtomicU32,
}

impl Clock for Leaping {
    fn now(&self) -> Duration {
        // Relaxed: one thread.
        if self.at.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.clock.advance(LEASE);
        }
        self.clock.now()
    }

    fn wake_on_jump(&self, waker: &Waker) {
        self.clock.wake_on_jump(waker);
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes { data: text.as_ptr(), len: text.len() }
}

fn request() -> RawRequest {
    let none = Bytes { data: std::ptr::null(), len: 0 };
    RawRequest {
        struct_size: size_of::<RawRequest>(),
        scope_kind: ONCEGATE_SCOPE_NAMED,
        key_kind: 0,
        payload_kind: ONCEGATE_PAYLOAD_NONE,
        reserved: 0,
        scope: bytes("acme"),
        operation: bytes("op"),
        key: bytes("key"),
        payload: none,
        boundary: none,
        excluded: std::ptr::null(),
        excluded_count: 0,
        included: std::ptr::null(),
        included_count: 0,
    }
}

/// The verdict of the one answer that is there at once, if there is one.
fn taken(waits: &Waits) -> Option<u32> {
    let mut completion = Completion::default();
    let mut buffer = Buffer { data: std::ptr::null_mut(), capacity: 0, needed: 0 };
    // SAFETY: both are this function's, and outlive the call.
    let (completions, buffer) = unsafe {
        let completions = OutElements::new("completions", &raw mut completion, 1);
        let buffer = OutBytes::new("buffer", &raw mut buffer);
        (completions.expect("one"), buffer.expect("one"))
    };
    let count = waits.take(0, Taking::new(completions, buffer)).expect("answered");
    (count == 1).then_some(completion.admission.verdict)
}

fn is_readable(waits: &Waits) -> bool {
    // SAFETY: the set keeps it open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(waits.descriptor()) };
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("a descriptor") == 1
}

/// Goal: who waits hears of a lease that lapses, whenever the clock jumps.
/// Method: it jumps when the set reads it for the first time after a request was submitted, then
/// the second; the set is asked as soon as its descriptor can be read.
#[test]
fn a_jump_while_a_wait_is_planned_is_heard() {
    for at in 1..=2 {
        let clock = ManualClock::new();
        let engine = Engine::builder().capacity(64).lease_duration(LEASE).clock(clock.clone());
        let engine = Arc::new(engine.build().expect("valid"));
        let scope = Scope::new("acme").expect("short");
        let asked = Request::new(scope, "op", "key").expect("valid");
        let Ok(Admission::Admitted(lease)) = engine.begin(&asked) else { panic!("not new") };
        let _ = lease.into_token();
        let mut waits = Waits::open(Arc::clone(&engine), Some(clock.clone())).expect("a set");
        waits.clock = Arc::new(Leaping { clock: clock.clone(), at: AtomicU32::new(at) });
        let raw = request();
        // SAFETY: all of it outlives the call.
        let parts = unsafe { parts("request", &raw) }.expect("valid");
        let how = How { options: oncegate::BeginOptions::new(), wait: None };
        waits.submit(&parts, &how, 7).expect("room");
        assert_eq!(clock.now(), LEASE, "read {at} times before it waits");
        assert!(is_readable(&waits), "jump {at}: nobody is told to look");
        assert_eq!(taken(&waits), Some(ONCEGATE_ADMITTED), "jump {at}");
    }
}
