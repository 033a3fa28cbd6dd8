//! What a store gets back that has forgotten it.

use std::time::Duration;

use super::rig::Trouble;
use super::stage::{
    Case, Held, LEASE, MINUTE, Node, Stage, Stop, Verdict, WINDOW, cases, ensure, failed, finished,
    left, retry, same, succeeded, unchanged, unknown,
};
use crate::engine::OnLapse;
use crate::outcome::Outcome;
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, Holder, Renewal, Renewed, Sighting, TierKey,
};

pub(super) const CASES: &[Case] = cases![
    an_end_makes_it_again,
    a_renewal_makes_it_again,
    nothing_is_made_again_unless_it_says_so,
    what_never_ran_is_not_made_again,
    who_came_first_keeps_it,
    a_token_that_is_made_again_counts,
    what_is_there_is_not_made_again,
    a_lower_token_is_an_older_grant,
    an_end_makes_good_what_a_fail_over_lost,
    a_renewal_makes_good_what_a_fail_over_lost,
];

/// As if the store had never lost it: attempt, payload, holder, and what it left.
fn an_end_makes_it_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"kept");
    for end in [succeeded(&outcome), failed(&outcome), retry(LEASE), unknown()] {
        let held = forgotten(stage, &one)?;
        let ending = Ending { restores: true, ..held.ending(end) };
        same("the end", one.end_as(&ending)?, Ended::Done)?;
        same("the end again", one.end_as(&ending)?, Ended::Done)?;
        other.join()?;
        let key = held.claim.key;
        let mismatched = Claimed::Mismatched { digest: held.claim.digest };
        let claim = Claim { digest: 7, ..other.claim(key) };
        same("another payload", other.ask(&claim)?, mismatched)?;
        match (end, other.ask(&other.claim(key))?) {
            (End::Retry { .. }, Claimed::Waiting { next_attempt, due_in }) => {
                same("next attempt", next_attempt, 3)?;
                left(stage, due_in, LEASE, Duration::ZERO)?;
            }
            (End::Unknown { .. }, Claimed::Unresolved) => {
                let holder = held.claim.holder;
                same("its holder", other.read(key)?, Some(Sighting::Unresolved { holder }))?;
            }
            (end, Claimed::Finished(found)) => {
                same("failed", found.failed, matches!(end, End::Failed { .. }))?;
                same("outcome", found.outcome, Some(outcome.clone()))?;
                left(stage, found.remaining, WINDOW, Duration::ZERO)?;
            }
            (_, answer) => same("the claim", Some(answer), None)?,
        }
    }
    Ok(())
}

/// Its holder holds it, and its policy is the one that it was claimed with.
fn a_renewal_makes_it_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = forgotten(stage, &one)?;
    let renewal = Renewal { restores: true, on_lapse: OnLapse::Failed, ..held.renewal(LEASE * 2) };
    same("the renewal", one.renew(&renewal)?, Renewed::Done)?;
    other.join()?;
    let (key, holder) = (held.claim.key, held.claim.holder);
    match other.read(key)? {
        Some(Sighting::Running { holder: seen, attempt, remaining }) => {
            same("holder", seen, holder)?;
            same("attempt", attempt, 2)?;
            left(stage, remaining, LEASE * 2, Duration::ZERO)?;
        }
        seen => same("the record", seen, None)?,
    }
    let mismatched = Claimed::Mismatched { digest: held.claim.digest };
    let claim = Claim { digest: 7, ..other.claim(key) };
    same("another payload", other.ask(&claim)?, mismatched)?;
    stage.advance(LEASE * 2 - MINUTE);
    let answer = other.ask(&other.claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 2, .. }), || format!("{answer:?}"))?;
    same("a plain renewal", one.renew(&held.renewal(MINUTE))?, Renewed::Done)?;
    stage.advance(MINUTE);
    let found = finished(other.ask(&other.claim(key))?)?;
    same("outcome", found.outcome, Some(Outcome::new(504, b"")))
}

