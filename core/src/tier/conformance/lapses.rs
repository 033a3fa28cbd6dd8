//! What comes of a lease that is over.

use std::time::Duration;

use super::stage::{
    Case, Held, LEASE, MINUTE, Node, RETENTION, Stage, Stop, Verdict, WINDOW, cases, ensure,
    finished, kind, left, retry, same, succeeded, unknown,
};
use crate::engine::{OnLapse, Status};
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, Ended, Renewed, Sighting, TierKey};

pub(super) const CASES: &[Case] = cases![
    another_table_waits_for_the_lapse,
    a_lease_is_over_at_its_end,
    a_lapsed_attempt_is_reclaimed,
    a_lapsed_attempt_becomes_unresolved,
    who_is_unresolved_may_still_end,
    a_lapsed_attempt_fails,
    the_policy_is_that_of_the_claim_that_runs,
    a_newer_counter_is_above_the_policy,
    who_lapsed_may_end_until_somebody_comes,
    who_lapsed_may_renew_until_somebody_comes,
    what_nobody_came_for_is_forgotten,
    a_look_lets_nothing_lapse,
    what_has_lapsed_is_kept_from_when_it_was_met,
    an_attempt_does_not_end_as_the_one_before_it,
];

/// Not before the end of the lease, whatever the other says of its own.
fn another_table_waits_for_the_lapse(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    one.take(key)?;
    stage.advance(LEASE - MINUTE);
    let claim = Claim { lease: MINUTE, on_lapse: OnLapse::Failed, ..other.claim(key) };
    let answer = other.ask(&claim)?;
    ensure(matches!(answer, Claimed::Running { .. }), || format!("before the end: {answer:?}"))?;
    stage.advance(MINUTE);
    same("attempt", other.take(key)?.grant.attempt, 2)
}

/// To the millisecond, where time stands still.
fn a_lease_is_over_at_its_end(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    one.take(key)?;
    if stage.rig().is_exact() {
        stage.advance(LEASE - Duration::from_millis(1));
        let answer = other.ask(&other.claim(key))?;
        let running = Claimed::Running { attempt: 1, remaining: Duration::from_millis(1) };
        same("a millisecond before", answer, running)?;
        stage.advance(Duration::from_millis(1));
    } else {
        stage.advance(LEASE);
    }
    match one.read(key)? {
        Some(Sighting::Running { attempt, remaining, .. }) => {
            same("attempt", attempt, 1)?;
            same("remaining", remaining, Duration::ZERO)?;
        }
        sighting => same("the record", sighting, None)?,
    }
    same("attempt", other.take(key)?.grant.attempt, 2)
}

/// The next one gets the next attempt and a higher token, and the one before is fenced.
fn a_lapsed_attempt_is_reclaimed(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = lapsed(stage, &one, OnLapse::Reclaim)?;
    let next = other.take(key)?;
    same("attempt", next.grant.attempt, 2)?;
    same("status", next.grant.status, Status::Expired)?;
    ensure(next.grant.fence > held.grant.fence, || "the token fell".to_owned())?;
    is_fenced(&one, &held)?;
    let answer = one.ask(&one.claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 2, .. }), || format!("{answer:?}"))
}

/// It runs for nobody, not even for its own table, and says who ran it.
fn a_lapsed_attempt_becomes_unresolved(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = lapsed(stage, &one, OnLapse::Unknown)?;
    same("the other's claim", other.ask(&other.claim(key))?, Claimed::Unresolved)?;
    same("its table's claim", one.ask(&one.claim(key))?, Claimed::Unresolved)?;
    let wanted = Some(Sighting::Unresolved { holder: held.claim.holder });
    same("the record", other.read(key)?, wanted)?;
    same("its renewal", one.renew(&held.renewal(LEASE))?, Renewed::Fenced)?;
    stage.advance(RETENTION - MINUTE * 2);
    same("as long as it says", other.ask(&other.claim(key))?, Claimed::Unresolved)?;
    same("settled", other.settle(key, retry(Duration::ZERO))?, Ended::Done)?;
    same("attempt", other.take(key)?.grant.attempt, 2)
}

