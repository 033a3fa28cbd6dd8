//! What the calls are made on: handles that are open, were closed, or never were; a buffer; an
//! error. Every call is held against the header.

use oncegate_ffi::*;

use super::documented;
use super::memory::{ErrorPlace, Given, Input, Place};
use super::model::Model;
use super::waiting::Set;

/// Makes a call with the world's error, and checks what holds of every call.
macro_rules! call {
    ($world:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let error = $world.aim_error();
        // SAFETY: what the arguments point to is there for as long as the call, of the type that
        // the header says, and as large as the call is told; or they are `NULL`.
        let status = unsafe { oncegate_ffi::$function($($argument,)* error) };
        $world.checked(stringify!($function), status);
        status
    }};
}
pub(super) use call;

/// Kinds of handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Engine,
    Waits,
    Timers,
    Due,
}

/// A handle that was given out.
#[derive(Clone, Copy, Debug)]
struct Handle {
    kind: Kind,
    value: usize,
    open: bool,
    /// Its engine, set of waits or of timers, by its number.
    which: usize,
}

/// A handle as an argument: its value, what it is refused with, and which one it is.
#[derive(Clone, Copy)]
pub(super) struct Named {
    value: usize,
    pub(super) refused: Status,
    pub(super) which: usize,
}

impl Named {
    /// The pointer that stands for the handle.
    pub(super) fn at<T>(&self) -> *mut T {
        std::ptr::without_provenance_mut(self.value)
    }
}

/// All of it.
pub(super) struct World<'a> {
    pub(super) input: Input<'a>,
    handles: Vec<Handle>,
    pub(super) engines: Vec<Model>,
    pub(super) sets: Vec<Set>,
    pub(super) timers: Vec<super::timing::Pending>,
    pub(super) timers_started: u64,
    error: ErrorPlace,
    pub(super) room: Room,
}

impl<'a> World<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            input: Input::new(data),
            handles: Vec::new(),
            engines: Vec::new(),
            sets: Vec::new(),
            timers: Vec::new(),
            timers_started: 0,
            error: ErrorPlace::new(),
            room: Room::new(),
        }
    }

    /// Where the next call may write its error.
    pub(super) fn aim_error(&mut self) -> *mut ErrorInfo {
        self.error.aim(self.input.byte())
    }

    /// What holds of every call.
    pub(super) fn checked(&mut self, call: &str, status: Status) {
        let inside = [ONCEGATE_PANICKED, ONCEGATE_POISONED, ONCEGATE_FORKED];
        assert!(!inside.contains(&status), "{call}: {status}");
        assert!(documented::allows(call, status), "{call}: {status} is not documented");
        self.error.check(call, status);
    }

    /// A handle of this kind for a call: mostly one that is open.
    pub(super) fn handle(&mut self, kind: Kind) -> Named {
        let bad = |value| Named { value, refused: ONCEGATE_BAD_HANDLE, which: 0 };
        let choice = self.input.byte();
        if choice < 232 {
            let open = self.handles.iter().filter(|one| one.kind == kind && one.open);
            let count = open.clone().count();
            return match open.clone().nth(usize::from(choice) % count.max(1)) {
                Some(one) => Named { value: one.value, refused: 0, which: one.which },
                None => bad(FORGED),
            };
        }
        match choice {
            232..=235 => Named { value: 0, refused: ONCEGATE_NULL_ARGUMENT, which: 0 },
            236..=239 => bad(usize::MAX),
            240..=243 => bad(usize::from(self.input.byte() | 1) << 3),
            _ => match self.handles.get(self.input.index(self.handles.len().max(1))) {
                Some(one) if one.kind == kind && one.open => {
                    Named { value: one.value, refused: 0, which: one.which }
                }
                Some(one) => bad(one.value),
                None => bad(FORGED),
            },
        }
    }

    /// Notes a handle that was given out.
    pub(super) fn opened<T>(&mut self, kind: Kind, handle: *mut T, which: usize) {
        let value = handle.addr();
        assert_ne!(value, 0, "{kind:?}");
        assert!(self.handles.iter().all(|one| one.value != value), "{kind:?} given out twice");
        self.handles.push(Handle { kind, value, open: true, which });
    }

    /// Notes that a handle was closed.
    pub(super) fn closed(&mut self, named: &Named) {
        let one = self.handles.iter_mut().find(|one| one.open && one.value == named.value);
        one.expect("only one that is open is closed").open = false;
    }

    /// Whether there is room for another handle in what one input may open.
    pub(super) fn may_open(&self) -> bool {
        self.handles.len() < MOST_HANDLES
    }

    /// Closes what is open: nothing outlives the input.
    pub(super) fn close_all(&mut self) {
        for one in std::mem::take(&mut self.handles).iter().filter(|one| one.open) {
            let named = Named { value: one.value, refused: 0, which: one.which };
            let status = match one.kind {
                Kind::Engine => call!(self, oncegate_engine_close(named.at())),
                Kind::Waits => call!(self, oncegate_waits_close(named.at())),
                Kind::Timers => call!(self, oncegate_timers_close(named.at())),
                Kind::Due => call!(self, oncegate_due_close(named.at())),
            };
            assert_eq!(status, ONCEGATE_OK, "{one:?}");
        }
    }
}

