//! What waits, and what comes later: waits, attempts, questions and timers, through the functions
//! of the header.
#![cfg(target_os = "linux")]

mod attempts;
mod drive;
mod given_up;
mod later;
mod questions;
mod refused_waits;
mod set;
mod support;
mod tier;
mod timers;
mod waits;
