//! Many callers, and a store that has to be joined first.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use oncegate::tier::{
    Claim, Claimed, Ended, Ending, Memory, Session, Tier, TierError, TierErrorKind, TierOptions,
};
use oncegate::{
    Admission, Clock, Engine, Error, ErrorCode, ManualClock, Outcome, Request, Scope, Secret,
};

use super::passed_on::passed_on;

const CALLERS: usize = 32;
/// A deadline that nobody waits for: longer than a test does.
const EVER: Duration = Duration::from_secs(60);

thread_local! {
    /// Which caller this thread is.
    static CALLER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// How often each caller has read the clock: that tells how far it has come.
#[derive(Clone, Debug)]
struct Steps {
    clock: ManualClock,
    read: Arc<[AtomicUsize]>,
}

impl Steps {
    fn new() -> Self {
        let read = (0..CALLERS).map(|_| AtomicUsize::new(0)).collect();
        Self { clock: ManualClock::new(), read }
    }

    /// Waits until all callers have come as far as the calling one, which is about to be at the
    /// store: they have read the time at which they ask.
    fn wait_for_all(&self) {
        let Some(own) = CALLER.get() else { return };
        // Acquire, here and below: pairs with the Release of `now`.
        let far = self.read[own].load(Ordering::Acquire);
        until(|| self.read.iter().all(|read| read.load(Ordering::Acquire) >= far));
    }
}

impl Clock for Steps {
    fn now(&self) -> Duration {
        let now = self.clock.now();
        if let Some(caller) = CALLER.get() {
            self.read[caller].fetch_add(1, Ordering::Release);
        }
        now
    }

    fn wake_on_jump(&self, waker: &Waker) {
        self.clock.wake_on_jump(waker);
    }
}

/// A store of which each session is asked for as a test says.
struct Door {
    memory: Memory,
    asked: AtomicUsize,
    answer: Box<dyn Fn(usize) -> Result<(), TierError> + Send + Sync>,
}

impl Door {
    fn new(
        clock: &Steps,
        answer: impl Fn(usize) -> Result<(), TierError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let memory = Memory::with_clock(clock.clone());
        Arc::new(Self { memory, asked: AtomicUsize::new(0), answer: Box::new(answer) })
    }

    fn asked(&self) -> usize {
        // Relaxed, here and below: it orders nothing.
        self.asked.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Tier for Door {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        // The engine's own thread looks after the store, too, once it was joined.
        if CALLER.get().is_some() {
            (self.answer)(self.asked.fetch_add(1, Ordering::Relaxed))?;
        }
        self.memory.session(within)
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        self.memory.claim(claim, within)
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        self.memory.end(ending, within)
    }

    passed_on!(memory);
}

fn engine(clock: &Steps, door: &Arc<Door>, options: TierOptions) -> Engine {
    Engine::builder()
        .capacity(1_000)
        .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
        .clock(clock.clone())
        .tier(Arc::clone(door))
        .tier_options(options)
        .build()
        .expect("opens")
}

/// Whether `caller` may run a request of its own, which is done then.
fn begin(engine: &Engine, caller: usize) -> Result<(), Error> {
    let key = format!("of {caller}");
    let scope = Scope::new("acme").expect("short");
    match engine.begin(&Request::new(scope, "POST /charges", &key).expect("valid"))? {
        Admission::Admitted(lease) => lease.complete(&Outcome::new(200, b"")).map(|_| ()),
        other => panic!("{other:?}"),
    }
}

/// All callers at once.
fn begin_all(engine: &Engine) -> Vec<Result<(), Error>> {
    thread::scope(|scope| {
        let callers = (0..CALLERS).map(|caller| {
            scope.spawn(move || {
                CALLER.set(Some(caller));
                begin(engine, caller)
            })
        });
        let callers: Vec<_> = callers.collect();
        // The time limits of these tests are longer: nobody is woken by one of them.
        until(|| callers.iter().all(|caller| caller.is_finished()));
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    })
}

/// Waits for `is_so`, which no time limit of the code under test depends on.
fn until(is_so: impl Fn() -> bool) {
    oncegate_rig::until("all callers", || is_so().then_some(())).expect("it comes");
}

fn away() -> TierError {
    TierError::new(TierErrorKind::Unavailable, "away")
}

/// Goal: callers that come while one of them finds out that the store cannot be joined do not find
/// it out one after the other, each with a deadline of its own: they share what came of it. Method:
/// 32 threads begin at once; the store fails to be joined when all of them have asked, and the
/// calls are counted. A thread that is stopped between its question and the queue asks for itself:
/// so a few calls more than one are right, and on a busy machine another try.
#[test]
fn who_waits_shares_the_failure() {
    until(|| calls_of_all_callers() < CALLERS / 4);
}

fn calls_of_all_callers() -> usize {
    let clock = Steps::new();
    let all = clock.clone();
    let door = Door::new(&clock, move |_| {
        all.wait_for_all();
        Err(away())
    });
    let engine = engine(&clock, &door, TierOptions::new().deadline(EVER));
    for refused in begin_all(&engine) {
        let error = refused.expect_err("nobody was at the store");
        assert_eq!(error.code(), ErrorCode::TierUnavailable);
        assert!(error.is_retriable() && error.retry_after().is_some());
    }
    door.asked()
}

/// Goal: callers that come while one of them joins the store wait for it, and go on in the session
/// that it found. Method: the same, and the store is joined when all of them have asked.
#[test]
fn who_waits_shares_the_session() {
    let clock = Steps::new();
    let all = clock.clone();
    let door = Door::new(&clock, move |_| {
        all.wait_for_all();
        Ok(())
    });
    let engine = engine(&clock, &door, TierOptions::new().deadline(EVER));
    for admitted in begin_all(&engine) {
        admitted.expect("the store was joined");
    }
    assert_eq!(door.asked(), 1);
}

/// Goal: nobody waits longer for another caller than the store itself may take. Method: the store
/// answers the first caller when all others were refused.
#[test]
fn who_waits_gives_up() {
    let clock = Steps::new();
    let refused = Arc::new(AtomicUsize::new(0));
    let others = Arc::clone(&refused);
    let door = Door::new(&clock, move |call| {
        if call > 0 {
            return Err(away());
        }
        // Relaxed: it orders nothing.
        until(|| others.load(Ordering::Relaxed) == CALLERS - 1);
        Ok(())
    });
    let engine = engine(&clock, &door, TierOptions::new().deadline(Duration::from_millis(5)));
    let admitted = thread::scope(|scope| {
        let callers = (0..CALLERS).map(|caller| {
            let (engine, refused) = (&engine, &refused);
            scope.spawn(move || {
                CALLER.set(Some(caller));
                let begun = begin(engine, caller);
                if let Err(error) = &begun {
                    assert_eq!(error.code(), ErrorCode::TierUnavailable);
                    // Relaxed: it orders nothing.
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                begun.is_ok()
            })
        });
        let callers: Vec<_> = callers.collect();
        let admitted = callers.into_iter().map(|caller| caller.join().expect("no panic"));
        admitted.filter(|admitted| *admitted).count()
    });
    assert_eq!(admitted, 1);
    assert_eq!(door.asked(), 1);
}

/// Goal: a store that panics while it is joined does not keep all others out for ever. Method: the
/// first call panics, and the store is asked for once more.
#[test]
fn a_panic_leaves_the_door_open() {
    let clock = Steps::new();
    let door = Door::new(&clock, |call| {
        assert!(call > 0, "a store that panics");
        Ok(())
    });
    let engine = engine(&clock, &door, TierOptions::new());
    CALLER.set(Some(0));
    let first = catch_unwind(AssertUnwindSafe(|| begin(&engine, 0)));
    assert!(first.is_err());
    begin(&engine, 1).expect("the store can be joined");
    assert_eq!(door.asked(), 2);
}
