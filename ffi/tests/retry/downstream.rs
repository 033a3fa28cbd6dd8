//! What an attempt tells the services that it calls.

use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};

use crate::support::{NOTHING, Opened, Refused, bytes, copied};
use oncegate_ffi::*;

fn key(engine: &Opened, lease: &Lease, service: &str, step: &str) -> Result<String, Refused> {
    let mut key = [0x55 as c_char; ONCEGATE_DOWNSTREAM_KEY_SIZE + 1];
    let (at, service, step) = (&raw const *lease, bytes(service), bytes(step));
    let (to, room) = (key.as_mut_ptr(), key.len());
    call!(oncegate_downstream_key(engine.0, at, service, step, to, room)).map(|()| {
        let key = key.map(|one| one as u8);
        assert_eq!(key.last(), Some(&0x55), "not a byte more");
        let text = CStr::from_bytes_until_nul(&key).expect("a final zero");
        text.to_str().expect("ASCII").to_owned()
    })
}

/// Goal: every attempt has the same key for a service and a step, and another one for another.
/// Method: two attempts of one request, another service, and another request.
#[test]
fn keys_are_the_same_in_every_attempt() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    let charge = key(&engine, &lease, "bank", "").expect("a key");
    let fee = key(&engine, &lease, "bank", "fee").expect("a key");
    assert_eq!((charge.len(), fee.len()), (43, 43));
    assert_ne!(charge, fee);
    call!(oncegate_lease_abandon(engine.0, &raw const lease)).expect("held");
    assert_eq!(key(&engine, &lease, "bank", "").unwrap_err().is(), (ONCEGATE_FENCED, "lease"));
    let next = engine.lease("key");
    assert_eq!(key(&engine, &next, "bank", ""), Ok(charge.clone()));
    assert_eq!(key(&engine, &next, "bank", "fee"), Ok(fee));
    assert_ne!(key(&engine, &next, "post", ""), Ok(charge.clone()));
    let other = engine.lease("other");
    assert_ne!(key(&engine, &other, "bank", ""), Ok(charge));
}

/// Goal: what is no name, and what finds no room, is refused by its argument.
/// Method: empty and long names, no text, `NULL`, and one byte less than the key takes.
#[test]
fn keys_are_refused() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    let long = "x".repeat(256);
    for (service, step, field) in [("", "", "service"), (&long, "", "service")] {
        let refused = key(&engine, &lease, service, step).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, field));
    }
    let refused = key(&engine, &lease, "bank", &long).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, "step"));
    let (at, bank) = (&raw const lease, bytes("bank"));
    let mut space = [0x55 as c_char; 44];
    let to = space.as_mut_ptr();
    let refused = call!(oncegate_downstream_key(engine.0, at, bank, NOTHING, to, 43));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_BUFFER_TOO_SMALL, "key"));
    assert_eq!(space, [0x55; 44]);
    let is = |refused: Result<(), Refused>, status, field: &str| {
        assert_eq!(refused.unwrap_err().is(), (status, field));
    };
    let (null_argument, no_text) = (ONCEGATE_NULL_ARGUMENT, bytes(b"\xff"));
    let nothing = NOTHING;
    is(call!(oncegate_downstream_key(null(), at, bank, nothing, to, 44)), null_argument, "engine");
    let refused = call!(oncegate_downstream_key(engine.0, null(), bank, nothing, to, 44));
    is(refused, null_argument, "lease");
    let refused = call!(oncegate_downstream_key(engine.0, at, bank, nothing, null_mut(), 44));
    is(refused, null_argument, "key");
    let refused = call!(oncegate_downstream_key(engine.0, at, no_text, nothing, to, 44));
    is(refused, ONCEGATE_NOT_UTF8, "service");
    let refused = call!(oncegate_downstream_key(engine.0, at, bank, no_text, to, 44));
    is(refused, ONCEGATE_NOT_UTF8, "step");
}

/// Goal: the headers of a call say its key, its attempt and its fencing token, and are read as
/// metadata is.
/// Method: the second attempt, read pair by pair; then into one byte less than they take.
#[test]
fn headers_are_packed_as_metadata() {
    let engine = Opened::new();
    let first = engine.lease("key");
    call!(oncegate_lease_abandon(engine.0, &raw const first)).expect("held");
    let second = engine.begin("key");
    let mut space = [0; 256];
    let mut buffer = Buffer { data: space.as_mut_ptr(), capacity: 256, needed: 0 };
    let mut pairs = StoredOutcome::default();
    let (at, bank, into) = (&raw const second.lease, bytes("bank"), &raw mut buffer);
    call!(oncegate_attempt_headers(engine.0, at, bank, into, &raw mut pairs)).expect("room");
    assert_eq!((pairs.metadata_count, pairs.body_len, pairs.status), (3, 0, 0));
    assert_eq!(pairs.metadata_len, buffer.needed);
    let packed = bytes(&space[pairs.metadata_offset..pairs.metadata_offset + pairs.metadata_len]);
    let (mut cursor, mut found) = (0, Vec::new());
    for _ in 0..pairs.metadata_count {
        let (mut name, mut value) = (NOTHING, NOTHING);
        let (n, v) = (&raw mut name, &raw mut value);
        call!(oncegate_metadata_next(packed, &raw mut cursor, n, v)).expect("a pair");
        let text = |of: Bytes| String::from_utf8(copied(of, &space)).expect("UTF-8");
        found.push((text(name), text(value)));
    }
    let quoted = format!("\"{}\"", key(&engine, &second.lease, "bank", "").expect("a key"));
    let expected = [
        ("idempotency-key", quoted),
        ("idempotency-attempt", "2".to_owned()),
        ("fencing-token", second.fencing_token.to_string()),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
    let needed = buffer.needed;
    (buffer.capacity, buffer.needed, pairs.metadata_count) = (needed - 1, 0, 77);
    let refused = call!(oncegate_attempt_headers(engine.0, at, bank, into, &raw mut pairs));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
    assert_eq!((buffer.needed, pairs.metadata_count), (needed, 77));
}

/// Goal: headers are refused by the argument that is wrong.
/// Method: a service that is no name, a stale lease, and `NULL` in each position.
#[test]
fn headers_are_refused() {
    let engine = Opened::new();
    let lease = engine.lease("key");
    let (at, bank, mut pairs) = (&raw const lease, bytes("bank"), StoredOutcome::default());
    let to = &raw mut pairs;
    let is = |refused: Result<(), Refused>, status, field: &str| {
        assert_eq!(refused.unwrap_err().is(), (status, field));
    };
    let (null_argument, b) = (ONCEGATE_NULL_ARGUMENT, null_mut());
    let refused = call!(oncegate_attempt_headers(engine.0, at, NOTHING, b, to));
    is(refused, ONCEGATE_INVALID_OPTION, "service");
    let refused = call!(oncegate_attempt_headers(engine.0, at, bytes(b"\xff"), b, to));
    is(refused, ONCEGATE_NOT_UTF8, "service");
    is(call!(oncegate_attempt_headers(null(), at, bank, b, to)), null_argument, "engine");
    is(call!(oncegate_attempt_headers(engine.0, null(), bank, b, to)), null_argument, "lease");
    is(call!(oncegate_attempt_headers(engine.0, at, bank, b, null_mut())), null_argument, "pairs");
    call!(oncegate_lease_abandon(engine.0, at)).expect("held");
    is(call!(oncegate_attempt_headers(engine.0, at, bank, b, to)), ONCEGATE_FENCED, "lease");
}
