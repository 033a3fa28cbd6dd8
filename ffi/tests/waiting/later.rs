//! Later: an attempt fails, and the engine sees to the next one, or says why there is none.

use std::ptr;

use oncegate_ffi::*;

use crate::support::{
    Engine, Refused, Room, attempt_error, bytes, call, first_wrong, in_child, options, refused,
    zeroed,
};

fn trying(max_attempts: u32) -> Engine {
    let struct_size = size_of::<RawRetryPolicy>();
    let (backoff, jitter) = (ONCEGATE_BACKOFF_CONSTANT, ONCEGATE_JITTER_NONE);
    let initial_ms = 1_000;
    let policy =
        RawRetryPolicy { struct_size, backoff, jitter, max_attempts, initial_ms, ..zeroed() };
    let (retry_policy, clock) = (&raw const policy, ONCEGATE_CLOCK_MANUAL);
    Engine::open(&RawOptions { retry_policy, clock, ..options() })
}

/// Goal: a failure is answered with the next attempt and its time, and a duplicate meets it.
/// Method: a constant delay of a second.
#[test]
fn a_failure_is_scheduled() {
    let engine = trying(3);
    let lease = engine.admitted("k").lease;
    let later = engine.retry_later(&lease, &attempt_error(b"503"), b"op", b"").expect("held");
    assert_eq!((later.verdict, later.reason), (ONCEGATE_LATER_SCHEDULED, ONCEGATE_BURIED_NONE));
    assert_eq!((later.next_attempt, later.due_in_ms, later.kept), (2, 1_000, 0));
    let met = engine.begin("k");
    assert_eq!((met.verdict, met.attempt, met.time_ms), (ONCEGATE_SCHEDULED, 2, 1_000));
}

/// Goal: a failure that nothing follows says why, and duplicates get its outcome. Method: as many
/// attempts as the policy allows; a terminal error with an outcome; a service that said no.
#[test]
fn a_failure_is_buried() {
    let engine = trying(1);
    let bury = |key, why: &RawAttemptError| {
        let later = engine.retry_later(&engine.admitted(key).lease, why, b"op", b"context");
        let later = later.expect("held");
        assert_eq!((later.verdict, later.next_attempt), (ONCEGATE_LATER_BURIED, 0));
        assert_eq!((later.due_in_ms, later.kept), (0, 1));
        later.reason
    };
    assert_eq!(bury("attempts", &attempt_error(b"503")), ONCEGATE_BURIED_ATTEMPTS);
    assert_eq!(engine.begin("attempts").outcome.status, 500, "as none was given");
    let engine = trying(3);
    let bury = |key, why: &RawAttemptError| {
        let later = engine.retry_later(&engine.admitted(key).lease, why, b"op", b"context");
        later.expect("held").reason
    };
    let struct_size = size_of::<RawOutcome>();
    let declined = RawOutcome { struct_size, status: 402, body: bytes(b"declined"), ..zeroed() };
    let outcome = &raw const declined;
    let terminal = RawAttemptError { terminal: 1, outcome, ..attempt_error(b"402") };
    assert_eq!(bury("terminal", &terminal), ONCEGATE_BURIED_FINAL_ERROR);
    let told = engine.begin("terminal");
    assert_eq!((told.verdict, told.outcome.status), (ONCEGATE_REPLAYED, 402));
    assert_eq!(told.outcome.body_len, b"declined".len());
    let refused = RawAttemptError { hint: ONCEGATE_HINT_REFUSED, ..attempt_error(b"429") };
    assert_eq!(bury("refused", &refused), ONCEGATE_BURIED_FINAL_ERROR);
}

/// Goal: what the service said about retrying is followed. Method: seven seconds, and none.
#[test]
fn a_hint_sets_the_time() {
    let engine = trying(9);
    for after_ms in [7_000, 0] {
        let key = format!("after {after_ms}");
        let hinted = RawAttemptError {
            kind: ONCEGATE_KIND_THROTTLED,
            hint: ONCEGATE_HINT_AFTER,
            hint_after_ms: after_ms,
            ..attempt_error(b"429")
        };
        let later = engine.retry_later(&engine.admitted(&key).lease, &hinted, b"op", b"");
        assert_eq!(later.expect("held").due_in_ms, after_ms);
    }
}

