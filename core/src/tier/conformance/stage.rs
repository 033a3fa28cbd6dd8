//! What a case works with: nodes, keys, claims, comparisons.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::rig::{Rig, Trouble};
use crate::engine::OnLapse;
use crate::outcome::Outcome;
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, Finished, Grant, Holder, Renewal, Renewed, Sighting,
    TableId, Tier, TierKey,
};

/// One case: a promise, and how it is checked.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) run: fn(&Stage<'_>) -> Verdict,
}

/// The cases of a file, by the names of their functions.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$(crate::tier::conformance::stage::Case { name: stringify!($name), run: $name }),+]
    };
}
pub(super) use cases;

pub(super) type Verdict = Result<(), Stop>;

/// Why a case goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// The tier broke a promise.
    Failed(String),
    /// The rig cannot do what the case needs, which is this.
    Cannot(String),
}

/// Where one case plays.
pub(super) struct Stage<'a> {
    rig: &'a dyn Rig,
    dice: Cell<u64>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(rig: &'a dyn Rig, seed: u64, case: usize) -> Self {
        // Keys and tables of cases differ, for stores that are slow to forget.
        let start = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (case as u64).rotate_left(40);
        Self { rig, dice: Cell::new(start) }
    }

    pub(super) fn rig(&self) -> &'a dyn Rig {
        self.rig
    }

    /// A random number (SplitMix64).
    pub(super) fn draw(&self) -> u64 {
        let state = self.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.dice.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A key that nobody has used.
    pub(super) fn key(&self) -> TierKey {
        let mut bytes = [0; TierKey::BYTES];
        for chunk in bytes.chunks_mut(size_of::<u64>()) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
        TierKey::from_bytes(bytes)
    }

    /// A table with a tier of its own, which has joined the session.
    pub(super) fn node(&self) -> Result<Node, Stop> {
        let table = TableId(u128::from(self.draw()) << 64 | u128::from(self.draw()));
        let (counter, session) = (Cell::new(0), Cell::new(0));
        let node = Node { tier: self.rig.tier(), table, counter, session };
        node.join()?;
        Ok(node)
    }

    pub(super) fn nodes<const N: usize>(&self) -> Result<[Node; N], Stop> {
        let nodes = (0..N).map(|_| self.node()).collect::<Result<Vec<_>, _>>()?;
        nodes.try_into().map_err(|_| Stop::Failed("too few nodes".to_owned()))
    }

    /// What the store has of `context`, which was left for another table's scheduler.
    pub(super) fn kept(&self, context: &[u8]) -> Vec<u8> {
        if self.rig.keeps_contexts() { context.to_vec() } else { Vec::new() }
    }

    pub(super) fn advance(&self, by: Duration) {
        self.rig.advance(by);
    }

    /// Gives the store trouble, or gives the case up.
    pub(super) fn trouble(&self, trouble: Trouble) -> Verdict {
        if self.rig.trouble(trouble) { Ok(()) } else { Err(Stop::Cannot(trouble.to_string())) }
    }
}

/// One table, and its way to the store.
pub(super) struct Node {
    pub(super) tier: Arc<dyn Tier>,
    pub(super) table: TableId,
    counter: Cell<u64>,
    session: Cell<u64>,
}

impl Node {
    /// Joins the session that there is; whether records may be lost.
    pub(super) fn join(&self) -> Result<bool, Stop> {
        let session = must(self.tier.session(WITHIN), "session")?;
        self.session.set(session.id);
        Ok(session.lost)
    }

    /// A claim as a table makes it when a request comes: its next counter, a new record if need be.
    pub(super) fn claim(&self, key: TierKey) -> Claim {
        self.counter.set(self.counter.get() + 1);
        self.claim_as(key, self.counter.get())
    }

    pub(super) fn claim_as(&self, key: TierKey, counter: u64) -> Claim {
        self.counter.set(self.counter.get().max(counter));
        Claim {
            session: self.session.get(),
            key,
            holder: Holder { table: self.table, counter },
            digest: DIGEST,
            lease: LEASE,
            retention: RETENTION,
            on_lapse: OnLapse::Reclaim,
            creates: true,
            takes_scheduled: false,
            watches: false,
            above: 0,
        }
    }

    pub(super) fn ask(&self, claim: &Claim) -> Result<Claimed, Stop> {
        must(self.tier.claim(claim, WITHIN), "claim")
    }

    /// Claims, and must be granted.
    pub(super) fn grant(&self, claim: Claim) -> Result<Held, Stop> {
        match self.ask(&claim)? {
            Claimed::Granted(grant) => Ok(Held { claim, grant }),
            other => fail(format!("the claim was not granted: {other:?}")),
        }
    }

    /// Claims as when a request comes, and must be granted.
    pub(super) fn take(&self, key: TierKey) -> Result<Held, Stop> {
        self.grant(self.claim(key))
    }

    pub(super) fn end(&self, held: &Held, end: End<'_>) -> Result<Ended, Stop> {
        self.end_as(&held.ending(end))
    }

    pub(super) fn end_as(&self, ending: &Ending<'_>) -> Result<Ended, Stop> {
        must(self.tier.end(ending, WITHIN), "end")
    }

