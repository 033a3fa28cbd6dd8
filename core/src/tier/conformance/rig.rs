//! What the suite needs of a tier that is to be checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::tier::{Letter, Tier};

/// A store under test: makes tiers that share it, moves its time, and gives it trouble.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use oncegate::ManualClock;
/// use oncegate::tier::conformance::{Rig, Suite};
/// use oncegate::tier::{Memory, Tier};
///
/// struct InMemory {
///     clock: ManualClock,
///     memory: Mutex<Memory>,
/// }
///
/// impl Rig for InMemory {
///     fn fresh(&self) {
///         *self.memory.lock().unwrap() = Memory::with_clock(self.clock.clone());
///     }
///     fn tier(&self) -> Arc<dyn Tier> {
///         Arc::new(self.memory.lock().unwrap().clone())
///     }
///     fn advance(&self, by: Duration) {
///         self.clock.advance(by);
///     }
/// }
///
/// let clock = ManualClock::new();
/// let memory = Mutex::new(Memory::with_clock(clock.clone()));
/// let report = Suite::new().check(&InMemory { clock, memory });
/// assert!(report.has_passed(), "{report}");
/// ```
pub trait Rig {
    /// Empties the store, quietly: tiers that are made from now on find nothing, and no session
    /// that is over. Called before each case; tiers made before are not used again.
    fn fresh(&self);

    /// One more tier on the store, as another machine would have it.
    fn tier(&self) -> Arc<dyn Tier>;

    /// Lets the store's time pass, for leases, delays and windows, and for fencing tokens. It may
    /// pass by itself too; the suite takes well under a minute for a case.
    fn advance(&self, by: Duration);

    /// Whether time passes by [`advance`](Self::advance) alone: then the suite checks deadlines to
    /// the millisecond.
    fn is_exact(&self) -> bool {
        false
    }

    /// How many bytes ([`Outcome::stored_bytes`](crate::Outcome::stored_bytes)) surely fit.
    fn outcome_bytes(&self) -> usize {
        64 * 1024
    }

    /// A body of so many bytes is surely too large. `None`: there is no limit to be checked.
    fn too_large(&self) -> Option<usize> {
        None
    }

    /// Whether what is left for another table's scheduler is stored. A store that keeps no bytes of
    /// a request in clear may not do so; its orphans then have empty contexts.
    fn keeps_contexts(&self) -> bool {
        true
    }

    /// How many dead letters the log of the tiers keeps; five at least. 0: they have none, and what
    /// needs it is not checked.
    fn most_letters(&self) -> usize {
        0
    }

    /// What is in that log, oldest first. `None`: this rig cannot read it.
    fn letters(&self) -> Option<Vec<Letter>> {
        None
    }

    /// Gives the store trouble. `false`: this rig cannot, and what needs it is not checked.
    fn trouble(&self, trouble: Trouble) -> bool {
        let _ = trouble;
        false
    }
}

/// What a rig may do to its store.
///
/// ```
/// # use oncegate::tier::conformance::Trouble;
/// assert_eq!(Trouble::Empty.to_string(), "the store emptied");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The next operation of any tier does not reach the store. The tier may try again by itself.
    Refuse,
    /// The next operation of any tier is carried out, and its reply is lost. The tier may ask again
    /// by itself.
    LoseReply,
    /// The notices of the next operation are lost.
    LoseNotices,
    /// The store forgets everything, and goes on.
    Empty,
    /// The store restarts, and has lost nothing. Tiers reconnect by themselves.
    Restart,
    /// It will be asked to go back to what it has now.
    Remember,
    /// It goes back to what it had at [`Remember`](Self::Remember), as by a fail-over.
    GoBack,
    /// Its wall clock is set back by so much. Leases need not notice.
    ClockBack(Duration),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "an operation refused",
            Self::LoseReply => "a reply lost",
            Self::LoseNotices => "notices lost",
            Self::Empty => "the store emptied",
            Self::Restart => "the store restarted",
            Self::Remember | Self::GoBack => "the last writes lost",
            Self::ClockBack(_) => "the clock set back",
        })
    }
}
