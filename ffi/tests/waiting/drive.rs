//! Driving: an event loop looks after what is due, without a thread of ours.

use std::ptr;

use oncegate_ffi::*;

use crate::support::{
    Engine, Refused, SOON, call, first_wrong, in_child, is_readable, options, refused, zeroed,
};

/// A descriptor, which ends with the test.
struct Due(*mut RawDue);

impl Due {
    fn open(engine: &Engine) -> Self {
        let mut due = ptr::null_mut();
        // SAFETY: what is pointed to lives for the call, here and below.
        call(|error| unsafe { oncegate_due_open(engine.0, &raw mut due, error) })
            .expect("a descriptor is left");
        Self(due)
    }

    fn descriptor(&self) -> Result<i32, Refused> {
        let mut fd = -1;
        // SAFETY: as above.
        call(|error| unsafe { oncegate_due_descriptor(self.0, &raw mut fd, error) })?;
        Ok(fd)
    }

    fn advance(&self, limit: usize) -> Result<RawDriven, Refused> {
        let mut driven = RawDriven { reserved: 77, ..RawDriven::default() };
        // SAFETY: as above.
        call(|error| unsafe { oncegate_due_advance(self.0, limit, &raw mut driven, error) })?;
        Ok(driven)
    }

    fn close(&self) -> Result<(), Refused> {
        // SAFETY: as above.
        call(|error| unsafe { oncegate_due_close(self.0, error) })
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        // SAFETY: as above. `ONCEGATE_BAD_HANDLE` is what a test that closed it wants.
        unsafe { oncegate_due_close(self.0, ptr::null_mut()) };
    }
}

/// Goal: a look tells what it did, when something is due next, and whether its limit ended it.
/// Method: three put off, looked at before their time, one by one, and all.
#[test]
fn a_look_tells_what_it_did() {
    let engine = Engine::manual();
    // The table is swept for the first time.
    while engine.advance(1_000).more != 0 {}
    let due: Vec<u64> = ["a", "b", "c"].iter().map(|key| engine.put_off(key, b"op", b"")).collect();
    let before = engine.advance(1_000);
    assert_eq!((before.looked_at, before.ready, before.reserved), (0, 0, 0));
    assert!(before.due_in_ms <= *due.iter().min().expect("three"), "{}", before.due_in_ms);
    engine.advance_clock(*due.iter().max().expect("three"));
    let one = engine.advance(1);
    assert_eq!((one.looked_at, one.ready, one.more), (1, 1, 1));
    let all = engine.advance(1_000);
    assert_eq!((all.looked_at, all.ready), (2, 3));
    // SAFETY: a handle, and nothing to write.
    call(|error| unsafe { oncegate_advance(engine.0, 1, ptr::null_mut(), error) }).expect("NULL");
    (0..3).for_each(|_| assert!(engine.next(0).expect("open").is_some()));
}

/// Goal: an event loop gets an attempt when it is due, by a clock that is moved. Method: the
/// descriptor is not readable before, and is after; a look makes the attempt ready.
#[test]
fn a_descriptor_is_readable_when_something_is_due() {
    let engine = Engine::manual();
    let due = Due::open(&engine);
    let fd = due.descriptor().expect("open");
    while due.advance(1_000).expect("open").more != 0 {}
    assert!(!is_readable(fd, 0), "nothing is due");
    let due_in = engine.put_off("k", b"op", b"");
    // It may have been armed for later.
    while is_readable(fd, 0) {
        assert_eq!(due.advance(1_000).expect("open").ready, 0, "before its time");
    }
    engine.advance_clock(due_in);
    assert!(is_readable(fd, 0));
    let driven = due.advance(1_000).expect("open");
    assert_eq!((driven.ready, driven.reserved), (1, 0));
    assert!(engine.next(0).expect("open").is_some());
}

/// Goal: the same by a clock that runs, in the kernel's time. Method: an attempt in 30 ms; the loop
/// only looks when the descriptor is readable.
#[test]
fn an_event_loop_gets_what_is_due() {
    let struct_size = size_of::<RawRetryPolicy>();
    let (backoff, jitter) = (ONCEGATE_BACKOFF_CONSTANT, ONCEGATE_JITTER_NONE);
    let policy = RawRetryPolicy { struct_size, backoff, jitter, initial_ms: 30, ..zeroed() };
    let engine = Engine::open(&RawOptions {
        retry_policy: &raw const policy,
        clock: ONCEGATE_CLOCK_PRECISE,
        ..options()
    });
    let due = Due::open(&engine);
    let fd = due.descriptor().expect("open");
    engine.put_off("k", b"op", b"context");
    let mut turns = 0;
    let (attempt, _, context) = loop {
        assert!(is_readable(fd, SOON as i32), "never");
        due.advance(100).expect("open");
        turns += 1;
        if let Some(next) = engine.next(0).expect("open") {
            break next;
        }
    };
    assert_eq!((attempt.attempt, &context[..]), (2, &b"context"[..]));
    assert!(turns < 20, "{turns} turns of the loop for one attempt");
}

