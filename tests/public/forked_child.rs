//! The process forks.
//!
//! Seen in prefork servers with an in-memory store: each worker has its own copy, and a request
//! runs once in every worker.

use std::io::{PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BeginOptions, Engine, Error, ErrorCode, Failure, JitterSource,
    LetterFilter, Quota, Reach, Resolution, RetryContext, RetryPolicy, Scope, Secret,
};

use crate::support::{Woken, admitted, done, poll, replayed, request};

/// Goal: in a forked child every call answers `Forked`, the parent is unaffected, and the child
/// can open an engine of its own. Method: `fork`; the child makes every call, and tells by its
/// exit status which one was wrong.
#[test]
fn every_call_answers_forked() {
    // SAFETY: the child only calls the engine and `_exit`; see `in_child`.
    in_child(Reach::Process, || unsafe { libc::fork() });
}

/// Goal: the same for a child that no handler was told of, and which has no place in a table that
/// forked ones share. Method: a raw `clone`, with either reach, in a process without other threads:
/// one that was in the allocator just then would leave it locked in the child for ever.
#[test]
#[cfg(target_os = "linux")]
fn raw_clone_is_noticed() {
    const ALONE: &str = "ONCEGATE_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let tests = std::env::current_exe().expect("this process has a binary");
        let alone = std::process::Command::new(tests)
            .args(["forked_child::raw_clone_is_noticed", "--exact", "--test-threads=1"])
            .env(ALONE, "1")
            .output()
            .expect("the test binary starts again");
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
        return;
    }
    let clone = || {
        let (flags, none) = (libc::SIGCHLD, 0);
        // SAFETY: without a stack and without flags but the signal this is a fork; see `in_child`.
        let child = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
        child as libc::pid_t
    };
    in_child(Reach::Process, clone);
    in_child(Reach::HostInherited, clone);
}

fn in_child(reach: Reach, fork: impl FnOnce() -> libc::pid_t) {
    let engine = Arc::new(Engine::builder().capacity(100).reach(reach).build().expect("valid"));
    let lease = admitted(&engine, &request("running"));
    match fork() {
        0 => {
            // Other threads of the parent do not exist here: no panic, no unwinding, no exit
            // handlers. The allocator is usable after a fork, and a raw clone has had no others.
            let wrong = calls(&engine, &lease).map_or(0, |at| at + 1);
            drop(lease);
            let status = if wrong != 0 { wrong } else { own_engine() };
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(status) };
        }
        child => assert_eq!(exit_status(child), Some(0), "which call was wrong"),
    }
    assert_eq!(
        engine.stats().expect("not forked").live.running,
        1,
        "the child's drop touched the parent"
    );
    lease.complete(&done("parent")).expect("the parent's lease goes on");
    assert_eq!(replayed(&engine, &request("running")), done("parent"));
}

/// Goal: a child may drop what it got from the parent while threads of the parent use it: nothing
/// waits for a lock whose holder is not there. Method: parent threads join the queue and leave it
/// and set quotas; children drop a queued future and ask for a quota, and end on an alarm if they
/// hang.
#[test]
fn children_wait_for_no_lock_of_the_parent() {
    let engine = Arc::new(Engine::builder().capacity(100).build().expect("valid"));
    let lease = admitted(&engine, &request("running"));
    let (asked, options) = (request("running"), BeginOptions::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let woken = Arc::new(Woken::default());
                // Relaxed: the flag orders nothing.
                while !stop.load(Ordering::Relaxed) {
                    let mut join = Box::pin(engine.join(&asked, &options));
                    assert!(poll(join.as_mut(), &woken).is_pending());
                    let scope = Scope::single_tenant();
                    engine.set_quota(scope, Quota::unlimited()).expect("not forked");
                }
            });
        }
        let mut held = 0;
        for _ in 0..FORKS {
            let mut join = Box::pin(engine.join(&asked, &options));
            assert!(poll(join.as_mut(), &Arc::new(Woken::default())).is_pending());
            // SAFETY: the child only drops what it holds, asks the engine, and ends by `_exit`.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: an alarm in this process, whose default action ends it.
                    unsafe { libc::alarm(20) };
                    drop(join);
                    let forked = engine.quota(Scope::single_tenant()).is_err();
                    // SAFETY: ends the child without running anything of the parent's.
                    unsafe { libc::_exit(i32::from(!forked)) };
                }
                child => held += i32::from(exit_status(child) != Some(0)),
            }
        }
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
        assert_eq!(held, 0, "children that hung or got an answer");
    });
    lease.complete(&done("parent")).expect("the parent's lease goes on");
}

