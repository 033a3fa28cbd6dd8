//! The creation race: threads begin the same new requests in lockstep.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use oncegate::{
    Admission, Engine, EngineBuilder, FingerprintMode, ManualClock, Outcome, Request, Scope, Secret,
};

/// Begins the requests of one block, and counts those that were admitted.
struct Race<'e> {
    engine: &'e Engine,
    barrier: Lockstep,
    admitted: Vec<AtomicU8>,
}

impl<'e> Race<'e> {
    fn new(engine: &'e Engine, threads: usize, keys: usize) -> Self {
        let admitted = (0..keys).map(|_| AtomicU8::new(0)).collect();
        Self { engine, barrier: Lockstep::new(threads), admitted }
    }

    fn blocks(&self) -> usize {
        self.admitted.len() / BLOCK
    }

    fn block(&self, block: usize) {
        for key in block * BLOCK..(block + 1) * BLOCK {
            let bytes = (key as u64).to_le_bytes();
            let request = Request::new(Scope::single_tenant(), "op", &bytes).expect("short");
            match self.engine.begin(&request).expect("there is room") {
                Admission::Admitted(lease) => {
                    // Relaxed: read after the threads are joined.
                    self.admitted[key].fetch_add(1, Ordering::Relaxed);
                    lease.complete(&Outcome::new(200, bytes)).expect("nobody takes it over");
                }
                Admission::Replayed(outcome) => assert_eq!(outcome.body(), bytes),
                Admission::InProgress { attempt: 1, .. } => {}
                other => panic!("request {key}: {other:?}"),
            }
        }
    }

    fn check(&self) {
        let admitted = self.admitted.iter().map(|count| count.load(Ordering::Relaxed));
        let wrong: Vec<_> = admitted.enumerate().filter(|(_, count)| *count != 1).collect();
        let some = &wrong[..wrong.len().min(8)];
        assert!(wrong.is_empty(), "{} requests not admitted once: {some:?}", wrong.len());
    }
}

/// Goal: N threads that begin the same new request at the same time are admitted once (I1).
/// Method: 4 threads in lockstep by blocks of 16 requests, in a table with room for all.
#[test]
fn lockstep_creates_each_once() {
    run(builder().capacity(KEYS * 2), 4);
}

/// Goal: the same where every creation evicts: no newborn record is taken for the oldest one.
/// Method: as above, with room for a fraction of the requests. Threads are at most one block
/// apart, so a record of the running block is never among the oldest of its two sets.
#[test]
fn lockstep_creates_each_once_in_a_full_table() {
    let engine = run(builder().capacity(1_024), 4);
    assert!(engine.stats().expect("not forked").evicted_early > 0, "the table was never full");
}

/// Goal: the same while the secret is rotated: under either key, each request is admitted once.
/// Method: a third thread rotates in one block of three, and retires the old secret in another,
/// while two threads begin; between blocks the windows of all records run out.
#[test]
fn lockstep_creates_each_once_across_rotations() {
    let clock = ManualClock::new();
    let engine = builder().capacity(4_096).clock(clock.clone()).build().expect("valid");
    let race = Race::new(&engine, 3, 3 * ROTATIONS * BLOCK);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for block in 0..race.blocks() {
                    race.barrier.meet();
                    race.block(block);
                    race.barrier.meet();
                }
            });
        }
        for block in 0..race.blocks() {
            if block % 3 == 2 {
                // Nobody begins now: the others wait for the block.
                clock.advance(Duration::from_secs(2 * 24 * 3600));
            }
            race.barrier.meet();
            match block % 3 {
                0 => engine.rotate_secret(Secret::generate().expect("entropy")).expect("none"),
                2 => engine.finish_rotation().expect("all records from before are over"),
                _ => {}
            }
            race.barrier.meet();
        }
    });
    race.check();
}

fn run(builder: EngineBuilder, threads: usize) -> Engine {
    let engine = builder.build().expect("valid");
    let race = Race::new(&engine, threads, KEYS);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for block in 0..race.blocks() {
                    race.barrier.meet();
                    race.block(block);
                }
            });
        }
    });
    race.check();
    drop(race);
    engine
}

fn builder() -> EngineBuilder {
    Engine::builder().fingerprint_mode(FingerprintMode::FastTrusted)
}

/// A barrier that wakes nobody: its threads leave within nanoseconds of each other.
struct Lockstep {
    threads: usize,
    arrived: AtomicUsize,
}

impl Lockstep {
    fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0) }
    }

    fn meet(&self) {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (arrived / self.threads + 1) * self.threads;
        let mut spins = 0_u32;
        while self.arrived.load(Ordering::Acquire) < all {
            spins += 1;
            // A panic elsewhere would leave the others here for ever; the run is bounded.
            assert!(spins < 1 << 28, "a thread is missing");
            if spins.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

const BLOCK: usize = 16;
const KEYS: usize = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
/// An engine sees at most 255.
const ROTATIONS: usize = 240;