/// Goal: a descriptor keeps its engine, and what is closed is refused. Method: the engine's handle
/// is closed first; then the descriptor's, twice.
#[test]
fn a_descriptor_outlives_the_engine_s_handle() {
    let engine = Engine::manual();
    let due = Due::open(&engine);
    drop(engine);
    assert_eq!(due.advance(1_000).expect("its engine lives").ready, 0);
    due.close().expect("open");
    refused(due.close(), ONCEGATE_BAD_HANDLE, "due");
    refused(due.advance(1), ONCEGATE_BAD_HANDLE, "due");
    refused(due.descriptor(), ONCEGATE_BAD_HANDLE, "due");
}

/// Goal: a descriptor is its process's own. Method: a forked child makes every call and closes it;
/// the parent's is armed as it was.
#[test]
fn a_forked_child_has_no_part_in_it() {
    let engine = Engine::manual();
    let due = Due::open(&engine);
    let fd = due.descriptor().expect("open");
    while due.advance(1_000).expect("open").more != 0 {}
    let due_in = engine.put_off("k", b"op", b"");
    while is_readable(fd, 0) {
        due.advance(1_000).expect("open");
    }
    in_child(|| {
        let forked = |made: Result<(), Refused>| {
            made.is_err_and(|found| found.status == ONCEGATE_FORKED && found.field == "due")
        };
        // SAFETY: a handle.
        let advanced =
            call(|error| unsafe { oncegate_advance(engine.0, 1, ptr::null_mut(), error) });
        first_wrong(&[
            forked(due.advance(1).map(drop)),
            forked(due.descriptor().map(drop)),
            advanced.is_err_and(|found| found.status == ONCEGATE_FORKED),
            due.close().is_ok(),
        ])
    });
    assert!(!is_readable(fd, 0));
    engine.advance_clock(due_in);
    assert!(is_readable(fd, 0));
    assert_eq!(due.advance(1_000).expect("open").ready, 1);
}

/// Goal: each argument that may not be `NULL` is refused by its name, and handles of other kinds
/// are. Method: one call for each.
#[test]
fn bad_arguments_are_refused() {
    let engine = Engine::manual();
    let due = Due::open(&engine);
    let (null, bad) = (ONCEGATE_NULL_ARGUMENT, ONCEGATE_BAD_HANDLE);
    let mut opened = ptr::null_mut();
    let none: *mut RawDriven = ptr::null_mut();
    let wrong = engine.0.cast::<RawDue>();
    let mut fd = 77;
    let (at, fd_at) = (&raw mut opened, &raw mut fd);
    // SAFETY: what is pointed to lives for the call, in all of them.
    let cases: Vec<(Result<(), Refused>, Status, &str)> = unsafe {
        vec![
            (call(|e| oncegate_advance(ptr::null(), 1, none, e)), null, "engine"),
            (call(|e| oncegate_due_open(ptr::null(), at, e)), null, "engine"),
            (call(|e| oncegate_due_open(engine.0, ptr::null_mut(), e)), null, "due"),
            (call(|e| oncegate_due_open(due.0.cast(), at, e)), bad, "engine"),
            (call(|e| oncegate_due_close(wrong, e)), bad, "due"),
            (call(|e| oncegate_due_descriptor(ptr::null(), fd_at, e)), null, "due"),
            (call(|e| oncegate_due_descriptor(wrong, fd_at, e)), bad, "due"),
            (call(|e| oncegate_due_descriptor(due.0, ptr::null_mut(), e)), null, "fd"),
            (call(|e| oncegate_due_advance(ptr::null(), 1, none, e)), null, "due"),
            (call(|e| oncegate_due_advance(wrong, 1, none, e)), bad, "due"),
        ]
    };
    for (made, status, field) in cases {
        refused(made, status, field);
    }
    assert!(opened.is_null() && fd == 77, "outputs are as they were");
    // SAFETY: as above.
    call(|error| unsafe { oncegate_due_close(ptr::null_mut(), error) }).expect("NULL is fine");
}
