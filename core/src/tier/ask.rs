//! What a tier is asked.

use std::fmt;
use std::time::Duration;

use crate::engine::OnLapse;
use crate::outcome::Outcome;

/// The record that an operation is about: 224 bits of its [`Fingerprint`](crate::Fingerprint),
/// which nobody who lacks the engine's secret can compute or read anything from.
///
/// All engines that share a tier need the same secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TierKey([u8; Self::BYTES]);

impl TierKey {
    /// How many bytes a key has.
    pub const BYTES: usize = 28;

    /// The key of these bytes, which must be spread evenly.
    ///
    /// ```
    /// # use oncegate::tier::TierKey;
    /// assert_eq!(TierKey::from_bytes([7; TierKey::BYTES]).to_bytes(), [7; TierKey::BYTES]);
    /// ```
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    ///
    /// ```
    /// # use oncegate::tier::TierKey;
    /// assert_eq!(TierKey::from_bytes([1; TierKey::BYTES]).to_bytes().len(), 28);
    /// ```
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }
}

impl fmt::Debug for TierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "TierKey({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// One table: the memory that the engines of a process, or of a host, share.
///
/// A random number of the table's own. A table that was lost comes back as another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub u128);

/// Who holds an attempt: a table, and the table's own counter for it.
///
/// The counters that a table uses for one key grow strictly; they are below 2^44.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The table that admitted it.
    pub table: TableId,
    /// The counter of that admission, below 2^44.
    pub counter: u64,
}

/// Asks for the right to run one attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The session that the engine believes to be in.
    pub session: u64,
    /// Which record.
    pub key: TierKey,
    /// Who asks.
    pub holder: Holder,
    /// The payload digest, as it is compared: equal bytes, equal payload.
    pub digest: u64,
    /// How long the attempt may run.
    pub lease: Duration,
    /// How long the store remembers the record after the lease has lapsed and nobody has come.
    pub retention: Duration,
    /// What happens if the lease lapses.
    pub on_lapse: OnLapse,
    /// Whether a new record may be made. If not, and there is none: [`Claimed::Vacant`].
    ///
    /// [`Claimed::Vacant`]: super::Claimed::Vacant
    pub creates: bool,
    /// Whether an attempt is taken that was left to the scheduler of another table, once it is due.
    pub takes_scheduled: bool,
    /// Whether the table wants to hear when the record changes, if it is not granted.
    pub watches: bool,
    /// No token of this grant is at or below it: the highest that the engine has seen of any key.
    pub above: u64,
}

/// Asks for more time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Which record.
    pub key: TierKey,
    /// Who holds it.
    pub holder: Holder,
    /// For how long from now on.
    pub lease: Duration,
    /// Whether the lease has certainly not lapsed, so that a record which is not there was
    /// forgotten: it is made again.
    pub restores: bool,
    /// The grant's fencing token, for a record that is made again.
    pub fence: u64,
    /// The grant's attempt.
    pub attempt: u32,
    /// As in the claim.
    pub digest: u64,
    /// As in the claim.
    pub retention: Duration,
    /// As in the claim.
    pub on_lapse: OnLapse,
}

/// Ends an attempt.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// Which record.
    pub key: TierKey,
    /// Who holds it.
    pub holder: Holder,
    /// Whether the lease has certainly not lapsed; see [`Renewal::restores`].
    pub restores: bool,
    /// The grant's fencing token, for a record that is made again.
    pub fence: u64,
    /// The grant's attempt.
    pub attempt: u32,
    /// As in the claim.
    pub digest: u64,
    /// How it ends.
    pub end: End<'a>,
}

/// How an attempt ends.
#[derive(Clone, Copy)]
pub enum End<'a> {
    /// With success: duplicates get the outcome for as long as the window lasts.
    Succeeded {
        /// What duplicates get.
        outcome: &'a Outcome,
        /// For how long.
        window: Duration,
    },
    /// For good, without success.
    Failed {
        /// What duplicates get.
        outcome: &'a Outcome,
        /// For how long.
        window: Duration,
    },
    /// The next attempt may start after `due_in`.
    Retry {
        /// How long from now.
        due_in: Duration,
        /// How long the store remembers the record after that, if nobody comes.
        retention: Duration,
        /// `Some`: the scheduler of the holder's table starts it, and only where that table is
        /// there no more, another's. With what another one needs to run it; empty: nothing is told.
        scheduled: Option<&'a [u8]>,
    },
    /// Nobody knows whether it took effect.
    Unknown {
        /// How long the store remembers that at least.
        retention: Duration,
    },
    /// It never ran: as if it had not been claimed. The record goes back to waiting, due at once,
    /// if there was an attempt before, and is gone otherwise. The next grant has the same attempt
    /// number; what an earlier [`Retry`](Self::Retry) left for a scheduler is still there.
    NeverRan,
}

// Without payload digests, by which a guess at the content could be checked, and without contexts,
// which may hold what no log may.

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("key", &self.key)
            .field("holder", &self.holder)
            .field("lease", &self.lease)
            .field("retention", &self.retention)
            .field("on_lapse", &self.on_lapse)
            .field("creates", &self.creates)
            .field("takes_scheduled", &self.takes_scheduled)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("key", &self.key)
            .field("holder", &self.holder)
            .field("lease", &self.lease)
            .field("restores", &self.restores)
            .field("fence", &self.fence)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending")
            .field("key", &self.key)
            .field("holder", &self.holder)
            .field("restores", &self.restores)
            .field("fence", &self.fence)
            .field("attempt", &self.attempt)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = |f: &mut fmt::Formatter<'_>, name, outcome: &Outcome, window: &Duration| {
            f.debug_struct(name).field("outcome", outcome).field("window", window).finish()
        };
        match self {
            Self::Succeeded { outcome, window } => finished(f, "Succeeded", outcome, window),
            Self::Failed { outcome, window } => finished(f, "Failed", outcome, window),
            Self::Retry { due_in, retention, scheduled } => f
                .debug_struct("Retry")
                .field("due_in", due_in)
                .field("retention", retention)
                .field("scheduled_bytes", &scheduled.map(<[u8]>::len))
                .finish(),
            Self::Unknown { retention } => {
                f.debug_struct("Unknown").field("retention", retention).finish()
            }
            Self::NeverRan => f.write_str("NeverRan"),
        }
    }
}