    pub(super) fn renew(&self, renewal: &Renewal) -> Result<Renewed, Stop> {
        must(self.tier.renew(renewal, WITHIN), "renew")
    }

    pub(super) fn settle(&self, key: TierKey, end: End<'_>) -> Result<Ended, Stop> {
        must(self.tier.settle(key, &end, WITHIN), "settle")
    }

    pub(super) fn read(&self, key: TierKey) -> Result<Option<Sighting>, Stop> {
        must(self.tier.read(key, WITHIN), "read")
    }
}

/// An attempt that was granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) claim: Claim,
    pub(super) grant: Grant,
}

impl Held {
    pub(super) fn ending<'e>(&self, end: End<'e>) -> Ending<'e> {
        Ending {
            key: self.claim.key,
            holder: self.claim.holder,
            restores: false,
            fence: self.grant.fence,
            attempt: self.grant.attempt,
            digest: self.claim.digest,
            end,
        }
    }

    pub(super) fn renewal(&self, lease: Duration) -> Renewal {
        Renewal {
            key: self.claim.key,
            holder: self.claim.holder,
            lease,
            restores: false,
            fence: self.grant.fence,
            attempt: self.grant.attempt,
            digest: self.claim.digest,
            retention: self.claim.retention,
            on_lapse: self.claim.on_lapse,
        }
    }
}

pub(super) fn succeeded(outcome: &Outcome) -> End<'_> {
    End::Succeeded { outcome, window: WINDOW }
}

pub(super) fn failed(outcome: &Outcome) -> End<'_> {
    End::Failed { outcome, window: WINDOW }
}

/// The next attempt is due after `due_in`, for whoever comes.
pub(super) fn retry(due_in: Duration) -> End<'static> {
    End::Retry { due_in, retention: RETENTION, scheduled: None }
}

pub(super) fn unknown() -> End<'static> {
    End::Unknown { retention: RETENTION }
}

pub(super) fn fail<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(why.into()))
}

pub(super) fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Stop::Failed(why())) }
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Verdict {
    ensure(found == wanted, || format!("{what}: found {found:?}, wanted {wanted:?}"))
}

/// An operation that nothing disturbs must be answered.
pub(super) fn must<T, E: Debug>(answer: Result<T, E>, what: &str) -> Result<T, Stop> {
    answer.map_err(|error| Stop::Failed(format!("{what}: no answer: {error:?}")))
}

/// Runs `change`, after which the record is as it was, to its times.
pub(super) fn unchanged(node: &Node, key: TierKey, change: impl FnOnce() -> Verdict) -> Verdict {
    let before = node.read(key)?;
    change()?;
    let after = node.read(key)?;
    same("the record", kind(&after), kind(&before))?;
    ensure(!span_differs(&before, &after), || format!("{before:?} became {after:?}"))
}

/// Whether they tell different times, by more than a store's own time may take.
pub(super) fn span_differs(one: &Option<Sighting>, other: &Option<Sighting>) -> bool {
    span(one).abs_diff(span(other)) >= SLACK
}

/// The time that a sighting tells.
fn span(sighting: &Option<Sighting>) -> Duration {
    match sighting {
        Some(Sighting::Running { remaining, .. }) => *remaining,
        Some(Sighting::Waiting { due_in, .. }) => *due_in,
        Some(Sighting::Finished(finished)) => finished.remaining,
        Some(Sighting::Unresolved { .. }) | None => Duration::ZERO,
    }
}

/// A time that is left of `whole`, after `gone` at least; a store's own time may take a minute.
pub(super) fn left(stage: &Stage<'_>, found: Duration, whole: Duration, gone: Duration) -> Verdict {
    let most = whole.saturating_sub(gone);
    let least = if stage.rig().is_exact() { most } else { most.saturating_sub(SLACK) };
    ensure((least..=most).contains(&found), || format!("left: {found:?}, not {most:?} or less"))
}

pub(super) fn finished(claimed: Claimed) -> Result<Finished, Stop> {
    match claimed {
        Claimed::Finished(finished) => Ok(finished),
        other => fail(format!("it has not finished: {other:?}")),
    }
}

/// What a record is, without the times that pass.
pub(super) fn kind(sighting: &Option<Sighting>) -> Option<Sighting> {
    let mut sighting = sighting.clone();
    match &mut sighting {
        Some(Sighting::Running { remaining, .. }) => *remaining = Duration::ZERO,
        Some(Sighting::Waiting { due_in, .. }) => *due_in = Duration::ZERO,
        Some(Sighting::Finished(finished)) => finished.remaining = Duration::ZERO,
        Some(Sighting::Unresolved { .. }) | None => {}
    }
    sighting
}

pub(super) const WITHIN: Duration = Duration::from_secs(10);
pub(super) const DIGEST: u64 = 0xd1;
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const LEASE: Duration = Duration::from_secs(10 * 60);
pub(super) const RETENTION: Duration = Duration::from_secs(5 * 3_600);
pub(super) const WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// What a store's own time may take while a case runs.
const SLACK: Duration = MINUTE;
