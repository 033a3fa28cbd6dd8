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

fn scope(name: &str) -> Scope<'_> {
    Scope::new(name).expect("short")
}

/// Goal: a tenant that had a quota and left makes room for the next one (each took a place for
/// good). Method: many more tenants than there are places, named and taken back in either way, with
/// a record that is over by then; one keeps its quota all the time.
#[test]
fn tenants_that_left_make_room() {
    let (engine, clock) = build(Engine::builder().capacity(1_000).max_scopes(4));
    let quota = Quota::unlimited().max_live(2);
    engine.set_quota(scope("stays"), quota).expect("room");
    for tenant in 0..200 {
        let name = format!("tenant-{tenant}");
        engine.set_quota(scope(&name), quota).expect("room");
        let lease = admitted(&engine, &of(&name, b"k"));
        lease.complete(&done("k")).expect("held");
        let (taken, unlimited) = (tenant % 2 == 0, Quota::unlimited());
        let back = if taken {
            engine.remove_quota(scope(&name))
        } else {
            engine.set_quota(scope(&name), unlimited)
        };
        back.expect("own");
        assert_eq!(engine.quota(scope(&name)).expect("own"), unlimited);
        clock.advance(WINDOW);
        assert!(engine.sweep(usize::MAX).expect("own").cleared > 0);
    }
    assert_eq!(engine.quota(scope("stays")).expect("own"), quota);
    let made = (0..5_u8).filter(|key| engine.begin(&of("stays", &[*key])).is_ok()).count();
    assert_eq!(made, 2);
}

/// Goal: a quota stays that differs from the default one, and so does one that says the same but
/// reserves its room. Method: a default of two records; one tenant has none, one the same by name;
/// many names come by; then both are taken back.
#[test]
fn what_differs_from_the_default_stays() {
    let common = Quota::unlimited().max_live(2);
    let builder = Engine::builder().capacity(1_000).max_scopes(4).default_quota(common);
    let (engine, clock) = build(builder);
    engine.set_quota(scope("large"), Quota::unlimited()).expect("room");
    engine.set_quota(scope("equal"), common).expect("room");
    let made = |name: &str, from: u8| {
        let begin = |key: &u8| match engine.begin(&of(name, &[*key])) {
            Ok(Admission::Admitted(lease)) => lease.complete(&done("k")).is_ok(),
            _ => false,
        };
        (from..from + 5).filter(begin).count()
    };
    for passing in 0..100 {
        let name = format!("passing-{passing}");
        assert_eq!(made(&name, 0), 2, "{name}");
        assert_eq!(engine.quota(scope(&name)).expect("own"), common);
        clock.advance(WINDOW);
        engine.sweep(usize::MAX).expect("own");
    }
    for (name, quota, records) in [("large", Quota::unlimited(), 5), ("equal", common, 2)] {
        assert_eq!(engine.quota(scope(name)).expect("own"), quota);
        assert_eq!(made(name, 0), records);
        engine.remove_quota(scope(name)).expect("own");
        assert_eq!(engine.quota(scope(name)).expect("own"), common);
        assert_eq!(made(name, 10), 0, "{name} has as many as the default allows");
    }
    engine.remove_quota(scope("large")).expect("twice is once");
    engine.remove_quota(scope("never seen")).expect("nothing to do");
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