/// Its holder knows after all how it ended, whether it had lapsed or was said to be unknown.
fn who_is_unresolved_may_still_end(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"after all");
    let (held, key) = lapsed(stage, &one, OnLapse::Unknown)?;
    same("the other's claim", other.ask(&other.claim(key))?, Claimed::Unresolved)?;
    same("its end", one.end(&held, succeeded(&outcome))?, Ended::Done)?;
    let found = finished(other.ask(&other.claim(key))?)?;
    same("outcome", found.outcome, Some(outcome))?;
    let held = one.take(stage.key())?;
    for _ in 0..2 {
        same("unknown", one.end(&held, unknown())?, Ended::Done)?;
    }
    same("its end", one.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// Status 504 without bytes, for as long as the claim said.
fn a_lapsed_attempt_fails(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = lapsed(stage, &one, OnLapse::Failed)?;
    for node in [&other, &one] {
        let found = finished(node.ask(&node.claim(key))?)?;
        ensure(found.failed, || "it succeeded".to_owned())?;
        same("outcome", found.outcome, Some(Outcome::new(504, b"")))?;
        left(stage, found.remaining, RETENTION, Duration::ZERO)?;
    }
    is_fenced(&one, &held)?;
    stage.advance(RETENTION - MINUTE * 2);
    finished(other.ask(&other.claim(key))?)?;
    stage.advance(MINUTE * 2);
    same("attempt after it", other.take(key)?.grant.attempt, 1)
}

/// Of each attempt anew; that of whoever comes says nothing about the one before.
fn the_policy_is_that_of_the_claim_that_runs(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (_, key) = lapsed(stage, &one, OnLapse::Reclaim)?;
    let next = other.grant(Claim { on_lapse: OnLapse::Unknown, ..other.claim(key) })?;
    same("attempt", next.grant.attempt, 2)?;
    stage.advance(LEASE);
    same("the one after it", one.ask(&one.claim(key))?, Claimed::Unresolved)
}

/// The table vouches that its attempt is over: nothing is unknown.
fn a_newer_counter_is_above_the_policy(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for on_lapse in [OnLapse::Unknown, OnLapse::Failed, OnLapse::Reclaim] {
        let (_, key) = lapsed(stage, &node, on_lapse)?;
        same("attempt", node.take(key)?.grant.attempt, 2)?;
    }
    Ok(())
}

/// A late end counts, as long as nobody was told anything else.
fn who_lapsed_may_end_until_somebody_comes(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for on_lapse in [OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed] {
        let (held, key) = lapsed(stage, &one, on_lapse)?;
        let outcome = Outcome::new(200, b"late");
        same("its end", one.end(&held, succeeded(&outcome))?, Ended::Done)?;
        let found = finished(other.ask(&other.claim(key))?)?;
        same("outcome", found.outcome, Some(outcome))?;
        left(stage, found.remaining, WINDOW, Duration::ZERO)?;
    }
    Ok(())
}

/// Nobody else has come, so it still runs.
fn who_lapsed_may_renew_until_somebody_comes(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = lapsed(stage, &one, OnLapse::Unknown)?;
    same("its renewal", one.renew(&held.renewal(LEASE))?, Renewed::Done)?;
    stage.advance(LEASE - MINUTE);
    let answer = other.ask(&other.claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 1, .. }), || format!("{answer:?}"))
}

/// A retention after the lease, or after the due time, there is nothing; before, there is.
fn what_nobody_came_for_is_forgotten(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let running = one.take(stage.key())?.claim.key;
    let waiting = one.take(stage.key())?;
    same("end", one.end(&waiting, retry(LEASE))?, Ended::Done)?;
    let unresolved = one.take(stage.key())?;
    same("end", one.end(&unresolved, unknown())?, Ended::Done)?;
    stage.advance(RETENTION - MINUTE);
    let sighting = one.read(unresolved.claim.key)?;
    ensure(sighting.is_some(), || "the unresolved one was forgotten too soon".to_owned())?;
    stage.advance(LEASE);
    for key in [running, waiting.claim.key] {
        ensure(one.read(key)?.is_some(), || "it was forgotten too soon".to_owned())?;
    }
    stage.advance(MINUTE);
    for key in [running, waiting.claim.key, unresolved.claim.key] {
        same("the record", one.read(key)?, None)?;
        same("attempt", other.take(key)?.grant.attempt, 1)?;
    }
    is_fenced(&one, &waiting)
}

/// Reading is no claim: the holder may still come.
fn a_look_lets_nothing_lapse(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = lapsed(stage, &one, OnLapse::Unknown)?;
    let holder = held.claim.holder;
    let wanted = Some(Sighting::Running { holder, attempt: 1, remaining: Duration::ZERO });
    same("the record", other.read(key)?, wanted.clone())?;
    same("the record again", other.read(key)?, wanted)?;
    same("its end", one.end(&held, unknown())?, Ended::Done)
}

/// A retention from then on, not from its lapse.
fn what_has_lapsed_is_kept_from_when_it_was_met(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for on_lapse in [OnLapse::Failed, OnLapse::Unknown] {
        let (_, key) = lapsed(stage, &one, on_lapse)?;
        stage.advance(LEASE * 3);
        other.ask(&other.claim(key))?;
        stage.advance(RETENTION - MINUTE * 2);
        match (on_lapse, other.ask(&other.claim(key))?) {
            (OnLapse::Failed, Claimed::Finished(found)) => {
                left(stage, found.remaining, RETENTION, RETENTION - MINUTE * 2)?;
            }
            (OnLapse::Unknown, Claimed::Unresolved) => {}
            (_, answer) => same("the claim", Some(answer), None)?,
        }
    }
    Ok(())
}

/// What the attempt before it was answered says nothing about how this one ended.
fn an_attempt_does_not_end_as_the_one_before_it(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let first = one.take(stage.key())?;
    let key = first.claim.key;
    same("a retry", one.end(&first, retry(Duration::ZERO))?, Ended::Done)?;
    let held = one.grant(Claim { on_lapse: OnLapse::Failed, ..one.claim(key) })?;
    stage.advance(LEASE);
    finished(other.ask(&other.claim(key))?)?;
    is_fenced(&one, &held)
}

/// An attempt of `node` whose lease is over.
fn lapsed(stage: &Stage<'_>, node: &Node, on_lapse: OnLapse) -> Result<(Held, TierKey), Stop> {
    let held = node.grant(Claim { on_lapse, ..node.claim(stage.key()) })?;
    stage.advance(LEASE);
    Ok((held, held.claim.key))
}

/// Whatever it says, it changes nothing.
fn is_fenced(node: &Node, held: &Held) -> Verdict {
    let before = node.read(held.claim.key)?;
    let outcome = Outcome::new(200, b"too late");
    same("its end", node.end(held, succeeded(&outcome))?, Ended::Fenced)?;
    same("its retry", node.end(held, retry(Duration::ZERO))?, Ended::Fenced)?;
    same("its renewal", node.renew(&held.renewal(LEASE * 9))?, Renewed::Fenced)?;
    same("the record", kind(&node.read(held.claim.key)?), kind(&before))
}
