//! The caller's memory: outputs that tell whether they were touched, structures of any size, and
//! numbers that the input gives.

use std::mem::{MaybeUninit, offset_of};

use oncegate_ffi::{ErrorInfo, ONCEGATE_BAD_SIZE, ONCEGATE_NULL_ARGUMENT, Status};

/// The input, byte by byte; zeros behind its end.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// An index below `count`.
    pub(super) fn index(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// Whether something is wrong, in a few calls: which of `count` mistakes.
    pub(super) fn mistake(&mut self, count: u8) -> Option<u8> {
        let byte = self.byte();
        (byte >= SOUND).then(|| (byte - SOUND) % count)
    }
}

/// Bytes below this make no mistake.
const SOUND: u8 = 216;

/// An argument, and the status that it is refused with; zero where it is fine.
#[derive(Clone, Copy)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) refused: Status,
}

impl<T> Given<T> {
    pub(super) fn fine(value: T) -> Self {
        Self { value, refused: 0 }
    }

    pub(super) fn refused(value: T, refused: Status) -> Self {
        Self { value, refused }
    }
}

/// The first of what refuses a call: arguments are looked at in their order.
pub(super) fn first(refusals: &[Status]) -> Status {
    refusals.iter().copied().find(|status| *status != 0).unwrap_or(0)
}

/// A structure of the header, all zeros.
pub(super) fn zeroed<T: Copy>() -> T {
    // SAFETY: every structure of the header may be all zeros.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// An output between words that nobody may write to.
#[repr(C)]
pub(super) struct Place<T> {
    before: u64,
    value: MaybeUninit<T>,
    after: u64,
}

impl<T: Copy> Place<T> {
    /// Memory that holds what no call writes.
    pub(super) fn new() -> Self {
        let mut place = Self { before: PATTERN, value: MaybeUninit::uninit(), after: PATTERN };
        // SAFETY: the place itself, as many bytes as it has.
        unsafe { place.value.as_mut_ptr().cast::<u8>().write_bytes(UNTOUCHED, size_of::<T>()) };
        place
    }

    /// Where a call may write; `NULL` in a few calls, which refuses those that need it.
    pub(super) fn at(&mut self, input: &mut Input<'_>) -> Given<*mut T> {
        match input.mistake(8) {
            Some(0) => Given::refused(std::ptr::null_mut(), ONCEGATE_NULL_ARGUMENT),
            _ => Given::fine(self.value.as_mut_ptr()),
        }
    }

    /// The same where `NULL` is fine.
    pub(super) fn at_or_null(&mut self, input: &mut Input<'_>) -> *mut T {
        self.at(input).value
    }

    /// Where its bytes begin.
    pub(super) fn start(&mut self) -> *mut u8 {
        self.value.as_mut_ptr().cast()
    }

    /// All of its bytes.
    pub(super) fn whole(&self) -> &[u8] {
        assert!(self.is_whole(), "written beside an output");
        // SAFETY: all of it was written when it was made, and no structure of the header has
        // padding.
        unsafe { std::slice::from_raw_parts(self.value.as_ptr().cast(), size_of::<T>()) }
    }

    /// Whether no call wrote here.
    pub(super) fn is_untouched(&self) -> bool {
        Self::are_untouched(self.whole())
    }

    pub(super) fn are_untouched(bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| *byte == UNTOUCHED)
    }

    fn is_whole(&self) -> bool {
        self.before == PATTERN && self.after == PATTERN
    }

    /// What a call wrote.
    pub(super) fn get(&self, what: &str) -> T {
        assert!(self.is_whole(), "{what}: written beside the output");
        // SAFETY: any bits are a value of a structure of the header.
        unsafe { self.value.assume_init() }
    }
}

impl<T: Copy, const N: usize> Place<[T; N]> {
    /// What a call wrote into an element of an array.
    pub(super) fn nth(&self, index: usize) -> T {
        self.get("an array")[index]
    }
}

/// In every password and key that a call is given; no error may have it.
pub(super) const MARK: &str = "hunter2";
const UNTOUCHED: u8 = 0xa5;
const PATTERN: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// A structure that may grow, as large as the caller says it is.
#[repr(C)]
pub(super) struct Grown<T> {
    pub(super) value: T,
    rest: [u64; 4],
}

