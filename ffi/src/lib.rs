//! oncegate-ffi: the C ABI of oncegate.
//!
//! `include/oncegate.h` is made from this crate, and is what every other language reads. Here
//! stands what all functions have in common.
//!
//! - **Status and verdict.** A function returns whether the call worked. What the engine says of a
//!   request is written to an output, and only if it worked.
//! - **Handles** have the type of a pointer, and are looked up: one that was closed is refused.
//! - **Memory** is the caller's. What a function is given it reads during the call; what it gives
//!   it writes into memory of the caller. Nothing is allocated for him, and nothing is freed by
//!   him but handles.
//! - **Errors** are written into a structure of the caller's, never kept for a thread.
//! - **Structures that may grow** begin with their size.
//! - **Nothing is called back.** Events, questions and waits are polled.
//!
//! # Safety
//!
//! Every function asks the same of its caller: a pointer that is not `NULL` points to what its type
//! says, for the length of the call; what is read is written by nobody meanwhile, and what is
//! written is touched by nobody else. Sizes and counts say how much there is. All else is checked.
//!
//! Unsafe code stands in `raw`, which follows the caller's pointers, in `handles`, in `forked`, in
//! `entry`, and where a structure of the header is looked at.

#![allow(clippy::missing_safety_doc, reason = "said above, once for all functions of the header")]

mod adaptive;
mod attempts;
mod begin;
mod bell;
mod budget;
mod buried;
mod convert;
mod downstream;
mod drive;
mod engine;
mod entry;
mod events;
mod forked;
mod handles;
mod judge;
mod later;
mod layout;
mod lease;
mod letters;
mod options;
mod outcome;
mod planted;
mod policy;
mod raw;
mod reconcile;
mod request;
mod slot;
mod stats;
mod status;
mod steps;
mod sync;
mod tier;
mod timers;
mod version;
mod waits;

pub use adaptive::{RawAdaptive, oncegate_set_load};
pub use attempts::*;
pub use begin::*;
pub use budget::*;
pub use buried::*;
pub use convert::{ONCEGATE_ZERO, ONCEGATE_ZERO_F64};
pub use downstream::*;
pub use drive::{
    RawDriven, RawDue, oncegate_advance, oncegate_due_advance, oncegate_due_close,
    oncegate_due_descriptor, oncegate_due_open,
};
pub use engine::*;
pub use entry::ErrorInfo;
pub use events::{Event, ONCEGATE_EVENT_FILL, ONCEGATE_EVENT_STUCK};
pub use judge::*;
pub use later::*;
pub use layout::{RawLayout, oncegate_layouts};
pub use lease::*;
pub use letters::*;
pub use options::*;
pub use outcome::{Pair, RawOutcome, StoredOutcome};
pub use policy::*;
pub use raw::{Buffer, Bytes};
pub use reconcile::{
    ONCEGATE_RESOLVED_UNKNOWN, Question, oncegate_reconcile_answer, oncegate_reconcile_poll,
};
pub use request::*;
pub use stats::*;
pub use status::*;
pub use steps::*;
pub use tier::*;
pub use timers::{
    RawTimers, oncegate_timers_cancel, oncegate_timers_close, oncegate_timers_descriptor,
    oncegate_timers_insert, oncegate_timers_open, oncegate_timers_take,
};
pub use version::*;
pub use waits::*;
