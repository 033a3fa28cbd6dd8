//! System calls: none, once an engine is open.
//!
//! Seen in stores that read a precise clock, take a futex or map memory as they go: under load the
//! kernel is a part of every request.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Clock, CoarseClock, Engine, Failure, FingerprintMode, OnFull, Outcome,
    Payload, PreciseClock, Prepared, Reach, Request, Scope,
};

/// Goal: begin, replay into a buffer, renew, complete and fail enter no kernel after open (I7),
/// in a table that is full, of this process alone or shared. Method: a process of its own gives up
/// every system call but its exit, and then makes many thousand calls. Twins that call the kernel
/// once, and that only read the clocks, show that the filter works, and that the clocks of this
/// machine need no kernel.
#[test]
fn hot_path_enters_no_kernel() {
    if let Ok(part) = std::env::var(PART) {
        child(&part);
    }
    let killed = run("getpid").signal();
    assert_eq!(killed, Some(libc::SIGSYS), "the filter let a system call pass");
    let clocks = run("clocks");
    assert!(clocks.success(), "the clocks of this machine are system calls: {clocks}");
    for part in ["keyed", "fast", "reject", "inherited"] {
        let ended = run(part);
        assert!(ended.success(), "{part}: {ended}; a signal: a system call; a code: see `Work`");
    }
}

/// How a process of this program ends that does only `part`.
fn run(part: &str) -> ExitStatus {
    let program = std::env::current_exe().expect("this program has a path");
    let name = "system_calls::hot_path_enters_no_kernel";
    let mut again = Command::new(program);
    again.args([name, "--exact", "--nocapture"]).env(PART, part);
    again.output().expect("it runs").status
}

/// Tells a process of this program which part it has.
const PART: &str = "ONCEGATE_TEST_SYSTEM_CALLS";

fn child(part: &str) -> ! {
    let reject = part == "reject";
    let on_full = if reject { OnFull::Reject } else { OnFull::EvictLru };
    let fast = part == "fast";
    let mode = if fast { FingerprintMode::FastTrusted } else { FingerprintMode::Keyed };
    let builder = Engine::builder().capacity(256).on_full(on_full).fingerprint_mode(mode);
    let reach = if part == "inherited" { Reach::HostInherited } else { Reach::Process };
    let builder = builder.outcome_bytes(1 << 20).outcome_limit(4_096).prefault(true).reach(reach);
    let engine = builder.build().expect("valid");
    let outcomes = [48, 100, 4_000].map(|size| Outcome::new(200, vec![7; size]));
    let mut work = Work { engine: &engine, outcomes, buffer: Outcome::new(200, vec![0; 4_096]) };
    // Once for whatever is made on first use.
    let warm = work.round(0);
    assert_eq!(warm, 0, "which answer was wrong");
    give_up_the_kernel();
    let code = match part {
        // SAFETY: asks for a number; the filter ends the process instead.
        "getpid" => unsafe { libc::syscall(libc::SYS_getpid) as i32 },
        "clocks" => (0..10_000)
            .map(|_| CoarseClock.now() + PreciseClock.now())
            .all(|sum| sum.is_zero())
            .into(),
        "reject" => work.refusals(),
        _ => (1..ROUNDS).map(|number| work.round(number)).find(|code| *code != 0).unwrap_or(0),
    };
    leave(code)
}

/// Enough for some evictions of every slot, and for several of the calls that are timed.
const ROUNDS: u64 = 5_000;

/// Lets this thread make no system call any more but the one that ends the process.
fn give_up_the_kernel() {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let exit = libc::SYS_exit_group as u32;
    let mut program = [
        // The number of the call is the first field of what the filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, exit) },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes numbers only.
    let unprivileged = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(unprivileged, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    assert_eq!(set, 0, "this kernel has no filters: {}", std::io::Error::last_os_error());
}

/// Ends the process without running anything that may call the kernel.
fn leave(code: i32) -> ! {
    loop {
        // SAFETY: ends the process.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

/// What is done without the kernel. Nothing here panics, which would print; each wrong answer has
/// a code of its own instead.
struct Work<'e> {
    engine: &'e Engine,
    outcomes: [Outcome; 3],
    buffer: Outcome,
}

impl Work<'_> {
    /// One request from its first attempt to its replays. Zero: every answer was right.
    fn round(&mut self, number: u64) -> i32 {
        let (key, options) = (number.to_le_bytes(), BeginOptions::new());
        let Ok(asked) = prepared(self.engine, &key, b"a") else { return 10 };
        let Ok(other) = prepared(self.engine, &key, b"b") else { return 11 };
        let (engine, buffer) = (self.engine, &mut self.buffer);
        let Ok(Admission::Admitted(first)) = engine.begin_into(&asked, &options, buffer) else {
            return 12;
        };
        let mut first = first;
        let met = engine.begin_into(&asked, &options, buffer);
        if !matches!(met, Ok(Admission::InProgress { attempt: 1, .. })) {
            return 13;
        }
        if !matches!(engine.begin_into(&other, &options, buffer), Ok(Admission::Mismatched)) {
            return 14;
        }
        if first.renew(Duration::from_secs(60)).is_err() {
            return 15;
        }
        if first.fail(Failure::retryable()).is_err() {
            return 16;
        }
        let Ok(Admission::Admitted(second)) = engine.begin_into(&asked, &options, buffer) else {
            return 17;
        };
        if second.abandon().is_err() {
            return 18;
        }
        let mut completed = 0;
        let outcome = &self.outcomes[number as usize % self.outcomes.len()];
        engine.begin_batch(&[asked], &options, buffer, |_, answer| {
            if let Ok(Admission::Admitted(lease)) = answer {
                completed += i32::from(lease.complete(outcome).is_ok());
            }
        });
        if completed != 1 {
            return 19;
        }
        for _ in 0..3 {
            match engine.begin_into(&asked, &options, buffer) {
                Ok(Admission::Replayed(found)) if found == outcome => {}
                _ => return 20,
            }
        }
        if engine.sweep(16).is_err() { 21 } else { 0 }
    }

    /// Fills the table, and is refused many times.
    fn refusals(&mut self) -> i32 {
        let (options, mut refused) = (BeginOptions::new(), 0);
        for number in 1..ROUNDS {
            let key = number.to_le_bytes();
            let Ok(asked) = prepared(self.engine, &key, b"a") else { return 30 };
            match self.engine.begin_into(&asked, &options, &mut self.buffer) {
                Ok(Admission::Admitted(lease)) => {
                    if lease.complete(&self.outcomes[0]).is_err() {
                        return 31;
                    }
                }
                Err(error) if error.code() == oncegate::ErrorCode::Full => refused += 1,
                _ => return 32,
            }
        }
        if refused > ROUNDS / 2 { 0 } else { 33 }
    }
}

fn prepared<'k>(
    engine: &Engine,
    key: &'k [u8; 8],
    payload: &'k [u8],
) -> Result<Prepared<'k>, oncegate::Error> {
    let request = Request::new(Scope::single_tenant(), "POST /charges", key)?;
    engine.prepare(&request.payload(Payload::raw(payload)))
}