/// Goal: what waits for attempts in the parent is the parent's: a child that drops its copies of a
/// driver, a descriptor and a future joins no thread, waits for no lock, and takes nobody's turn.
/// Method: parent threads schedule and wait; children try and drop what they got, and end on an
/// alarm if they hang; then the parent's own still work.
#[test]
#[cfg(target_os = "linux")]
fn children_have_no_part_in_what_waits() {
    let backoff = oncegate::BackoffPolicy::constant(Duration::from_millis(1));
    let builder = Engine::builder().capacity(1_000).precise_clock();
    let builder = builder.retry_policy(RetryPolicy::new(backoff)).reach(Reach::HostInherited);
    let engine = Arc::new(builder.build().expect("valid"));
    let driver = engine.driver().expect("a thread");
    let due = engine.due_descriptor().expect("a descriptor");
    let woken = Arc::new(Woken::default());
    let mut next = Box::pin(engine.next_attempt_async());
    assert!(poll(next.as_mut(), &woken).is_pending());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: the flag orders nothing.
            while !stop.load(Ordering::Relaxed) {
                let _ = engine.next_attempt(Duration::from_millis(1)).expect("not forked");
                let _ = engine.advance(16).expect("not forked");
            }
        });
        let copies = std::mem::ManuallyDrop::new((driver, due, next));
        let mut wrong = 0;
        for _ in 0..FORKS / 3 {
            // SAFETY: the child only asks and drops what it holds, and ends by `_exit`.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: an alarm in this process, whose default action ends it.
                    unsafe { libc::alarm(20) };
                    let (driver, due, mut next) = std::mem::ManuallyDrop::into_inner(copies);
                    // A future that is polled would answer to its parent's place in the queue.
                    let refused =
                        matches!(poll(next.as_mut(), &woken), std::task::Poll::Ready(Err(_)));
                    let forked = due.advance(1).is_err() && refused;
                    drop((driver, due, next));
                    // SAFETY: ends the child without running anything of the parent's.
                    unsafe { libc::_exit(i32::from(!forked)) };
                }
                child => wrong += i32::from(exit_status(child) != Some(0)),
            }
        }
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
        assert_eq!(wrong, 0, "children that hung, drove, or waited");
        let (driver, due, mut next) = std::mem::ManuallyDrop::into_inner(copies);
        let context = RetryContext::new("op", b"k");
        let lease = admitted(&engine, &request("k"));
        let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
        crate::support::until("the parent's own future", || {
            woken.times() > 0 && poll(next.as_mut(), &woken).is_ready()
        });
        drop((driver, due));
    });
}

/// Goal: parent and children do not retry in step, and no engine has to be open for that. Method: a
/// source that has been drawn from before the fork; what the parent, two children and a grandchild
/// draw afterwards are all different numbers.
#[test]
fn children_draw_numbers_of_their_own() {
    let source = JitterSource::new().expect("the system has randomness");
    let mut drawn: Vec<u64> = (0..DRAWS).map(|_| source.draw()).collect();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    for has_child in [false, true] {
        // SAFETY: the child only draws, writes to the pipe, forks once, and ends by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let written = write_draws(&source, &writer);
                // SAFETY: as above; the grandchild does the same as the child.
                let is_right = match has_child.then(|| unsafe { libc::fork() }) {
                    None => written,
                    Some(0) => write_draws(&source, &writer),
                    Some(child) => written && exit_status(child) == Some(0),
                };
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(i32::from(!is_right)) };
            }
            child => assert_eq!(exit_status(child), Some(0)),
        }
    }
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("a pipe");
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8")));
    drawn.extend(words);
    drawn.extend((0..DRAWS).map(|_| source.draw()));
    assert_eq!(drawn.len(), 5 * DRAWS);
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 5 * DRAWS, "two processes drew the same number");
}

