//! What a set of waits refuses, and that nothing is lost by it.

use std::ptr;

use oncegate_ffi::*;

use crate::set::{Set, set_of_manual};
use crate::support::{Engine, Refused, Room, call, is_readable, options, refused, request, zeroed};

/// Goal: an outcome that does not fit stays, and the call says how much it needs; leases need no
/// room. Method: two outcomes and a lease, a buffer of nothing, of one outcome, and of both.
#[test]
fn what_does_not_fit_stays() {
    let (engine, set) = set_of_manual();
    for key in ["a", "b"] {
        engine.complete(&engine.admitted(key).lease, b"0123456789").expect("held");
    }
    set.submit("a", 1);
    set.submit("b", 2);
    let mut none = Room::new(9);
    refused(set.take_into(0, 8, &mut none), ONCEGATE_BUFFER_TOO_SMALL, "buffer");
    assert_eq!(none.needed(), 10);
    let no_buffer = |error| {
        let (mut one, mut count) = (Completion::default(), 0);
        let (at, buffer) = (&raw mut one, ptr::null_mut());
        // SAFETY: what is pointed to lives for the call.
        unsafe { oncegate_waits_take(set.0, 0, at, 1, buffer, &raw mut count, error) }
    };
    refused(call(no_buffer), ONCEGATE_BUFFER_TOO_SMALL, "buffer");
    set.submit("lease", 3);
    let mut one = Room::new(19);
    let first = set.take_into(0, 8, &mut one).expect("open");
    assert_eq!((first.len(), first[0].user_data, one.needed()), (1, 1, 10));
    assert!(is_readable(set.descriptor().expect("open"), 0), "there is more");
    let rest = set.take_into(0, 8, &mut Room::new(10)).expect("open");
    assert_eq!(rest.iter().map(|one| one.user_data).collect::<Vec<_>>(), [2, 3]);
}

/// Goal: what is wrong with a request is told by the call that submits it, and that is all.
/// Method: a key that is too long, too many who wait; the set stays empty, and usable.
#[test]
fn a_bad_request_is_refused_at_once() {
    let engine = Engine::open(&RawOptions { max_waiters: 2, ..options() });
    let set = Set::open(&engine);
    let long = "k".repeat(256);
    refused(set.submit_with(&request(&long), 0, 0), ONCEGATE_INVALID_KEY, "key");
    let leader = engine.admitted("k");
    let first = set.submit("k", 1);
    set.submit("k", 2);
    refused(set.submit_with(&request("k"), 0, 3), ONCEGATE_TOO_MANY_WAITERS, "waiters");
    assert!(set.is_empty());
    set.cancel(first).expect("it waits");
    set.submit("k", 4);
    engine.complete(&leader.lease, b"").expect("held");
    let taken = set.take_into(0, 8, &mut Room::new(0)).expect("open");
    assert_eq!(taken.len(), 2);
}

/// Goal: a set holds a bounded number of waits. Method: as many answers as it may hold, untaken,
/// and one more; then one is taken.
#[test]
fn a_set_is_bounded() {
    const MOST: u64 = 65_536;
    let (engine, set) = set_of_manual();
    engine.complete(&engine.admitted("k").lease, b"").expect("held");
    (0..MOST).for_each(|number| _ = set.submit("k", number));
    refused(set.submit_with(&request("k"), 0, 0), ONCEGATE_TOO_MANY_WAITERS, "waits");
    assert_eq!(set.take_into(0, 1, &mut Room::new(0)).expect("open").len(), 1);
    set.submit("k", MOST);
}

