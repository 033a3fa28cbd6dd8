//! One tenant floods the table.
//!
//! Seen in shared caches with one bound for all: a loud tenant, or traffic without credentials,
//! pushes everybody else's records out.

use std::time::Duration;

use oncegate::{Admission, Engine, ErrorCode, OnFull, Quota, Request, Scope};

use crate::support::{WINDOW, admitted, build, done, replayed};

fn of<'a>(scope: Scope<'a>, key: &'a [u8]) -> Request<'a> {
    Request::new(scope, "op", key).expect("short")
}

/// Goal: a scope at its quota can neither evict another scope's records nor take its room.
/// Method: an attacker with a quota floods a table in which a victim has records; under both
/// policies the victim's are all there, and it gets in.
#[test]
fn quota_protects_the_others() {
    let (attacker, victim) = (Scope::new("attacker"), Scope::new("victim"));
    let (attacker, victim) = (attacker.expect("short"), victim.expect("short"));
    for on_full in [OnFull::EvictLru, OnFull::Reject] {
        let (engine, _clock) = build(Engine::builder().capacity(16).on_full(on_full));
        engine.set_quota(attacker, Quota::unlimited().max_live(8)).expect("valid");
        for key in 0..16_u8 {
            admitted(&engine, &of(victim, &[key])).complete(&done("victim")).expect("held");
        }
        let mut refused = 0;
        for key in 0..1_000_u32 {
            match engine.begin(&of(attacker, &key.to_le_bytes())) {
                Ok(Admission::Admitted(lease)) => {
                    lease.complete(&done("x")).expect("held");
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::QuotaExceeded);
                    refused += 1;
                }
            }
        }
        assert_eq!((refused, engine.stats().expect("not forked").quota), (992, 992));
        for key in 0..16_u8 {
            assert_eq!(replayed(&engine, &of(victim, &[key])), done("victim"));
        }
        let _more = admitted(&engine, &of(victim, b"more"));
        assert_eq!(engine.stats().expect("not forked").evicted_early, 0);
    }
}

/// Goal: quotas that ask for more than there is hurt only those who come late: they evict their
/// own, and nobody else's. Method: two scopes fill a table that holds one and a third of them.
#[test]
fn quota_reserves_what_it_grants() {
    let (early, late) = (Scope::new("early").expect("short"), Scope::new("late").expect("short"));
    let (engine, _clock) = build(Engine::builder().capacity(1_024));
    for scope in [early, late] {
        engine.set_quota(scope, Quota::unlimited().max_live(800)).expect("valid");
    }
    for scope in [early, late] {
        for key in 0..800_u32 {
            admitted(&engine, &of(scope, &key.to_le_bytes())).complete(&done("x")).expect("held");
        }
    }
    assert!(engine.stats().expect("not forked").evicted_early > 0, "there was room for all");
    for key in 0..800_u32 {
        assert_eq!(replayed(&engine, &of(early, &key.to_le_bytes())), done("x"));
    }
}

/// Goal: neither scopes without a quota nor traffic without credentials push out a tenant that
/// has one. Method: both flood a table in which the tenant used its quota up.
#[test]
fn quota_is_kept_from_those_without() {
    let tenant = Scope::new("tenant").expect("short");
    let (engine, _clock) = build(Engine::builder().capacity(1_024));
    engine.set_quota(tenant, Quota::unlimited().max_live(500)).expect("valid");
    let complete = |scope, key: u32| {
        let begun = engine.begin(&of(scope, &key.to_le_bytes()));
        if let Ok(Admission::Admitted(lease)) = begun {
            lease.complete(&done("x")).expect("held");
        }
    };
    (0..500).for_each(|key| complete(tenant, key));
    for key in 0..5_000 {
        complete(Scope::new("unlimited").expect("short"), key);
        complete(Scope::unauthenticated(), key);
    }
    assert!(engine.stats().expect("not forked").evicted_early > 1_000);
    for key in 0..500_u32 {
        assert_eq!(replayed(&engine, &of(tenant, &key.to_le_bytes())), done("x"));
    }
}

