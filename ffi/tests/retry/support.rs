//! What the tests share: calls of exports, an engine, requests and leases.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::{EngineBuilder, Reach, Secret};
use oncegate_ffi::*;

/// A structure of the header.
///
/// # Safety
///
/// All zeros are a value of it, and the first field is its size where `GROWS`.
pub(crate) unsafe trait Structure: Copy {
    const GROWS: bool;
}

macro_rules! structures {
    ($($name:ident $grows:literal),* $(,)?) => {
        // SAFETY: `repr(C)`, numbers and pointers; the header says which begin with their size.
        $(unsafe impl Structure for $name { const GROWS: bool = $grows; })*
    };
}

structures! {
    Buffer false, ErrorInfo true, Lease false, RawAdaptive true, RawAdmission false,
    RawBeginOptions true, RawBudget true, RawLetterFilter true, RawOptions true, RawRequest true,
    RawRetryPolicy true, RawStats true,
}

/// All zeros, but for the size of what begins with one.
pub(crate) fn blank<T: Structure>() -> T {
    let mut made = MaybeUninit::<T>::zeroed();
    if T::GROWS {
        // SAFETY: the first field is a size, as `Structure` says.
        unsafe { made.as_mut_ptr().cast::<usize>().write(size_of::<T>()) };
    }
    // SAFETY: zeros are a value, and so is a size in the first field.
    unsafe { made.assume_init() }
}

/// Why a call was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: Status,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Refused {
    /// Status and field.
    pub(crate) fn is(&self) -> (Status, &str) {
        (self.status, &self.field)
    }
}

/// What an export answered, whose last argument was `error`.
pub(crate) fn answered(status: Status, error: &ErrorInfo) -> Result<(), Refused> {
    if status == ONCEGATE_OK {
        assert_eq!(error.status, ONCEGATE_OK, "no refusal is told of a call that worked");
        return Ok(());
    }
    assert_eq!(error.status, status);
    Err(Refused { status, field: text_of(&error.field), message: text_of(&error.message) })
}

fn text_of(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|one| *one as u8).collect();
    let text = CStr::from_bytes_until_nul(&bytes).expect("a final zero");
    text.to_str().expect("UTF-8").to_owned()
}

/// Calls an export with these arguments and a place for its error.
macro_rules! call {
    ($export:ident($($argument:expr),* $(,)?)) => {{
        let mut error = crate::support::blank::<oncegate_ffi::ErrorInfo>();
        // SAFETY: what a test passes is `NULL`, or its own memory for as long as the call lasts.
        let status = unsafe { oncegate_ffi::$export($($argument,)* &raw mut error) };
        crate::support::answered(status, &error)
    }};
}

/// A copy of bytes that a call gave as a part of what the test has.
pub(crate) fn copied(of: Bytes, from: &[u8]) -> Vec<u8> {
    let offset = of.data.addr().checked_sub(from.as_ptr().addr()).expect("a part of it");
    from[offset..offset + of.len].to_vec()
}

/// A text of the library's.
pub(crate) fn text(at: *const c_char) -> String {
    // SAFETY: zero-terminated, and never freed, as the header says.
    unsafe { CStr::from_ptr(at) }.to_str().expect("ASCII").to_owned()
}

/// Some bytes of a test.
pub(crate) fn bytes(of: &(impl AsRef<[u8]> + ?Sized)) -> Bytes {
    let of = of.as_ref();
    Bytes { data: of.as_ptr(), len: of.len() }
}

pub(crate) const NOTHING: Bytes = Bytes { data: std::ptr::null(), len: 0 };

/// An engine whose clock stands still, which is closed when a test is over.
pub(crate) struct Opened(pub(crate) *mut RawEngine);

impl Opened {
    /// A small engine.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One with other options.
    pub(crate) fn with(change: impl FnOnce(&mut RawOptions)) -> Self {
        Self::try_with(change).expect("the options are fine")
    }

    pub(crate) fn try_with(change: impl FnOnce(&mut RawOptions)) -> Result<Self, Refused> {
        let mut options: RawOptions = blank();
        (options.capacity, options.clock) = (1_000, ONCEGATE_CLOCK_MANUAL);
        (options.lease_ms, options.jitter_seed) = (30_000, 7);
        change(&mut options);
        let mut engine = std::ptr::null_mut();
        call!(oncegate_engine_open(&raw const options, &raw mut engine))?;
        Ok(Self(engine))
    }

    /// Begins the request of this key, which runs.
    pub(crate) fn lease(&self, key: &str) -> Lease {
        let admission = self.begin(key);
        assert_eq!(admission.verdict, ONCEGATE_ADMITTED, "{admission:?}");
        admission.lease
    }

    pub(crate) fn begin(&self, key: &str) -> RawAdmission {
        let mut request: RawRequest = blank();
        request.scope_kind = ONCEGATE_SCOPE_SINGLE_TENANT;
        (request.operation, request.key) = (bytes("charge"), bytes(key));
        let (options, mut admission) = (std::ptr::null(), blank());
        let mut buffer: Buffer = blank();
        let (request, buffer, answer) = (&raw const request, &raw mut buffer, &raw mut admission);
        call!(oncegate_begin(self.0, request, options, buffer, answer)).expect("answered");
        admission
    }

    pub(crate) fn advance(&self, by_ms: u64) {
        call!(oncegate_engine_advance_clock(self.0, by_ms)).expect("a manual clock");
    }

    pub(crate) fn stats(&self) -> RawStats {
        let mut stats: RawStats = blank();
        call!(oncegate_engine_stats(self.0, &raw mut stats)).expect("answered");
        stats
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let closed = call!(oncegate_engine_close(self.0));
        assert!(std::thread::panicking() || closed.is_ok(), "{closed:?}");
    }
}

/// A folder of a test's own, which goes with it, and a table in it that the test uses through the
/// header, and beside that as a user of the engine does.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oncegate-ffi-test-{}-{number}", std::process::id());
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let path = base.join(name);
        std::fs::create_dir(&path).expect("a folder for this test");
        Self(path)
    }

    fn table(&self) -> PathBuf {
        self.0.join("table")
    }

    /// The table through the header.
    pub(crate) fn header(&self, change: impl FnOnce(&mut RawOptions)) -> Opened {
        let table = self.table();
        Opened::with(|options| {
            options.reach = ONCEGATE_REACH_HOST;
            (options.path, options.secret) = (bytes(table.as_os_str().as_encoded_bytes()), SECRET);
            change(options);
        })
    }

    /// The same table for a user of the engine.
    pub(crate) fn builder(&self) -> EngineBuilder {
        let secret = Secret::from_bytes(&[b's'; 32]).expect("long enough");
        let builder = oncegate::Engine::builder().capacity(1_000).secret(secret);
        builder.lease_duration(Duration::from_secs(30)).reach(Reach::Host(self.table()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SECRET: Bytes = Bytes { data: [b's'; 32].as_ptr(), len: 32 };
