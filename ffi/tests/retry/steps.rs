//! Steps that are found, noted and undone.

use std::ptr::{null, null_mut};

use crate::support::{NOTHING, Opened, Refused, blank, bytes};
use oncegate_ffi::*;

/// A buffer of so many bytes, and what they are.
fn room(bytes: &mut [u8]) -> Buffer {
    Buffer { data: bytes.as_mut_ptr(), capacity: bytes.len(), needed: 99 }
}

fn find(engine: &Opened, lease: &Lease, name: &str) -> Result<Option<Vec<u8>>, Refused> {
    let mut space = [0xaa; 64];
    let (mut buffer, mut len, mut found) = (room(&mut space), 99, 99);
    let (at, into) = (&raw const *lease, &raw mut buffer);
    let (length, is_found) = (&raw mut len, &raw mut found);
    let answer = call!(oncegate_step_find(engine.0, at, bytes(name), into, length, is_found));
    answer.map(|()| {
        assert_eq!(buffer.needed, len, "what was written is told twice");
        assert!(found <= 1 && (found == 1 || len == 0));
        (found == 1).then(|| space[..len].to_vec())
    })
}

fn finish(engine: &Opened, lease: &Lease, name: &str, result: &[u8]) -> Result<(), Refused> {
    call!(oncegate_step_finish(engine.0, &raw const *lease, bytes(name), bytes(result)))
}

fn undone(engine: &Opened, lease: &Lease, name: &str) -> Result<(), Refused> {
    call!(oncegate_step_undone(engine.0, &raw const *lease, bytes(name)))
}

fn last(engine: &Opened, lease: &Lease) -> Result<Option<(String, Vec<u8>)>, Refused> {
    let mut space = [0xaa; 64];
    let (mut buffer, mut step, mut found) = (room(&mut space), Step::default(), 99);
    let (at, into) = (&raw const *lease, &raw mut buffer);
    let (told, is_found) = (&raw mut step, &raw mut found);
    call!(oncegate_step_last(engine.0, at, into, told, is_found)).map(|()| {
        let part = |offset: usize, len: usize| space[offset..offset + len].to_vec();
        let name = part(step.name_offset, step.name_len);
        let result = part(step.result_offset, step.result_len);
        assert!(found <= 1 && buffer.needed == name.len() + result.len());
        (found == 1).then(|| (String::from_utf8(name).expect("a name"), result))
    })
}

/// Goal: a step runs once however many attempts it takes.
/// Method: two steps in one attempt, of which one left nothing; the attempt after a failure finds
/// them, and one that was never finished not.
#[test]
fn later_attempts_find_what_is_finished() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    assert_eq!(find(&engine, &lease, "charge"), Ok(None));
    assert_eq!(finish(&engine, &lease, "charge", b"charge-7"), Ok(()));
    assert_eq!(finish(&engine, &lease, "charge", b"another"), Ok(()), "it stays as it was");
    assert_eq!(finish(&engine, &lease, "empty", b""), Ok(()));
    let failed = call!(oncegate_lease_fail(engine.0, &raw const lease, 0, 0, null()));
    failed.expect("it holds the lease");
    let next = engine.lease("key");
    assert_eq!(find(&engine, &next, "charge"), Ok(Some(b"charge-7".to_vec())));
    assert_eq!(find(&engine, &next, "empty"), Ok(Some(vec![])));
    assert_eq!(find(&engine, &next, "mail"), Ok(None));
    for refused in [
        find(&engine, &lease, "charge").map(|_| ()),
        finish(&engine, &lease, "mail", b""),
        last(&engine, &lease).map(|_| ()),
        undone(&engine, &lease, "charge"),
    ] {
        assert_eq!(refused.unwrap_err().is(), (ONCEGATE_FENCED, "lease"));
    }
}

/// Goal: compensation goes backwards, over attempts, and each step is undone once.
/// Method: three steps, one undone in the first attempt and the rest in the second.
#[test]
fn compensation_goes_backwards() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    assert_eq!(last(&engine, &lease), Ok(None));
    for name in ["reserve", "charge", "ship"] {
        assert_eq!(finish(&engine, &lease, name, name.as_bytes()), Ok(()));
    }
    let expected = |name: &str| Ok(Some((name.to_owned(), name.as_bytes().to_vec())));
    assert_eq!(last(&engine, &lease), expected("ship"));
    assert_eq!(last(&engine, &lease), expected("ship"), "until it is noted");
    assert_eq!(undone(&engine, &lease, "ship"), Ok(()));
    let refused = undone(&engine, &lease, "ship").unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NOT_FOUND, "step"));
    call!(oncegate_lease_abandon(engine.0, &raw const lease)).expect("it holds the lease");
    let next = engine.lease("key");
    for name in ["charge", "reserve"] {
        assert_eq!(last(&engine, &next), expected(name));
        assert_eq!(undone(&engine, &next, name), Ok(()));
    }
    assert_eq!(last(&engine, &next), Ok(None));
    assert_eq!(find(&engine, &next, "charge"), Ok(None), "it runs again");
}

