//! How a store that has forgotten says so.

use std::time::Duration;

use super::rig::Trouble;
use super::stage::{
    Case, LEASE, Node, Stage, Verdict, WITHIN, cases, ensure, fail, finished, must, retry, same,
    succeeded,
};
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, Ended, Ending, Renewal, Renewed, TierErrorKind, TierKey};

pub(super) const CASES: &[Case] = cases![
    a_first_session_has_lost_nothing,
    a_store_that_was_emptied_refuses_claims,
    whoever_had_a_session_hears_that_it_is_lost,
    ends_and_renewals_need_no_session,
    looks_need_no_session,
    a_restart_that_loses_nothing_keeps_everything,
    a_fail_over_refuses_claims,
];

/// Nor has a second one, of the same tier or of another.
fn a_first_session_has_lost_nothing(stage: &Stage<'_>) -> Verdict {
    let tiers = [stage.rig().tier(), stage.rig().tier()];
    let first = must(tiers[0].session(WITHIN), "session")?;
    same("lost at first", first.lost, false)?;
    for tier in &tiers {
        same("again", must(tier.session(WITHIN), "session")?, first)?;
    }
    Ok(())
}

/// Of everybody, as often as they ask, until they have joined; and makes nothing of them.
fn a_store_that_was_emptied_refuses_claims(stage: &Stage<'_>) -> Verdict {
    let nodes: [Node; 2] = stage.nodes()?;
    let key = stage.key();
    nodes[0].take(stage.key())?;
    empty(stage)?;
    for node in &nodes {
        for _ in 0..2 {
            is_refused(node, key)?;
        }
    }
    same("the record", nodes[0].read(key)?, None)?;
    nodes[1].join()?;
    nodes[1].take(key)?;
    is_refused(&nodes[0], key)?;
    nodes[0].join()?;
    let answer = nodes[0].ask(&nodes[0].claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 1, .. }), || format!("{answer:?}"))
}

/// Each of them once for each time; who came later had nothing to lose.
fn whoever_had_a_session_hears_that_it_is_lost(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for _ in 0..2 {
        empty(stage)?;
        same("lost to one", one.join()?, true)?;
        same("lost to one again", one.join()?, false)?;
        let newcomer = must(stage.rig().tier().session(WITHIN), "session")?;
        same("lost to a newcomer", newcomer.lost, false)?;
    }
    same("lost to the other", other.join()?, true)?;
    let one = must(one.tier.session(WITHIN), "session")?;
    let other = must(other.tier.session(WITHIN), "session")?;
    same("one session", one.id, other.id)
}

/// What runs must be able to end, whatever the store has forgotten.
fn ends_and_renewals_need_no_session(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    let ended = one.take(stage.key())?;
    empty(stage)?;
    let renewal = Renewal { restores: true, ..held.renewal(LEASE) };
    same("the renewal", one.renew(&renewal)?, Renewed::Done)?;
    let outcome = Outcome::new(200, b"it ran");
    for held in [&held, &ended] {
        let ending = Ending { restores: true, ..held.ending(succeeded(&outcome)) };
        same("the end", one.end_as(&ending)?, Ended::Done)?;
    }
    is_refused(&one, held.claim.key)?;
    other.join()?;
    for held in [&held, &ended] {
        let found = finished(other.ask(&other.claim(held.claim.key))?)?;
        same("outcome", found.outcome, Some(outcome.clone()))?;
    }
    Ok(())
}

/// Reading, beating, looking for orphans: they say what there is now.
fn looks_need_no_session(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let held = node.take(stage.key())?;
    empty(stage)?;
    same("the record", node.read(held.claim.key)?, None)?;
    must(node.tier.beat(node.table, LEASE, WITHIN), "beat")?;
    same("orphans", super::orphans::found(&node, 10)?.len(), 0)?;
    let settled = node.settle(held.claim.key, retry(Duration::ZERO))?;
    same("settled", settled, Ended::Fenced)
}

/// Claims may be refused once, but what was acknowledged is there.
fn a_restart_that_loses_nothing_keeps_everything(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"kept");
    let running = one.take(stage.key())?;
    let done = one.take(stage.key())?;
    same("the end", one.end(&done, succeeded(&outcome))?, Ended::Done)?;
    stage.trouble(Trouble::Restart)?;
    for node in [&one, &other] {
        node.join()?;
        let found = finished(node.ask(&node.claim(done.claim.key))?)?;
        same("outcome", found.outcome, Some(outcome.clone()))?;
    }
    let answer = other.ask(&other.claim(running.claim.key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 1, .. }), || format!("{answer:?}"))?;
    same("its renewal", one.renew(&running.renewal(LEASE))?, Renewed::Done)?;
    same("its end", one.end(&running, retry(Duration::ZERO))?, Ended::Done)?;
    let next = other.take(running.claim.key)?;
    same("attempt", next.grant.attempt, 2)?;
    ensure(next.grant.fence > running.grant.fence, || "the token fell".to_owned())
}

/// As a store does that was emptied: who has joined it may have lost something.
fn a_fail_over_refuses_claims(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let kept = one.take(stage.key())?;
    stage.trouble(Trouble::Remember)?;
    let lost = one.take(stage.key())?;
    stage.trouble(Trouble::GoBack)?;
    is_refused(&other, lost.claim.key)?;
    same("lost", other.join()?, true)?;
    stage.advance(Duration::from_millis(1));
    let answer = other.ask(&other.claim(kept.claim.key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 1, .. }), || format!("{answer:?}"))?;
    let next = other.take(lost.claim.key)?;
    ensure(next.grant.fence > lost.grant.fence, || "the token fell".to_owned())
}

fn empty(stage: &Stage<'_>) -> Verdict {
    stage.trouble(Trouble::Empty)?;
    stage.advance(Duration::from_millis(1));
    Ok(())
}

fn is_refused(node: &Node, key: TierKey) -> Verdict {
    for creates in [true, false] {
        let claim = Claim { creates, ..node.claim(key) };
        match node.tier.claim(&claim, WITHIN) {
            Err(error) => same("the refusal", error.kind(), TierErrorKind::SessionOver)?,
            Ok(answer) => return fail(format!("a claim of a session that is over: {answer:?}")),
        }
    }
    Ok(())
}
