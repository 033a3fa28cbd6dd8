//! Parcels: ends of attempts that the tier has not heard of yet.

use std::time::Duration;

use crate::engine::OnLapse;
use crate::outcome::Outcome;
use crate::tier::{Claim, End, Ending, Holder, TierKey};

/// The end of an attempt, to be told when the tier can be reached.
#[derive(Clone, Debug)]
pub(in super::super) struct Parcel {
    /// Where the attempt lies in the table of its host.
    pub(super) slot: usize,
    pub(super) key: TierKey,
    pub(super) holder: Holder,
    pub(super) fence: u64,
    pub(super) attempt: u32,
    pub(super) digest: u64,
    /// When the lease ends here, on the engine's clock: before it, a tier that knows nothing of the
    /// attempt has forgotten it. For one that the tier never granted: for ever.
    pub(super) restores_until: Duration,
    pub(super) how: How,
    /// Whether the tier never granted the attempt: then it may contradict this.
    pub(super) ungranted: bool,
}

/// How it ended; times on the engine's clock.
#[derive(Clone, Debug)]
pub(super) enum How {
    Finished { failed: bool, outcome: Outcome, until: Duration },
    Retry { due: Duration, retention: Duration, scheduled: Option<Vec<u8>> },
    Unknown { retention: Duration },
    NeverRan,
}

impl Parcel {
    /// An attempt that nobody runs, if it was granted at all.
    pub(super) fn never_ran(claim: &Claim) -> Self {
        Self {
            slot: usize::MAX,
            key: claim.key,
            holder: claim.holder,
            fence: 0,
            attempt: 1,
            digest: claim.digest,
            restores_until: Duration::ZERO,
            how: How::NeverRan,
            ungranted: true,
        }
    }

    /// What the tier is asked at `now`. `None`: it is of no use any more. An attempt that the tier
    /// has granted seems to run there until it hears of the end, whoever else would hear of that.
    pub(super) fn ending(&self, now: Duration) -> Option<Ending<'_>> {
        let end = match &self.how {
            How::Finished { outcome, failed, until } => {
                if self.ungranted && !self.is_heard(now) {
                    return None;
                }
                let window = until.saturating_sub(now).max(LEAST_WINDOW);
                if *failed {
                    End::Failed { outcome, window }
                } else {
                    End::Succeeded { outcome, window }
                }
            }
            How::Retry { due, retention, scheduled } => End::Retry {
                due_in: due.saturating_sub(now),
                retention: *retention,
                scheduled: scheduled.as_deref(),
            },
            How::Unknown { retention } => End::Unknown { retention: *retention },
            How::NeverRan => End::NeverRan,
        };
        Some(Ending {
            key: self.key,
            holder: self.holder,
            restores: now < self.restores_until,
            fence: self.fence,
            attempt: self.attempt,
            digest: self.digest,
            end,
        })
    }

    /// Whether anybody may hear at `now` of what came of it.
    pub(super) fn is_heard(&self, now: Duration) -> bool {
        !matches!(self.how, How::Finished { until, .. } if until <= now)
    }

    /// Asks for the attempt that ended, where the tier never granted it: had another host run it
    /// meanwhile, that one counts.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            session: 0,
            key: self.key,
            holder: self.holder,
            digest: self.digest,
            lease: LEASE,
            retention: LEASE,
            on_lapse: OnLapse::Unknown,
            creates: true,
            takes_scheduled: true,
            watches: false,
            above: self.fence,
        }
    }

    /// The number of the attempt, as the tier counts.
    pub(in crate::engine) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Until when a new attempt of this record would take away what came of this one. `None`:
    /// nothing did.
    pub(super) fn holds_until(&self) -> Option<Duration> {
        match self.how {
            How::Finished { until, .. } => Some(until),
            How::Retry { due, .. } => Some(due),
            How::Unknown { .. } => Some(Duration::MAX),
            How::NeverRan => None,
        }
    }

    /// Whether the attempt may have taken effect.
    pub(super) fn has_effect(&self) -> bool {
        matches!(self.how, How::Finished { .. } | How::Unknown { .. })
    }
}

/// So soon the tier forgets an outcome whose window is over.
const LEAST_WINDOW: Duration = Duration::from_millis(1);
/// How long the tier waits for the end of an attempt that ended before it was granted.
const LEASE: Duration = Duration::from_secs(30);
