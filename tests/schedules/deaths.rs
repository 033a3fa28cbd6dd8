//! Processes that share a table, some of which die in the middle of whatever they do.
//!
//! Threads: four to six, each of a process of its own, half of which die before some write to the
//! table. Sizes: two keys in eight slots, two chunks of outcomes. Property: no two live processes
//! hold one request; what a duplicate was told stands; tokens rise; and when all is over the
//! survivors have the whole table to themselves (I1, I2, I4, I8). Left out: time, and waiting.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use oncegate::{
    Admission, Bug, Engine, EngineBuilder, Failure, FingerprintMode, ManualClock, OnFull, Outcome,
    Request, Scope, fate,
};

use crate::site::{Dice, INLINE, secret};
use crate::support::{Drawn, broken, crew, explore};

pub(crate) const KEYS: usize = 2;
const LEAST_CREW: u64 = 4;
/// A process makes about so many writes in its life.
pub(crate) const MOST_WRITES: u64 = 60;

/// What is known of one request, outside the engine.
#[derive(Default)]
pub(crate) struct Known {
    /// Who runs it, with which token.
    pub(crate) held: Option<(u64, u64)>,
    /// The token of the attempt whose outcome stands.
    pub(crate) done: Option<u64>,
    /// Attempts that were about to complete: their outcome may stand without their being told.
    ending: Vec<u64>,
    pub(crate) last: u64,
}

/// What all threads write down, and who is dead. The engine's threads never wait for it: all run on
/// one thread of the system, and none gives way while it has the book.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) keys: [Known; KEYS],
    dead: Vec<u64>,
}

pub(crate) struct World {
    pub(crate) first: Arc<Engine>,
    clock: ManualClock,
    inline: usize,
    on_full: OnFull,
    book: Mutex<Book>,
}

impl World {
    /// A table where outcomes of up to `inline` bytes lie beside their record.
    pub(crate) fn new(inline: usize, on_full: OnFull) -> Self {
        let clock = ManualClock::new();
        let first = builder(&clock, inline, on_full).build().expect("a table");
        Self { first: Arc::new(first), clock, inline, on_full, book: Mutex::default() }
    }

