//! A table without a name, shared with forked children.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, EngineBuilder, ErrorCode, OnConflict, Outcome, Payload, Reach,
    Request, Scope,
};

use crate::crew::{Folder, Worker};

fn inherited() -> EngineBuilder {
    let hour = Duration::from_secs(3_600);
    Engine::builder().capacity(20_000).reach(Reach::HostInherited).lease_duration(hour)
}

fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "POST /charges", key).expect("valid")
}

/// A child that runs `work` and tells by its exit status what it came to.
pub(crate) struct Forked(libc::pid_t);

impl Forked {
    pub(crate) fn new(work: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child runs `work`, which uses the engine and the allocator, both of which are
        // usable after a fork, and ends without unwinding.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // It never hangs for long, whatever it waits for.
            // SAFETY: no argument can be wrong.
            unsafe { libc::alarm(60) };
            let work = std::panic::AssertUnwindSafe(work);
            let status = std::panic::catch_unwind(work).unwrap_or(255);
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(status) };
        }
        assert!(child > 0, "fork");
        Self(child)
    }

    fn kill(self) {
        // SAFETY: a child that was not waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        assert_eq!(self.status(), None);
    }

    /// The exit status; none where a signal ended it.
    pub(crate) fn status(self) -> Option<i32> {
        let mut status = 0;
        // SAFETY: a child of this process; the status is written to a local.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0);
        libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
    }
}

/// A pipe between parent and child: one byte is one signal.
struct Pipe([libc::c_int; 2]);

impl Pipe {
    fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: two descriptors are written to a local.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        Self(ends)
    }

    fn tell(&self) {
        // SAFETY: one byte from a local.
        assert_eq!(unsafe { libc::write(self.0[1], [1_u8].as_ptr().cast(), 1) }, 1);
    }

    fn wait(&self) {
        let mut byte = [0_u8];
        // SAFETY: one byte to a local.
        assert_eq!(unsafe { libc::read(self.0[0], byte.as_mut_ptr().cast(), 1) }, 1);
    }
}

/// A child that asks for all of 10,000 keys, and writes how many it was admitted to.
fn all_keys(engine: &Engine, told: &std::path::Path) -> Forked {
    Forked::new(|| {
        let mut created = 0_u32;
        for key in 0..10_000 {
            let key = format!("key-{key}");
            let request = request(&key).payload(Payload::raw(b"{}"));
            if let Admission::Admitted(lease) = engine.begin(&request).expect("room") {
                lease.complete(&Outcome::new(200, b"done")).expect("the holder");
                created += 1;
            }
        }
        std::fs::write(told, created.to_string()).expect("room");
        0
    })
}

fn told(path: &std::path::Path) -> u32 {
    std::fs::read_to_string(path).expect("written").parse().expect("a number")
}

/// Goal: exactly one creation of each key among a parent's forked workers. Method: four children
/// each ask for all of 10,000 keys.
#[test]
fn forked_workers_create_each_key_once() {
    let folder = Folder::new();
    let engine = inherited().build().expect("a table");
    let path = |number: i32| folder.path().join(number.to_string());
    let children: Vec<Forked> = (0..4).map(|number| all_keys(&engine, &path(number))).collect();
    assert!(children.into_iter().all(|child| child.status() == Some(0)));
    assert_eq!((0..4).map(|number| told(&path(number))).sum::<u32>(), 10_000);
    assert_eq!(engine.stats().expect("own").live.succeeded, 10_000);
}