/// Goal: a buffer that is too small changes nothing but `needed`, and the call can be made again.
/// Method: a result of ten bytes and a name of three, into nothing, and into one byte less; `NULL`.
#[test]
fn small_buffers_say_what_they_need() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    finish(&engine, &lease, "one", b"0123456789").expect("room");
    let (at, name) = (&raw const lease, bytes("one"));
    for capacity in [0, 9] {
        let mut space = [0xaa; 16];
        let (mut buffer, mut len, mut found) = (room(&mut space[..capacity]), 99, 99);
        let (into, length, is) = (&raw mut buffer, &raw mut len, &raw mut found);
        let refused = call!(oncegate_step_find(engine.0, at, name, into, length, is)).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
        assert_eq!((buffer.needed, len, found, space), (10, 99, 99, [0xaa; 16]));
    }
    for capacity in [0, 3, 12] {
        let mut space = [0xaa; 16];
        let mut step = Step { name_offset: 99, ..Step::default() };
        let (mut buffer, mut found) = (room(&mut space[..capacity]), 99);
        let (into, told, is) = (&raw mut buffer, &raw mut step, &raw mut found);
        let refused = call!(oncegate_step_last(engine.0, at, into, told, is)).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
        assert_eq!((buffer.needed, step.name_offset, found, space), (13, 99, 99, [0xaa; 16]));
    }
    let (mut len, mut found) = (99, 99);
    let (length, is) = (&raw mut len, &raw mut found);
    let refused = call!(oncegate_step_find(engine.0, at, name, null_mut(), length, is));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
    call!(oncegate_step_find(engine.0, at, bytes("two"), null_mut(), length, is)).expect("none");
    assert_eq!((len, found), (0, 0), "nothing needs no buffer");
}

/// Goal: steps are bounded, and a refusal names the limit.
/// Method: names, count and bytes, at their limits and beyond.
#[test]
fn steps_have_limits() {
    let engine = Opened::with(|options| options.steps_limit = 2_048);
    let lease = engine.lease("key");
    for name in ["", &"x".repeat(256)] {
        let refused = find(&engine, &lease, name).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, "step"));
        let refused = finish(&engine, &lease, name, b"").unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, "step"));
        let refused = undone(&engine, &lease, name).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_NOT_FOUND, "step"));
    }
    let refused = finish(&engine, &lease, "large", &[0; 2_048]).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_FULL, "steps_limit"));
    for number in 0..64 {
        assert_eq!(finish(&engine, &lease, &number.to_string(), b"1"), Ok(()), "{number}");
    }
    let refused = find(&engine, &lease, "one more").unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, "step"));
    assert_eq!(find(&engine, &lease, "63"), Ok(Some(b"1".to_vec())));
    let name = bytes(b"\xff");
    let refused = call!(oncegate_step_finish(engine.0, &raw const lease, name, NOTHING));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NOT_UTF8, "name"));
}

/// Goal: `NULL` in each position is refused by its name.
/// Method: one at a time; a lease of zeros is none.
#[test]
fn steps_need_their_arguments() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    let (at, name) = (&raw const lease, bytes("one"));
    let (mut len, mut found, mut step) = (0, 0, Step::default());
    let (l, f, s, b) = (&raw mut len, &raw mut found, &raw mut step, null_mut());
    let is = |refused: Result<(), Refused>, field: &str| {
        assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, field));
    };
    let nowhere = Bytes { data: null(), len: 1 };
    is(call!(oncegate_step_find(null(), at, name, b, l, f)), "engine");
    is(call!(oncegate_step_find(engine.0, null(), name, b, l, f)), "lease");
    is(call!(oncegate_step_find(engine.0, at, nowhere, b, l, f)), "name");
    is(call!(oncegate_step_find(engine.0, at, name, b, null_mut(), f)), "len");
    is(call!(oncegate_step_find(engine.0, at, name, b, l, null_mut())), "found");
    is(call!(oncegate_step_finish(null(), at, name, NOTHING)), "engine");
    is(call!(oncegate_step_finish(engine.0, null(), name, NOTHING)), "lease");
    is(call!(oncegate_step_finish(engine.0, at, nowhere, NOTHING)), "name");
    is(call!(oncegate_step_finish(engine.0, at, name, nowhere)), "result");
    is(call!(oncegate_step_last(null(), at, b, s, f)), "engine");
    is(call!(oncegate_step_last(engine.0, null(), b, s, f)), "lease");
    is(call!(oncegate_step_last(engine.0, at, b, null_mut(), f)), "step");
    is(call!(oncegate_step_last(engine.0, at, b, s, null_mut())), "found");
    is(call!(oncegate_step_undone(null(), at, name)), "engine");
    is(call!(oncegate_step_undone(engine.0, null(), name)), "lease");
    is(call!(oncegate_step_undone(engine.0, at, nowhere)), "name");
    let none: Lease = blank();
    let refused = call!(oncegate_step_undone(engine.0, &raw const none, name)).unwrap_err();
    assert_eq!(refused.status, ONCEGATE_INVALID_TOKEN);
}