/// Goal: traffic without credentials evicts no tenant's record, not even one without a quota.
/// Method: a tenant fills every slot; the flood, which is within its own quota, finds none.
#[test]
fn unauthenticated_traffic_evicts_nobody() {
    let tenant = Scope::new("tenant").expect("short");
    let (engine, _clock) = build(Engine::builder().capacity(1_024));
    for key in 0..8_000_u32 {
        admitted(&engine, &of(tenant, &key.to_le_bytes())).complete(&done("x")).expect("held");
    }
    let evicted = engine.stats().expect("not forked").evicted_early;
    assert!(evicted > 6_000, "there was room for all");
    for key in 0..1_000_u32 {
        match engine.begin(&of(Scope::unauthenticated(), &key.to_le_bytes())) {
            Ok(Admission::Admitted(lease)) => {
                lease.complete(&done("x")).expect("held");
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(matches!(error.code(), ErrorCode::QuotaExceeded | ErrorCode::Full));
            }
        }
    }
    assert_eq!(engine.stats().expect("not forked").evicted_early, evicted);
}

/// Goal: a scope at its quota gets on when its records' time is over, without anybody sweeping.
/// Method: use the quota up, let the windows run out, and begin an old and a new request; the
/// new one may be refused a few times while the table is tended, but not for ever.
#[test]
fn quota_is_given_back_when_records_are_over() {
    let scope = Scope::new("tenant").expect("short");
    let (engine, clock) = build(Engine::builder().capacity(1_000));
    engine.set_quota(scope, Quota::unlimited().max_live(1)).expect("valid");
    admitted(&engine, &of(scope, b"old")).complete(&done("old")).expect("held");
    engine.begin(&of(scope, b"new")).expect_err("used up");
    clock.advance(WINDOW);
    admitted(&engine, &of(scope, b"old")).complete(&done("again")).expect("held");
    clock.advance(WINDOW);
    let admitted = (0..100).any(|_| engine.begin(&of(scope, b"new")).is_ok());
    assert!(admitted, "still refused");
}

/// Goal: duplicates and retries cost no quota. Method: a quota of one record, many calls.
#[test]
fn duplicates_are_free() {
    let scope = Scope::new("tenant").expect("short");
    let (engine, _clock) = build(Engine::builder().capacity(1_000));
    engine.set_quota(scope, Quota::unlimited().max_live(1).rate(0.001, 1)).expect("valid");
    for attempt in 1..=5 {
        let lease = admitted(&engine, &of(scope, b"k"));
        assert_eq!(lease.attempt(), attempt);
        lease.abandon().expect("held");
    }
    admitted(&engine, &of(scope, b"k")).complete(&done("k")).expect("held");
    for _ in 0..5 {
        assert_eq!(replayed(&engine, &of(scope, b"k")), done("k"));
    }
    assert_eq!(engine.stats().expect("not forked").quota, 0);
}

/// Goal: the rate is exact: the burst at once, then one record in each interval, and the refusal
/// says how long to wait. Method: a manual clock, moved to either side of the interval.
#[test]
fn rate_is_exact() {
    let scope = Scope::new("tenant").expect("short");
    let (engine, clock) = build(Engine::builder().capacity(10_000));
    engine.set_quota(scope, Quota::unlimited().rate(10.0, 5)).expect("valid");
    let mut key = 0_u32;
    let mut begin = || {
        key += 1;
        engine.begin(&of(scope, &key.to_le_bytes())).map(drop)
    };
    for _ in 0..5 {
        begin().expect("within the burst");
    }
    for _ in 0..20 {
        let error = begin().expect_err("too fast");
        assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(99));
        begin().expect_err("a millisecond early");
        clock.advance(Duration::from_millis(1));
        begin().expect("one interval later");
    }
    clock.advance(Duration::from_secs(3600));
    assert_eq!((0..20).filter(|_| begin().is_ok()).count(), 5, "the burst, and no more");
}

/// Goal: traffic without credentials is limited by default. Method: flood without a scope; a
/// tenant still gets in, and the flood ends at a sixteenth of the capacity.
#[test]
fn unauthenticated_traffic_is_limited() {
    let (engine, _clock) = build(Engine::builder().capacity(1_600));
    let mut ran = 0;
    for key in 0..1_000_u32 {
        match engine.begin(&of(Scope::unauthenticated(), &key.to_le_bytes())) {
            Ok(Admission::Admitted(lease)) => {
                lease.complete(&done("x")).expect("held");
                ran += 1;
            }
            Err(error) if error.code() == ErrorCode::QuotaExceeded => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ran, 100);
    let _tenant = admitted(&engine, &of(Scope::new("tenant").expect("short"), b"k"));
}
