//! Tiers: stores that share records across machines.
//!
//! An engine with a tier keeps its local table and asks the tier only where that table has
//! admitted a request: one round trip for a claim, one for the end of the attempt, none for a
//! duplicate that the local table answers. What a tier is asked, and what it answers, is plain data
//! ([`Claim`], [`Ending`], [`Renewal`]); the contract is that of [`Tier`].
//!
//! | file | what it owns |
//! |---|---|
//! | `ask` | what a tier is asked |
//! | `answer` | what it answers |
//! | `error` | how it fails: surely not carried out, or nobody knows |
//! | `letter` | what the log of dead letters has |
//! | `fence` | the clock that fencing tokens come from |
//! | `options` | how an engine uses its tier |
//! | `breaker` | when a tier that fails is asked again |
//! | `self_test` | whether a second claim is really refused |
//! | `memory` | a tier in memory, for tests |
//! | `conformance` | what every tier must pass (feature `conformance`) |
//! | `redis` | the tier in Redis or Valkey (feature `redis`) |

mod answer;
mod ask;
mod breaker;
mod error;
mod fence;
mod letter;
mod memory;
mod options;
#[cfg(all(feature = "redis", not(any(oncegate_loom, oncegate_shuttle))))]
mod redis;
mod self_test;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use answer::{Claimed, Ended, Finished, Grant, Hazard, Orphan, Renewed, Session, Sighting};
pub use ask::{Claim, End, Ending, Holder, Renewal, TableId, TierKey};
pub use error::{TierError, TierErrorKind};
pub use fence::FenceClock;
pub use letter::{Letter, LetterReason};
pub use memory::{Fault, Memory, Snapshot};
pub use options::{OnOutage, TierConflict, TierOptions};
#[cfg(all(feature = "redis", not(any(oncegate_loom, oncegate_shuttle))))]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::{Redis, RedisBuilder};

