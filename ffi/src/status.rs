//! Statuses: whether a call worked. What the engine answers is a verdict, and stands apart.
//!
//! Numbers below 100 are the engine's own error codes; the rest can only happen at this boundary.
//! None is ever used again for something else.

use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

/// Whether a call worked: `ONCEGATE_OK`, or why not.
pub type Status = i32;

/// The call worked; its outputs are written.
pub const ONCEGATE_OK: i32 = 0;
/// The idempotency key breaks a rule.
pub const ONCEGATE_INVALID_KEY: i32 = 1;
/// The scope breaks a rule.
pub const ONCEGATE_INVALID_SCOPE: i32 = 2;
/// The operation breaks a rule.
pub const ONCEGATE_INVALID_OPERATION: i32 = 3;
/// The payload cannot be digested.
pub const ONCEGATE_INVALID_PAYLOAD: i32 = 4;
/// The configuration is refused.
pub const ONCEGATE_INVALID_CONFIG: i32 = 5;
/// The option is refused.
pub const ONCEGATE_INVALID_OPTION: i32 = 6;
/// The fencing token is stale: a newer attempt holds the record, or this one has ended.
pub const ONCEGATE_FENCED: i32 = 7;
/// No room for a new record.
pub const ONCEGATE_FULL: i32 = 8;
/// The quota of this scope is used up.
pub const ONCEGATE_QUOTA_EXCEEDED: i32 = 9;
/// The engine belongs to the parent of this fork.
pub const ONCEGATE_FORKED: i32 = 10;
/// Too many callers are waiting.
pub const ONCEGATE_TOO_MANY_WAITERS: i32 = 11;
/// The memory for the region was refused.
pub const ONCEGATE_NO_MEMORY: i32 = 12;
/// The operating system gave no randomness.
pub const ONCEGATE_NO_ENTROPY: i32 = 13;
/// No such record in a state that this call applies to.
pub const ONCEGATE_NOT_FOUND: i32 = 14;
/// The outcome breaks a rule.
pub const ONCEGATE_INVALID_OUTCOME: i32 = 15;
/// The lease is malformed.
pub const ONCEGATE_INVALID_TOKEN: i32 = 16;
/// The rotation of the secret cannot take this step yet.
pub const ONCEGATE_ROTATION_PENDING: i32 = 17;
/// A counter that may never wrap came to its end.
pub const ONCEGATE_EXHAUSTED: i32 = 18;
/// The region was made with other options.
pub const ONCEGATE_REGION_MISMATCH: i32 = 19;
/// The region belongs to another secret.
pub const ONCEGATE_WRONG_SECRET: i32 = 20;
/// The file is not safe to share a table in.
pub const ONCEGATE_FILE_REFUSED: i32 = 21;
/// The file is no region that can be used.
pub const ONCEGATE_REGION_INVALID: i32 = 22;
/// No entry is left for one more process.
pub const ONCEGATE_REGISTRY_FULL: i32 = 23;
/// The operating system refused.
pub const ONCEGATE_OS: i32 = 24;
/// Not on this operating system.
pub const ONCEGATE_UNSUPPORTED: i32 = 25;
/// Processes use the region, or it is being removed.
pub const ONCEGATE_REGION_IN_USE: i32 = 26;
/// A retry budget has too little left.
pub const ONCEGATE_BUDGET_EXHAUSTED: i32 = 27;
/// The store across machines gave no answer, or may have forgotten records.
pub const ONCEGATE_TIER_UNAVAILABLE: i32 = 28;
/// The store across machines endangers what is promised, or refuses this user.
pub const ONCEGATE_TIER_UNSAFE: i32 = 29;

/// A pointer that may not be `NULL` is.
pub const ONCEGATE_NULL_ARGUMENT: i32 = 101;
/// A `struct_size`, a length or a count is out of its range.
pub const ONCEGATE_BAD_SIZE: i32 = 102;
/// Not a handle of this kind, or one that was closed.
pub const ONCEGATE_BAD_HANDLE: i32 = 103;
/// A number that names a choice is none of them, or a pointer is not aligned.
pub const ONCEGATE_BAD_VALUE: i32 = 104;
/// Bytes that have to be UTF-8 are not.
pub const ONCEGATE_NOT_UTF8: i32 = 105;
/// The caller's buffer is too small; how much is needed is in its `needed`.
pub const ONCEGATE_BUFFER_TOO_SMALL: i32 = 106;
/// The handle was closed while this call waited.
pub const ONCEGATE_CLOSED: i32 = 107;
/// The engine failed inside. The handle that the call was made on answers nobody any more.
pub const ONCEGATE_PANICKED: i32 = 108;
/// An earlier call on this handle failed inside; close it.
pub const ONCEGATE_POISONED: i32 = 109;
/// This process holds as many handles as it may.
pub const ONCEGATE_TOO_MANY_HANDLES: i32 = 110;

