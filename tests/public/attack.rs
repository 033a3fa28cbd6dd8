//! One scope attacks another through the table that they share.
//!
//! Seen in shared stores: whoever sends ten times as much, or chooses the keys, decides whose
//! records stay.

use std::time::Duration;

use oncegate::{
    Admission, Engine, EngineBuilder, ErrorCode, ManualClock, OnFull, Outcome, Quota, Request,
    Scope, Secret,
};

const CAPACITY: usize = 1_024;
/// How many steps a finished record answers its duplicates. The victim makes one record in each.
const WINDOW: u64 = 200;
/// What the victim has at once, and some that are over and not cleared yet.
const VICTIM_LIVE: u64 = 320;
const STEP: Duration = Duration::from_secs(1);
/// New requests of the attacker for each of the victim's.
const RATE: u64 = 10;
/// So long that the attacker makes ten tables full.
const STEPS: u64 = 10 * CAPACITY as u64 / RATE;

/// Goal: an attacker without any limit, at ten times the rate, costs a victim with a limit by name
/// no record, no outcome, and no refusal. Method: both in turn, for ten tables full; each
/// request of the victim is replayed at several ages, or only at the end of its window. Small
/// outcomes, and such as lie in the store.
#[test]
fn unlimited_attacker_costs_a_reserved_victim_nothing() {
    for bytes in [40, 200] {
        let engine = open(Engine::builder());
        engine.0.set_quota(victim(), Quota::unlimited().max_live(VICTIM_LIVE)).expect("valid");
        let made = Drive { bytes, ..Drive::new(&engine) }.run();
        let stats = engine.0.stats().expect("not forked");
        assert!(made > STEPS * RATE * 9 / 10, "the attacker was kept out: {made}");
        assert!(stats.evicted_early > 5_000, "the attacker found room: {stats:?}");
    }
}

/// Goal: the same where everybody has a limit: by a default quota, and the victim by name or not;
/// whether a full table evicts or refuses. Method: as above; the limits fit the capacity.
#[test]
fn limited_attacker_costs_nobody_anything() {
    for on_full in [OnFull::EvictLru, OnFull::Reject] {
        for named in [true, false] {
            let quota = Quota::unlimited().max_live(CAPACITY as u64 / 2);
            let engine = open(Engine::builder().on_full(on_full).default_quota(quota));
            if named {
                let quota = Quota::unlimited().max_live(VICTIM_LIVE);
                engine.0.set_quota(victim(), quota).expect("valid");
            }
            let made = Drive::new(&engine).run();
            let stats = engine.0.stats().expect("not forked");
            assert!(made > STEPS, "{on_full:?}: the attacker was kept out: {made}");
            assert!(stats.quota > STEPS, "{on_full:?}: the attacker met no limit: {stats:?}");
            assert_eq!((stats.evicted_early, stats.full), (0, 0), "{on_full:?}");
        }
    }
}

/// Goal: many names do not help an attacker under a default quota. Method: as above, with another
/// scope for each of its requests, out of more than there are records.
#[test]
fn attacker_of_many_names_costs_a_reserved_victim_nothing() {
    let quota = Quota::unlimited().max_live(64);
    let engine = open(Engine::builder().default_quota(quota));
    engine.0.set_quota(victim(), Quota::unlimited().max_live(VICTIM_LIVE)).expect("valid");
    let made = Drive { names: 3_000, ..Drive::new(&engine) }.run();
    assert!(made > STEPS, "the attacker was kept out: {made}");
}

/// Goal: nor do large outcomes. Method: the attacker's are of the largest size, so that the budget
/// of bytes is used up again and again.
#[test]
fn large_outcomes_cost_a_reserved_victim_nothing() {
    let engine = open(Engine::builder());
    engine.0.set_quota(victim(), Quota::unlimited().max_live(VICTIM_LIVE)).expect("valid");
    Drive { bytes: 200, attacking_bytes: 4_000, ..Drive::new(&engine) }.run();
    let stats = engine.0.stats().expect("not forked");
    assert!(stats.outcomes_evicted > 1_000, "there was room for all: {stats:?}");
}

fn victim() -> Scope<'static> {
    Scope::new("victim").expect("short")
}

fn open(builder: EngineBuilder) -> (Engine, ManualClock) {
    let clock = ManualClock::new();
    let builder = builder.capacity(CAPACITY).dedup_window(STEP * WINDOW as u32);
    let builder = builder.outcome_limit(4_096).clock(clock.clone());
    let secret = Secret::from_bytes(&[7; 32]).expect("32 bytes");
    (builder.secret(secret).build().expect("valid"), clock)
}

/// A victim and an attacker in turn.
struct Drive<'e> {
    engine: &'e Engine,
    clock: &'e ManualClock,
    /// Of the victim's outcomes.
    bytes: usize,
    attacking_bytes: usize,
    /// How many scopes the attacker has.
    names: u64,
}

impl<'e> Drive<'e> {
    fn new((engine, clock): &'e (Engine, ManualClock)) -> Self {
        Self { engine, clock, bytes: 40, attacking_bytes: 40, names: 1 }
    }

    /// How many records the attacker made.
    fn run(&self) -> u64 {
        let mut made = 0;
        for step in 0..STEPS {
            self.clock.advance(STEP);
            let begun = self.begin(victim(), step);
            let Ok(Admission::Admitted(lease)) = begun else {
                panic!("step {step}: the victim's new request was answered {begun:?}")
            };
            lease.complete(&outcome(step, self.bytes)).expect("held");
            for at in 0..RATE {
                made += u64::from(self.attack(step * RATE + at));
            }
            for age in AGES {
                // A third of the records is left alone until its window ends.
                if let Some(then) = step.checked_sub(age)
                    && (then % 3 != 0 || age == WINDOW - 1)
                {
                    self.expect_replay(then, age);
                }
            }
        }
        made
    }

    fn attack(&self, number: u64) -> bool {
        let name = format!("attacker-{}", number % self.names);
        let scope = Scope::new(&name).expect("short");
        match self.begin(scope, number) {
            Ok(Admission::Admitted(lease)) => {
                lease.complete(&outcome(number, self.attacking_bytes)).expect("held");
                true
            }
            Ok(other) => panic!("the attacker's new request was answered {other:?}"),
            Err(error) => {
                assert!(matches!(error.code(), ErrorCode::QuotaExceeded | ErrorCode::Full));
                false
            }
        }
    }

    fn expect_replay(&self, number: u64, age: u64) {
        match self.begin(victim(), number) {
            Ok(Admission::Replayed(found)) if found == outcome(number, self.bytes) => {}
            other => panic!("the victim's request of {age} steps ago was answered {other:?}"),
        }
    }

    fn begin(&self, scope: Scope<'_>, number: u64) -> Result<Admission<'_>, oncegate::Error> {
        let key = number.to_le_bytes();
        self.engine.begin(&Request::new(scope, "POST /charges", &key).expect("short"))
    }
}

/// When the victim retries, in steps since its first attempt; the last one is the last in which
/// the record must answer.
const AGES: [u64; 7] = [0, 1, 2, 10, 50, WINDOW / 2, WINDOW - 1];

fn outcome(number: u64, bytes: usize) -> Outcome {
    let mut body = vec![number as u8; bytes];
    body[..8].copy_from_slice(&number.to_le_bytes());
    Outcome::new(200, body)
}
