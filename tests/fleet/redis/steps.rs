//! Claims and ends as these tests make them.

use std::time::Duration;

use oncegate::tier::{
    Claim, Claimed, End, Ended, Ending, Grant, Holder, Redis, TableId, Tier, TierError, TierKey,
};
use oncegate::{OnLapse, Outcome};

pub(super) const WITHIN: Duration = Duration::from_secs(20);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const CLAIM: Claim = Claim {
    session: 0,
    key: TierKey::from_bytes([0; TierKey::BYTES]),
    holder: Holder { table: TableId(1), counter: 1 },
    digest: 7,
    lease: HOUR,
    retention: HOUR,
    on_lapse: OnLapse::Reclaim,
    creates: true,
    takes_scheduled: false,
    watches: false,
    above: 0,
};

/// A key of the bucket `first`.
pub(super) fn key(first: u8) -> TierKey {
    let mut bytes = [9; TierKey::BYTES];
    bytes[0] = first;
    TierKey::from_bytes(bytes)
}

/// Joins whatever session there is; whether records may be lost.
pub(super) fn join(tier: &Redis) -> Result<(Claim, bool), TierError> {
    let session = tier.session(WITHIN)?;
    Ok((Claim { session: session.id, ..CLAIM }, session.lost))
}

pub(super) fn grant(tier: &Redis, claim: &Claim) -> Grant {
    match tier.claim(claim, WITHIN).expect("an answer") {
        Claimed::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

pub(super) fn succeed(tier: &Redis, claim: &Claim, outcome: &Outcome) {
    let ending = Ending {
        key: claim.key,
        holder: claim.holder,
        restores: false,
        fence: 0,
        attempt: 1,
        digest: claim.digest,
        end: End::Succeeded { outcome, window: HOUR },
    };
    assert_eq!(tier.end(&ending, WITHIN).expect("an answer"), Ended::Done);
}

/// What another table is told.
pub(super) fn outcome(tier: &Redis, claim: &Claim) -> Option<Outcome> {
    let holder = Holder { table: TableId(2), counter: 1 };
    match tier.claim(&Claim { holder, ..*claim }, WITHIN).expect("an answer") {
        Claimed::Finished(finished) => finished.outcome,
        other => panic!("not finished: {other:?}"),
    }
}
