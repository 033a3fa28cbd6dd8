//! The caller's memory: the only place where pointers that came from outside are followed.
//!
//! Everything is checked that can be checked: `NULL`, alignment, sizes. What cannot be checked is
//! the contract of every function of the header: a pointer that is not `NULL` points to memory of
//! that type that nobody else writes during the call.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::slice;

use crate::status::{
    ONCEGATE_BAD_SIZE, ONCEGATE_BAD_VALUE, ONCEGATE_BUFFER_TOO_SMALL, ONCEGATE_NOT_UTF8,
    ONCEGATE_NULL_ARGUMENT, Refusal,
};

/// Bytes of the caller: `data` may be `NULL` where `len` is zero. They are read during the call
/// and never kept.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Bytes {
    /// The first byte.
    pub data: *const u8,
    /// How many bytes.
    pub len: usize,
}

/// Memory of the caller for bytes that a call gives.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Buffer {
    /// The first byte; may be `NULL` where `capacity` is zero.
    pub data: *mut u8,
    /// How many bytes may be written.
    pub capacity: usize,
    /// Written by the call: how many bytes it wrote, or, with `ONCEGATE_BUFFER_TOO_SMALL`, how
    /// many it needs.
    pub needed: usize,
}

/// A structure of the header.
///
/// # Safety
///
/// It is `repr(C)`, and every pattern of bits is a value of it, all zeros among them.
pub(crate) unsafe trait Plain: Copy {}

/// A structure that may grow in later versions: its first field is `struct_size`, a `size_t`, in
/// which the caller says how large it was when he was compiled. What a smaller one lacks is zero,
/// and zero always means what an older version did.
///
/// # Safety
///
/// The first field is a `usize`.
pub(crate) unsafe trait Growing: Plain {
    /// The smallest size that the first version had.
    const LEAST: usize;
}

// SAFETY: pointers and sizes.
unsafe impl Plain for Bytes {}
// SAFETY: pointers and sizes.
unsafe impl Plain for Buffer {}
// SAFETY: a number.
unsafe impl Plain for u8 {}
// SAFETY: a number; a `char` is this or the one above.
unsafe impl Plain for i8 {}
// SAFETY: a number.
unsafe impl Plain for i32 {}
// SAFETY: a number.
unsafe impl Plain for u32 {}
// SAFETY: a number.
unsafe impl Plain for u64 {}
// SAFETY: a number.
unsafe impl Plain for usize {}
// SAFETY: a number.
unsafe impl Plain for f64 {}
// SAFETY: all addresses are values of a pointer.
unsafe impl<T> Plain for *const T {}
// SAFETY: all addresses are values of a pointer.
unsafe impl<T> Plain for *mut T {}

#[inline(always)]
fn check<T>(field: &'static str, at: *const T) -> Result<(), Refusal> {
    if at.is_null() || !at.is_aligned() {
        return Err(refuse_pointer(field, at.is_null(), align_of::<T>()));
    }
    Ok(())
}

#[cold]
fn refuse_pointer(field: &'static str, is_null: bool, alignment: usize) -> Refusal {
    if is_null {
        return Refusal::new(ONCEGATE_NULL_ARGUMENT, field, "");
    }
    let limit = format!("found an address off {alignment}; limit: aligned");
    Refusal::new(ONCEGATE_BAD_VALUE, field, limit)
}

