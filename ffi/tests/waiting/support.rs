//! Short names for calls of the header, and all that is unsafe about them.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle};

use oncegate_ffi::*;

/// Longer than any machine needs, in milliseconds.
pub(crate) const SOON: u64 = 60_000;

/// In every password and key that a call is given: no error may tell it.
pub(crate) const MARK: &str = "hunter2";

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: Status,
    pub(crate) field: String,
    pub(crate) retry_after_ms: u64,
}

/// A structure of the header, all zeros but its size where it has one.
pub(crate) fn zeroed<T: Copy>() -> T {
    // SAFETY: every structure of the header may be all zeros.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Makes a call with an error, and tells why it was refused.
pub(crate) fn call(make: impl FnOnce(*mut ErrorInfo) -> Status) -> Result<(), Refused> {
    let mut error = ErrorInfo { struct_size: size_of::<ErrorInfo>(), ..zeroed() };
    let status = make(&raw mut error);
    if status == ONCEGATE_OK {
        return Ok(());
    }
    assert_eq!(error.status, status, "the error tells another status");
    let text = |chars: &[std::ffi::c_char]| {
        let bytes = chars.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0);
        String::from_utf8(bytes.collect()).expect("errors are UTF-8")
    };
    let (field, message) = (text(&error.field), text(&error.message));
    assert!(message.starts_with(&field) && message.len() > field.len(), "{field}: {message}");
    assert!(!message.contains(MARK), "tells what is secret: {message}");
    Err(Refused { status, field, retry_after_ms: error.retry_after_ms })
}

/// A call that has to be refused so.
#[track_caller]
pub(crate) fn refused(made: Result<impl Sized, Refused>, status: Status, field: &str) {
    let Err(found) = made else { panic!("not refused: {status} {field}") };
    assert_eq!((found.status, found.field.as_str()), (status, field));
}

pub(crate) fn bytes(bytes: &[u8]) -> Bytes {
    Bytes { data: bytes.as_ptr(), len: bytes.len() }
}

pub(crate) fn options() -> RawOptions {
    RawOptions { struct_size: size_of::<RawOptions>(), tiny: 1, max_retrying: 16, ..zeroed() }
}

/// An engine, which ends with the test.
pub(crate) struct Engine(pub(crate) *mut RawEngine);

// SAFETY: any thread may use a handle.
unsafe impl Send for Engine {}
// SAFETY: the same.
unsafe impl Sync for Engine {}

impl Engine {
    pub(crate) fn open(options: &RawOptions) -> Self {
        let mut engine = ptr::null_mut();
        // SAFETY: what is pointed to lives for the call, here and below.
        call(|error| unsafe { oncegate_engine_open(options, &raw mut engine, error) })
            .expect("an engine");
        Self(engine)
    }

    /// One whose time stands still until it is moved.
    pub(crate) fn manual() -> Self {
        Self::open(&RawOptions { clock: ONCEGATE_CLOCK_MANUAL, ..options() })
    }

    pub(crate) fn advance_clock(&self, by_ms: u64) {
        // SAFETY: as above.
        call(|error| unsafe { oncegate_engine_advance_clock(self.0, by_ms, error) })
            .expect("a manual clock");
    }

    pub(crate) fn begin(&self, key: &str) -> RawAdmission {
        self.begin_waiting(key, 0)
    }

    pub(crate) fn begin_waiting(&self, key: &str, wait_ms: u64) -> RawAdmission {
        let struct_size = size_of::<RawBeginOptions>();
        let options = RawBeginOptions { struct_size, wait_ms, ..zeroed() };
        let (request, mut admission) = (request(key), RawAdmission::default());
        let (options, buffer) = (&raw const options, &mut Room::new(4_096));
        let into = &raw mut admission;
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_begin(self.0, &raw const request, options, buffer.raw(), into, error)
        })
        .expect("an answer");
        admission
    }

    /// Begins a request that has to be admitted.
    #[track_caller]
    pub(crate) fn admitted(&self, key: &str) -> RawAdmission {
        let admission = self.begin(key);
        assert_eq!(admission.verdict, ONCEGATE_ADMITTED);
        admission
    }

    pub(crate) fn complete(&self, lease: &Lease, body: &[u8]) -> Result<(), Refused> {
        let struct_size = size_of::<RawOutcome>();
        let outcome = RawOutcome { struct_size, status: 200, body: bytes(body), ..zeroed() };
        let (outcome, stored) = (&raw const outcome, ptr::null_mut());
        // SAFETY: as above.
        call(|error| unsafe { oncegate_lease_complete(self.0, lease, outcome, stored, error) })
    }

    /// Fails a lease, retryable after `delay_ms`.
    pub(crate) fn fail(&self, lease: &Lease, delay_ms: u64) -> Result<(), Refused> {
        let (kind, outcome) = (ONCEGATE_FAILURE_RETRYABLE, ptr::null());
        // SAFETY: as above.
        call(|error| unsafe { oncegate_lease_fail(self.0, lease, kind, delay_ms, outcome, error) })
    }
}

