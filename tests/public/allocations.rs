//! Memory: fixed when the engine is opened.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, Failure, FingerprintMode, Outcome, Payload, Request, Scope,
};

/// Counts the allocations of the calling thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's, with the caller's arguments; the counter is a
// thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc` above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.with(Cell::get);
    let value = call();
    (ALLOCATIONS.with(Cell::get) - before, value)
}

/// Goal: nothing on the hot path allocates (I7); a replay allocates one buffer, for its outcome.
/// Method: count the thread's allocations over every ordinary call, in both modes, while records
/// and outcomes are evicted all the time.
#[test]
fn hot_path_allocates_nothing() {
    for mode in [FingerprintMode::Keyed, FingerprintMode::FastTrusted] {
        let engine = Engine::builder()
            .capacity(64)
            .outcome_bytes(1 << 20)
            .outcome_limit(4_096)
            .fingerprint_mode(mode)
            .build()
            .expect("valid");
        let outcome = Outcome::new(200, [7; 100]);
        for round in 0..2_000_u32 {
            let key = round.to_le_bytes();
            let (made, allocated) = round_of_calls(&engine, &key, &outcome);
            assert_eq!(allocated, 0, "{mode:?}, round {round}: {made}");
            let (replays, replayed) = allocations(|| engine.begin(&request(&key, b"a")));
            assert!(matches!(replayed, Ok(Admission::Replayed(_))));
            assert_eq!(replays, 1, "{mode:?}, round {round}");
        }
        assert!(engine.stats().expect("not forked").evicted_early > 1_000);
    }
}

fn request<'a>(key: &'a [u8], payload: &'a [u8]) -> Request<'a> {
    let scope = Scope::new("tenant").expect("short");
    Request::new(scope, "POST /charges", key).expect("short").payload(Payload::raw(payload))
}

/// The first call that allocated, or the last one, and how often.
fn round_of_calls(engine: &Engine, key: &[u8], outcome: &Outcome) -> (&'static str, u64) {
    let (count, first) = allocations(|| engine.begin(&request(key, b"a")).expect("room"));
    let Admission::Admitted(first) = first else { panic!("{first:?}") };
    let first = first.into_token();
    if count > 0 {
        return ("begin", count);
    }
    let options = BeginOptions::new();
    let duplicates = || {
        let asked = request(key, b"a");
        assert!(matches!(engine.begin_with(&asked, &options), Ok(Admission::InProgress { .. })));
        let other = request(key, b"b");
        assert!(matches!(engine.begin(&other), Ok(Admission::Mismatched)));
        engine.renew(&first, Duration::from_secs(30)).expect("held");
        engine.fail(&first, Failure::retryable()).expect("held");
        assert!(engine.renew(&first, Duration::from_secs(30)).is_err());
    };
    let (count, ()) = allocations(duplicates);
    if count > 0 {
        return ("a duplicate, a renewal, a failure or a stale call", count);
    }
    let finish = || {
        let Ok(Admission::Admitted(second)) = engine.begin(&request(key, b"a")) else {
            panic!("not admitted")
        };
        second.complete(outcome).expect("held");
    };
    let (count, ()) = allocations(finish);
    ("the second attempt", count)
}
