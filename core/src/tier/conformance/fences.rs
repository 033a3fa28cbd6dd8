//! Tokens that grow for ever.

use std::time::Duration;

use super::rig::Trouble;
use super::stage::{
    Case, Held, LEASE, MINUTE, Node, Stage, Stop, Verdict, WINDOW, cases, ensure, fail, retry,
    same, succeeded,
};
use crate::engine::Status;
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, End, Ended, FenceClock, TierKey};

pub(super) const CASES: &[Case] = cases![
    tokens_grow_across_every_way_on,
    tokens_grow_within_a_moment,
    tokens_are_above_what_the_engine_has_seen,
    tokens_grow_when_the_store_has_forgotten_all,
    tokens_grow_when_the_clock_is_set_back,
    tokens_are_of_the_time,
    tokens_end_without_a_second_one,
    after_the_window_it_starts_anew,
];

/// After a retry, a takeover, an attempt that never ran, a lapse, and a window that is over.
fn tokens_grow_across_every_way_on(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let outcome = Outcome::new(200, b"");
    let mut last = 0;
    let mut next = |node: &Node| grown(&mut last, node.take(key)?);
    same("retry", one.end(&next(&one)?, retry(Duration::ZERO))?, Ended::Done)?;
    same("never ran", other.end(&next(&other)?, End::NeverRan)?, Ended::Done)?;
    next(&one)?;
    next(&one)?;
    stage.advance(LEASE);
    let held = next(&other)?;
    let end = End::Succeeded { outcome: &outcome, window: MINUTE };
    same("success", other.end(&held, end)?, Ended::Done)?;
    stage.advance(MINUTE);
    let held = next(&one)?;
    same("never ran", one.end(&held, End::NeverRan)?, Ended::Done)?;
    let held = next(&other)?;
    same("attempt", held.grant.attempt, 1)
}

/// However many there are of one key at one time.
fn tokens_grow_within_a_moment(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let mut last = 0;
    for at in 0..50 {
        let node = if at % 3 == 0 { &one } else { &other };
        let held = grown(&mut last, node.take(key)?)?;
        let end = if at % 2 == 0 { End::NeverRan } else { retry(Duration::ZERO) };
        same("end", node.end(&held, end)?, Ended::Done)?;
    }
    Ok(())
}

/// Of any key: also where the store knows nothing of it.
fn tokens_are_above_what_the_engine_has_seen(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let seen = node.take(stage.key())?.grant.fence + (1 << 40);
    for above in [seen, seen + 1, seen * 2] {
        let held = node.grant(Claim { above, ..node.claim(stage.key()) })?;
        ensure(held.grant.fence > above, || format!("{} is not above", held.grant.fence))?;
        // And what it was above is not forgotten with the next grant of the key.
        let next = node.take(held.claim.key)?;
        ensure(next.grant.fence > held.grant.fence, || "the token fell".to_owned())?;
    }
    Ok(())
}

/// Time has gone on by a millisecond, whoever asks.
fn tokens_grow_when_the_store_has_forgotten_all(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let mut last = 0;
    grown(&mut last, one.take(key)?)?;
    for _ in 0..3 {
        stage.trouble(Trouble::Empty)?;
        stage.advance(Duration::from_millis(1));
        other.join()?;
        let held = grown(&mut last, other.take(key)?)?;
        same("status", held.grant.status, Status::Created)?;
    }
    Ok(())
}

/// As long as the store, or who asks, remembers a later one.
fn tokens_grow_when_the_clock_is_set_back(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let mut last = 0;
    same("end", one.end(&grown(&mut last, one.take(key)?)?, retry(MINUTE))?, Ended::Done)?;
    stage.trouble(Trouble::ClockBack(WINDOW))?;
    grown(&mut last, one.take(key)?)?;
    grown(&mut last, one.take(key)?)?;
    if stage.rig().trouble(Trouble::Empty) {
        other.join()?;
        let claim = Claim { above: last, ..other.claim(key) };
        grown(&mut last, other.grant(claim)?)?;
    }
    Ok(())
}

/// A store that has seen nothing begins with its wall time, as every engine does.
fn tokens_are_of_the_time(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let first = one.take(stage.key())?.grant.fence >> FenceClock::COUNT_BITS;
    ensure(first > 0, || "the token is not of this time".to_owned())?;
    let gone = LEASE * 6;
    stage.advance(gone);
    let second = other.take(stage.key())?.grant.fence >> FenceClock::COUNT_BITS;
    let gone_ms = u64::try_from(gone.as_millis()).unwrap_or(u64::MAX);
    ensure(second - first >= gone_ms, || format!("{} ms went by, not {gone_ms}", second - first))
}

/// Tokens are below 2^63: the last of them is given once, and then none.
fn tokens_end_without_a_second_one(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let key = stage.key();
    let last = (1 << 63) - 1;
    for above in [last - 2, last - 1] {
        let held = node.grant(Claim { above, ..node.claim(key) })?;
        same("token", held.grant.fence, above + 1)?;
    }
    for above in [0, last, u64::MAX] {
        let claim = Claim { above, ..node.claim(key) };
        if let Ok(Claimed::Granted(grant)) = node.tier.claim(&claim, super::stage::WITHIN) {
            return fail(format!("granted with {} above {above}", grant.fence));
        }
    }
    Ok(())
}

/// Attempt 1, a higher token, and no trace of the outcome; not a moment sooner.
fn after_the_window_it_starts_anew(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let mut last = 0;
    grown(&mut last, one.take(key)?)?;
    let held = grown(&mut last, one.take(key)?)?;
    same("end", one.end(&held, succeeded(&Outcome::new(200, b"first")))?, Ended::Done)?;
    stage.advance(WINDOW - MINUTE);
    let answer = other.ask(&other.claim(key))?;
    ensure(matches!(answer, Claimed::Finished(_)), || format!("in the window: {answer:?}"))?;
    stage.advance(MINUTE);
    same("the record", other.read(key)?, None)?;
    let claim = Claim { digest: 0xd3, ..other.claim(key) };
    let held = grown(&mut last, other.grant(claim)?)?;
    same("attempt", held.grant.attempt, 1)?;
    let status = held.grant.status;
    ensure(matches!(status, Status::Created | Status::Expired), || format!("{status:?}"))?;
    again_with(&other, key)
}

/// What was claimed with another payload is that payload's now.
fn again_with(node: &Node, key: TierKey) -> Verdict {
    let claim = node.claim(key);
    same("the old payload", node.ask(&claim)?, Claimed::Mismatched { digest: 0xd3 })
}

/// Its token is above `last`, which it becomes.
fn grown(last: &mut u64, held: Held) -> Result<Held, Stop> {
    let fence = held.grant.fence;
    ensure(fence > *last, || format!("the token {fence} came after {last}"))?;
    *last = fence;
    Ok(held)
}