fn zeroed<T: Plain>() -> T {
    // SAFETY: all zeros are a value of it, as `Plain` says.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// A copy of `*at`.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call.
pub(crate) unsafe fn copy<T: Plain>(field: &'static str, at: *const T) -> Result<T, Refusal> {
    check(field, at)?;
    // SAFETY: neither null nor unaligned, readable by the contract, and any bits are a value.
    Ok(unsafe { at.read() })
}

/// A copy of `*at`, or of zeros where it is `NULL`.
///
/// # Safety
///
/// As for [`grown`].
pub(crate) unsafe fn grown_or_zero<T: Growing>(
    field: &'static str,
    at: *const T,
) -> Result<T, Refusal> {
    if at.is_null() {
        return Ok(zeroed());
    }
    // SAFETY: the same contract.
    unsafe { grown(field, at) }
}

/// A copy of `*at`, as large as the caller says it is: what is missing is zero, and what is unknown
/// has to be.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call, for as many bytes as its first
/// field says.
#[inline(always)]
pub(crate) unsafe fn grown<T: Growing>(field: &'static str, at: *const T) -> Result<T, Refusal> {
    check(field, at)?;
    // SAFETY: the first field is a size, and readable by the contract.
    let size = unsafe { at.cast::<usize>().read() };
    if size == size_of::<T>() {
        // SAFETY: as large as ours, readable by the contract, and any bits are a value.
        return Ok(unsafe { at.read() });
    }
    // SAFETY: the same contract.
    unsafe { grown_otherwise(field, at, size) }
}

/// The same of a structure of another version.
///
/// # Safety
///
/// As for [`grown`]; `at` was checked, and says `size`.
#[cold]
unsafe fn grown_otherwise<T: Growing>(
    field: &'static str,
    at: *const T,
    size: usize,
) -> Result<T, Refusal> {
    check_size::<T>(field, size)?;
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller's bytes are readable by the contract, ours are there, and they are apart.
    unsafe { at.cast::<u8>().copy_to(copy.as_mut_ptr().cast(), size.min(size_of::<T>())) };
    if size > size_of::<T>() {
        // SAFETY: within the size that the caller gives.
        let rest = unsafe { at.cast::<u8>().add(size_of::<T>()) };
        // SAFETY: the same.
        let rest = unsafe { slice::from_raw_parts(rest, size - size_of::<T>()) };
        if rest.iter().any(|byte| *byte != 0) {
            let limit = format!("found {size} bytes; limit: zeros beyond {}", size_of::<T>());
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, format!("{field}.struct_size"), limit));
        }
    }
    // SAFETY: zeros, and bytes over them: any bits are a value.
    Ok(unsafe { copy.assume_init() })
}

#[inline(always)]
fn check_size<T: Growing>(field: &'static str, size: usize) -> Result<(), Refusal> {
    if size < T::LEAST || size > MAX_STRUCT || !size.is_multiple_of(align_of::<T>()) {
        return Err(refuse_size(field, size, T::LEAST));
    }
    Ok(())
}

#[cold]
fn refuse_size(field: &'static str, size: usize, least: usize) -> Refusal {
    let limit = format!("found {size}; limit: {least} to {MAX_STRUCT}");
    Refusal::new(ONCEGATE_BAD_SIZE, format!("{field}.struct_size"), limit)
}

/// The elements of an array; `NULL` where there are none.
///
/// # Safety
///
/// `at` is `NULL`, or `count` elements there are the caller's for reading until the call is over,
/// and nobody writes to them.
pub(crate) unsafe fn elements<'a, T: Plain>(
    field: &'static str,
    at: *const T,
    count: usize,
) -> Result<&'a [T], Refusal> {
    if count == 0 {
        return Ok(&[]);
    }
    check(field, at)?;
    check_count::<T>(field, count)?;
    // SAFETY: neither null nor unaligned nor too long, readable by the contract, any bits a value.
    Ok(unsafe { slice::from_raw_parts(at, count) })
}

fn check_count<T>(field: &'static str, count: usize) -> Result<(), Refusal> {
    let most = isize::MAX as usize / size_of::<T>().max(1);
    if count > most {
        let limit = format!("found {count}; limit: {most}");
        return Err(Refusal::new(ONCEGATE_BAD_SIZE, field, limit));
    }
    Ok(())
}

/// An array of structures that may grow, each as large as the first says.
pub(crate) struct GrownElements<T> {
    at: *const u8,
    stride: usize,
    count: usize,
    element: PhantomData<T>,
}

impl<T: Growing> GrownElements<T> {
    /// Looks at the sizes of all.
    ///
    /// # Safety
    ///
    /// `at` is `NULL`, or `count` elements of the size that the first gives are the caller's for
    /// reading until the call is over.
    pub(crate) unsafe fn new(
        field: &'static str,
        at: *const T,
        count: usize,
    ) -> Result<Self, Refusal> {
        let mut found = Self { at: at.cast(), stride: 0, count, element: PhantomData };
        if count == 0 {
            return Ok(found);
        }
        check(field, at)?;
        check_count::<T>(field, count)?;
        // SAFETY: the first field of the first element, readable by the contract.
        found.stride = unsafe { at.cast::<usize>().read() };
        check_size::<T>(field, found.stride)?;
        if found.stride.checked_mul(count).is_none_or(|all| all > isize::MAX as usize) {
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, field, "more than there is memory"));
        }
        for index in 0..count {
            let one = found.place(index);
            // SAFETY: within the array by the contract; its first field is a size.
            let size = unsafe { one.cast::<usize>().read() };
            if size != found.stride {
                let limit = format!("found {size} after {}; limit: all alike", found.stride);
                return Err(Refusal::new(ONCEGATE_BAD_SIZE, format!("{field}.struct_size"), limit));
            }
            if size != size_of::<T>() {
                // SAFETY: the same contract.
                unsafe { grown(field, one) }?;
            }
        }
        Ok(found)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A copy of an element; zeros beyond the end.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> T {
        let mut copy = zeroed::<T>();
        if index < self.count {
            let to = (&raw mut copy).cast::<u8>();
            let known = self.stride.min(size_of::<T>());
            // SAFETY: within the array, which is readable by the contract of `new`; ours is as
            // large, and any bytes are a value of it.
            unsafe { self.place(index).cast::<u8>().copy_to_nonoverlapping(to, known) };
        }
        copy
    }

    fn place(&self, index: usize) -> *const T {
        self.at.wrapping_add(index * self.stride).cast()
    }
}