impl Engine {
    pub(crate) fn retry_later(
        &self,
        lease: &Lease,
        why: &RawAttemptError,
        operation: &[u8],
        context: &[u8],
    ) -> Result<RawLater, Refused> {
        let mut later = RawLater { kept: 77, ..RawLater::default() };
        let (operation, context) = (bytes(operation), bytes(context));
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_retry_later(self.0, lease, why, operation, context, &raw mut later, error)
        })?;
        Ok(later)
    }

    /// Puts off a new request, and tells for how long.
    #[track_caller]
    pub(crate) fn put_off(&self, key: &str, operation: &[u8], context: &[u8]) -> u64 {
        let admitted = self.admitted(key);
        let later = self.retry_later(&admitted.lease, &attempt_error(b"503"), operation, context);
        let later = later.expect("held");
        assert_eq!((later.verdict, later.next_attempt), (ONCEGATE_LATER_SCHEDULED, 2));
        later.due_in_ms
    }

    pub(crate) fn next_into(
        &self,
        most: usize,
        timeout_ms: u64,
        room: &mut Room,
    ) -> Result<Vec<RawAttempt>, Refused> {
        let mut attempts = vec![RawAttempt::default(); most];
        let (at, buffer, mut count) = (attempts.as_mut_ptr(), room.raw(), usize::MAX);
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_next_attempts(self.0, most, timeout_ms, buffer, at, &raw mut count, error)
        })?;
        attempts.truncate(count);
        Ok(attempts)
    }

    /// The next attempt within `timeout_ms`, with its operation and its context.
    pub(crate) fn next(&self, timeout_ms: u64) -> Result<Option<HandedOut>, Refused> {
        let (mut room, mut attempt) = (Room::new(8_192), RawAttempt::default());
        let (buffer, at, mut found) = (room.raw(), &raw mut attempt, 77);
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_next_attempt(self.0, timeout_ms, buffer, at, &raw mut found, error)
        })?;
        if found == 0 {
            assert_eq!((attempt.attempt, room.needed()), (0, 0), "nothing was written");
            return Ok(None);
        }
        assert_eq!(found, 1);
        assert_eq!(room.needed(), attempt.operation_len + attempt.context_len);
        let operation = room.part(attempt.operation_offset, attempt.operation_len).to_vec();
        let context = room.part(attempt.context_offset, attempt.context_len).to_vec();
        Ok(Some((attempt, operation, context)))
    }

    pub(crate) fn advance(&self, limit: usize) -> RawDriven {
        let mut driven = RawDriven { reserved: 77, ..RawDriven::default() };
        // SAFETY: as above.
        call(|error| unsafe { oncegate_advance(self.0, limit, &raw mut driven, error) })
            .expect("not forked");
        driven
    }
}

pub(crate) fn attempt_error(class: &[u8]) -> RawAttemptError {
    let struct_size = size_of::<RawAttemptError>();
    RawAttemptError { struct_size, error_class: bytes(class), ..zeroed() }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: as above. `ONCEGATE_BAD_HANDLE` is what a test that closed it wants.
        unsafe { oncegate_engine_close(self.0, ptr::null_mut()) };
    }
}

/// A request of one tenant for one operation. Its parts live as long as the program.
pub(crate) fn request(key: &str) -> RawRequest {
    RawRequest {
        struct_size: size_of::<RawRequest>(),
        scope_kind: ONCEGATE_SCOPE_SINGLE_TENANT,
        operation: bytes(b"POST /charges"),
        key: bytes(key.as_bytes()),
        ..zeroed()
    }
}

/// A buffer of the caller's.
pub(crate) struct Room {
    memory: Vec<u8>,
    raw: Buffer,
}

impl Room {
    pub(crate) fn new(capacity: usize) -> Self {
        let memory = vec![0; capacity];
        Self { memory, raw: Buffer { data: ptr::null_mut(), capacity, needed: usize::MAX } }
    }

    pub(crate) fn raw(&mut self) -> *mut Buffer {
        self.raw.data = self.memory.as_mut_ptr();
        &raw mut self.raw
    }

    pub(crate) fn needed(&self) -> usize {
        self.raw.needed
    }

    pub(crate) fn part(&self, offset: usize, len: usize) -> &[u8] {
        &self.memory[offset..offset + len]
    }
}

/// Whether a descriptor is readable, within `limit_ms`.
pub(crate) fn is_readable(fd: RawFd, limit_ms: i32) -> bool {
    let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives for the call.
    let found = unsafe { libc::poll(&raw mut asked, 1, limit_ms) };
    assert!(found >= 0 && asked.revents & (libc::POLLERR | libc::POLLNVAL) == 0);
    found == 1
}

/// Starts a thread, and gives its number in the kernel.
pub(crate) fn spawn_known<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> (ScopedJoinHandle<'s, T>, libc::pid_t) {
    let (tell, told) = mpsc::channel();
    let thread = scope.spawn(move || {
        // SAFETY: asks for a number.
        tell.send(unsafe { libc::gettid() }).expect("it is waited for");
        drop(tell);
        work()
    });
    (thread, told.recv().expect("it begins"))
}

/// Yields until a thread of this process sleeps in the kernel.
pub(crate) fn until_asleep(thread: libc::pid_t) {
    loop {
        let path = format!("/proc/self/task/{thread}/stat");
        let stat = std::fs::read_to_string(path).expect("it has not ended");
        // Behind the name, which is in brackets.
        if stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Runs `child` in a forked child, which tells by its exit which of its checks failed first; zero
/// is none.
pub(crate) fn in_child(child: impl FnOnce() -> i32) {
    // SAFETY: the child calls the library, and `_exit`: no panic, no unwinding, no exit handlers.
    // The allocator is usable after a fork.
    match unsafe { libc::fork() } {
        0 => {
            let failed = child();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(failed) };
        }
        pid => {
            let mut status = 0;
            // SAFETY: a child of this process, and a place for its status.
            let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(waited, pid);
            assert!(libc::WIFEXITED(status), "the child was ended by a signal");
            assert_eq!(libc::WEXITSTATUS(status), 0, "which check of the child failed");
        }
    }
}

/// The first check that does not hold, from one on.
pub(crate) fn first_wrong(checks: &[bool]) -> i32 {
    checks.iter().position(|holds| !holds).map_or(0, |at| at as i32 + 1)
}

/// An attempt, its operation and its context.
pub(crate) type HandedOut = (RawAttempt, Vec<u8>, Vec<u8>);