/// The caller's buffer for outcomes and contexts.
pub(super) struct Room {
    place: Place<[u8; ROOM]>,
    buffer: Buffer,
    /// What it was before the call.
    before: Buffer,
}

impl Room {
    fn new() -> Self {
        let buffer = Buffer { data: std::ptr::null_mut(), capacity: 0, needed: 0 };
        Self { place: Place::new(), buffer, before: buffer }
    }

    /// The buffer for the next call: mostly with room for everything.
    pub(super) fn aim(&mut self, input: &mut Input<'_>) -> Given<*mut Buffer> {
        self.place = Place::new();
        let data = self.place.start();
        let (null, huge) = (std::ptr::null_mut(), usize::MAX);
        let (data, capacity, refused) = match input.mistake(8) {
            None => (data, ROOM, 0),
            Some(0) => (null, 0, 0),
            Some(1) => (data, 0, 0),
            Some(2) => (null, 8, ONCEGATE_NULL_ARGUMENT),
            Some(3) => (data, huge, ONCEGATE_BAD_SIZE),
            Some(4) => (data, usize::from(input.byte()), 0),
            Some(5) => (data, 10, 0),
            Some(6) => (data, 300, 0),
            Some(_) => {
                self.before = Buffer { data: null, capacity: 0, needed: NOT_TOLD };
                self.buffer = self.before;
                return Given::fine(null.cast());
            }
        };
        self.before = Buffer { data, capacity, needed: NOT_TOLD };
        self.buffer = self.before;
        Given::refused(&raw mut self.buffer, refused)
    }

    /// What a call with this status left: the bytes that it wrote, of which there are none unless
    /// it worked.
    pub(super) fn check(&self, call: &str, status: Status) -> &[u8] {
        let Buffer { data, capacity, needed } = self.buffer;
        assert_eq!((data, capacity), (self.before.data, self.before.capacity), "{call}: changed");
        let all = self.place.whole();
        let written = match status {
            ONCEGATE_OK if needed != NOT_TOLD => needed,
            ONCEGATE_BUFFER_TOO_SMALL => {
                assert!(needed > capacity, "{call}: {needed} are too many for {capacity}");
                0
            }
            _ => {
                assert_eq!(needed, NOT_TOLD, "{call}: told with {status}");
                0
            }
        };
        assert!(written <= capacity.min(ROOM), "{call}: {written} bytes for {capacity}");
        let (written, rest) = all.split_at(written);
        assert!(Place::<u8>::are_untouched(rest), "{call}: written beside what it tells of");
        written
    }

    /// What a batch left, which tells how much all outcomes need, whether they fit or not.
    pub(super) fn check_batch(&self, call: &str) -> &[u8] {
        let Buffer { data, capacity, .. } = self.buffer;
        assert_eq!((data, capacity), (self.before.data, self.before.capacity), "{call}: changed");
        let (written, rest) = self.place.whole().split_at(capacity.min(ROOM));
        assert!(Place::<u8>::are_untouched(rest), "{call}: written beside the buffer");
        written
    }

    /// How many bytes the call that was refused asks for.
    pub(super) fn needed(&self) -> usize {
        self.buffer.needed
    }

    /// How much room the call was given.
    pub(super) fn capacity(&self) -> usize {
        self.before.capacity
    }
}

/// The largest context and operation, and some outcomes.
pub(super) const ROOM: usize = 1_024;
const NOT_TOLD: usize = 0x1234_5678_9abc;
/// Looks like a handle, and is none.
const FORGED: usize = 0xffff_ffff_0000_e1e1;
/// What one input may open.
const MOST_HANDLES: usize = 10;