/// The lease may have lapsed, and what is gone may be over.
fn nothing_is_made_again_unless_it_says_so(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let outcome = Outcome::new(200, b"");
    let held = forgotten(stage, &node)?;
    for end in [succeeded(&outcome), failed(&outcome), retry(LEASE), unknown()] {
        same("the end", node.end(&held, end)?, Ended::Fenced)?;
    }
    same("the renewal", node.renew(&held.renewal(LEASE))?, Renewed::Fenced)?;
    same("the record", node.read(held.claim.key)?, None)
}

/// The store has nothing, and that is as if it had not been claimed.
fn what_never_ran_is_not_made_again(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let held = node.take(stage.key())?;
    empty(stage, &node)?;
    let ending = Ending { restores: true, ..held.ending(End::NeverRan) };
    same("the end", node.end_as(&ending)?, Ended::Done)?;
    same("the record", node.read(held.claim.key)?, None)
}

/// Nobody takes a record from who was granted it since.
fn who_came_first_keeps_it(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = forgotten(stage, &one)?;
    let key = held.claim.key;
    other.join()?;
    let next = other.take(key)?;
    ensure(next.grant.fence > held.grant.fence, || "the token fell".to_owned())?;
    cannot_come_back(&one, &held)?;
    same("its end", other.end(&next, retry(LEASE))?, Ended::Done)?;
    cannot_come_back(&one, &held)?;
    stage.advance(LEASE);
    let next = other.take(key)?;
    same("its end", other.end(&next, succeeded(&Outcome::new(200, b"theirs")))?, Ended::Done)?;
    cannot_come_back(&one, &held)
}

fn cannot_come_back(node: &Node, held: &Held) -> Verdict {
    let outcome = Outcome::new(200, b"mine");
    unchanged(node, held.claim.key, || {
        let renewal = Renewal { restores: true, ..held.renewal(LEASE) };
        same("the renewal", node.renew(&renewal)?, Renewed::Fenced)?;
        for end in [succeeded(&outcome), failed(&outcome), retry(LEASE), unknown()] {
            let ending = Ending { restores: true, ..held.ending(end) };
            same("the end", node.end_as(&ending)?, Ended::Fenced)?;
        }
        Ok(())
    })
}

/// The next one is above it, even if the clock is behind.
fn a_token_that_is_made_again_counts(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let ahead = one.take(stage.key())?.grant.fence + (1 << 45);
    for is_end in [false, true] {
        let held = one.grant(Claim { above: ahead, ..one.claim(stage.key()) })?;
        empty(stage, &one)?;
        if is_end {
            let ending = Ending { restores: true, ..held.ending(retry(Duration::ZERO)) };
            same("the end", one.end_as(&ending)?, Ended::Done)?;
        } else {
            let renewal = Renewal { restores: true, ..held.renewal(MINUTE) };
            same("the renewal", one.renew(&renewal)?, Renewed::Done)?;
        }
        stage.advance(MINUTE);
        other.join()?;
        let next = other.take(held.claim.key)?;
        let (before, after) = (held.grant.fence, next.grant.fence);
        ensure(after > before, || format!("the token {after} came after {before}"))?;
    }
    Ok(())
}

/// A record that was not forgotten is renewed and ended by the same rules as ever.
fn what_is_there_is_not_made_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let held = one.grant(Claim { on_lapse: OnLapse::Unknown, ..one.claim(key) })?;
    let renewal = Renewal {
        restores: true,
        attempt: 9,
        digest: 7,
        on_lapse: OnLapse::Reclaim,
        ..held.renewal(LEASE)
    };
    same("the renewal", one.renew(&renewal)?, Renewed::Done)?;
    let mismatched = Claimed::Mismatched { digest: held.claim.digest };
    same("its payload", other.ask(&Claim { digest: 7, ..other.claim(key) })?, mismatched)?;
    stage.advance(LEASE);
    same("its policy", other.ask(&other.claim(key))?, Claimed::Unresolved)?;
    same("the end", one.end(&one.take(stage.key())?, unknown())?, Ended::Done)
}