impl Bytes {
    /// The bytes.
    ///
    /// # Safety
    ///
    /// `data` is `NULL`, or `len` bytes there are the caller's for reading until the call is over,
    /// and nobody writes to them.
    pub(crate) unsafe fn get<'a>(self, field: &'static str) -> Result<&'a [u8], Refusal> {
        // SAFETY: the same contract.
        unsafe { elements(field, self.data, self.len) }
    }

    /// The bytes, as text.
    ///
    /// # Safety
    ///
    /// As for [`get`](Self::get).
    pub(crate) unsafe fn text<'a>(self, field: &'static str) -> Result<&'a str, Refusal> {
        // SAFETY: the same contract.
        let bytes = unsafe { self.get(field) }?;
        if bytes.is_ascii() {
            // SAFETY: ASCII is UTF-8. Most names are, and this is a look at eight bytes at a time.
            return Ok(unsafe { str::from_utf8_unchecked(bytes) });
        }
        str::from_utf8(bytes).map_err(|error| {
            let found = format!("found a byte that is none at {}", error.valid_up_to());
            Refusal::new(ONCEGATE_NOT_UTF8, field, found)
        })
    }
}

/// A place of the caller that is written when a call has worked.
pub(crate) struct Out<T> {
    at: *mut T,
}

impl<T: Plain> Out<T> {
    /// # Safety
    ///
    /// `at` is `NULL`, or the caller's for writing during the call.
    pub(crate) unsafe fn new(field: &'static str, at: *mut T) -> Result<Self, Refusal> {
        check(field, at)?;
        Ok(Self { at })
    }

    /// The same; `NULL` where the caller does not want to know.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    pub(crate) unsafe fn new_or_none(
        field: &'static str,
        at: *mut T,
    ) -> Result<Option<Self>, Refusal> {
        // SAFETY: the same contract.
        if at.is_null() { Ok(None) } else { unsafe { Self::new(field, at) }.map(Some) }
    }

    /// Writes the value.
    pub(crate) fn write(self, value: T) {
        // SAFETY: neither null nor unaligned, and writable by the contract of `new`.
        unsafe { self.at.write(value) };
    }
}

/// A place of the caller that says where a call begins, and is told where it ended.
pub(crate) struct InOut<T> {
    out: Out<T>,
    value: T,
}

impl<T: Plain> InOut<T> {
    /// # Safety
    ///
    /// `at` is `NULL`, or the caller's for reading and writing during the call.
    pub(crate) unsafe fn new(field: &'static str, at: *mut T) -> Result<Self, Refusal> {
        // SAFETY: the same contract.
        let value = unsafe { copy(field, at.cast_const()) }?;
        Ok(Self { out: Out { at }, value })
    }

    /// What the caller had there.
    pub(crate) fn value(&self) -> T {
        self.value
    }

    /// Writes the value.
    pub(crate) fn write(self, value: T) {
        self.out.write(value);
    }
}

/// A place of the caller for a structure that may grow.
pub(crate) struct OutGrown<T> {
    at: *mut T,
    size: usize,
}

impl<T: Growing> OutGrown<T> {
    /// # Safety
    ///
    /// `at` is `NULL`, or the caller's for reading and writing during the call, for as many bytes
    /// as its first field says.
    pub(crate) unsafe fn new(field: &'static str, at: *mut T) -> Result<Self, Refusal> {
        check(field, at)?;
        // SAFETY: the first field is a size, and readable by the contract.
        let size = unsafe { at.cast::<usize>().read() };
        check_size::<T>(field, size)?;
        Ok(Self { at, size })
    }

