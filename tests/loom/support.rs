//! What the models share: threads, small engines, and the broken twins.

use std::sync::Arc;
use std::time::Duration;

use oncegate::{
    Admission, Engine, FingerprintMode, LeaseToken, ManualClock, Outcome, Request, Scope, Secret,
};

#[cfg(oncegate_loom)]
pub(crate) use loom::thread;
#[cfg(not(oncegate_loom))]
pub(crate) use std::thread;

/// How often a body runs on real threads.
#[cfg(not(oncegate_loom))]
const RUNS: usize = 50;

/// Runs `body` under every schedule of two preemptions, or of as many as the environment says;
/// without the checker, some times on real threads.
pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    bounded(2, body);
}

/// [`model`] with a preemption bound of its own.
pub(crate) fn bounded(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    #[cfg(oncegate_loom)]
    {
        let mut builder = loom::model::Builder::new();
        let wanted = std::env::var("LOOM_MAX_PREEMPTIONS").ok();
        let wanted = wanted.and_then(|bound| bound.parse().ok());
        builder.preemption_bound = Some(wanted.unwrap_or(preemptions));
        builder.max_branches = 50_000;
        builder.check(body);
    }
    #[cfg(not(oncegate_loom))]
    {
        let _ = preemptions;
        (0..RUNS).for_each(|_| body());
    }
}

/// [`bounded`] for a body that takes more of the stack than a thread of the checker has: what looks
/// after retries has more to carry than a look-up.
pub(crate) fn roomy(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    bounded(preemptions, move || {
        let body = Arc::clone(&body);
        spawn_roomy(move || body()).join().expect("no panic");
    });
}

pub(crate) fn spawn_roomy<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::Builder::new().stack_size(512 << 10).spawn(body).expect("a thread")
}

/// [`race`] with as much of the stack.
pub(crate) fn race_roomy<A: Send + 'static, B: Send + 'static>(
    one: impl FnOnce() -> A + Send + 'static,
    two: impl FnOnce() -> B + Send + 'static,
) -> (A, B) {
    let other = spawn_roomy(two);
    let first = one();
    (first, other.join().expect("no panic"))
}

/// [`broken`] for a body that needs as much.
#[cfg(oncegate_loom)]
pub(crate) fn broken_roomy(
    bug: oncegate::Bug,
    preemptions: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    broken_by(bug, move || roomy(preemptions, body));
}

/// Runs the broken twin of a model: with `bug` planted, `body` must fail under some schedule.
#[cfg(oncegate_loom)]
pub(crate) fn broken(bug: oncegate::Bug, body: impl Fn() + Send + Sync + 'static) {
    broken_by(bug, || model(body));
}

#[cfg(oncegate_loom)]
fn broken_by(bug: oncegate::Bug, search: impl FnOnce()) {
    bug.plant();
    must_fail(&format!("{bug:?}"), oncegate::Bug::clear, search);
}

/// Runs `search` with `planted` planted, and `clear`s that: it must fail, by what the model says.
#[cfg(oncegate_loom)]
pub(crate) fn must_fail(planted: &str, clear: impl FnOnce(), search: impl FnOnce()) {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(search));
    clear();
    let Err(panic) = caught else {
        panic!("{planted} is planted, and the model did not notice");
    };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    let by_checker = ["exploration", "maximum number of branches", "overflowed its stack"];
    assert!(!by_checker.iter().any(|own| text.contains(own)), "the model itself failed: {text}");
}

/// [`broken`] for a bug that makes a thread sleep for ever: the checker ends the process then, so
/// the twin runs in a process of its own.
#[cfg(oncegate_loom)]
pub(crate) fn broken_by_deadlock(
    bug: oncegate::Bug,
    test: &str,
    preemptions: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    const CHILD: &str = "ONCEGATE_BROKEN_TWIN";
    if std::env::var_os(CHILD).is_some() {
        bug.plant();
        return bounded(preemptions, body);
    }
    let test_binary = std::env::current_exe().expect("this process has a binary");
    let child = std::process::Command::new(test_binary)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("the test binary starts again");
    let said = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(!child.status.success(), "{bug:?} is planted, and the model did not notice");
    assert!(said.contains("deadlock"), "{bug:?} failed for another reason: {said}");
}

/// A tiny engine whose clock the model moves.
pub(crate) struct Small {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: ManualClock,
}

pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const WINDOW: Duration = Duration::from_secs(3600);

pub(crate) fn small() -> Small {
    small_with(|builder| builder)
}

pub(crate) fn small_with(
    configure: impl FnOnce(oncegate::EngineBuilder) -> oncegate::EngineBuilder,
) -> Small {
    let clock = ManualClock::new();
    let engine = configure(builder(&clock)).build().expect("a tiny engine");
    Small { engine: Arc::new(engine), clock }
}

fn builder(clock: &ManualClock) -> oncegate::EngineBuilder {
    Engine::builder()
        .tiny()
        .clock(clock.clone())
        .lease_duration(LEASE)
        .dedup_window(WINDOW)
        .fingerprint_mode(FingerprintMode::FastTrusted)
        .secret(secret(7))
}

