//! The one way in: every function of the header goes through [`entry!`].

use std::any::Any;
use std::borrow::Cow;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::raw::{Growing, OutGrown, Plain, fill_text};
use crate::status::{ONCEGATE_OK, ONCEGATE_PANICKED, Refusal, Status};

/// What a refused call tells, in the caller's memory. Set `struct_size` before the call; pass
/// `NULL` where nobody reads it. It is written only when the status is not `ONCEGATE_OK`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ErrorInfo {
    /// `sizeof(oncegate_error)`.
    pub struct_size: usize,
    /// The status that was returned.
    pub status: Status,
    /// 1: the same call may work later, without anybody changing anything. 0: it will not.
    pub transient: i32,
    /// How long to wait before it may, in milliseconds; zero: not known.
    pub retry_after_ms: u64,
    /// The argument, option or resource that it is about, zero-terminated.
    pub field: [c_char; 48],
    /// Field, reason, class of what was found, and limit, for people; zero-terminated. Never a key,
    /// a payload or a secret.
    pub message: [c_char; 256],
}

// SAFETY: `repr(C)`, numbers and arrays of them.
unsafe impl Plain for ErrorInfo {}
// SAFETY: the first field is the size.
unsafe impl Growing for ErrorInfo {
    const LEAST: usize = 24;
}

/// Runs the body of an export: each argument that is named is looked at first, a refusal becomes a
/// status and a text, and so does a panic.
///
/// `name = kind(arguments)` checks by `raw::kind`, or by a function of that kind that is in scope,
/// and binds what came of it.
macro_rules! entry {
    ($error:expr; $($name:ident = $check:path $(, $argument:expr)*;)* => $body:block) => {
        $crate::entry::enter($error, || {
            $(
                // SAFETY: the contract of every function of the header: pointers are `NULL`, or
                // point to what their type says for as long as the call lasts.
                let $name = unsafe { $check(stringify!($name), $name $(, $argument)*) }?;
            )*
            $body
        })
    };
}
pub(crate) use entry;

/// See [`entry!`]. `error` is the caller's, or `NULL`.
pub(crate) fn enter(error: *mut ErrorInfo, body: impl FnOnce() -> Result<(), Refusal>) -> Status {
    let result = catch_unwind(AssertUnwindSafe(|| {
        crate::planted::panic_at("entry");
        body()
    }));
    let refusal = match result {
        Ok(Ok(())) => return ONCEGATE_OK,
        Ok(Err(refusal)) => refusal,
        Err(panic) => panicked(panic),
    };
    // What the text costs can fail too: then the number has to do.
    let status = refusal.status;
    let _ = catch_unwind(AssertUnwindSafe(|| tell(error, &refusal)));
    status
}

fn panicked(panic: Box<dyn Any + Send>) -> Refusal {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => Cow::Owned((*text).to_owned()),
        (_, Some(text)) => Cow::Owned(text.clone()),
        _ => Cow::Borrowed("a panic without a text"),
    };
    // Whatever it carries may panic when it is dropped.
    std::mem::forget(panic);
    Refusal::new(ONCEGATE_PANICKED, "engine", text)
}

fn tell(error: *mut ErrorInfo, refusal: &Refusal) {
    if error.is_null() {
        return;
    }
    // SAFETY: not null, and the caller's by the contract of every function of the header.
    let Ok(out) = (unsafe { OutGrown::new("error", error) }) else { return };
    let transient = crate::status::describe(refusal.status).is_some_and(|(.., lasts)| lasts);
    let mut info = ErrorInfo {
        struct_size: size_of::<ErrorInfo>(),
        status: refusal.status,
        transient: i32::from(transient),
        retry_after_ms: refusal.retry_after.map_or(0, crate::convert::millis_up),
        field: [0; 48],
        message: [0; 256],
    };
    fill_text(&mut info.field, &refusal.field);
    fill_text(&mut info.message, &refusal.message);
    out.write(info);
}