    /// Writes as much of the value as the caller knows, and zeros for what only he knows. His
    /// `struct_size` stays.
    pub(crate) fn write(self, value: T) {
        let known = self.size.min(size_of::<T>());
        let from = (&raw const value).cast::<u8>();
        let head = size_of::<usize>();
        // SAFETY: `known` bytes are ours for reading, and the caller's for writing by the contract
        // of `new`; `head` is not more, since every size holds at least the first field.
        unsafe {
            from.add(head).copy_to(self.at.cast::<u8>().add(head), known - head);
            self.at.cast::<u8>().add(known).write_bytes(0, self.size - known);
        }
    }
}

/// An array of the caller that is written when a call has worked.
pub(crate) struct OutElements<T> {
    at: *mut T,
    count: usize,
}

impl<T: Plain> OutElements<T> {
    /// # Safety
    ///
    /// `at` is `NULL`, or `count` elements there are the caller's for writing during the call.
    pub(crate) unsafe fn new(
        field: &'static str,
        at: *mut T,
        count: usize,
    ) -> Result<Self, Refusal> {
        if count != 0 {
            check(field, at)?;
            check_count::<T>(field, count)?;
        }
        Ok(Self { at, count })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Writes an element; what is beyond the end is left out.
    #[inline(always)]
    pub(crate) fn set(&mut self, index: usize, value: T) {
        if index < self.count {
            // SAFETY: within the array, which is writable by the contract of `new`.
            unsafe { self.at.add(index).write(value) };
        }
    }
}

/// The caller's buffer, and how far it is filled.
pub(crate) struct OutBytes {
    buffer: *mut Buffer,
    data: *mut u8,
    capacity: usize,
    len: usize,
}

impl OutBytes {
    /// A buffer that may be `NULL`: that is one without room.
    ///
    /// # Safety
    ///
    /// `at` is `NULL`, or the caller's for reading and writing during the call, and so are
    /// `capacity` bytes at its `data`.
    #[inline]
    pub(crate) unsafe fn new(field: &'static str, at: *mut Buffer) -> Result<Self, Refusal> {
        if at.is_null() {
            return Ok(Self { buffer: at, data: std::ptr::null_mut(), capacity: 0, len: 0 });
        }
        // SAFETY: the same contract.
        let Buffer { data, capacity, .. } = unsafe { copy(field, at.cast_const()) }?;
        if capacity != 0 {
            check(field, data.cast_const())?;
            check_count::<u8>(field, capacity)?;
        }
        Ok(Self { buffer: at, data, capacity, len: 0 })
    }

    /// How many bytes have been written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes may still be written.
    pub(crate) fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Appends bytes, and gives their offset. `None`, with nothing written: they do not fit.
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        if bytes.len() > self.room() {
            return None;
        }
        let offset = self.len;
        if !bytes.is_empty() {
            // SAFETY: that many bytes are free behind `offset`, writable by the contract of `new`,
            // and apart from what was lent to this call for reading.
            unsafe { self.data.add(offset).copy_from(bytes.as_ptr(), bytes.len()) };
        }
        self.len += bytes.len();
        Some(offset)
    }

    /// Tells the caller how many bytes are needed, and refuses the call.
    pub(crate) fn too_small(self, needed: usize) -> Refusal {
        let detail = format!("found room for {}; limit: at least {needed}", self.capacity);
        self.finish(needed);
        Refusal::new(ONCEGATE_BUFFER_TOO_SMALL, "buffer", detail)
    }

    /// Tells the caller how many bytes were written.
    #[inline]
    pub(crate) fn tell(self) {
        let len = self.len;
        self.finish(len);
    }

    /// Tells the caller how many bytes were written, or are needed.
    #[inline]
    pub(crate) fn finish(self, needed: usize) {
        if !self.buffer.is_null() {
            // SAFETY: neither null nor unaligned, and writable by the contract of `new`.
            unsafe { (&raw mut (*self.buffer).needed).write(needed) };
        }
    }
}

/// A pointer that is written as `NULL` from the start, and as a handle when the call has worked.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for writing during the call.
pub(crate) unsafe fn handle_out<T>(
    field: &'static str,
    at: *mut *mut T,
) -> Result<Out<*mut T>, Refusal> {
    // SAFETY: the same contract.
    unsafe { Out::new(field, at) }
}

/// Text of the caller's that a call fills, with a final zero.
pub(crate) fn fill_text(into: &mut [std::ffi::c_char], text: &str) {
    let Some(most) = into.len().checked_sub(1) else { return };
    let mut len = text.len().min(most);
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    into.fill(0);
    for (to, byte) in into.iter_mut().zip(text.as_bytes().iter().take(len)) {
        *to = *byte as std::ffi::c_char;
    }
}

/// No structure of the header will ever be larger.
const MAX_STRUCT: usize = 64 << 10;
