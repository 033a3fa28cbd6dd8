//! Versions and names: what needs no engine.

use std::ffi::{CStr, c_char};

use crate::engine::whole;
use crate::entry::{ErrorInfo, entry};
use crate::outcome::unpack;
use crate::raw::{Bytes, InOut, Out, Plain};
use crate::status::{
    ONCEGATE_BAD_VALUE, ONCEGATE_NOT_FOUND, ONCEGATE_UNSUPPORTED, Refusal, Status, describe,
};

/// The version of this header: what the library has to know. It grows with every addition; what
/// is not an addition changes the name of the library.
pub const ONCEGATE_ABI_VERSION: u32 = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte"),
    };

/// The version of the library, zero-terminated; it is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn oncegate_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the header that the library was made with.
#[unsafe(no_mangle)]
pub extern "C" fn oncegate_abi_version() -> u32 {
    ONCEGATE_ABI_VERSION
}

/// Whether the library knows all of the header that the caller was compiled with: pass
/// `ONCEGATE_ABI_VERSION`. Returns `ONCEGATE_UNSUPPORTED` where the library is older.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_check_abi(version: u32, error: *mut ErrorInfo) -> Status {
    entry!(error; => {
        if (1..=ONCEGATE_ABI_VERSION).contains(&version) {
            return Ok(());
        }
        let detail = format!("found {version}; limit: 1 to {ONCEGATE_ABI_VERSION}");
        Err(Refusal::new(ONCEGATE_UNSUPPORTED, "version", detail))
    })
}

/// The name and the text of a status, and whether the same call may work later; each may be
/// `NULL`. The bytes are the library's, for ever. Returns `ONCEGATE_BAD_VALUE` for a number that
/// is no status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_status_describe(
    status: Status,
    name: *mut Bytes,
    text: *mut Bytes,
    transient: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        name = Out::new_or_none; text = Out::new_or_none; transient = Out::new_or_none;
    => {
        let Some((its_name, its_text, lasts)) = describe(status) else {
            let detail = format!("found {status}; limit: a status of the header");
            return Err(Refusal::new(ONCEGATE_BAD_VALUE, "status", detail));
        };
        let bytes = |text: &'static str| Bytes { data: text.as_ptr(), len: text.len() };
        write(name, bytes(its_name));
        write(text, bytes(its_text));
        write(transient, u32::from(lasts));
        Ok(())
    })
}

fn write<T: Plain>(out: Option<Out<T>>, value: T) {
    if let Some(out) = out {
        out.write(value);
    }
}

/// Reads a pair of metadata. `packed` is the part of the buffer that an `oncegate_stored_outcome`
/// names; `*cursor` is zero for the first pair, and is moved on. `name` and `value` are parts of
/// `packed`. Returns `ONCEGATE_NOT_FOUND` when there are no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_metadata_next(
    packed: Bytes,
    cursor: *mut usize,
    name: *mut Bytes,
    value: *mut Bytes,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        packed = whole; cursor = InOut::new; name = Out::new; value = Out::new;
    => {
        let Some((its_name, its_value, next)) = unpack(packed, cursor.value()) else {
            return Err(Refusal::new(ONCEGATE_NOT_FOUND, "cursor", "no more pairs"));
        };
        let bytes = |of: &[u8]| Bytes { data: of.as_ptr(), len: of.len() };
        name.write(bytes(its_name));
        value.write(bytes(its_value));
        cursor.write(next);
        Ok(())
    })
}