fn write_draws(source: &JitterSource, mut to: &PipeWriter) -> bool {
    (0..DRAWS).all(|_| to.write_all(&source.draw().to_le_bytes()).is_ok())
}

/// Fewer than fill a pipe that nobody reads yet.
const DRAWS: usize = 100;

/// How `child` exited; `None`: a signal ended it.
fn exit_status(child: libc::pid_t) -> Option<i32> {
    assert!(child > 0, "no child");
    let mut status = 0;
    // SAFETY: waits for a child of this process, into a status that lives here.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

/// Enough that some of them fork while another thread holds a lock.
const FORKS: usize = 300;

/// The first call that did not answer `Forked`.
fn calls(engine: &Arc<Engine>, lease: &oncegate::Lease<'_>) -> Option<i32> {
    let (asked, options) = (request("running"), BeginOptions::new());
    let token = lease.token();
    let joined =
        poll(Box::pin(engine.join(&asked, &options)).as_mut(), &Arc::new(Woken::default()));
    let forked = |answer: Result<(), Error>| {
        answer.is_err_and(|error| error.code() == ErrorCode::Forked && !error.is_retriable())
    };
    let secret = Secret::from_bytes(&[1; 32]).ok()?;
    let answers = [
        engine.begin(&asked).map(drop),
        engine.begin(&request("new")).map(drop),
        engine.prepare(&asked).map(drop),
        engine.renew(token, Duration::from_secs(1)).map(drop),
        engine.complete(token, &done("child")).map(drop),
        engine.fail(token, Failure::retryable()),
        engine.fail(token, Failure::terminal(done("child"))),
        engine.fail(token, Failure::unknown()),
        engine.abandon(token),
        engine.resolve(&asked, Resolution::RunAgain),
        engine.sweep(16).map(drop),
        engine.set_quota(Scope::single_tenant(), Quota::unlimited()),
        engine.remove_quota(Scope::single_tenant()),
        engine.quota(Scope::single_tenant()).map(drop),
        engine.stats().map(drop),
        engine.rotate_secret(secret),
        engine.finish_rotation(),
        engine.ticker(Duration::from_secs(1)).map(drop),
        engine.run(&asked, || Ok::<_, ()>(done("child"))).map(drop),
        engine.retry_later(token, &AttemptError::new("x"), &RetryContext::new("op", b"")).map(drop),
        engine.next_attempt(Duration::ZERO).map(drop),
        engine.next_attempt(Duration::from_secs(60)).map(drop),
        engine.next_attempts(2, Duration::ZERO).map(drop),
        engine.advance(16).map(drop),
        engine.driver().map(drop),
        #[cfg(target_os = "linux")]
        engine.due_descriptor().map(drop),
        engine.dead_letters(&LetterFilter::all(), None, 1).map(drop),
        engine.redrive_all(&LetterFilter::all(), 1).map(drop),
        engine.discard_all(&LetterFilter::all(), 1).map(drop),
        engine.run_with_retries(&asked, &RetryPolicy::aws_standard(), || Err(())).map(drop),
        match joined {
            std::task::Poll::Ready(answer) => answer.map(drop),
            std::task::Poll::Pending => Ok(()),
        },
    ];
    answers.into_iter().map(forked).position(|right| !right).map(|at| at as i32)
}

/// Zero if an engine that was opened in the child works.
fn own_engine() -> i32 {
    let Ok(own) = Engine::builder().capacity(16).build() else { return 100 };
    let Ok(Admission::Admitted(lease)) = own.begin(&request("own")) else { return 101 };
    if lease.complete(&done("own")).is_err() {
        return 102;
    }
    let again = own.begin(&request("own"));
    if matches!(again, Ok(Admission::Replayed(_))) { 0 } else { 103 }
}
