//! One record of the store, and what its holder may do with it.

use std::time::Duration;

use crate::engine::{OnLapse, Status};
use crate::outcome::Outcome;
use crate::tier::{Claim, End, Ended, Finished, Holder, Sighting, TableId};

/// A record. Times are those of the store's clock.
#[derive(Clone)]
pub(super) struct Record {
    /// Who has it, or had it last.
    pub(super) holder: Holder,
    /// The last attempt that counts: the next one has the number after it.
    pub(super) attempt: u32,
    pub(super) fence: u64,
    pub(super) digest: u64,
    pub(super) state: State,
    /// From when on there is nothing.
    pub(super) kept_until: Duration,
    /// What was left for a scheduler; stays while its next attempt runs.
    pub(super) left: Option<Vec<u8>>,
    /// How the holder itself ended its attempt, and what it was answered.
    pub(super) ended: Option<(Way, Ended)>,
    /// Tables that were told that it runs or waits, and want to hear when that changes.
    pub(super) watching: Vec<TableId>,
}

#[derive(Clone)]
pub(super) enum State {
    Running { until: Duration, on_lapse: OnLapse, retention: Duration, status: Status },
    Waiting { due: Duration },
    Finished { failed: bool, outcome: Option<Outcome> },
    Unresolved,
}

/// The way in which an attempt ended, without what it left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Succeeded,
    Failed,
    Retry,
    Unknown,
    NeverRan,
}

impl Way {
    pub(super) fn of(end: &End<'_>) -> Self {
        match end {
            End::Succeeded { .. } => Self::Succeeded,
            End::Failed { .. } => Self::Failed,
            End::Retry { .. } => Self::Retry,
            End::Unknown { .. } => Self::Unknown,
            End::NeverRan => Self::NeverRan,
        }
    }
}

impl Record {
    pub(super) fn is_over(&self, now: Duration) -> bool {
        now >= self.kept_until
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether its holder may still say how it ended.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Unresolved)
    }

    pub(super) fn next_attempt(&self) -> u32 {
        self.attempt.saturating_add(1)
    }

    /// The attempt of `claim` runs from `now` on.
    pub(super) fn run(&mut self, claim: &Claim, status: Status, now: Duration) {
        let until = now.saturating_add(claim.lease);
        self.holder = claim.holder;
        self.digest = claim.digest;
        self.kept_until = until.saturating_add(claim.retention);
        self.ended = None;
        let (on_lapse, retention) = (claim.on_lapse, claim.retention);
        self.state = State::Running { until, on_lapse, retention, status };
    }

    /// The lease lasts for `lease` from `now` on.
    pub(super) fn extend(&mut self, lease: Duration, now: Duration) {
        if let State::Running { until, retention, .. } = &mut self.state {
            *until = now.saturating_add(lease);
            self.kept_until = until.saturating_add(*retention);
        }
    }

    /// What the lapse of its lease makes of it, where that is no new attempt.
    pub(super) fn lapse(&mut self, on_lapse: OnLapse, retention: Duration, now: Duration) {
        self.kept_until = now.saturating_add(retention);
        self.state = match on_lapse {
            OnLapse::Failed => {
                let outcome = Some(Outcome::new(GATEWAY_TIMEOUT, b""));
                State::Finished { failed: true, outcome }
            }
            OnLapse::Unknown | OnLapse::Reclaim => State::Unresolved,
        };
    }

    /// Ends the attempt; the outcome's bytes are kept if they fit into `room`.
    pub(super) fn end(&mut self, end: &End<'_>, room: usize, now: Duration) -> Ended {
        let mut answer = Ended::Done;
        match *end {
            End::Succeeded { outcome, window } | End::Failed { outcome, window } => {
                let fits = outcome.stored_bytes() <= room;
                let kept = (fits && !outcome.is_withheld()).then(|| outcome.clone());
                if !fits && !outcome.is_withheld() {
                    answer = Ended::WithoutBytes;
                }
                let failed = matches!(end, End::Failed { .. });
                self.state = State::Finished { failed, outcome: kept };
                self.kept_until = now.saturating_add(window);
                self.left = None;
            }
            End::Retry { due_in, retention, scheduled } => {
                let due = now.saturating_add(due_in);
                self.state = State::Waiting { due };
                self.kept_until = due.saturating_add(retention);
                self.left = scheduled.map(<[u8]>::to_vec);
            }
            End::Unknown { retention } => {
                self.state = State::Unresolved;
                self.kept_until = now.saturating_add(retention);
            }
            End::NeverRan => {
                if let State::Running { retention, .. } = self.state {
                    self.kept_until = now.saturating_add(retention);
                }
                self.state = State::Waiting { due: now };
                self.attempt = self.attempt.saturating_sub(1);
            }
        }
        answer
    }

    pub(super) fn sighting(&self, now: Duration) -> Sighting {
        let holder = self.holder;
        match &self.state {
            State::Running { until, .. } => {
                let remaining = until.saturating_sub(now);
                Sighting::Running { holder, attempt: self.attempt, remaining }
            }
            State::Waiting { due } => {
                let due_in = due.saturating_sub(now);
                Sighting::Waiting { holder, next_attempt: self.next_attempt(), due_in }
            }
            State::Finished { failed, outcome } => {
                Sighting::Finished(self.finished(*failed, outcome, now))
            }
            State::Unresolved => Sighting::Unresolved { holder },
        }
    }

    pub(super) fn finished(
        &self,
        failed: bool,
        outcome: &Option<Outcome>,
        now: Duration,
    ) -> Finished {
        let remaining = self.kept_until.saturating_sub(now);
        Finished { failed, outcome: outcome.clone(), remaining }
    }
}

/// What duplicates of an attempt get whose lease has lapsed.
const GATEWAY_TIMEOUT: u16 = 504;
