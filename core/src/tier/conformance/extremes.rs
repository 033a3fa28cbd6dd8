//! The smallest and the largest of everything.

use std::time::Duration;

use super::stage::{
    Case, Held, LEASE, Node, Stage, Verdict, WITHIN, cases, ensure, finished, left, retry, same,
    succeeded,
};
use crate::outcome::Outcome;
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, Holder, Renewal, Renewed, Sighting, TableId, TierKey,
};

pub(super) const CASES: &[Case] = cases![
    a_lease_may_be_a_millisecond,
    a_lease_may_be_a_year,
    a_window_may_be_ten_years,
    a_delay_may_be_a_year,
    counters_may_be_as_large_as_they_get,
    payloads_differ_by_one_bit,
    tables_are_told_apart_by_one_bit,
    no_time_is_too_long,
    any_bytes_are_a_key,
    attempts_may_be_as_many_as_there_are,
];

/// It is over a millisecond later.
fn a_lease_may_be_a_millisecond(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let millisecond = Duration::from_millis(1);
    let held = one.grant(Claim { lease: millisecond, ..one.claim(stage.key()) })?;
    stage.advance(millisecond);
    let claim = Claim { lease: millisecond, ..other.claim(held.claim.key) };
    same("attempt", other.grant(claim)?.grant.attempt, 2)?;
    same("its end", one.end(&held, retry(Duration::ZERO))?, Ended::Fenced)
}

/// And it may be renewed for another one.
fn a_lease_may_be_a_year(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let claim = Claim { lease: YEAR, retention: YEAR, ..one.claim(stage.key()) };
    let held = one.grant(claim)?;
    stage.advance(YEAR - DAY);
    runs(stage, &other, held.claim.key, DAY)?;
    same("the renewal", one.renew(&held.renewal(YEAR))?, Renewed::Done)?;
    runs(stage, &other, held.claim.key, YEAR)?;
    stage.advance(YEAR);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

fn runs(stage: &Stage<'_>, node: &Node, key: TierKey, remains: Duration) -> Verdict {
    match node.ask(&node.claim(key))? {
        Claimed::Running { remaining, .. } => left(stage, remaining, remains, Duration::ZERO),
        answer => same("the claim", Some(answer), None),
    }
}

/// It answers until its last day.
fn a_window_may_be_ten_years(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    let outcome = Outcome::new(200, b"");
    let end = End::Succeeded { outcome: &outcome, window: YEAR * 10 };
    same("the end", one.end(&held, end)?, Ended::Done)?;
    stage.advance(YEAR * 10 - DAY);
    let found = finished(other.ask(&other.claim(held.claim.key))?)?;
    left(stage, found.remaining, DAY, Duration::ZERO)?;
    stage.advance(DAY);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 1)
}

