//! What spoils a direction of a connection.

use std::mem;
use std::time::Duration;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    Downstream,
}

/// What happens to the bytes of one direction: the names and meanings of toxiproxy, and two of
/// our own, [`Swallow`](Self::Swallow) and [`Hold`](Self::Hold).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toxic {
    /// Each piece is passed on `latency` after it arrived, give or take up to `jitter`.
    Latency {
        /// How long a piece takes.
        latency: Duration,
        /// By how much that differs from piece to piece.
        jitter: Duration,
    },
    /// So many bytes in a second, and no more.
    Bandwidth {
        /// Bytes in a second, at least one.
        rate: u64,
    },
    /// The end of a connection is passed on that much later.
    SlowClose {
        /// How much later.
        delay: Duration,
    },
    /// Nothing is passed on, and the connection ends that long after the first piece that was not.
    Timeout {
        /// How long it stays open.
        timeout: Duration,
    },
    /// The connection is reset that long after the next piece arrives, which is not passed on.
    ResetPeer {
        /// How long it stays open.
        timeout: Duration,
    },
    /// Bytes are passed on in small pieces.
    Slicer {
        /// The size of a piece, give or take `variation`.
        size: usize,
        /// By how much sizes differ.
        variation: usize,
        /// How long after each other they are passed on.
        delay: Duration,
    },
    /// The connection ends when so many bytes have been passed on since it began.
    LimitData {
        /// How many bytes.
        bytes: u64,
    },
    /// Everything is taken away, ends of connections too: the other side is gone without a word.
    /// toxiproxy has this as a timeout of zero.
    Swallow,
    /// Everything waits in the proxy until this toxic is taken out: a delay that ends by an event.
    Hold,
}

/// The toxics of a direction, at most one of each kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Toxics(Vec<Toxic>);

impl Toxics {
    pub(super) fn add(&mut self, toxic: Toxic) {
        self.0.retain(|other| mem::discriminant(other) != mem::discriminant(&toxic));
        self.0.push(toxic);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn has(&self, toxic: Toxic) -> bool {
        self.0.contains(&toxic)
    }

    /// What the first one is for which `choose` has an answer.
    pub(super) fn find<T>(&self, choose: impl Fn(&Toxic) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(choose)
    }
}
