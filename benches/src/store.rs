//! Store: what every contender can do.

use crate::key::PeerKey;

/// A table of requests that run once. A contender does with its own means what a request costs:
/// insert a record in flight with a deadline if there is none, otherwise copy the outcome out;
/// later find the record again, and store 64 bytes.
pub trait Store: Sync + Sized {
    /// What is looked up.
    type Key: Copy + Send + Sync;
    /// What a new record's creator holds until it completes it.
    type Lease<'s>
    where
        Self: 's;
    /// An outcome of 64 bytes, and the buffer that a replay is copied into.
    type Outcome: Send;

    /// Its name in tables.
    const NAME: &'static str;
    /// Whether it keeps to its capacity by itself; the harness removes old records from others.
    const BOUNDED: bool;
    /// Whether a duplicate takes a lock.
    const LOCKS: bool;
    /// What it does otherwise than the engine.
    const NOTE: &'static str;
    /// How many threads it is measured with at most.
    const THREADS: usize = usize::MAX;

    /// An empty store for that many records, with all the room that it can ask for beforehand.
    fn open(capacity: usize) -> Self;
    /// The key of a number.
    fn key(number: u64) -> Self::Key;
    /// An outcome of 64 such bytes.
    fn outcome(fill: u8) -> Self::Outcome;

    /// Creates the record, or answers from it.
    fn begin<'s>(&'s self, key: &Self::Key, into: &mut Self::Outcome) -> Begun<Self::Lease<'s>>;

    /// Stores the outcome.
    fn complete<'s>(&'s self, lease: Self::Lease<'s>, outcome: &Self::Outcome);

    /// Removes a record, where the store does not see to that itself.
    fn remove(&self, key: &Self::Key);
}

/// The answer of a store.
#[derive(Debug)]
pub enum Begun<L> {
    /// The record is new.
    Created(L),
    /// The outcome was copied out.
    Replayed,
    /// Somebody else holds the record.
    InFlight,
}

/// Most peers' lease is the key: the record is looked up again to complete it.
pub type KeyOf<K> = <K as PeerKey>::Owned;
