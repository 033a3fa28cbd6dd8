//! A way to a tier on which something happens while a call is under way.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use oncegate::tier::{
    Claim, Claimed, Ended, Ending, Memory, Renewal, Renewed, Session, Tier, TierError,
};

use super::passed_on::passed_on;

type Happens = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A way to a tier in memory.
pub(super) struct Meanwhile {
    memory: Memory,
    after_a_claim: Happens,
    before_an_end: Happens,
    before_a_renewal: Happens,
}

impl Meanwhile {
    pub(super) fn over(memory: Memory) -> Self {
        Self {
            memory,
            after_a_claim: Mutex::default(),
            before_an_end: Mutex::default(),
            before_a_renewal: Mutex::default(),
        }
    }

    /// Whether the tier is silent for who goes this way.
    pub(super) fn cut_off(&self, away: bool) {
        self.memory.cut_off(away);
    }

    /// Something that happens once the next claim is carried out, before it is answered.
    pub(super) fn after_a_claim(&self, happens: impl FnOnce() + Send + 'static) {
        *self.after_a_claim.lock().unwrap() = Some(Box::new(happens));
    }

    /// Something that happens before the next end is carried out.
    pub(super) fn before_an_end(&self, happens: impl FnOnce() + Send + 'static) {
        *self.before_an_end.lock().unwrap() = Some(Box::new(happens));
    }

    /// Something that happens before the next renewal is carried out.
    pub(super) fn before_a_renewal(&self, happens: impl FnOnce() + Send + 'static) {
        *self.before_a_renewal.lock().unwrap() = Some(Box::new(happens));
    }
}

fn happen(what: &Happens) {
    let happens = what.lock().unwrap().take();
    if let Some(happens) = happens {
        happens();
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meanwhile").finish_non_exhaustive()
    }
}

impl Tier for Meanwhile {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        self.memory.session(within)
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        let claimed = self.memory.claim(claim, within);
        happen(&self.after_a_claim);
        claimed
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        happen(&self.before_an_end);
        self.memory.end(ending, within)
    }

    fn renew(&self, renewal: &Renewal, within: Duration) -> Result<Renewed, TierError> {
        happen(&self.before_a_renewal);
        self.memory.renew(renewal, within)
    }

    passed_on!(memory, but renewals);
}
