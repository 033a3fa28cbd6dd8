//! Bad input: a typed answer, and nothing changed.

use std::time::Duration;

use oncegate::{BeginOptions, Engine, EngineBuilder, ErrorCode, Failure, Request, Scope};
use oncegate::{OnConflict, Outcome, Quota};

use crate::support::{admitted, build, done, engine, request, token};

const YEARS: Duration = Duration::from_secs(20 * 366 * 24 * 3600);

/// Goal: parts of a request that are empty or too long are refused, naming the part.
/// Method: each part at its limits and beyond.
#[test]
fn sizes_are_typed() {
    let scope = Scope::single_tenant();
    let long = "x".repeat(1_025);
    let code = |made: Result<Request<'_>, oncegate::Error>| made.map(|_| ()).map_err(|e| e.code());
    assert_eq!(code(Request::new(scope, "op", "")), Err(ErrorCode::InvalidKey));
    assert_eq!(code(Request::new(scope, "op", &long[..255])), Ok(()));
    assert_eq!(code(Request::new(scope, "op", &long[..256])), Err(ErrorCode::InvalidKey));
    assert_eq!(code(Request::new(scope, "", "k")), Err(ErrorCode::InvalidOperation));
    assert_eq!(code(Request::new(scope, &long[..1_024], "k")), Ok(()));
    assert_eq!(code(Request::new(scope, &long, "k")), Err(ErrorCode::InvalidOperation));
    assert_eq!(Scope::new("").map_err(|e| e.code()), Err(ErrorCode::InvalidScope));
    assert!(Scope::new(&long[..255]).is_ok());
    assert_eq!(Scope::new(&long[..256]).map_err(|e| e.code()), Err(ErrorCode::InvalidScope));
    let named = Outcome::new(200, b"").with_metadata(&long[..256], "v").map_err(|e| e.code());
    assert_eq!(named, Err(ErrorCode::InvalidOutcome));
}

/// Goal: durations outside their range are refused by every call that takes one, and leave the
/// record as it is. Method: zero and twenty years, everywhere.
#[test]
fn durations_are_typed() {
    let (engine, _clock) = engine();
    let held = token(&engine, &request("held"));
    for wrong in [Duration::ZERO, Duration::from_micros(999), YEARS] {
        let options = [
            BeginOptions::new().lease_duration(wrong),
            BeginOptions::new().dedup_window(wrong),
            BeginOptions::new().on_conflict(OnConflict::Wait(wrong)),
        ];
        for options in options {
            let error = engine.begin_with(&request("new"), &options).expect_err("refused");
            assert_eq!(error.code(), ErrorCode::InvalidOption);
        }
        let renewed = engine.renew(&held, wrong).expect_err("refused");
        assert_eq!(renewed.code(), ErrorCode::InvalidOption);
    }
    let failed = engine.fail(&held, Failure::retryable_after(YEARS)).expect_err("refused");
    assert_eq!(failed.code(), ErrorCode::InvalidOption);
    assert_eq!(
        (
            engine.stats().expect("not forked").live.running,
            engine.stats().expect("not forked").live.total()
        ),
        (1, 1)
    );
    engine.complete(&held, &done("untouched")).expect("held");
}

/// Goal: a configuration out of range is refused, as a configuration, naming the field.
/// Method: each setting beyond its limits.
#[test]
fn configurations_are_typed() {
    let refused = |field: &str, set: fn(EngineBuilder) -> EngineBuilder| {
        let error = set(Engine::builder()).build().expect_err(field);
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, field), "{error}");
    };
    refused("capacity", |b| b.capacity(0));
    refused("capacity", |b| b.capacity(15));
    refused("capacity", |b| b.capacity(usize::MAX));
    refused("outcome_limit", |b| b.outcome_limit(63));
    refused("outcome_limit", |b| b.outcome_limit(usize::MAX));
    refused("outcome_bytes", |b| b.outcome_bytes(0));
    refused("outcome_bytes", |b| b.outcome_bytes(usize::MAX));
    refused("max_scopes", |b| b.max_scopes(1));
    refused("max_scopes", |b| b.max_scopes(65_536));
    refused("lease_duration", |b| b.lease_duration(Duration::ZERO));
    refused("lease_duration", |b| b.lease_duration(YEARS));
    refused("dedup_window", |b| b.dedup_window(Duration::ZERO));
    refused("dedup_window", |b| b.dedup_window(YEARS));
    refused("on_conflict", |b| b.on_conflict(OnConflict::Wait(Duration::ZERO)));
    refused("on_fill", |b| b.on_fill(&[f64::NAN], |_| {}));
    refused("on_fill", |b| b.on_fill(&[0.0], |_| {}));
    for quota in [Quota::unlimited().rate(0.0, 1), Quota::unlimited().rate(f64::NAN, 1)] {
        assert!(Engine::builder().default_quota(quota).build().is_err());
        assert!(Engine::builder().unauthenticated_quota(quota).build().is_err());
    }
}

/// Goal: the smallest engine of small outcomes opens, and what the refusal of a smaller budget
/// gives as its limit is taken. A chunk was never below 4 KiB, so that two of them did not fit
/// the default budget. Method: the least of everything, and the least budget itself.
#[test]
fn the_smallest_sizes_are_taken() {
    let smallest = || Engine::builder().capacity(16).outcome_limit(64);
    let _default = smallest().build().expect("the least capacity and the least limit");
    let error = smallest().outcome_bytes(1).build().expect_err("no room for two outcomes");
    let least = error.to_string().split_whitespace().filter_map(|word| word.parse().ok()).max();
    let least: usize = least.expect("the refusal gives the limit");
    let engine = smallest().outcome_bytes(least).build().expect("the limit is taken");
    for key in ["a", "b", "c", "d"] {
        let outcome = Outcome::new(200, [7; 64]);
        admitted(&engine, &request(key)).complete(&outcome).expect("held");
        let begun = engine.begin(&request(key)).expect("valid");
        assert!(matches!(begun, oncegate::Admission::Replayed(found) if found == outcome));
    }
    assert!(smallest().outcome_bytes(least - 1).build().is_err());
}

/// Goal: the largest durations and the end of time overflow nowhere. Method: the longest lease
/// and window, a clock that is moved to the end of its range.
#[test]
fn the_end_of_time_overflows_nowhere() {
    let (engine, clock) = build(Engine::builder().capacity(100));
    let longest = BeginOptions::new()
        .lease_duration(Duration::from_secs(366 * 24 * 3600))
        .dedup_window(Duration::from_secs(3653 * 24 * 3600));
    for key in ["a", "b", "c"] {
        let begun = engine.begin_with(&request(key), &longest).expect("valid");
        let oncegate::Admission::Admitted(lease) = begun else { panic!("{begun:?}") };
        clock.advance(Duration::from_secs(366 * 24 * 3600));
        let _ = lease.complete(&done(key));
    }
    let mut held = admitted(&engine, &request("d"));
    clock.advance(Duration::MAX);
    let _ = held.renew(Duration::from_secs(366 * 24 * 3600));
    let _ = held.complete(&done("d"));
    engine.sweep(usize::MAX).expect("not forked");
    // No lease would last: two callers would be admitted at once.
    let error = engine.begin(&request("d")).expect_err("no time is left");
    assert_eq!((error.code(), error.field()), (ErrorCode::Exhausted, "clock"));
}
