//! What the engine told, against what it counted.

use oncegate::Stats;

/// How often each answer came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) begun: u64,
    pub(crate) created: u64,
    pub(crate) expired: u64,
    pub(crate) retried: u64,
    pub(crate) replayed: u64,
    pub(crate) in_progress: u64,
    pub(crate) scheduled: u64,
    pub(crate) mismatched: u64,
    pub(crate) unresolved: u64,
    pub(crate) outcome_gone: u64,
    pub(crate) fenced: u64,
    pub(crate) dropped: u64,
}

impl Told {
    /// Whether the engine counted what it told, and lost nothing.
    pub(crate) fn check(&self, stats: &Stats) -> Result<(), String> {
        let counted = Told {
            begun: stats.begun,
            created: stats.created,
            expired: stats.expired,
            retried: stats.retried,
            replayed: stats.replayed,
            in_progress: stats.in_progress,
            scheduled: stats.scheduled,
            mismatched: stats.mismatched,
            unresolved: stats.unresolved,
            outcome_gone: stats.outcome_gone,
            // A guard that was dropped stale may have been fenced.
            fenced: stats.fenced.clamp(self.fenced, self.fenced + self.dropped).min(stats.fenced),
            dropped: self.dropped,
        };
        let told = Told { fenced: counted.fenced, ..*self };
        let lost = [stats.evicted_early, stats.outcomes_evicted, stats.full];
        if counted == told && stats.fenced >= self.fenced && lost == [0; 3] {
            return Ok(());
        }
        Err(format!("counted {stats:?}, told {self:?}"))
    }
}
