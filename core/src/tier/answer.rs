//! What a tier answers.

use std::fmt;
use std::time::Duration;

use super::{Holder, TierKey};
use crate::engine::Status;
use crate::outcome::Outcome;

/// What the store is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names it, for [`Claim::session`](super::Claim::session).
    pub id: u64,
    /// Whether the store may have forgotten what it had acknowledged to this process before.
    pub lost: bool,
}

/// The answer to a claim.
#[derive(Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The caller runs it.
    Granted(Grant),
    /// Another attempt holds the lease.
    Running {
        /// The attempt that runs.
        attempt: u32,
        /// How long its lease lasts at most, unless it is renewed.
        remaining: Duration,
    },
    /// It waits for its next attempt.
    Waiting {
        /// The attempt that is to come.
        next_attempt: u32,
        /// How long until it is due; nothing, where the scheduler of another table starts it.
        due_in: Duration,
    },
    /// It has finished.
    Finished(Finished),
    /// The record was claimed with another payload digest, which is this one.
    Mismatched {
        /// The record's payload digest.
        digest: u64,
    },
    /// Nobody knows whether it took effect.
    Unresolved,
    /// There is no record, and the claim may make none.
    Vacant,
    /// The table that asks has a newer claim on record than this one: it is an old message.
    Stale,
}

/// The right to run one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The fencing token, below 2^63.
    pub fence: u64,
    /// The attempt, from 1 on.
    pub attempt: u32,
    /// Why it was granted.
    pub status: Status,
}

/// A record that has finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Whether it failed for good.
    pub failed: bool,
    /// What duplicates get. `None`: it was withheld, or was too large to keep.
    pub outcome: Option<Outcome>,
    /// How long duplicates get it.
    pub remaining: Duration,
}

/// The answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease lasts for the time that was asked for.
    Done,
    /// The attempt has ended, or another one runs; nothing was changed.
    Fenced,
}

/// The answer to the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has ended as asked.
    Done,
    /// It has ended as asked, but the outcome was too large for the store.
    WithoutBytes,
    /// Another attempt runs, or it had ended in another way; nothing was changed.
    Fenced,
}

/// What a look at the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// An attempt runs, or its lease has lapsed and nobody has come since.
    Running {
        /// Who holds it.
        holder: Holder,
        /// Which attempt.
        attempt: u32,
        /// How long its lease lasts; nothing: it has lapsed.
        remaining: Duration,
    },
    /// It waits for its next attempt.
    Waiting {
        /// Whose attempt ended last.
        holder: Holder,
        /// The attempt that is to come.
        next_attempt: u32,
        /// How long until it is due.
        due_in: Duration,
    },
    /// It has finished.
    Finished(Finished),
    /// Nobody knows whether the attempt of this holder took effect.
    Unresolved {
        /// Who ran it.
        holder: Holder,
    },
}

/// What endangers what a tier promises.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hazard {
    /// The store may drop records before their time is over, by this policy.
    Evicts {
        /// The policy's name.
        policy: String,
    },
    /// The store is almost full, in percent of its limit: it will refuse what is new.
    AlmostFull {
        /// How full it is.
        percent: u8,
    },
    /// What is acknowledged is not written to a disk: a restart forgets it.
    NotPersistent,
    /// The store's clock is behind the tokens that it gave out, by so much.
    ClockBehind {
        /// By how much.
        by: Duration,
    },
}

/// A record whose next attempt is due, and whose table is there no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Which record.
    pub key: TierKey,
    /// Who had it.
    pub holder: Holder,
    /// The attempt that is to come.
    pub next_attempt: u32,
    /// Its payload digest.
    pub digest: u64,
    /// What was left to run it with; empty: nothing.
    pub context: Vec<u8>,
}

// As in `ask`: without digests and contexts.

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(grant) => f.debug_tuple("Granted").field(grant).finish(),
            Self::Running { attempt, remaining } => f
                .debug_struct("Running")
                .field("attempt", attempt)
                .field("remaining", remaining)
                .finish(),
            Self::Waiting { next_attempt, due_in } => f
                .debug_struct("Waiting")
                .field("next_attempt", next_attempt)
                .field("due_in", due_in)
                .finish(),
            Self::Finished(finished) => f.debug_tuple("Finished").field(finished).finish(),
            Self::Mismatched { .. } => f.write_str("Mismatched"),
            Self::Unresolved => f.write_str("Unresolved"),
            Self::Vacant => f.write_str("Vacant"),
            Self::Stale => f.write_str("Stale"),
        }
    }
}

impl fmt::Debug for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orphan")
            .field("key", &self.key)
            .field("holder", &self.holder)
            .field("next_attempt", &self.next_attempt)
            .field("context_bytes", &self.context.len())
            .finish_non_exhaustive()
    }
}
