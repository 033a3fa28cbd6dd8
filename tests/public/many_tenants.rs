//! More tenants come than anybody configured.
//!
//! Seen in limiters that keep an entry for each name they ever saw: whoever can make names shuts
//! everybody else out, until a restart.

use std::sync::Barrier;

use oncegate::{Admission, Engine, ErrorCode, OnFull, Quota, Request, Scope};

use crate::support::{WINDOW, admitted, build, done, token};

fn of<'a>(scope: &'a str, key: &'a [u8]) -> Request<'a> {
    Request::new(Scope::new(scope).expect("short"), "op", key).expect("short")
}

/// Goal: as many scopes as configured have room, each with its own quota. Method: all of them at
/// once under the default quota, of which each uses more than there is.
#[test]
fn default_quota_is_each_ones_own() {
    let quota = Quota::unlimited().max_live(2);
    let builder = Engine::builder().capacity(20_000).max_scopes(4_096).default_quota(quota);
    let (engine, _clock) = build(builder);
    for tenant in 0..4_096 {
        let name = format!("tenant-{tenant}");
        for key in [b"a", b"b"] {
            admitted(&engine, &of(&name, key)).complete(&done("x")).expect("held");
        }
        let error = engine.begin(&of(&name, b"c")).expect_err("used up");
        assert_eq!((error.code(), error.field()), (ErrorCode::QuotaExceeded, "scope"));
    }
}

/// Goal: a flood of names shuts nobody out for good. Method: many more than configured, until
/// none is let in; when their records are over, an honest one is.
#[test]
fn flood_of_names_passes() {
    let quota = Quota::unlimited().max_live(1_000);
    let builder = Engine::builder().capacity(20_000).max_scopes(1_000).default_quota(quota);
    let (engine, clock) = build(builder);
    let mut refused = 0;
    for name in 0..10_000 {
        let name = format!("flood-{name}");
        match engine.begin(&of(&name, b"k")) {
            Ok(Admission::Admitted(lease)) => {
                lease.complete(&done("x")).expect("held");
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!((error.code(), error.field()), (ErrorCode::QuotaExceeded, "scopes"));
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "there was room for all");
    clock.advance(WINDOW);
    engine.sweep(usize::MAX).expect("not forked");
    for name in 0..1_000 {
        let _lease = admitted(&engine, &of(&format!("honest-{name}"), b"k"));
    }
}

/// Goal: overlapping duplicates of one new request use the rate up once. Method: threads begin
/// the same few requests together; the burst that is left afterwards is whole but for those.
#[test]
fn overlapping_duplicates_pay_once() {
    let (engine, _clock) = build(Engine::builder().capacity(100_000));
    for round in 0..200_u32 {
        let name = format!("tenant-{round}");
        let quota = Quota::unlimited().rate(0.001, 20);
        engine.set_quota(Scope::new(&name).expect("short"), quota).expect("valid");
        let together = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    for key in 0..5_u8 {
                        let begun = engine.begin(&of(&name, &[key])).expect("within the burst");
                        if let Admission::Admitted(lease) = begun {
                            let _ = lease.into_token();
                        }
                    }
                });
            }
        });
        let left = (5..40_u8).filter(|key| engine.begin(&of(&name, &[*key])).is_ok()).count();
        assert_eq!(left, 15);
    }
}

/// Goal: an answer that makes no record costs no rate. Method: a full table refuses the only
/// record of the burst; with room it is let in.
#[test]
fn refusal_costs_no_rate() {
    let (engine, clock) = build(Engine::builder().capacity(16).on_full(OnFull::Reject));
    let mut held = Vec::new();
    while held.len() < 64 {
        held.push(token(&engine, &of("filler", &[held.len() as u8])));
    }
    let quota = Quota::unlimited().rate(0.001, 1);
    engine.set_quota(Scope::new("limited").expect("short"), quota).expect("valid");
    for _ in 0..3 {
        let error = engine.begin(&of("limited", b"k")).expect_err("no room");
        assert_eq!(error.code(), ErrorCode::Full);
    }
    for token in &held {
        engine.complete(token, &done("x")).expect("held");
    }
    clock.advance(WINDOW);
    let _lease = admitted(&engine, &of("limited", b"k"));
}