/// And the store remembers it until then.
fn a_delay_may_be_a_year(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    same("the end", one.end(&held, retry(YEAR))?, Ended::Done)?;
    stage.advance(YEAR - DAY);
    match other.ask(&other.claim(held.claim.key))? {
        Claimed::Waiting { due_in, .. } => left(stage, due_in, DAY, Duration::ZERO)?,
        answer => same("the claim", Some(answer), None)?,
    }
    stage.advance(DAY);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// They are compared as whole numbers.
fn counters_may_be_as_large_as_they_get(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let key = stage.key();
    let last = (1 << 44) - 1;
    for counter in [0, 1, 9, 10, 1 << 32, last - 1, last] {
        let held = node.grant(node.claim_as(key, counter))?;
        match node.read(key)? {
            Some(Sighting::Running { holder, .. }) => same("holder", holder, held.claim.holder)?,
            seen => same("the record", seen, None)?,
        }
        if counter > 0 {
            let older = node.claim_as(key, counter - 1);
            same("the one before", node.ask(&older)?, Claimed::Stale)?;
        }
        same("the same", node.grant(held.claim)?.grant.fence, held.grant.fence)?;
    }
    Ok(())
}

/// And are told exactly.
fn payloads_differ_by_one_bit(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for digest in [0, 1 << 63, u64::MAX, (1 << 53) + 1] {
        let held = one.grant(Claim { digest, ..one.claim(stage.key()) })?;
        for bit in [0, 1, 31, 32, 63] {
            let claim = Claim { digest: digest ^ 1 << bit, ..other.claim(held.claim.key) };
            same("the claim", other.ask(&claim)?, Claimed::Mismatched { digest })?;
        }
        let answer = other.ask(&Claim { digest, ..other.claim(held.claim.key) })?;
        ensure(matches!(answer, Claimed::Running { .. }), || format!("{answer:?}"))?;
    }
    Ok(())
}

/// Even those whose number is nothing, or all there is.
fn tables_are_told_apart_by_one_bit(stage: &Stage<'_>) -> Verdict {
    let [node, other] = stage.nodes()?;
    for table in [0, 1, u128::MAX, 1 << 127, u128::from(u64::MAX)] {
        let holder = Holder { table: TableId(table), counter: 5 };
        let held = node.grant(Claim { holder, ..node.claim(stage.key()) })?;
        match other.read(held.claim.key)? {
            Some(Sighting::Running { holder: seen, .. }) => same("holder", seen, holder)?,
            seen => same("the record", seen, None)?,
        }
        for bit in [0, 1, 63, 64, 127] {
            let holder = Holder { table: TableId(table ^ 1 << bit), counter: 6 };
            let answer = other.ask(&Claim { holder, ..other.claim(held.claim.key) })?;
            ensure(matches!(answer, Claimed::Running { .. }), || format!("{answer:?}"))?;
            let ending = Ending { holder, ..held.ending(End::NeverRan) };
            same("a stranger's end", other.end_as(&ending)?, Ended::Fenced)?;
        }
    }
    Ok(())
}

/// It is as long as a store can tell, or it is refused; nothing is short because it was long.
fn no_time_is_too_long(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"");
    let (longest, retention) = (Duration::MAX, Duration::MAX);
    let ends = [
        End::Succeeded { outcome: &outcome, window: longest },
        End::Failed { outcome: &outcome, window: longest },
        End::Retry { due_in: longest, retention, scheduled: None },
        End::Unknown { retention },
    ];
    for end in ends {
        let claim = Claim { lease: longest, retention, ..one.claim(stage.key()) };
        let Ok(Claimed::Granted(grant)) = one.tier.claim(&claim, WITHIN) else { continue };
        let held = Held { claim, grant };
        stage.advance(DAY);
        let answer = other.ask(&other.claim(claim.key))?;
        ensure(matches!(answer, Claimed::Running { .. }), || format!("a long lease: {answer:?}"))?;
        // Whether they are refused is the store's affair.
        let _ = one.tier.renew(&held.renewal(longest), WITHIN);
        let _ = one.tier.end(&held.ending(end), WITHIN);
        let _ = one.tier.beat(one.table, longest, WITHIN);
        stage.advance(DAY);
        let answer = other.ask(&other.claim(claim.key))?;
        let was_short = matches!(answer, Claimed::Granted(_) | Claimed::Vacant);
        ensure(!was_short, || format!("after {end:?}: {answer:?}"))?;
    }
    Ok(())
}

/// Braces, line ends and zeros too.
fn any_bytes_are_a_key(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for byte in [0, b'{', b'}', b'*', b'\n', b' ', b':', 0x7f, 0xff] {
        let mut bytes = [byte; TierKey::BYTES];
        for last in [byte, byte ^ 1] {
            bytes[TierKey::BYTES - 1] = last;
            let held = node.take(TierKey::from_bytes(bytes))?;
            same("attempt", held.grant.attempt, 1)?;
            let outcome = Outcome::new(200, [byte, last]);
            same("the end", node.end(&held, succeeded(&outcome))?, Ended::Done)?;
            let found = finished(node.ask(&node.claim(held.claim.key))?)?;
            same("outcome", found.outcome, Some(outcome))?;
        }
    }
    Ok(())
}

/// A count that is made again goes on from where it was.
fn attempts_may_be_as_many_as_there_are(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let mut held = one.take(stage.key())?;
    held.claim.key = stage.key();
    held.grant.attempt = u32::MAX - 1;
    let renewal = Renewal { restores: true, ..held.renewal(LEASE) };
    same("the renewal", one.renew(&renewal)?, Renewed::Done)?;
    stage.advance(LEASE);
    same("attempt", other.take(held.claim.key)?.grant.attempt, u32::MAX)
}

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
