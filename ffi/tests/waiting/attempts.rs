//! Attempts that are due: each is handed out once, and none is lost by a small buffer.

use std::ptr;

use oncegate_ffi::*;

use crate::support::{
    Engine, Refused, Room, SOON, call, first_wrong, in_child, options, refused, zeroed,
};

/// The longest context of a tiny engine, and the longest operation.
const LONGEST: usize = 4_096 + 255;

/// An engine that tries again after `ms`.
fn trying_after(ms: u64, options: RawOptions) -> Engine {
    let struct_size = size_of::<RawRetryPolicy>();
    let (backoff, jitter) = (ONCEGATE_BACKOFF_CONSTANT, ONCEGATE_JITTER_NONE);
    let policy = RawRetryPolicy { struct_size, backoff, jitter, initial_ms: ms, ..zeroed() };
    Engine::open(&RawOptions { retry_policy: &raw const policy, ..options })
}

/// Goal: what was put off is handed out at its time, once, with what it was left with, and its
/// lease is as good as one of `oncegate_begin`. Method: a clock that stops a millisecond before.
#[test]
fn an_attempt_comes_when_it_is_due() {
    let engine = Engine::manual();
    assert!(engine.next(0).expect("open").is_none());
    let due_in = engine.put_off("k", b"charge", b"{\"amount\": 100}");
    assert!(due_in > 0);
    engine.advance_clock(due_in - 1);
    assert!(engine.next(0).expect("open").is_none(), "before its time");
    engine.advance_clock(1);
    let (attempt, operation, context) = engine.next(0).expect("open").expect("it is due");
    assert_eq!((&operation[..], &context[..]), (&b"charge"[..], &b"{\"amount\": 100}"[..]));
    assert_eq!((attempt.attempt, attempt.remaining_ms, attempt.reserved), (2, 30_000, 0));
    assert!(attempt.fencing_token > 0);
    assert!(engine.next(0).expect("open").is_none(), "once");
    engine.complete(&attempt.lease, b"charged").expect("held");
    assert_eq!(engine.begin("k").verdict, ONCEGATE_REPLAYED);
}

/// Goal: a buffer that may be too small is refused before an attempt is taken. Method: one byte
/// less than the longest, and no buffer; then the attempt is there, and its context of nothing too.
#[test]
fn a_small_buffer_loses_none() {
    let engine = Engine::manual();
    engine.advance_clock(engine.put_off("k", b"charge", b""));
    let mut small = Room::new(LONGEST - 1);
    refused(engine.next_into(1, 0, &mut small), ONCEGATE_BUFFER_TOO_SMALL, "buffer");
    assert_eq!(small.needed(), LONGEST);
    let (mut attempt, mut found) = (RawAttempt::default(), 77);
    let without = |error| {
        let (none, at) = (ptr::null_mut(), &raw mut attempt);
        // SAFETY: what is pointed to lives for the call.
        unsafe { oncegate_next_attempt(engine.0, 0, none, at, &raw mut found, error) }
    };
    refused(call(without), ONCEGATE_BUFFER_TOO_SMALL, "buffer");
    assert_eq!(found, 77, "outputs are as they were");
    let (attempt, _, context) = engine.next(0).expect("open").expect("it is still there");
    assert_eq!((attempt.attempt, context.len()), (2, 0));
}

/// Goal: a batch takes as many as surely fit, and the rest stays. Method: three due, a buffer for
/// two of the longest; a limit of one.
#[test]
fn a_batch_takes_what_fits() {
    let engine = Engine::manual();
    let due = ["a", "b", "c"].map(|key| engine.put_off(key, b"op", key.as_bytes()));
    engine.advance_clock(due.into_iter().max().expect("three"));
    let mut room = Room::new(LONGEST + 3);
    let mut contexts = Vec::new();
    for (most, expected) in [(8, 2), (8, 1), (8, 0)] {
        let taken = engine.next_into(most, 0, &mut room).expect("open");
        assert_eq!(taken.len(), expected);
        assert_eq!(room.needed(), 3 * expected, "what was written");
        for one in taken {
            assert_eq!(room.part(one.operation_offset, one.operation_len), b"op");
            contexts.push(room.part(one.context_offset, one.context_len).to_vec());
        }
    }
    contexts.sort_unstable();
    assert_eq!(contexts, [b"a", b"b", b"c"]);
    let due = ["d", "e"].map(|key| engine.put_off(key, b"op", b""));
    engine.advance_clock(due.into_iter().max().expect("two"));
    assert_eq!(engine.next_into(1, 0, &mut room).expect("open").len(), 1, "the limit is kept");
}