impl<T: Copy> Grown<T> {
    /// Whether it says that it is of a later version.
    pub(super) fn is_larger(&self) -> bool {
        // SAFETY: the first field is a size.
        let said = unsafe { (&raw const self.value).cast::<usize>().read() };
        (size_of::<T>()..=size_of::<Self>()).contains(&said)
    }

    /// The structure with a size that is right, another version's, or wrong. `least` is the size
    /// of the first version; what a shorter one lacks is zero in `value`, too.
    pub(super) fn new(mut value: T, least: usize, input: &mut Input<'_>) -> Given<Self> {
        let (size, own) = (size_of::<T>(), size_of::<T>());
        let (said, rest, refused) = match input.mistake(9) {
            None => (size, 0, 0),
            Some(0) => (0, 0, ONCEGATE_BAD_SIZE),
            Some(1) => (usize::MAX, 0, ONCEGATE_BAD_SIZE),
            Some(2) => (8, 0, ONCEGATE_BAD_SIZE),
            Some(3) => (size - 4, 0, ONCEGATE_BAD_SIZE),
            Some(4) => (own + 16, 1, ONCEGATE_BAD_SIZE),
            Some(5) => (1 << 20, 0, ONCEGATE_BAD_SIZE),
            Some(6) => (own + 8, 0, 0),
            Some(7) => (own + 32, 0, 0),
            Some(_) => (least, 0, 0),
        };
        let from = if refused == 0 { said.min(own) } else { own };
        let bytes = (&raw mut value).cast::<u8>();
        // SAFETY: within the structure, of which any bits are a value; its first field is a size.
        unsafe { bytes.add(from).write_bytes(0, own - from) };
        // SAFETY: the first field is a size.
        unsafe { bytes.cast::<usize>().write(said) };
        Given { value: Self { value, rest: [rest; 4] }, refused }
    }
}

/// The caller's error, of any size, between what nobody may write to.
pub(super) struct ErrorPlace {
    place: [u64; ERROR_WORDS],
    size: usize,
}

/// The structure, and room behind it for a later version's.
const ERROR_WORDS: usize = size_of::<ErrorInfo>() / 8 + 4;

impl ErrorPlace {
    pub(super) fn new() -> Self {
        Self { place: [PATTERN; ERROR_WORDS], size: 0 }
    }

    /// Where the next call may write its error.
    pub(super) fn aim(&mut self, choice: u8) -> *mut ErrorInfo {
        let own = size_of::<ErrorInfo>();
        (self.size, self.place) = (0, [PATTERN; ERROR_WORDS]);
        self.place[0] = 0;
        self.size = match choice {
            0..=199 => own,
            200..=209 => 24,
            210..=219 => own + 16,
            220..=229 => own - 64,
            230..=234 => 0,
            235..=239 => usize::MAX,
            240..=244 => own - 3,
            _ => return std::ptr::null_mut(),
        };
        self.place[0] = self.size as u64;
        self.place.as_mut_ptr().cast()
    }

    /// How many bytes a refused call fills.
    fn told(&self) -> usize {
        let fits = (24..=size_of_val(&self.place)).contains(&self.size);
        if fits && self.size.is_multiple_of(8) { self.size } else { 8 }
    }

    /// A refused call tells why, and one that worked tells nothing.
    pub(super) fn check(&self, call: &str, status: Status) {
        let told = if status == 0 { 8 } else { self.told() };
        let rest = &self.place[told / 8..];
        assert!(rest.iter().all(|word| *word == PATTERN), "{call}: an error was written");
        assert_eq!(self.place[0], self.size as u64, "{call}: the size of an error was changed");
        if told < 24 {
            return;
        }
        let bytes: Vec<u8> = self.place.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let at = offset_of!(ErrorInfo, status);
        assert_eq!(bytes[at..at + 4], status.to_ne_bytes(), "{call}: the error's status");
        let (field, message) = (offset_of!(ErrorInfo, field), offset_of!(ErrorInfo, message));
        if told >= size_of::<ErrorInfo>() {
            for (text, len) in [(field, 48), (message, 256)] {
                let text = bytes[text..text + len].split(|byte| *byte == 0).next();
                let text = text.filter(|text| text.len() < len).expect("zero-terminated");
                assert!(str::from_utf8(text).is_ok(), "{call}: {text:?}");
            }
            assert_ne!(bytes[message], 0, "{call}: no message");
            let is_mark = |at: &[u8]| at == MARK.as_bytes();
            assert!(!bytes.windows(MARK.len()).any(is_mark), "{call}: tells what is secret");
        }
    }
}
