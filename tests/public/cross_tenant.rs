//! One tenant's key is another's.
//!
//! Seen where the key alone, or the key with the path, is the record: another tenant, or another
//! endpoint, gets the answer that was meant for the first.

use oncegate::{Admission, Request, Scope};

use crate::support::{admitted, done, engine, replayed};

/// Goal: no request meets a record of another scope, another operation, or another kind of
/// scope. Method: the same key, and parts whose texts run together, each with its own outcome.
/// Each part also differs alone and at equal length, so that no length tells the two apart.
#[test]
fn replay_stays_in_its_scope() {
    let (engine, _clock) = engine();
    let scope = |name| Scope::new(name).expect("short");
    let asks = [
        (scope("acme"), "charge", "key"),
        (scope("other"), "charge", "key"),
        (scope("evil"), "charge", "key"),
        (scope("acme"), "refund", "key"),
        (scope("acme"), "charge", "kez"),
        (scope("acmec"), "harge", "key"),
        (scope("acme"), "chargek", "ey"),
        (scope("single tenant"), "charge", "key"),
        (Scope::single_tenant(), "charge", "key"),
        (Scope::unauthenticated(), "charge", "key"),
        (Scope::unauthenticated(), "refund", "key"),
        (Scope::unauthenticated(), "charge", "kez"),
    ];
    let requests: Vec<Request<'_>> = asks
        .iter()
        .map(|(scope, operation, key)| Request::new(*scope, operation, *key).expect("valid"))
        .collect();
    for (at, request) in requests.iter().enumerate() {
        admitted(&engine, request).complete(&done(&at.to_string())).expect("held");
    }
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(replayed(&engine, request), done(&at.to_string()));
    }
}

/// Goal: a handler that begins another operation inside its own shares nothing with it.
/// Method: nest two operations under one key; end the inner one first, then the outer one.
#[test]
fn nested_operations_do_not_share() {
    let (engine, _clock) = engine();
    let of = |operation| Request::new(Scope::single_tenant(), operation, "key").expect("valid");
    let outer = admitted(&engine, &of("checkout"));
    let inner = admitted(&engine, &of("charge"));
    inner.complete(&done("charged")).expect("held");
    let met = engine.begin(&of("checkout")).expect("an answer");
    assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    outer.complete(&done("checked out")).expect("held");
    assert_eq!(replayed(&engine, &of("charge")), done("charged"));
    assert_eq!(replayed(&engine, &of("checkout")), done("checked out"));
}