/// Goal: a thread that blocks gets what becomes due, by a clock that is moved and by one that runs.
/// Method: it blocks before the attempt is put off, and before the clock comes to it.
#[test]
fn a_blocked_worker_gets_what_becomes_due() {
    let precise = RawOptions { clock: ONCEGATE_CLOCK_PRECISE, ..options() };
    let manual = RawOptions { clock: ONCEGATE_CLOCK_MANUAL, ..options() };
    for (options, moves) in [(precise, false), (manual, true)] {
        let engine = trying_after(20, options);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| engine.next(SOON).expect("open").expect("it comes"));
            assert_eq!(engine.put_off("k", b"op", b"context"), 20);
            if moves {
                engine.advance_clock(20);
            }
            let (attempt, _, context) = worker.join().expect("no panic");
            assert_eq!((attempt.attempt, &context[..]), (2, &b"context"[..]));
        });
    }
}

/// Goal: a wait for attempts ends when its time is over, by the engine's clock, and when the engine
/// is closed. Method: a manual clock that is moved until the worker comes back; a close while
/// another one blocks, with a clock that stands still.
#[test]
fn a_wait_for_attempts_ends() {
    let engine = Engine::manual();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| engine.next(1_000));
        while !worker.is_finished() {
            engine.advance_clock(500);
            std::thread::yield_now();
        }
        assert!(worker.join().expect("no panic").expect("open").is_none());
        let handle = engine.0.addr();
        let blocked = scope.spawn(|| engine.next(SOON));
        let closed = call(|error| {
            let handle: *mut RawEngine = ptr::without_provenance_mut(handle);
            // SAFETY: a handle.
            unsafe { oncegate_engine_close(handle, error) }
        });
        closed.expect("open");
        let status = blocked.join().expect("no panic").expect_err("closed").status;
        // Whether it blocks yet does not matter: who comes late is refused too.
        assert!([ONCEGATE_CLOSED, ONCEGATE_BAD_HANDLE].contains(&status), "{status}");
    });
}

/// Goal: a forked child gets no attempts of its parent's. Method: one is due; the child asks.
#[test]
fn a_forked_child_gets_none() {
    let engine = Engine::manual();
    engine.advance_clock(engine.put_off("k", b"op", b""));
    in_child(|| {
        let forked =
            |made: Result<(), Refused>| made.is_err_and(|found| found.status == ONCEGATE_FORKED);
        first_wrong(&[
            forked(engine.next(0).map(drop)),
            forked(engine.next_into(1, 0, &mut Room::new(LONGEST)).map(drop)),
        ])
    });
    assert!(engine.next(0).expect("open").is_some());
}

/// Goal: arguments that cannot be are refused by their names, and nothing is handed out. Method:
/// one call for each; then the attempt is there.
#[test]
fn bad_arguments_are_refused() {
    let engine = Engine::manual();
    engine.advance_clock(engine.put_off("k", b"op", b""));
    let mut room = Room::new(LONGEST);
    let years = 800 * 24 * 3_600_000;
    refused(engine.next_into(1, years, &mut room), ONCEGATE_INVALID_OPTION, "timeout");
    refused(engine.next_into(0, 0, &mut room), ONCEGATE_BAD_SIZE, "most");
    let (mut attempt, mut found, mut count) = (RawAttempt::default(), 77, 77);
    let (buffer, at) = (room.raw(), &raw mut attempt);
    let (found, count) = (&raw mut found, &raw mut count);
    let (null, e0) = (ONCEGATE_NULL_ARGUMENT, ptr::null());
    let none: *mut RawAttempt = ptr::null_mut();
    // SAFETY: what is pointed to lives for the call, in all of them.
    let cases: Vec<(Result<(), Refused>, &str)> = unsafe {
        vec![
            (call(|e| oncegate_next_attempt(e0, 0, buffer, at, found, e)), "engine"),
            (call(|e| oncegate_next_attempt(engine.0, 0, buffer, none, found, e)), "attempt"),
            (call(|e| oncegate_next_attempt(engine.0, 0, buffer, at, none.cast(), e)), "found"),
            (call(|e| oncegate_next_attempts(e0, 1, 0, buffer, at, count, e)), "engine"),
            (call(|e| oncegate_next_attempts(engine.0, 1, 0, buffer, none, count, e)), "attempts"),
            (call(|e| oncegate_next_attempts(engine.0, 1, 0, buffer, at, none.cast(), e)), "count"),
        ]
    };
    for (made, field) in cases {
        refused(made, null, field);
    }
    // SAFETY: both live.
    assert_eq!(unsafe { (*found, *count) }, (77, 77), "outputs are as they were");
    assert!(engine.next(0).expect("open").is_some(), "nothing was handed out");
}
