//! Frames of the Redis protocol, RESP2 and RESP3: where a request or a reply ends.
//!
//! A proxy sees bytes in pieces of any size. [`Framing`] takes the pieces and gives back whole
//! frames; it looks at each byte once, and holds at most one frame.

mod framing;
#[cfg(test)]
mod tests;
mod words;

pub use self::framing::{Framing, Limits, Malformed};
pub use self::words::{is_push, replies, words};
