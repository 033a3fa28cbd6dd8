//! No room left.
//!
//! Seen in caches with plain LRU: a request that is still running is evicted and claimed a second
//! time. And in those without eviction: memory without bound, or nothing admitted any more.

use std::time::Duration;

use oncegate::{Admission, Engine, ErrorCode, Failure, OnFull, Outcome, Request, Scope};

use crate::support::{WINDOW, admitted, build, done, replayed, token};

/// The smallest table: two sets, which are the candidates of every request.
const SLOTS: usize = 64;

fn small(on_full: OnFull) -> (Engine, oncegate::ManualClock) {
    build(Engine::builder().capacity(16).on_full(on_full))
}

fn ask(key: &[u8]) -> Request<'_> {
    Request::new(Scope::single_tenant(), "op", key).expect("short")
}

/// Goal: running, waiting and unknown records survive whatever comes (I6).
/// Method: one record in each state, then a hundred tables full of finished ones.
#[test]
fn running_survives() {
    let (engine, _clock) = small(OnFull::EvictLru);
    let _running = token(&engine, &ask(b"running"));
    let waiting = token(&engine, &ask(b"waiting"));
    engine.fail(&waiting, Failure::retryable_after(Duration::from_secs(60))).expect("held");
    engine.fail(&token(&engine, &ask(b"unknown")), Failure::unknown()).expect("held");
    for filler in 0..100 * SLOTS {
        let key = filler.to_le_bytes();
        admitted(&engine, &ask(&key)).complete(&done("x")).expect("held");
    }
    let met = |key| engine.begin(&ask(key)).expect("an answer");
    assert!(matches!(met(b"running"), Admission::InProgress { attempt: 1, .. }));
    assert!(matches!(met(b"waiting"), Admission::Scheduled { next_attempt: 2, .. }));
    assert!(matches!(met(b"unknown"), Admission::Unresolved));
    assert!(engine.stats().expect("not forked").evicted_early > 90 * SLOTS as u64);
}

/// Goal: a table full of running requests admits nobody else, says so, and forgets none of them.
/// Method: fill every slot with running requests; the next is refused; then end one.
#[test]
fn full_of_running_refuses_the_newcomer() {
    let (engine, _clock) = small(OnFull::EvictLru);
    let keys: Vec<[u8; 8]> = (0..SLOTS).map(usize::to_le_bytes).collect();
    let tokens: Vec<_> = keys.iter().map(|key| token(&engine, &ask(key))).collect();
    let error = engine.begin(&ask(b"newcomer")).expect_err("full");
    assert_eq!((error.code(), error.is_retriable()), (ErrorCode::Full, true));
    for key in &keys {
        let met = engine.begin(&ask(key)).expect("an answer");
        assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    }
    engine.complete(&tokens[7], &done("room")).expect("held");
    let _newcomer = admitted(&engine, &ask(b"newcomer"));
}

/// Goal: under `Reject` a finished record stays for its whole window, and a newcomer gets `Full`
/// until a window is over. Method: fill the table with finished records, knock often, replay all;
/// then let the windows run out.
#[test]
fn reject_forgets_nothing() {
    let (engine, clock) = small(OnFull::Reject);
    let keys: Vec<[u8; 8]> = (0..SLOTS).map(usize::to_le_bytes).collect();
    for key in &keys {
        admitted(&engine, &ask(key)).complete(&Outcome::new(200, key)).expect("held");
    }
    for knock in 0..100_u8 {
        let error = engine.begin(&ask(&[knock])).expect_err("full");
        assert_eq!(error.code(), ErrorCode::Full);
    }
    for key in &keys {
        assert_eq!(replayed(&engine, &ask(key)).body(), key);
    }
    let stats = engine.stats().expect("not forked");
    assert_eq!((stats.full, stats.evicted_early, stats.live.succeeded), (100, 0, SLOTS as u64));
    clock.advance(WINDOW);
    let _newcomer = admitted(&engine, &ask(b"newcomer"));
}

/// Goal: an eviction inside the window is counted, takes the oldest use, and what is used again
/// and again stays. Method: one record is replayed between all creations; the others go.
#[test]
fn early_evictions_are_counted() {
    let (engine, _clock) = small(OnFull::EvictLru);
    admitted(&engine, &ask(b"hot")).complete(&done("hot")).expect("held");
    let newcomers = 40 * SLOTS;
    for newcomer in 0..newcomers {
        let key = newcomer.to_le_bytes();
        admitted(&engine, &ask(&key)).complete(&done("cold")).expect("held");
        assert_eq!(replayed(&engine, &ask(b"hot")), done("hot"), "after {newcomer}");
    }
    let stats = engine.stats().expect("not forked");
    assert_eq!(stats.evicted_early as usize, newcomers + 1 - SLOTS);
    assert_eq!(stats.live.total(), SLOTS as u64);
    // The first ones are gone, and run again: that is what was counted.
    assert_eq!(admitted(&engine, &ask(&0_usize.to_le_bytes())).attempt(), 1);
}

/// Goal: a crashed crowd does not wedge the table for ever. Method: leak leases in every slot;
/// after their lapse and retention newcomers get in.
#[test]
fn leaked_leases_make_room_in_the_end() {
    for on_full in [OnFull::EvictLru, OnFull::Reject] {
        let (engine, clock) = small(on_full);
        for leaked in 0..SLOTS {
            let _ = token(&engine, &ask(&leaked.to_le_bytes()));
        }
        engine.begin(&ask(b"newcomer")).expect_err("full");
        clock.advance(crate::support::LEASE + WINDOW);
        for newcomer in 100..100 + SLOTS {
            let _ = token(&engine, &ask(&newcomer.to_le_bytes()));
        }
    }
}

/// Goal: the callback warns once at each level. Method: fill a table past both levels.
#[test]
fn fill_levels_warn_once() {
    let (tell, told) = std::sync::mpsc::channel();
    let warn = move |event: oncegate::FillEvent| tell.send(event.level()).expect("received");
    let builder = Engine::builder().capacity(1_000).on_fill(&[0.5, 0.8], warn);
    let (engine, _clock) = build(builder);
    for record in 0..1_000_usize {
        admitted(&engine, &ask(&record.to_le_bytes())).complete(&done("x")).expect("held");
    }
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [0.5, 0.8]);
    let fill = engine.stats().expect("not forked").fill;
    assert!((0.99..=1.0).contains(&fill), "{fill}");
}

/// Goal: a small table warns too. Method: fewer records than any thread makes between two looks
/// at a large one.
#[test]
fn small_tables_warn_too() {
    let (tell, told) = std::sync::mpsc::channel();
    let warn = move |event: oncegate::FillEvent| tell.send(event.level()).expect("received");
    let (engine, _clock) = build(Engine::builder().capacity(60).on_fill(&[0.5, 0.8, 0.95], warn));
    for record in 0..60_usize {
        admitted(&engine, &ask(&record.to_le_bytes())).complete(&done("x")).expect("held");
    }
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [0.5, 0.8, 0.95]);
}

/// Goal: a callback that panics costs nobody a lease. Method: the call that crosses the level
/// panics; its request may run again at once.
#[test]
fn panicking_callback_gives_the_lease_back() {
    let warn = |_| panic!("in the callback");
    let (engine, _clock) = build(Engine::builder().capacity(60).on_fill(&[0.01], warn));
    let first = std::panic::AssertUnwindSafe(|| engine.begin(&ask(b"k")).is_ok());
    std::panic::catch_unwind(first).expect_err("the callback panics");
    assert_eq!(admitted(&engine, &ask(b"k")).attempt(), 2);
}