/// What can only happen at this boundary: number, name, permanent or transient, text.
const OWN: [(Status, &str, &str); 10] = [
    (ONCEGATE_NULL_ARGUMENT, "NullArgument", "a pointer that may not be NULL is"),
    (ONCEGATE_BAD_SIZE, "BadSize", "a size, a length or a count is out of its range"),
    (ONCEGATE_BAD_HANDLE, "BadHandle", "not a handle of this kind, or one that was closed"),
    (ONCEGATE_BAD_VALUE, "BadValue", "not one of the values that there are"),
    (ONCEGATE_NOT_UTF8, "NotUtf8", "bytes that have to be UTF-8 are not"),
    (ONCEGATE_BUFFER_TOO_SMALL, "BufferTooSmall", "the buffer is too small"),
    (ONCEGATE_CLOSED, "Closed", "the handle was closed while this call waited"),
    (ONCEGATE_PANICKED, "Panicked", "the engine failed inside; the handle is poisoned"),
    (ONCEGATE_POISONED, "Poisoned", "an earlier call on this handle failed inside; close it"),
    (ONCEGATE_TOO_MANY_HANDLES, "TooManyHandles", "no handle is left in this process"),
];

/// Name and text of a status, and whether the same call may work later.
pub(crate) fn describe(status: Status) -> Option<(&'static str, &'static str, bool)> {
    if status == ONCEGATE_OK {
        return Some(("Ok", "the call worked", false));
    }
    let engine = oncegate::ErrorCode::ALL.iter().find(|code| i32::from(code.number()) == status);
    let engine = engine.map(|code| (code.name(), code.text(), code.is_transient()));
    let own = || OWN.iter().find(|(number, ..)| *number == status);
    engine.or_else(|| own().map(|(_, name, text)| (*name, *text, false)))
}

/// Why a call did not happen. One word: every check returns room for one.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Reason>);

/// What is told of a refusal.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) status: Status,
    pub(crate) field: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal of this boundary: the field, what was found, and the limit.
    #[cold]
    pub(crate) fn new(
        status: Status,
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (field, detail) = (field.into(), detail.into());
        let text = describe(status).map_or("", |(_, text, _)| text);
        let gap = if detail.is_empty() { "" } else { "; " };
        let message = format!("{field}: {text}{gap}{detail}").into();
        Self(Box::new(Reason { status, field, message, retry_after: None }))
    }
}

impl Deref for Refusal {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl From<oncegate::Error> for Refusal {
    #[cold]
    fn from(error: oncegate::Error) -> Self {
        Self(Box::new(Reason {
            status: i32::from(error.code().number()),
            field: error.field().into(),
            message: error.to_string().into(),
            retry_after: error.retry_after(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a status of the header is the engine's code of that name, and none is missing.
    /// Method: each code's name in the header's spelling is looked for in this file.
    #[test]
    fn every_code_of_the_engine_has_its_status() {
        let source = include_str!("status.rs");
        for code in oncegate::ErrorCode::ALL {
            let mut name = String::new();
            for letter in code.name().chars() {
                if letter.is_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            let line = format!("pub const ONCEGATE_{name}: i32 = {};", code.number());
            assert!(source.contains(&line), "{line}");
        }
    }

    /// Goal: every status of this boundary has a name and a text.
    /// Method: the constants of this file, by their numbers.
    #[test]
    fn own_statuses_are_described() {
        let source = include_str!("status.rs");
        let numbers = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ONCEGATE_"))
            .filter_map(|line| line.split(" = ").nth(1)?.trim_end_matches(';').parse().ok());
        let numbers: Vec<Status> = numbers.collect();
        assert_eq!(numbers.len(), 1 + oncegate::ErrorCode::ALL.len() + OWN.len());
        for number in numbers {
            assert!(describe(number).is_some_and(|(_, text, _)| !text.is_empty()), "{number}");
        }
    }
}
