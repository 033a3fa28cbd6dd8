//! Host: tables that all processes of a machine share, in several processes at once.
//!
//! Every contender is a [`HostStore`]: a request is claimed with a lease, a fencing token and a
//! payload digest, and finished with an outcome of 64 bytes, which duplicates get. A
//! [`Team`] is some processes that were forked before anything else happened in them,
//! and work on one table.

mod engine;
mod fork;
mod lmdb;
mod orders;
mod redis;
mod redis_server;
mod site;
mod sqlite;
mod team;

pub use self::engine::{Inherited, Named, Private};
pub use self::lmdb::Lmdb;
pub use self::orders::{Done, Order, Task};
pub use self::redis::Redis;
pub use self::redis_server::{MISSING, RedisServer};
pub use self::site::{Folder, Site};
pub use self::sqlite::Sqlite;
pub use self::team::{TEAM, Team, answer};

use crate::key::{Hashed, PeerKey, mix};

/// A table that several processes can use at once.
pub trait HostStore: Sized {
    /// What the processes have in common: it is made before they are forked.
    type Before: Sync;
    /// What the creator of a record holds until it completes it.
    type Lease<'s>
    where
        Self: 's;
    /// An outcome of 64 bytes, and the buffer that a replay is copied into.
    type Outcome;

    /// Its name in tables.
    const NAME: &'static str;
    /// What it does otherwise than the engine.
    const NOTE: &'static str;
    /// Whether it has batches of its own.
    const BATCHES: bool;
    /// Whether its callers are threads of one process, because nobody else can reach it.
    const THREADS: bool = false;
    /// Whether a process of its own answers the callers.
    const SERVED: bool = false;
    /// Whether each caller is tied to a processor.
    const PINNED: bool = true;

    /// Makes what the processes have in common.
    ///
    /// # Errors
    ///
    /// It could not be made; says why.
    fn before(site: &Site) -> Result<Self::Before, String>;

    /// Opens the table in one of the processes.
    ///
    /// # Errors
    ///
    /// It could not be opened; says why.
    fn open(before: &Self::Before, site: &Site) -> Result<Self, String>;

    /// An outcome of 64 such bytes.
    fn outcome(fill: u8) -> Self::Outcome;

    /// The bytes of an outcome.
    fn bytes(outcome: &Self::Outcome) -> &[u8];

    /// Creates the record, or answers from it.
    fn begin(&self, asked: &Asked, into: &mut Self::Outcome) -> Answer<Self::Lease<'_>>;

    /// Stores the outcome. False: a newer attempt holds the record, and nothing was changed.
    fn complete(&self, lease: Self::Lease<'_>, outcome: &Self::Outcome) -> bool;

    /// The fencing token of an attempt.
    fn fence(lease: &Self::Lease<'_>) -> u64;

    /// Begins all of them at once, and then completes those that were created. Gives how many.
    fn batch(&self, asked: &[Asked], outcome: &Self::Outcome, into: &mut Self::Outcome) -> u64 {
        let mut created = 0;
        for asked in asked {
            if let Answer::Created(lease) = self.begin(asked, into) {
                created += u64::from(self.complete(lease, outcome));
            }
        }
        created
    }

    /// Before each slice: forgets all records, where a store would grow without end.
    fn forget(&self) {}
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Evenly spread bits, as of a hash. The engine takes two words more, which are made of them.
    pub key: [u64; 2],
    /// The digest of its payload; the lower eight bits are zero, since the engine keeps the rest.
    pub digest: u64,
}

impl Asked {
    /// The request of that number.
    #[inline]
    #[must_use]
    pub fn of(number: u64) -> Self {
        Self { key: Hashed::of(number).0, digest: mix(!number) & !0xff }
    }

    /// The key as bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.key[0].to_le_bytes());
        bytes[8..].copy_from_slice(&self.key[1].to_le_bytes());
        bytes
    }
}

/// The answer of a store.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<L> {
    /// The record is new, or its last lease has lapsed.
    Created(L),
    /// The outcome was copied out.
    Replayed,
    /// Somebody else holds the record.
    InProgress,
    /// The same key came with another payload.
    Mismatched,
}

/// A fencing token of a store that has no counter: microseconds of wall time, and above `last`.
/// It grows too where the record that had the last one is gone.
fn fence_after(last: u64) -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    (now.as_micros() as u64).max(last + 1)
}

/// Is shown every store, one after the other.
pub trait Visitor {
    /// Looks at one.
    fn visit<S: HostStore>(&mut self);
}

/// The engine in three kinds of memory, and the peers.
pub fn everyone(visitor: &mut impl Visitor) {
    visitor.visit::<Named<false>>();
    visitor.visit::<Named<true>>();
    visitor.visit::<Inherited>();
    visitor.visit::<Private>();
    visitor.visit::<Redis<true, false>>();
    visitor.visit::<Redis<true, true>>();
    visitor.visit::<Redis<false, false>>();
    visitor.visit::<Sqlite<false>>();
    visitor.visit::<Sqlite<true>>();
    visitor.visit::<Lmdb>();
}