/// Goal: each argument that may not be `NULL` is refused by its name, a handle of another kind and
/// one that was closed too, and outputs stay as they were. Method: one call for each.
#[test]
fn bad_arguments_are_refused() {
    let (engine, set) = set_of_manual();
    let (raw, mut id, mut fd, mut count) = (request("k"), 77, 77, 77);
    let (no_options, raw) = (ptr::null(), &raw const raw);
    let none: *mut u64 = ptr::null_mut();
    let (id_at, count_at) = (&raw mut id, &raw mut count);
    let mut one = Completion::default();
    let at = &raw mut one;
    let buffer: *mut Buffer = ptr::null_mut();
    let wrong = engine.0.cast::<RawWaits>();
    let null = ONCEGATE_NULL_ARGUMENT;
    let bad = ONCEGATE_BAD_HANDLE;
    // SAFETY: what is pointed to lives for the call, in all of them.
    let cases: Vec<(Result<(), Refused>, Status, &str)> = unsafe {
        vec![
            (call(|e| oncegate_waits_open(ptr::null(), none.cast(), e)), null, "engine"),
            (call(|e| oncegate_waits_open(engine.0, ptr::null_mut(), e)), null, "waits"),
            (call(|e| oncegate_waits_open(set.0.cast(), none.cast(), e)), bad, "engine"),
            (call(|e| oncegate_waits_close(wrong, e)), bad, "waits"),
            (call(|e| oncegate_waits_descriptor(ptr::null(), &raw mut fd, e)), null, "waits"),
            (call(|e| oncegate_waits_descriptor(wrong, &raw mut fd, e)), bad, "waits"),
            (call(|e| oncegate_waits_descriptor(set.0, none.cast(), e)), null, "fd"),
            (
                call(|e| oncegate_waits_submit(ptr::null(), raw, no_options, 0, id_at, e)),
                null,
                "waits",
            ),
            (
                call(|e| oncegate_waits_submit(set.0, ptr::null(), no_options, 0, id_at, e)),
                null,
                "request",
            ),
            (call(|e| oncegate_waits_submit(set.0, raw, no_options, 0, none, e)), null, "id"),
            (call(|e| oncegate_waits_cancel(ptr::null(), 1, e)), null, "waits"),
            (
                call(|e| oncegate_waits_take(ptr::null(), 0, at, 1, buffer, count_at, e)),
                null,
                "waits",
            ),
            (
                call(|e| oncegate_waits_take(set.0, 0, ptr::null_mut(), 1, buffer, count_at, e)),
                null,
                "completions",
            ),
            (
                call(|e| oncegate_waits_take(set.0, 0, at, 1, buffer, ptr::null_mut(), e)),
                null,
                "count",
            ),
            (
                call(|e| oncegate_waits_take(set.0, 0, at, 0, buffer, count_at, e)),
                ONCEGATE_BAD_SIZE,
                "capacity",
            ),
        ]
    };
    for (made, status, field) in cases {
        refused(made, status, field);
    }
    assert_eq!((id, fd, count, one.id), (77, 77, 77, 0), "outputs are as they were");
    assert!(set.is_empty(), "nothing was submitted");
    // SAFETY: as above.
    call(|error| unsafe { oncegate_waits_close(ptr::null_mut(), error) }).expect("NULL is fine");
    set.close().expect("open");
    refused(set.descriptor(), bad, "waits");
    refused(set.submit_with(&request("k"), 0, 0), bad, "waits");
}

/// Goal: options of a wrong size or with a number that is no choice are refused. Method: both.
#[test]
fn bad_options_are_refused() {
    let (_engine, set) = set_of_manual();
    let submit = |options: RawBeginOptions| {
        let (raw, mut id) = (request("k"), 0);
        let (raw, options, id) = (&raw const raw, &raw const options, &raw mut id);
        // SAFETY: what is pointed to lives for the call.
        call(|error| unsafe { oncegate_waits_submit(set.0, raw, options, 0, id, error) })
    };
    refused(submit(zeroed()), ONCEGATE_BAD_SIZE, "options.struct_size");
    let struct_size = size_of::<RawBeginOptions>();
    let options = RawBeginOptions { struct_size, on_lapse: 9, ..zeroed() };
    refused(submit(options), ONCEGATE_BAD_VALUE, "on_lapse");
    assert!(set.is_empty());
}
