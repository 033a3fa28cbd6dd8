//! The self-test of a tier: whether it really refuses a second claim.

use std::time::Duration;

use super::{
    Claim, Claimed, End, Ended, Ending, Hazard, Holder, TableId, Tier, TierError, TierErrorKind,
    TierKey,
};
use crate::engine::OnLapse;
use crate::sync::planted::Bug;

/// Joins the store behind `tier` as an engine does, proves that it refuses a second claim, and
/// tells what about it endangers what is promised. Of a random record it leaves nothing.
///
/// Costs half a dozen round trips, each at most `within`.
///
/// # Errors
///
/// [`TierError`]: the store cannot be reached, or must not be used.
///
/// ```
/// use std::time::Duration;
/// use oncegate::tier::{Memory, examine};
///
/// let hazards = examine(&Memory::new(), Duration::from_secs(1))?;
/// assert!(hazards.len() <= 1); // a memory keeps nothing on a disk
/// # Ok::<(), oncegate::tier::TierError>(())
/// ```
pub fn examine(tier: &dyn Tier, within: Duration) -> Result<Vec<Hazard>, TierError> {
    let session = tier.session(within)?.id;
    self_test(tier, session, within)?;
    let table = getrandom::u64()
        .map_err(|_| TierError::new(TierErrorKind::Unavailable, "no randomness"))?;
    // Of a table that is gone in a moment.
    tier.beat(TableId(table.into()), Duration::from_millis(1), within)
}

/// Claims a random record twice, for two tables that do not exist: a store that grants both is no
/// store to rely on, such as one behind a proxy that sends each connection to another server.
pub(crate) fn self_test(tier: &dyn Tier, session: u64, within: Duration) -> Result<(), TierError> {
    for _ in 0..ROUNDS {
        if Bug::SelfTestSkipped.is_planted() || is_second_refused(tier, session, within)? {
            return Ok(());
        }
    }
    Err(TierError::new(TierErrorKind::Unavailable, "a claim takes longer than its lease lasts"))
}

/// One try. False: the lease of the first lapsed before the second came.
fn is_second_refused(tier: &dyn Tier, session: u64, within: Duration) -> Result<bool, TierError> {
    let unsound = |what: &'static str| Err(TierError::new(TierErrorKind::Unsafe, what));
    let mut bytes = [0; TierKey::BYTES + 2 * size_of::<u128>()];
    getrandom::fill(&mut bytes)
        .map_err(|_| TierError::new(TierErrorKind::Unavailable, "no randomness"))?;
    let (key, tables) = bytes.split_at(TierKey::BYTES);
    let key = TierKey::from_bytes(key.try_into().unwrap_or([0; TierKey::BYTES]));
    let (tables, _) = tables.as_chunks::<{ size_of::<u128>() }>();
    let holder = |number: usize| Holder {
        table: TableId(tables.get(number).copied().map_or(0, u128::from_le_bytes)),
        counter: 1,
    };
    let claim = |holder| Claim {
        session,
        key,
        holder,
        digest: 0,
        lease: LEASE,
        retention: RETENTION,
        on_lapse: OnLapse::Reclaim,
        creates: true,
        takes_scheduled: false,
        watches: false,
        above: 0,
    };
    let Claimed::Granted(first) = tier.claim(&claim(holder(0)), within)? else {
        return unsound("a new record is not granted");
    };
    let second = tier.claim(&claim(holder(1)), within)?;
    let (last, grant) = match &second {
        Claimed::Granted(grant) => (holder(1), *grant),
        _ => (holder(0), first),
    };
    let end = Ending {
        key,
        holder: last,
        restores: false,
        fence: grant.fence,
        attempt: grant.attempt,
        digest: 0,
        end: End::NeverRan,
    };
    let ended = tier.end(&end, within)?;
    match second {
        Claimed::Granted(second) if second.attempt == 2 && second.fence > first.fence => Ok(false),
        Claimed::Running { .. } if ended == Ended::Done => Ok(true),
        Claimed::Running { .. } => unsound("the holder of a record may not end it"),
        _ => unsound("a second claim of the same record is not refused"),
    }
}

/// Far longer than the test takes, and soon over if it is broken off.
const LEASE: Duration = Duration::from_secs(10);
/// By the record a lapse is told from a store that knows nothing of it, however long the process
/// was stopped in between.
const RETENTION: Duration = Duration::from_secs(3600);
/// A process may be stopped in the middle of one.
const ROUNDS: u32 = 3;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
