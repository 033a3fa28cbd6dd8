//! What calls of the C ABI take from the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

use oncegate_ffi::*;

/// Counts the allocations of the calling thread, and what it holds.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's, with the caller's arguments; the counters are
// thread-locals without a destructor, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        HELD.with(|held| held.set(held.get() + layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.with(|held| held.set(held.get() - layout.size() as i64));
        // SAFETY: the memory came from `alloc` above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn zeroed<T: Copy>() -> T {
    // SAFETY: every structure of the header may be all zeros.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn text(text: &str) -> Bytes {
    Bytes { data: text.as_ptr(), len: text.len() }
}

/// An engine with a finished request whose outcome has this many bytes.
struct Site {
    engine: *mut RawEngine,
    request: RawRequest,
    body: Vec<u8>,
}

impl Site {
    fn new(size: usize) -> Self {
        let options = RawOptions {
            struct_size: size_of::<RawOptions>(),
            capacity: 1_000,
            outcome_limit: 100_000,
            ..zeroed()
        };
        let mut engine = ptr::null_mut();
        // SAFETY: all that is passed is there.
        let opened = unsafe { oncegate_engine_open(&options, &mut engine, ptr::null_mut()) };
        assert_eq!(opened, ONCEGATE_OK);
        let request = RawRequest {
            struct_size: size_of::<RawRequest>(),
            scope: text("acme"),
            operation: text("POST /charges"),
            key: text("key-1"),
            ..zeroed()
        };
        let site = Self { engine, request, body: vec![7; size] };
        let admission = site.begin(&mut []);
        assert_eq!(admission.verdict, ONCEGATE_ADMITTED);
        let body = Bytes { data: site.body.as_ptr(), len: site.body.len() };
        let outcome = RawOutcome { struct_size: size_of::<RawOutcome>(), body, ..zeroed() };
        let (stored, error) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: all that is passed is there.
        let completed =
            unsafe { oncegate_lease_complete(engine, &admission.lease, &outcome, stored, error) };
        assert_eq!(completed, ONCEGATE_OK);
        site
    }

    fn begin(&self, room: &mut [u8]) -> RawAdmission {
        let mut buffer = Buffer { data: room.as_mut_ptr(), capacity: room.len(), needed: 0 };
        let (mut admission, options, error) =
            (RawAdmission::default(), ptr::null(), ptr::null_mut());
        // SAFETY: all that is passed is there.
        let begun = unsafe {
            oncegate_begin(self.engine, &self.request, options, &mut buffer, &mut admission, error)
        };
        assert_eq!(begun, ONCEGATE_OK);
        admission
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // SAFETY: handles are looked up.
        unsafe { oncegate_engine_close(self.engine, ptr::null_mut()) };
    }
}

/// Goal: a replay allocates nothing, wherever its outcome lies. Method: the thread's allocations
/// are counted over a hundred replays, after the first.
#[test]
fn a_replay_allocates_nothing() {
    for size in [0, 48, 100, 4_000] {
        let site = Site::new(size);
        let mut room = vec![0; size];
        site.begin(&mut room);
        let before = ALLOCATIONS.with(Cell::get);
        for _ in 0..100 {
            assert_eq!(site.begin(&mut room).verdict, ONCEGATE_REPLAYED);
        }
        assert_eq!(ALLOCATIONS.with(Cell::get), before, "with {size} bytes");
        assert_eq!(room, site.body);
    }
}

/// Goal: memory that is kept for the next call is bounded, for each of many threads. Method: after
/// a replay of a large outcome the thread holds as much as before.
#[test]
fn a_large_outcome_is_not_kept() {
    let site = Site::new(50_000);
    let mut room = vec![0; 50_000];
    let before = HELD.with(Cell::get);
    assert_eq!(site.begin(&mut room).verdict, ONCEGATE_REPLAYED);
    assert!(HELD.with(Cell::get) - before < 1_000, "{}", HELD.with(Cell::get) - before);
    assert_eq!(room, site.body);
}
