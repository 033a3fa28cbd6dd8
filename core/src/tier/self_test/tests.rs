//! Stores that must not pass, and one that must.

use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::tier::{Hazard, Memory, Orphan, Renewal, Renewed, Session, Sighting, TierKey, Watcher};

const WITHIN: Duration = Duration::from_secs(1);

/// Two stores behind one address: each claim comes to the other one than the claim before. Or one
/// whose time jumps after each claim.
#[derive(Debug)]
struct Turns {
    stores: [Memory; 2],
    turn: std::sync::atomic::AtomicUsize,
    jumps: Option<ManualClock>,
}

impl Turns {
    fn new(jumps: Option<ManualClock>, stores: [Memory; 2]) -> Self {
        Self { stores, turn: std::sync::atomic::AtomicUsize::new(0), jumps }
    }

    fn next(&self) -> &Memory {
        // Relaxed: one thread.
        let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        &self.stores[turn % 2]
    }
}

impl Tier for Turns {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        self.stores[0].session(within)
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        let claimed = self.next().claim(claim, within);
        if let Some(clock) = &self.jumps {
            clock.advance(LEASE);
        }
        claimed
    }

    fn renew(&self, renewal: &Renewal, within: Duration) -> Result<Renewed, TierError> {
        self.stores[0].renew(renewal, within)
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        self.stores[0].end(ending, within)
    }

    fn settle(&self, key: TierKey, end: &End<'_>, within: Duration) -> Result<Ended, TierError> {
        self.stores[0].settle(key, end, within)
    }

    fn read(&self, key: TierKey, within: Duration) -> Result<Option<Sighting>, TierError> {
        self.stores[0].read(key, within)
    }

    fn watch(&self, table: TableId, watcher: Arc<dyn Watcher>) -> Result<(), TierError> {
        self.stores[0].watch(table, watcher)
    }

    fn beat(
        &self,
        table: TableId,
        lasts: Duration,
        within: Duration,
    ) -> Result<Vec<Hazard>, TierError> {
        self.stores[0].beat(table, lasts, within)
    }

    fn orphans(&self, limit: usize, within: Duration) -> Result<Vec<Orphan>, TierError> {
        self.stores[0].orphans(limit, within)
    }
}

fn tested(tier: &dyn Tier) -> Result<(), TierErrorKind> {
    let session = tier.session(WITHIN).expect("it answers").id;
    self_test(tier, session, WITHIN).map_err(|error| error.kind())
}

/// Goal: a store that keeps the contract passes, and keeps nothing of the test. Method: the memory.
#[test]
fn a_sound_store_passes() {
    let memory = Memory::new();
    assert_eq!(tested(&memory), Ok(()));
    assert!(memory.is_empty());
}

/// Goal: claims that come to different stores are found out before anything runs. Method: a proxy
/// that takes turns between two.
#[test]
fn two_stores_behind_one_address_are_unsafe() {
    let turns = Turns::new(None, [Memory::new(), Memory::new()]);
    assert_eq!(tested(&turns), Err(TierErrorKind::Unsafe));
}

/// Goal: a process that was stopped in the midst of the test takes nothing for unsafe. Method: a
/// store whose time passes the lease between the two claims, each time.
#[test]
fn a_slow_test_says_nothing() {
    let clock = ManualClock::new();
    let memory = Memory::with_clock(clock.clone());
    let turns = Turns::new(Some(clock), [memory.clone(), memory]);
    assert_eq!(tested(&turns), Err(TierErrorKind::Unavailable));
}