/// Goal: why an attempt failed decides what the next one costs, and a spent budget ends it.
/// Method: ten tokens, and errors of each kind with a price of its own, until there are none.
#[test]
fn the_kind_of_an_error_has_its_price() {
    let engine = trying(9);
    let budget = RawBudget {
        struct_size: size_of::<RawBudget>(),
        capacity: 10.0,
        cost_transient: 1.0,
        cost_throttled: 8.0,
        cost_timeout: 4.0,
        ..zeroed()
    };
    let budget = &raw const budget;
    // SAFETY: what is pointed to lives for the call.
    call(|error| unsafe { oncegate_set_retry_budget(engine.0, budget, error) }).expect("valid");
    let (transient, throttled, timeout) =
        (ONCEGATE_KIND_TRANSIENT, ONCEGATE_KIND_THROTTLED, ONCEGATE_KIND_TIMEOUT);
    let (goes_on, spent) = (ONCEGATE_BURIED_NONE, ONCEGATE_BURIED_BUDGET);
    // Ten, nine, one, one, none.
    let all = [
        (transient, goes_on),
        (throttled, goes_on),
        (timeout, spent),
        (transient, goes_on),
        (transient, spent),
    ];
    for (number, (kind, reason)) in all.into_iter().enumerate() {
        let why = RawAttemptError { kind, ..attempt_error(b"error") };
        let lease = engine.admitted(&format!("key-{number}")).lease;
        let later = engine.retry_later(&lease, &why, b"op", b"").expect("held");
        assert_eq!(later.reason, reason, "{number}");
    }
}

/// Goal: what may not be is refused by its name, the lease lasts, and it is refused once it is
/// over. Method: each field out of its range; then the lease is completed.
#[test]
fn bad_errors_are_refused() {
    let engine = trying(3);
    let lease = engine.admitted("k").lease;
    let good = attempt_error(b"503");
    let refuse = |why: RawAttemptError, status, field| {
        refused(engine.retry_later(&lease, &why, b"op", b""), status, field);
    };
    let (value, option) = (ONCEGATE_BAD_VALUE, ONCEGATE_INVALID_OPTION);
    refuse(RawAttemptError { kind: 3, ..good }, value, "kind");
    refuse(RawAttemptError { hint: 3, ..good }, value, "hint");
    refuse(RawAttemptError { hint_after_ms: 1, ..good }, value, "hint_after_ms");
    refuse(RawAttemptError { terminal: 2, ..good }, value, "terminal");
    refuse(RawAttemptError { reserved: 1, ..good }, value, "reserved");
    refuse(attempt_error(b""), option, "class");
    refuse(attempt_error(&[b'x'; 33]), option, "class");
    refuse(attempt_error(b"\xff"), ONCEGATE_NOT_UTF8, "error_class");
    refuse(zeroed(), ONCEGATE_BAD_SIZE, "attempt_error.struct_size");
    let bad = RawOutcome { struct_size: size_of::<RawOutcome>(), status: 70_000, ..zeroed() };
    let outcome = &raw const bad;
    refuse(RawAttemptError { outcome, ..good }, value, "outcome.status");
    let leave =
        |operation: &[u8], context: &[u8]| engine.retry_later(&lease, &good, operation, context);
    refused(leave(b"", b""), option, "operation");
    refused(leave(&[b'x'; 256], b""), option, "operation");
    refused(leave(b"\xff", b""), ONCEGATE_NOT_UTF8, "operation");
    refused(leave(b"op", &[0; 4_097]), option, "context");
    engine.complete(&lease, b"").expect("the lease lasts");
    refused(leave(b"op", b""), ONCEGATE_FENCED, "lease");
}

/// Goal: a structure of an older version, which ended with the class, is understood. Method: its
/// size; what lies behind it is not read.
#[test]
fn an_older_error_is_understood() {
    let engine = trying(3);
    let lease = engine.admitted("k").lease;
    let older = RawAttemptError { struct_size: 40, terminal: 9, ..attempt_error(b"503") };
    let later = engine.retry_later(&lease, &older, b"op", b"").expect("held");
    assert_eq!(later.verdict, ONCEGATE_LATER_SCHEDULED);
    let none = RawAttemptError { struct_size: 32, ..attempt_error(b"503") };
    let made = engine.retry_later(&lease, &none, b"op", b"");
    refused(made, ONCEGATE_BAD_SIZE, "attempt_error.struct_size");
}