    pub(crate) fn process(&self, number: u64) -> Engine {
        let builder = builder(&self.clock, self.inline, self.on_full);
        builder.build_beside(&self.first, number as u8 + 2).expect("the same table")
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// One round of `process`, which is `number`.
    fn round(&self, process: &Engine, number: u64, dice: &mut impl Dice) {
        let key = dice.roll(KEYS as u64) as usize;
        let name = format!("key-{key}");
        let request = Request::new(Scope::single_tenant(), "op", &name).expect("a key");
        match process.begin(&request).expect("room for two keys") {
            Admission::Admitted(lease) => {
                let fence = lease.fencing_token().get();
                self.admitted(key, number, fence);
                let token = lease.into_token();
                if dice.roll(4) == 0 {
                    self.book().keys[key].held = None;
                    process.fail(&token, Failure::retryable()).expect("the only holder");
                    return;
                }
                self.book().keys[key].ending.push(fence);
                let outcome = Outcome::new(200, fence.to_le_bytes());
                process.complete(&token, &outcome).expect("the only holder");
                let known = &mut self.book().keys[key];
                assert!(known.done.is_none_or(|done| done == fence), "another outcome stands");
                (known.done, known.held) = (Some(fence), None);
            }
            Admission::Replayed(outcome) => {
                let fence = outcome.body().try_into().map(u64::from_le_bytes).expect("a token");
                let known = &mut self.book().keys[key];
                let may_stand = known.done == Some(fence) || known.ending.contains(&fence);
                assert!(may_stand, "an outcome of nobody");
                assert!(known.done.is_none_or(|done| done == fence), "another outcome stands");
                (known.done, known.held) = (Some(fence), None);
            }
            Admission::InProgress { .. } | Admission::Scheduled { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn admitted(&self, key: usize, number: u64, fence: u64) {
        let mut book = self.book();
        let Book { keys, dead } = &mut *book;
        let known = &mut keys[key];
        let free = known.held.is_none_or(|(holder, _)| dead.contains(&holder));
        assert!(free, "{:?} holds it, and {number} too", known.held);
        assert_eq!(known.done, None, "it was done");
        assert!(fence > known.last, "tokens go down");
        (known.held, known.last) = (Some((number, fence)), fence);
    }
}

fn builder(clock: &ManualClock, inline: usize, on_full: OnFull) -> EngineBuilder {
    Engine::builder()
        .tiny()
        .max_processes(8)
        .inline_outcome(inline)
        .on_full(on_full)
        .clock(clock.clone())
        .fingerprint_mode(FingerprintMode::FastTrusted)
        .secret(secret(7))
}

/// Runs `work` of a process that dies before its `writes`-th write.
pub(crate) fn dies(world: &World, process: &Engine, number: u64, writes: u64, work: impl FnOnce()) {
    fate::die_before_write(writes);
    let ended = catch_unwind(AssertUnwindSafe(work));
    fate::die_before_write(0);
    if let Err(panic) = ended {
        if !panic.is::<fate::Died>() {
            resume_unwind(panic);
        }
        world.book().dead.push(number);
        process.die();
    }
}

fn some_die() {
    let world = Arc::new(World::new(Drawn.any(&INLINE), OnFull::EvictLru));
    let size = LEAST_CREW + Drawn.roll(3);
    let inside = Arc::clone(&world);
    crew(size, move |number| {
        let process = inside.process(number);
        let work = || (0..3).for_each(|_| inside.round(&process, number, &mut Drawn));
        if number < size / 2 {
            dies(&inside, &process, number, 1 + Drawn.roll(MOST_WRITES), work);
        } else {
            work();
        }
    });
    comes_to_rest(&world);
}

/// The survivors answer each request, and have all slots.
fn comes_to_rest(world: &World) {
    let survivor = world.process(6);
    for key in 0..KEYS {
        for _ in 0..3 {
            let name = format!("key-{key}");
            let request = Request::new(Scope::single_tenant(), "op", &name).expect("a key");
            match survivor.begin(&request).expect("room") {
                Admission::Admitted(lease) => {
                    world.admitted(key, 6, lease.fencing_token().get());
                    lease.abandon().expect("the holder");
                    world.book().keys[key].held = None;
                }
                Admission::Replayed(_) => {}
                other => panic!("key {key} is stuck: {other:?}"),
            }
        }
    }
    let name = |number: u64| format!("more-{number}");
    let mut leases = Vec::new();
    let stats = survivor.stats().expect("own");
    for number in 0..SLOTS {
        let name = name(number);
        let request = Request::new(Scope::single_tenant(), "op", &name).expect("a key");
        if let Ok(Admission::Admitted(lease)) = survivor.begin(&request) {
            leases.push(lease.into_token());
        }
    }
    // Records that wait for their next attempt stay; finished ones give way.
    let kept = (0..KEYS).filter(|key| world.book().keys[*key].done.is_none()).count();
    assert!(leases.len() + kept >= SLOTS as usize, "{} of {SLOTS}: {stats:?}", leases.len());
}

/// Slots of the smallest table in a model.
const SLOTS: u64 = 8;

/// Goal: deaths in the middle of anything break no promise. Method: half of the processes die.
#[test]
fn others_go_on() {
    explore("deaths::others_go_on", some_die);
}

/// Goal: the scenario bites. Method: deaths are not noticed.
#[test]
fn broken_death_unnoticed() {
    broken(Bug::DeathUnnoticed, some_die);
}

/// Goal: the scenario bites. Method: what a dead process claimed stays claimed.
#[test]
fn broken_dead_claim_stays() {
    broken(Bug::DeadClaimStays, some_die);
}

/// Goal: the scenario bites. Method: completion stores the control word instead of comparing.
#[test]
fn broken_complete_ignores_fence() {
    broken(Bug::CompleteIgnoresFence, some_die);
}
