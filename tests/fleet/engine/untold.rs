//! Ends that the tier has not heard of: nobody asks it about their records before it has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::thread::{self, ThreadId};
use std::time::Duration;

use oncegate::tier::{Fault, Memory, TierOptions};
use oncegate::{Admission, Clock, Completed, Engine, Failure, ManualClock, Outcome, TierStats};
use oncegate_rig::until;

use super::meanwhile::Meanwhile;
use super::outbox::WAYS;
use super::{Hosts, admitted, host, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

/// Has `engine`, whose table keeps small outcomes alone, complete `key` with a large one, of which
/// the tier does not hear.
fn complete_untold(engine: &Engine, memory: &Memory, key: &'static str) {
    let lease = admitted(engine, &request(key));
    memory.fault(Fault::Refuse, 2);
    let completed = lease.complete(&Outcome::new(200, [7; 2 * SMALL])).expect("held");
    assert_eq!(completed, Completed::StoredHere);
    // The thread of the engine runs in real time: this waits for what it has counted.
    until("a try", || (stats(engine).unanswered == 2).then_some(())).expect("in time");
}

/// Goal: the tier is asked what it knows of a record only once it has heard how that ended here: it
/// would answer that it runs. Method: an outcome of which the table keeps that it is gone, whose
/// end was refused twice and waits; a duplicate by each way to ask.
#[test]
fn a_look_comes_after_the_end() {
    for begins in WAYS {
        let hosts = Hosts::with(1, |it| it.outcome_limit(SMALL));
        let [one] = &hosts.engines[..] else { unreachable!() };
        prepare(one);
        complete_untold(one, &hosts.memory, "key");
        assert_eq!(begins(one, &request("key")), "replayed");
        assert_eq!((stats(one).undelivered, stats(one).delivered_late), (0, 1));
    }
}

/// Goal: a doubt of which the tier has not heard is told to it once: its record, which seems to run
/// there, is not taken for that of a dead process. Method: one that was refused twice and waits; a
/// duplicate by each way to ask, of a tier that refuses once more, and of one that answers.
#[test]
fn a_look_finds_no_doubt_that_is_untold() {
    for begins in WAYS {
        let hosts = Hosts::new(1);
        let [one] = &hosts.engines[..] else { unreachable!() };
        prepare(one);
        let lease = admitted(one, &request("key"));
        hosts.memory.fault(Fault::Refuse, 2);
        lease.fail(Failure::unknown()).expect("held");
        // In real time, as above.
        until("a try", || (stats(one).unanswered == 2).then_some(())).expect("in time");
        hosts.memory.fault(Fault::Refuse, 1);
        for undelivered in [1, 0] {
            assert_eq!(begins(one, &request("key")), "something else");
            assert_eq!(stats(one).undelivered, undelivered);
        }
        assert_eq!(stats(one).delivered_late, 1);
        assert!(matches!(one.begin(&request("key")), Ok(Admission::Unresolved)));
    }
}

/// A clock that counts how often one thread looks at it.
#[derive(Clone, Debug)]
struct Looked {
    clock: ManualClock,
    by: Arc<Mutex<Option<ThreadId>>>,
    looks: Arc<AtomicU64>,
}

impl Clock for Looked {
    fn now(&self) -> Duration {
        if *self.by.lock().unwrap() == Some(thread::current().id()) {
            // Relaxed: a counter orders nothing.
            self.looks.fetch_add(1, Ordering::Relaxed);
        }
        self.clock.now()
    }

    fn unix_time(&self) -> Duration {
        self.clock.unix_time()
    }

    fn wake_on_jump(&self, waker: &Waker) {
        self.clock.wake_on_jump(waker);
    }
}

/// Goal: whoever comes while another thread tells the tier of an end waits for that, and gets what
/// it has left. Method: a thread that is held while it tells of one, and a duplicate; it is let go
/// once the duplicate has its answer, or has looked at the clock more often than who does not wait.
#[test]
fn who_comes_while_an_end_is_told_waits() {
    let manual = ManualClock::new();
    let memory = Memory::with_clock(manual.clone());
    let way = Arc::new(Meanwhile::over(memory.clone()));
    let clock = Looked { clock: manual.clone(), by: Arc::default(), looks: Arc::default() };
    // Longer than this test takes, on whatever machine.
    let options = TierOptions::new().deadline(Duration::from_secs(60));
    let one = host(&manual, &Arc::new(memory.clone())).clock(clock.clone()).outcome_limit(SMALL);
    let one = one.tier(Arc::clone(&way)).tier_options(options).build().expect("opens");
    prepare(&one);
    complete_untold(&one, &memory, "key");
    let ((telling, tells), (go, goes)) = (mpsc::channel(), mpsc::channel());
    way.before_an_end(move || {
        telling.send(()).expect("somebody listens");
        goes.recv().expect("somebody lets it go");
    });
    thread::scope(|scope| {
        scope.spawn(|| one.flush_tier(Duration::from_secs(60)).expect("the tier answers"));
        tells.recv().expect("it is told");
        let duplicate = scope.spawn(|| {
            *clock.by.lock().unwrap() = Some(thread::current().id());
            matches!(one.begin(&request("key")), Ok(Admission::Replayed(_)))
        });
        // Relaxed: as where it is counted.
        let looked = || clock.looks.load(Ordering::Relaxed) > MORE_LOOKS;
        let waits = || (duplicate.is_finished() || looked()).then_some(());
        let waited = until("the duplicate", waits);
        go.send(()).expect("it is held");
        waited.expect("in time");
        assert!(duplicate.join().expect("no panic"), "it had no answer, and did not wait");
    });
}

/// The largest outcome that a table keeps here.
const SMALL: usize = 64;
/// More looks at the clock than a duplicate takes that does not wait.
const MORE_LOOKS: u64 = 200;