/// Goal: the same where some were forked and others were not. Method: four children of a process
/// that has opened a file, and four processes that open it for themselves.
#[test]
fn forked_and_unrelated_workers_create_each_key_once() {
    let folder = Folder::new();
    let builder = Engine::builder().precise_clock();
    let engine = builder.reach(Reach::Host(folder.table())).build().expect("a table");
    let mut crew: Vec<Worker> = (0..4).map(|_| Worker::of(&folder, "")).collect();
    crew.iter_mut().for_each(|worker| worker.tell("mass 0 10000 done"));
    let path = |number: i32| folder.path().join(number.to_string());
    let children: Vec<Forked> = (0..4).map(|number| all_keys(&engine, &path(number))).collect();
    assert!(children.into_iter().all(|child| child.status() == Some(0)));
    let forked: u32 = (0..4).map(|number| told(&path(number))).sum();
    let unrelated = crew.iter_mut().map(|worker| {
        let answer = worker.answer();
        let number = answer.strip_prefix("admitted ").and_then(|n| n.parse::<u32>().ok());
        number.unwrap_or_else(|| panic!("{answer}"))
    });
    assert_eq!(forked + unrelated.sum::<u32>(), 10_000);
    assert_eq!(engine.stats().expect("own").live.succeeded, 10_000);
}

/// Goal: a child never ends what its parent holds, by whatever it does with its copy of the guard,
/// and its own end releases nothing of the parent's. Method: it completes, fails, renews and drops
/// copies of guards, and drops the whole engine.
#[test]
fn a_child_has_no_part_in_its_parents_leases() {
    let engine = Box::new(inherited().build().expect("a table"));
    let keys = ["completed", "failed", "renewed", "dropped"];
    let mut leases: Vec<_> = keys
        .iter()
        .map(|key| match engine.begin(&request(key)) {
            Ok(Admission::Admitted(lease)) => lease,
            other => panic!("not admitted: {other:?}"),
        })
        .collect();
    let child = Forked::new(|| {
        let (mut copies, engine) = (std::mem::take(&mut leases), &*engine);
        // An entry of its own: from here on it is a process of the table.
        assert!(matches!(engine.begin(&request("completed")), Ok(Admission::InProgress { .. })));
        drop(copies.pop());
        let forked = |error: oncegate::Error| error.code() == ErrorCode::Forked;
        let mut renewed = copies.pop().expect("four");
        assert!(renewed.renew(Duration::from_secs(1)).is_err_and(forked));
        drop(renewed);
        let failed = copies.pop().expect("four");
        assert!(failed.fail(oncegate::Failure::retryable()).is_err_and(forked));
        let completed = copies.pop().expect("four");
        assert!(completed.complete(&Outcome::new(500, b"child")).is_err_and(forked));
        0
    });
    assert_eq!(child.status(), Some(0));
    // A child that ends in the ordinary way drops everything.
    let child = Forked::new(|| {
        drop(std::mem::take(&mut leases));
        // SAFETY: the box is not used again in this process, which ends.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(&*engine).cast_mut()) });
        0
    });
    assert_eq!(child.status(), Some(0));
    for (lease, key) in leases.into_iter().zip(keys) {
        let again = engine.begin(&request(key)).expect("an answer");
        assert!(matches!(again, Admission::InProgress { attempt: 1, .. }), "{key}: {again:?}");
        lease.complete(&Outcome::new(200, b"parent")).expect("still the holder");
    }
}

/// Goal: a child's death frees what the child held, and its parent's death what the parent held,
/// whoever lives on. Method: a child that is killed; then a grandchild whose parent is killed.
#[test]
fn deaths_are_told_apart_between_parent_and_child() {
    let engine = inherited().build().expect("a table");
    let (ready, go) = (Pipe::new(), Pipe::new());
    let held = |key: &str| match engine.begin(&request(key)) {
        Ok(Admission::Admitted(lease)) => drop(lease.into_token()),
        other => panic!("not admitted: {other:?}"),
    };
    held("parent's");
    let child = Forked::new(|| {
        held("child's");
        let grandchild = Forked::new(|| {
            held("grandchild's");
            ready.tell();
            go.wait();
            // Its parent is dead by now, and it is not.
            let again = engine.begin(&request("child's")).expect("an answer");
            let taken = matches!(&again, Admission::Admitted(lease) if lease.attempt() == 2);
            drop(again);
            ready.tell();
            if taken { 0 } else { 1 }
        });
        ready.tell();
        grandchild.status().unwrap_or(9)
    });
    ready.wait();
    ready.wait();
    let runs = |key: &str| matches!(engine.begin(&request(key)), Ok(Admission::InProgress { .. }));
    assert!(runs("child's") && runs("grandchild's") && runs("parent's"));
    child.kill();
    assert!(runs("grandchild's"), "its parent's death is not its own");
    go.tell();
    ready.wait();
    // The grandchild ends by itself; whoever is its parent now waits for it.
    let freed =
        std::iter::repeat_with(|| engine.begin(&request("grandchild's")).expect("an answer"))
            .find_map(|answer| match answer {
                Admission::Admitted(lease) => Some(lease.attempt()),
                _ => {
                    std::thread::yield_now();
                    None
                }
            });
    assert_eq!(freed, Some(2));
    assert!(runs("parent's"));
}