pub(crate) fn secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 32]).expect("32 bytes")
}

pub(crate) fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "op", key).expect("a key")
}

/// What a call of `begin` came to, without the lease's guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Admitted(LeaseToken),
    Replayed(Vec<u8>),
    InProgress(u32),
    Gone,
    Other(String),
}

impl Got {
    pub(crate) fn token(&self) -> Option<LeaseToken> {
        match self {
            Self::Admitted(token) => Some(*token),
            _ => None,
        }
    }
}

pub(crate) fn got(admission: Admission<'_>) -> Got {
    match admission {
        Admission::Admitted(lease) => Got::Admitted(lease.into_token()),
        Admission::Replayed(outcome) => Got::Replayed(outcome.body().to_vec()),
        Admission::InProgress { attempt, .. } => Got::InProgress(attempt),
        Admission::OutcomeGone => Got::Gone,
        other => Got::Other(format!("{other:?}")),
    }
}

pub(crate) fn begin(engine: &Engine, key: &str) -> Got {
    got(engine.begin(&request(key)).expect("an answer"))
}

/// Begins and completes `key` with its own name as the outcome.
pub(crate) fn finish(engine: &Engine, key: &str) {
    let token = begin(engine, key).token().expect("a new record");
    engine.complete(&token, &Outcome::new(200, key)).expect("the only holder");
}

/// Another process on the table of `world`, whose entry is `index`; the first one has entry 1.
#[cfg(oncegate_loom)]
pub(crate) fn beside(
    world: &Small,
    index: u8,
    configure: impl FnOnce(oncegate::EngineBuilder) -> oncegate::EngineBuilder,
) -> Arc<Engine> {
    let builder = configure(builder(&world.clock));
    Arc::new(builder.build_beside(&world.engine, index).expect("the same table"))
}

/// Lets the process of `engine` do `act`, and die before its `writes`-th write. False: it came to
/// its end alive.
#[cfg(oncegate_loom)]
pub(crate) fn dies(engine: &Engine, writes: u64, act: impl FnOnce(&Engine)) -> bool {
    oncegate::fate::die_before_write(writes);
    let acting = std::panic::AssertUnwindSafe(|| act(engine));
    let ended = std::panic::catch_unwind(acting);
    oncegate::fate::die_before_write(0);
    match ended {
        Ok(()) => false,
        Err(panic) if panic.is::<oncegate::fate::Died>() => {
            engine.die();
            true
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs `model` for the first write, the second, and so on, until it says that nobody died.
#[cfg(oncegate_loom)]
pub(crate) fn at_every_write(
    preemptions: usize,
    model: impl Fn(u64) -> bool + Send + Sync + Copy + 'static,
) {
    for writes in 1.. {
        let died = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&died);
        bounded(preemptions, move || {
            // Relaxed: all threads of a model run on one thread of the system.
            seen.fetch_or(model(writes), std::sync::atomic::Ordering::Relaxed);
        });
        // Relaxed: as above.
        if !died.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(writes > 1, "nobody writes anything");
            return;
        }
    }
}

/// The home set of `key`.
#[cfg(oncegate_loom)]
pub(crate) fn home_of(engine: &Engine, key: &str) -> usize {
    engine.place_of(&request(key)).expect("a key").0[0]
}

/// Keys whose home set is `home`, in a tiny engine of this configuration. Without the checker
/// there is no look into the table: then any will do.
pub(crate) fn keys_of_home(engine: &Engine, home: usize) -> std::vec::IntoIter<String> {
    #[cfg(oncegate_loom)]
    let fits = |key: &String| home_of(engine, key) == home;
    #[cfg(not(oncegate_loom))]
    let fits = |_: &String| {
        let _ = (engine, home);
        true
    };
    // As many as any model needs.
    (0..).map(|i| format!("key-{i}")).filter(fits).take(32).collect::<Vec<_>>().into_iter()
}

/// Two keys that a search takes for each other until it compares the fingerprints: they have one
/// home, one way and one tag in a tiny engine.
pub(crate) fn lookalikes(engine: &Engine) -> [&'static str; 2] {
    let pair = ["key-402", "key-1475"];
    #[cfg(oncegate_loom)]
    {
        let places = pair.map(|key| engine.place_of(&request(key)).expect("a key"));
        assert_eq!(places[0], places[1], "the hash has changed: look for another pair");
    }
    #[cfg(not(oncegate_loom))]
    let _ = engine;
    pair
}

/// Runs `one` and `two` at once and gives what both came to.
pub(crate) fn race<A: Send + 'static, B: Send + 'static>(
    one: impl FnOnce() -> A + Send + 'static,
    two: impl FnOnce() -> B + Send + 'static,
) -> (A, B) {
    let other = thread::spawn(two);
    let first = one();
    (first, other.join().expect("no panic"))
}
