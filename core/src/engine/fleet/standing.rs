//! Standing: what this process knows of the store, and who finds it out.
//!
//! One caller at a time asks the store who it is, without the lock: it may take as long as its
//! deadline says. The others wait for what comes of that and share it, a failure too. Were each to
//! ask for itself, the last of many would wait for the deadlines of all who came before.

use std::time::Duration;

use super::link::{AGAIN, Counts, Fleet, Gap};
use crate::clock::{Clock, PreciseClock};
use crate::sync::plain::{Mutex, MutexGuard};
use crate::sync::planted::Bug;
use crate::sync::{Ordering, Thread, current, park};
use crate::tier::self_test;

/// What one process knows of the store.
#[derive(Default)]
pub(super) struct Standing {
    session: Option<u64>,
    /// Nothing new is run before.
    quarantined_until: Duration,
    tested: bool,
    /// Whether somebody is asking the store who it is.
    entering: bool,
    /// How often that has failed, and why it did last.
    failures: u64,
    failed: Option<Gap>,
    /// Who waits for what comes of it.
    waiting: Vec<Thread>,
}

impl Fleet {
    /// Sees to it that the store answers, has no more forgotten than is known, and keeps what it
    /// promises.
    pub(super) fn join(&self) -> Result<u64, Gap> {
        let mut standing = self.standing();
        let failures = standing.failures;
        let mut until = None;
        loop {
            if let Some(session) = standing.session {
                let left = standing.quarantined_until.saturating_sub(self.now());
                return if left.is_zero() { Ok(session) } else { Err(Gap::Quarantined(left)) };
            }
            // It failed after this caller came: the store has nothing else to say.
            if standing.failures != failures
                && let Some(gap) = &standing.failed
            {
                return Err(gap.again());
            }
            if standing.entering {
                let until = *until.get_or_insert_with(|| PreciseClock.now() + self.longest_wait());
                let left = until.saturating_sub(PreciseClock.now());
                if left.is_zero() {
                    return Err(Gap::Unavailable(AGAIN));
                }
                standing.waiting.push(current());
                drop(standing);
                park(Some(left));
            } else {
                self.enter(standing)?;
            }
            standing = self.standing();
        }
    }

    /// Asks the store who it is.
    fn enter(&self, mut standing: MutexGuard<'_, Standing>) -> Result<(), Gap> {
        standing.entering = true;
        let tested = standing.tested;
        drop(standing);
        let _door = Door(self);
        let met = self.meet(tested);
        self.note_entry(&met);
        met.map(|_| ())
    }

    /// The session that there is now.
    fn meet(&self, tested: bool) -> Result<u64, Gap> {
        let session = self.tier.session(self.options.deadline).map_err(Gap::of)?;
        if session.lost && !Bug::QuarantineSkipped.is_planted() {
            Counts::add(&self.counts.sessions_lost);
            self.standing().quarantined_until = self.now() + self.quarantine();
            self.restore();
        }
        if !tested {
            self_test(&*self.tier, session.id, self.options.deadline).map_err(Gap::of)?;
        }
        Ok(session.id)
    }

    fn note_entry(&self, met: &Result<u64, Gap>) {
        let mut standing = self.standing();
        match met {
            Ok(session) => (standing.session, standing.tested) = (Some(*session), true),
            Err(gap) => {
                standing.failures = standing.failures.wrapping_add(1);
                standing.failed = Some(gap.again());
            }
        }
    }

    /// Looks whether the store has forgotten records, before a claim comes upon it: who only holds
    /// leases has to tell them again.
    pub(super) fn look_for_loss(&self) {
        let standing = self.standing();
        if standing.session.is_some() && !standing.entering {
            // What it cannot say now the next claim finds.
            let _ = self.enter(standing);
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        let standing = self.standing.get(Mutex::default);
        standing.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The session is over: the next claim joins another.
    pub(super) fn part(&self, session: u64) {
        let mut standing = self.standing();
        if standing.session == Some(session) {
            standing.session = None;
        }
    }

    fn quarantine(&self) -> Duration {
        // Relaxed: it only grows.
        let longest = Duration::from_millis(self.longest_ms.load(Ordering::Relaxed));
        self.options.quarantine.unwrap_or(longest)
    }

    /// How long one waits for another caller: the store has a deadline, and so has the self-test
    /// of one that is joined for the first time.
    fn longest_wait(&self) -> Duration {
        self.options.deadline.saturating_mul(2)
    }
}

/// Held by whoever asks the store who it is. Opens the door however that ends.
struct Door<'a>(&'a Fleet);

impl Drop for Door<'_> {
    fn drop(&mut self) {
        let mut standing = self.0.standing();
        standing.entering = false;
        let waiting = std::mem::take(&mut standing.waiting);
        drop(standing);
        waiting.iter().for_each(Thread::unpark);
    }
}