/// The store has gone back to an older state: the grant with the higher token is the newer one.
fn a_lower_token_is_an_older_grant(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"newer");
    for end in [None, Some(retry(Duration::ZERO)), Some(unknown())] {
        let held = one.take(stage.key())?;
        if let Some(end) = end {
            same("the end", one.end(&held, end)?, Ended::Done)?;
        }
        let newer = newer_than(&held, &other);
        // With a token that is not above the one on record, it is no newer grant.
        let mut older = newer;
        older.grant.fence = held.grant.fence;
        cannot_come_back(&other, &older)?;
        let renewal = Renewal { restores: false, ..newer.renewal(LEASE) };
        same("without saying so", other.renew(&renewal)?, Renewed::Fenced)?;
        let renewal = Renewal { restores: true, ..newer.renewal(LEASE) };
        same("the renewal", other.renew(&renewal)?, Renewed::Done)?;
        same("the older one", one.end(&held, retry(LEASE))?, Ended::Fenced)?;
        let third = one.ask(&one.claim(held.claim.key))?;
        ensure(matches!(third, Claimed::Running { attempt: 2, .. }), || format!("{third:?}"))?;
        same("its end", other.end(&newer, succeeded(&outcome))?, Ended::Done)?;
    }
    // An end comes back as a renewal does.
    let held = one.take(stage.key())?;
    let newer = newer_than(&held, &other);
    let ending = Ending { restores: true, ..newer.ending(succeeded(&outcome)) };
    same("the end", other.end_as(&ending)?, Ended::Done)?;
    let found = finished(one.ask(&one.claim(held.claim.key))?)?;
    same("outcome", found.outcome, Some(outcome))
}

/// The grant after `held`, to `node`, which the store has forgotten.
fn newer_than(held: &Held, node: &Node) -> Held {
    let mut newer = *held;
    newer.claim.holder = Holder { table: node.table, counter: 1 };
    newer.grant.attempt += 1;
    newer.grant.fence += 1 << 30;
    newer
}

/// No second run of what has ended, though its grant was lost.
fn an_end_makes_good_what_a_fail_over_lost(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = rolled_back(stage, &one, &other)?;
    let outcome = Outcome::new(200, b"it ran");
    let ending = Ending { restores: true, ..held.ending(succeeded(&outcome)) };
    same("the end", other.end_as(&ending)?, Ended::Done)?;
    one.join()?;
    let found = finished(one.ask(&one.claim(key))?)?;
    same("outcome", found.outcome, Some(outcome))
}

/// No second one beside it, though its grant was lost.
fn a_renewal_makes_good_what_a_fail_over_lost(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (held, key) = rolled_back(stage, &one, &other)?;
    let renewal = Renewal { restores: true, ..held.renewal(LEASE) };
    same("the renewal", other.renew(&renewal)?, Renewed::Done)?;
    one.join()?;
    let answer = one.ask(&one.claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 2, .. }), || format!("{answer:?}"))?;
    same("its end", other.end(&held, unknown())?, Ended::Done)
}

/// The second attempt of a key, held by `other`, of which the store only knows the first.
fn rolled_back(stage: &Stage<'_>, one: &Node, other: &Node) -> Result<(Held, TierKey), Stop> {
    let first = one.take(stage.key())?;
    same("the end", one.end(&first, retry(Duration::ZERO))?, Ended::Done)?;
    stage.trouble(Trouble::Remember)?;
    let held = other.take(first.claim.key)?;
    same("attempt", held.grant.attempt, 2)?;
    stage.trouble(Trouble::GoBack)?;
    stage.advance(Duration::from_millis(1));
    other.join()?;
    Ok((held, first.claim.key))
}

/// The second attempt of a key, of which the store knows nothing any more.
fn forgotten(stage: &Stage<'_>, node: &Node) -> Result<Held, Stop> {
    let held = node.take(stage.key())?;
    same("a retry", node.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
    let held = node.take(held.claim.key)?;
    empty(stage, node)?;
    Ok(held)
}

/// The store forgets all, which takes a moment.
fn empty(stage: &Stage<'_>, node: &Node) -> Verdict {
    stage.trouble(Trouble::Empty)?;
    stage.advance(Duration::from_millis(1));
    node.join().map(drop)
}