/// Goal: a fork while other threads are inside the engine leaves the child usable: no lock, no
/// queue and no claim of theirs holds it up. Method: threads begin, wait, set quotas and sweep;
/// 200 children each begin, wait for a short while, and end.
#[test]
fn a_fork_in_the_middle_of_everything() {
    let engine = Arc::new(inherited().build().expect("a table"));
    let held = match engine.begin(&request("held")) {
        Ok(Admission::Admitted(lease)) => lease.into_token(),
        other => panic!("not admitted: {other:?}"),
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let wait = BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_millis(3)));
        for number in 0..3 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || {
                let mut round = 0_u64;
                // Relaxed: the flag orders nothing.
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    let key = format!("key-{number}-{round}");
                    match engine.begin(&request(&key)).expect("room") {
                        Admission::Admitted(lease) => {
                            lease.complete(&Outcome::new(200, vec![7; 90])).expect("the holder");
                        }
                        other => panic!("a new key: {other:?}"),
                    }
                    let waited = engine.begin_with(&request("held"), &wait).expect("an answer");
                    assert!(matches!(waited, Admission::InProgress { .. }));
                    let quota = oncegate::Quota::unlimited().max_live(100 + round);
                    engine.set_quota(Scope::unauthenticated(), quota).expect("valid");
                    engine.sweep(64).expect("own");
                }
            });
        }
        for child in 0..200 {
            let forked = Forked::new(|| {
                let key = format!("child-{child}");
                let admitted = engine.begin(&request(&key)).expect("room");
                let Admission::Admitted(lease) = admitted else { return 1 };
                lease.complete(&Outcome::new(200, vec![8; 90])).expect("the holder");
                let waited = engine.begin_with(&request("held"), &wait).expect("an answer");
                assert!(engine.quota(Scope::unauthenticated()).is_ok());
                if matches!(waited, Admission::InProgress { .. }) { 0 } else { 2 }
            });
            assert_eq!(forked.status(), Some(0), "child {child}");
        }
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
    });
    engine.complete(&held, &Outcome::new(200, b"done")).expect("the parent's lease");
    assert!(engine.bury_dead().expect("own") > 0);
}

/// Goal: a parent that waits is woken by its child. Method: the child holds the lease and
/// completes when it is told to.
#[test]
fn a_child_wakes_its_parent() {
    let engine = inherited().build().expect("a table");
    let (ready, go) = (Pipe::new(), Pipe::new());
    let child = Forked::new(|| {
        let Ok(Admission::Admitted(lease)) = engine.begin(&request("k")) else { return 1 };
        ready.tell();
        go.wait();
        i32::from(lease.complete(&Outcome::new(200, b"child's")).is_err())
    });
    ready.wait();
    let wait = BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_secs(60)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| engine.begin_with(&request("k"), &wait));
        while engine.stats().expect("own").waiters == 0 {
            std::thread::yield_now();
        }
        go.tell();
        let answer = waiter.join().expect("no panic").expect("an answer");
        assert!(matches!(&answer, Admission::Replayed(outcome) if outcome.body() == b"child's"));
    });
    assert_eq!(child.status(), Some(0));
}