pub(crate) use breaker::{Breaker, Fared};
pub use self_test::examine;
pub(crate) use self_test::self_test;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A store that several engines share, on one machine or on many.
///
/// # What an engine relies on
///
/// - **Atomic.** Each operation takes effect at one moment, and operations on one key have one
///   order, for as long as the store keeps what it has acknowledged.
/// - **Conditional.** A claim is granted to one holder at a time. [`end`](Self::end) and
///   [`renew`](Self::renew) change nothing unless the record names exactly their holder; the answer
///   is then `Fenced`. The holder of an attempt that became unresolved may still end it.
/// - **Idempotent by holder.** A claim that its own holder repeats is granted again, with the same
///   fencing token and attempt. An end that is repeated by who ended the attempt answers
///   [`Ended::Done`] again. So whoever lost a reply asks again. A *stale* repetition (a claim of a
///   table whose counter is below the recorded one) changes nothing.
/// - **Fenced.** The tokens of a key grow strictly, for ever: across the record's expiry, a
///   restart, and a store that was emptied, as far as [`FenceClock`] says.
/// - **One clock.** Leases, delays and windows are measured by the store's clock alone. A lease
///   that is granted for a time lasts for that time from the moment of the grant; the engine counts
///   from before it asked.
/// - **Three answers.** Where a tier cannot say whether an operation took effect it says so
///   ([`TierErrorKind::Unknown`]); it never takes "unknown" for "not seen".
/// - **Sessions.** A tier that may have forgotten what it had acknowledged (an emptied store, a
///   restart, a fail-over) refuses claims by [`TierErrorKind::SessionOver`] until
///   [`session`](Self::session) is called, and tells by [`Session::lost`] that records may be gone.
///
/// # What a record is to a tier
///
/// ```text
///           claim                     end(Succeeded | Failed)
///  nothing ───────► running(holder) ─────────────────────────► finished ── window over ► nothing
///                    │  ▲  ▲   │ end(Unknown)
///    end(Retry{..})  │  │  │   └────────────► unresolved ── settle ► finished, or due at once
///                    ▼  │  │ claim: lease lapsed, policy Reclaim; or a newer claim of its table
///                  waiting ┘ claim: due
/// ```
///
/// A claim that meets a running record whose lease has lapsed follows the policy that the record
/// was claimed with: it takes over (`Reclaim`), or the record becomes unresolved (`Unknown`) or
/// failed without bytes, status 504 (`Failed`), and is remembered for its retention from then on. A
/// claim of the *same table* with a higher counter takes over at once, lapsed or not, due or not:
/// that table vouches that the attempt before it is over. Until somebody comes, the holder of a
/// lapsed lease may still end the attempt, and renew it.
///
/// The attempt number of each grant is one more than that of the grant before, from 1 on; after a
/// window is over it starts from 1 again, with [`Status::Expired`](crate::Status::Expired) if the
/// store still remembers the record, and `Created` if it does not.
///
/// # Which answer a claim gets
///
/// The first of these that holds:
///
/// 1. The session is over: [`TierErrorKind::SessionOver`].
/// 2. There is no record: a grant, or [`Claimed::Vacant`].
/// 3. The payload digest is another one: [`Claimed::Mismatched`].
/// 4. It has finished, or is unresolved: it says so to whoever asks.
/// 5. Its holder is of the table that asks. The very holder that runs it: the same grant again,
///    with a lease from now on, lapsed or not. A lower counter, or that of an attempt that has
///    ended: [`Claimed::Stale`]. A higher one: a grant.
/// 6. It runs, or waits: [`Claimed::Running`] or [`Claimed::Waiting`], unless the lease has lapsed
///    or the next attempt is due and may be taken.
///
/// # Failing
///
/// No method blocks much longer than `within`. A tier retries within that time by itself where the
/// operation is idempotent, which all are. No method panics, and none may be called again by a
/// [`Watcher`].
pub trait Tier: Send + Sync + fmt::Debug + 'static {
    /// Joins what the store is now. Called before the first claim, and after each
    /// [`TierErrorKind::SessionOver`].
    ///
    /// # Errors
    ///
    /// [`TierError`]: the store cannot be reached, or may not be used
    /// ([`TierErrorKind::Unsafe`]).
    fn session(&self, within: Duration) -> Result<Session, TierError>;

    /// Asks for the right to run one attempt.
    ///
    /// # Errors
    ///
    /// [`TierError`], of any kind.
    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError>;

    /// Several claims in one round trip, where the store can. Answers in their order.
    fn claim_all(&self, claims: &[Claim], within: Duration) -> Vec<Result<Claimed, TierError>> {
        claims.iter().map(|claim| self.claim(claim, within)).collect()
    }

    /// Lets the lease of a running attempt last for [`Renewal::lease`] from now on.
    ///
    /// A store that has no record of the attempt makes it again, if [`Renewal::restores`] says that
    /// its lease cannot have lapsed: the store has forgotten it. It has none where there is nothing
    /// under the key, or where what is there has a lower fencing token: a fail-over lost the grant.
    ///
    /// # Errors
    ///
    /// [`TierError`], but not [`TierErrorKind::SessionOver`].
    fn renew(&self, renewal: &Renewal, within: Duration) -> Result<Renewed, TierError>;

    /// Several renewals in one round trip, where the store can. Answers in their order.
    fn renew_all(&self, renewals: &[Renewal], within: Duration) -> Vec<Result<Renewed, TierError>> {
        renewals.iter().map(|renewal| self.renew(renewal, within)).collect()
    }

    /// Ends an attempt: completes it, fails it, or leaves it to be retried. As
    /// [`renew`](Self::renew), it makes a record again that the store has forgotten.
    ///
    /// # Errors
    ///
    /// [`TierError`], but not [`TierErrorKind::SessionOver`].
    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError>;

    /// Several ends in one round trip, where the store can. Answers in their order.
    fn end_all(&self, endings: &[Ending<'_>], within: Duration) -> Vec<Result<Ended, TierError>> {
        endings.iter().map(|ending| self.end(ending, within)).collect()
    }

    /// Settles a record that is unresolved, whoever ran it: [`End::Succeeded`], [`End::Failed`], or
    /// [`End::Retry`] to let it run again. With [`End::Retry`], one that failed for good runs
    /// again, too. `Fenced`: it is neither.
    ///
    /// # Errors
    ///
    /// [`TierError`], but not [`TierErrorKind::SessionOver`].
    fn settle(&self, key: TierKey, end: &End<'_>, within: Duration) -> Result<Ended, TierError>;

    /// What the store has under `key`, without changing anything. `None`: nothing, or its window is
    /// over.
    ///
    /// # Errors
    ///
    /// [`TierError`]: what was read is not known.
    fn read(&self, key: TierKey, within: Duration) -> Result<Option<Sighting>, TierError>;

    /// From now on `watcher` hears when a record changes that this table was told of by
    /// [`Claimed::Running`] or [`Claimed::Waiting`], in answer to a claim that
    /// [`watches`](Claim::watches). Called once.
    ///
    /// A notice may be lost, and may come twice; the engine looks by itself now and then.
    ///
    /// # Errors
    ///
    /// [`TierError`]: the store gives no notices; the engine will look more often.
    fn watch(&self, table: TableId, watcher: Arc<dyn Watcher>) -> Result<(), TierError>;

    /// Tells that the engines of `table` are there for `lasts` from now on, and looks after the
    /// store: what about it endangers the promises.
    ///
    /// # Errors
    ///
    /// [`TierError`]: the store cannot be reached.
    fn beat(
        &self,
        table: TableId,
        lasts: Duration,
        within: Duration,
    ) -> Result<Vec<Hazard>, TierError>;

    /// At most `limit` records that were left to the scheduler of a table that is there no more,
    /// and whose next attempt is due. Any of them may be claimed. A call may look at a part of the
    /// store, and the next one at the next part: eight of them have looked everywhere.
    ///
    /// # Errors
    ///
    /// [`TierError`]: what was read is not known.
    fn orphans(&self, limit: usize, within: Duration) -> Result<Vec<Orphan>, TierError>;

    /// Whether it has a log of dead letters. Asked when an engine is built.
    fn keeps_letters(&self) -> bool {
        false
    }

    /// Enters dead letters in the log of the fleet, in their order; in one round trip, where the
    /// store can. Answers in their order. A tier without a log does nothing.
    ///
    /// A letter that is in the log ([`Letter::identity`]) is not entered again. The log has a
    /// bound: the oldest go first, and are forgotten. It needs no session, and is no part of what
    /// the store promises: records do not depend on it.
    fn log_letters(&self, letters: &[Letter], within: Duration) -> Vec<Result<(), TierError>> {
        let _ = within;
        letters.iter().map(|_| Ok(())).collect()
    }

    /// Lets go of what belongs to a process, in a child that was forked from it: connections,
    /// threads. It must not tell the store anything by them.
    fn forked(&self) {}
}

impl<T: Tier + ?Sized> Tier for Arc<T> {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        (**self).session(within)
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        (**self).claim(claim, within)
    }

    fn claim_all(&self, claims: &[Claim], within: Duration) -> Vec<Result<Claimed, TierError>> {
        (**self).claim_all(claims, within)
    }

    fn renew(&self, renewal: &Renewal, within: Duration) -> Result<Renewed, TierError> {
        (**self).renew(renewal, within)
    }

    fn renew_all(&self, renewals: &[Renewal], within: Duration) -> Vec<Result<Renewed, TierError>> {
        (**self).renew_all(renewals, within)
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        (**self).end(ending, within)
    }

    fn end_all(&self, endings: &[Ending<'_>], within: Duration) -> Vec<Result<Ended, TierError>> {
        (**self).end_all(endings, within)
    }

    fn settle(&self, key: TierKey, end: &End<'_>, within: Duration) -> Result<Ended, TierError> {
        (**self).settle(key, end, within)
    }

    fn read(&self, key: TierKey, within: Duration) -> Result<Option<Sighting>, TierError> {
        (**self).read(key, within)
    }

    fn watch(&self, table: TableId, watcher: Arc<dyn Watcher>) -> Result<(), TierError> {
        (**self).watch(table, watcher)
    }

    fn beat(
        &self,
        table: TableId,
        lasts: Duration,
        within: Duration,
    ) -> Result<Vec<Hazard>, TierError> {
        (**self).beat(table, lasts, within)
    }

    fn orphans(&self, limit: usize, within: Duration) -> Result<Vec<Orphan>, TierError> {
        (**self).orphans(limit, within)
    }

    fn keeps_letters(&self) -> bool {
        (**self).keeps_letters()
    }

    fn log_letters(&self, letters: &[Letter], within: Duration) -> Vec<Result<(), TierError>> {
        (**self).log_letters(letters, within)
    }

    fn forked(&self) {
        (**self).forked();
    }
}

/// Hears of records that have changed in the store.
///
/// Called on a thread of the tier's own, or of whoever changed the record; it must not call the
/// tier, and returns soon.
pub trait Watcher: Send + Sync + 'static {
    /// The record of `key` has changed.
    fn changed(&self, key: TierKey);

    /// Notices may have been lost: any record may have changed.
    fn may_have_missed(&self);
}