/// Goal: each argument that may not be `NULL` is refused by its name, and a forked child's call.
/// Method: one call for each.
#[test]
fn bad_arguments_are_refused() {
    let engine = trying(3);
    let lease = engine.admitted("k").lease;
    let why = attempt_error(b"503");
    let (op, none) = (bytes(b"op"), bytes(b""));
    let (mut later, mut kind, mut after) = (RawLater::default(), 77, 77);
    let (at, lease_at, why_at) = (&raw mut later, &raw const lease, &raw const why);
    let engine_at = engine.0.cast_const();
    let (e0, l0, w0) = (ptr::null(), ptr::null(), ptr::null());
    let (kind, after) = (&raw mut kind, &raw mut after);
    let text = Bytes { data: ptr::null(), len: 1 };
    // SAFETY: what is pointed to lives for the call, in all of them.
    let cases: Vec<(Result<(), Refused>, &str)> = unsafe {
        vec![
            (call(|e| oncegate_retry_later(e0, lease_at, why_at, op, none, at, e)), "engine"),
            (call(|e| oncegate_retry_later(engine_at, l0, why_at, op, none, at, e)), "lease"),
            (
                call(|e| oncegate_retry_later(engine_at, lease_at, w0, op, none, at, e)),
                "attempt_error",
            ),
            (
                call(|e| oncegate_retry_later(engine_at, lease_at, why_at, text, none, at, e)),
                "operation",
            ),
            (
                call(|e| oncegate_retry_later(engine_at, lease_at, why_at, op, text, at, e)),
                "context",
            ),
            (
                call(|e| {
                    let at = ptr::null_mut();
                    oncegate_retry_later(engine_at, lease_at, why_at, op, none, at, e)
                }),
                "later",
            ),
            (call(|e| oncegate_hint_retry_after(text, 0, kind, after, e)), "value"),
            (call(|e| oncegate_hint_retry_after(op, 0, ptr::null_mut(), after, e)), "hint"),
            (call(|e| oncegate_hint_retry_after(op, 0, kind, ptr::null_mut(), e)), "after_ms"),
        ]
    };
    for (made, field) in cases {
        refused(made, ONCEGATE_NULL_ARGUMENT, field);
    }
    // SAFETY: both live.
    assert_eq!(unsafe { (*kind, *after) }, (77, 77), "outputs are as they were");
    in_child(|| {
        let made = engine.retry_later(&lease, &why, b"op", b"");
        first_wrong(&[made.is_err_and(|found| found.status == ONCEGATE_FORKED)])
    });
    engine.complete(&lease, b"").expect("the lease lasts");
}

/// Goal: a `Retry-After` is read in seconds and as a date, and what is neither is no hint. Method:
/// the examples of RFC 9110, a date that has passed, and values that are none.
#[test]
fn a_retry_after_is_read() {
    let read = |value: &[u8]| {
        let (mut hint, mut after_ms) = (77, 77);
        let (value, hint_at, after_at) = (bytes(value), &raw mut hint, &raw mut after_ms);
        // The time of the first example.
        let unix_time_ms = 784_111_777_000;
        // SAFETY: what is pointed to lives for the call.
        call(|error| unsafe {
            oncegate_hint_retry_after(value, unix_time_ms, hint_at, after_at, error)
        })
        .expect("nothing is refused");
        (hint, after_ms)
    };
    assert_eq!(read(b"120"), (ONCEGATE_HINT_AFTER, 120_000));
    assert_eq!(read(b"0"), (ONCEGATE_HINT_AFTER, 0));
    assert_eq!(read(b"Sun, 06 Nov 1994 08:49:40 GMT"), (ONCEGATE_HINT_AFTER, 3_000));
    assert_eq!(read(b"Sun, 06 Nov 1994 08:49:00 GMT"), (ONCEGATE_HINT_AFTER, 0));
    for none in [&b""[..], b"soon", b"-1", b"\xff\xfe", &[b'1'; 65]] {
        assert_eq!(read(none), (ONCEGATE_HINT_NONE, 0));
    }
}

/// Goal: what the policy schedules comes with its context to a worker, attempt after attempt, and
/// ends where the policy says. Method: an operation that always fails, with three attempts.
#[test]
fn attempts_follow_each_other_to_the_end() {
    let engine = trying(3);
    let mut lease = engine.admitted("k").lease;
    for attempt in 2..4 {
        let later = engine.retry_later(&lease, &attempt_error(b"503"), b"op", b"the same");
        assert_eq!(later.expect("held").next_attempt, attempt);
        engine.advance_clock(1_000);
        let (next, _, context) = engine.next(0).expect("open").expect("due");
        assert_eq!((next.attempt, &context[..]), (attempt, &b"the same"[..]));
        lease = next.lease;
    }
    let last = engine.retry_later(&lease, &attempt_error(b"503"), b"op", b"the same");
    assert_eq!(last.expect("held").reason, ONCEGATE_BURIED_ATTEMPTS);
    assert!(engine.next_into(1, 0, &mut Room::new(8_192)).expect("open").is_empty());
}