/// Goal: nobody can cut off memory that others use, which would be a signal to them. Method: the
/// file of an inherited table, found among the descriptors, is shortened and lengthened.
#[test]
fn inherited_memory_has_a_fixed_size() {
    let engine = inherited().build().expect("a table");
    let mut tried = 0;
    for entry in std::fs::read_dir("/proc/self/fd").expect("/proc").flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        if !target.to_string_lossy().contains("memfd:oncegate") {
            continue;
        }
        let file = std::fs::OpenOptions::new().write(true).open(entry.path());
        let Ok(file) = file else { continue };
        for bytes in [0, 1 << 30] {
            assert!(file.set_len(bytes).is_err(), "{bytes}");
        }
        tried += 1;
    }
    assert!(tried > 0, "the table's memory was not found");
    assert!(engine.begin(&request("k")).is_ok());
}

/// Goal: workers that drop their privileges after the fork, as those of a server that was started
/// by root do, share memory without a name; of a file that their user may not open they are told
/// so, and nothing of the parent's is harmed. Method: children that become the user nobody before
/// their first call.
#[test]
fn workers_that_drop_their_privileges() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        let required = std::env::var_os("ONCEGATE_REQUIRE_ALL").is_some();
        assert!(!required, "this test has to be run by root");
        println!("skipped: only root can drop privileges");
        return;
    }
    const NOBODY: libc::uid_t = 65_534;
    let as_nobody = |work: &dyn Fn() -> bool| {
        let child = Forked::new(|| {
            // SAFETY: numbers alone.
            let dropped = unsafe { libc::setgid(NOBODY) == 0 && libc::setuid(NOBODY) == 0 };
            if !dropped { 9 } else { i32::from(!work()) }
        });
        assert_eq!(child.status(), Some(0));
    };
    let folder = Folder::new();
    let of_root = Engine::builder().capacity(1_000).reach(Reach::Host(folder.table()));
    let file = of_root.build().expect("a table");
    let memory = inherited().build().expect("a table");
    as_nobody(&|| {
        let Ok(Admission::Admitted(lease)) = memory.begin(&request("k")) else { return false };
        lease.complete(&Outcome::new(200, b"nobody's")).is_ok()
    });
    assert!(matches!(memory.begin(&request("k")), Ok(Admission::Replayed(_))));
    as_nobody(&|| {
        let refused = file.begin(&request("k")).expect_err("a file of root's");
        refused.code() == ErrorCode::Os && refused.to_string().contains("ermission denied")
    });
    assert!(matches!(file.begin(&request("k")), Ok(Admission::Admitted(_))));
}

/// Goal: a child that drops its copy of an engine or of a ticker ends no thread, neither one of
/// its parent's nor one of its own that the system takes for it. Method: parents with a ticker, and
/// with a listening thread; the child starts and ends threads of larger stacks, so that those of
/// the others are given back, and then drops its copies, and a ticker of its own.
#[test]
fn a_child_drops_what_it_inherited() {
    let engine = Arc::new(inherited().build().expect("a table"));
    let mut parked = Vec::new();
    for what in ["ticker", "listener"] {
        let own = inherited().build().expect("a table");
        let ticker = engine.ticker(Duration::from_millis(20)).expect("a thread");
        if what == "listener" {
            let Ok(Admission::Admitted(_lease)) = own.begin(&request("k")) else { panic!() };
            let wait = BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_millis(1)));
            assert!(own.begin_with(&request("k"), &wait).is_ok());
        }
        // Later than those above: the oldest stacks are given back first.
        parked.extend((0..12).map(|_| thread_of_mb(8, std::thread::park)));
        let mut slots = (Some(own), Some(ticker));
        let child = Forked::new(|| {
            (0..3).for_each(|_| thread_of_mb(16, || ()).join().expect("no panic"));
            drop(slots.0.take());
            // A hook that runs after a fork puts a ticker of its own in the place of the parent's.
            slots.1 = engine.ticker(Duration::from_millis(20)).ok();
            (0..3).for_each(|_| thread_of_mb(16, || ()).join().expect("no panic"));
            drop(slots.1.take());
            0
        });
        assert_eq!(child.status(), Some(0), "{what}");
    }
    for thread in parked {
        thread.thread().unpark();
        thread.join().expect("no panic");
    }
}

fn thread_of_mb(stack: usize, work: fn()) -> std::thread::JoinHandle<()> {
    std::thread::Builder::new().stack_size(stack << 20).spawn(work).expect("a thread")
}
