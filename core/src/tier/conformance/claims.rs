//! Who is granted, and what the others are told.

use std::time::Duration;

use super::stage::{
    Case, LEASE, MINUTE, Node, Stage, Verdict, WINDOW, cases, ensure, failed, finished, kind, left,
    retry, same, succeeded, unknown,
};
use crate::engine::Status;
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, Ended, TierKey};

pub(super) const CASES: &[Case] = cases![
    one_holder_at_a_time,
    the_first_grant_is_created,
    a_claim_repeated_by_its_holder_is_granted_again,
    a_repeated_claim_has_its_lease_from_then_on,
    an_older_counter_of_the_table_is_stale,
    the_counter_of_an_attempt_that_has_ended_is_stale,
    a_newer_counter_takes_over_what_runs,
    a_newer_counter_takes_over_what_waits,
    another_payload_wins_over_every_answer,
    nothing_is_made_that_may_not_be,
    what_may_not_be_made_is_taken_where_it_is,
    a_finished_record_answers_everybody,
    keys_do_not_meet,
];

/// Of two tables that ask, one is granted, and the other is told how long that lasts.
fn one_holder_at_a_time(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let held = one.take(key)?;
    for gone in [Duration::ZERO, MINUTE, MINUTE * 2] {
        stage.advance(gone);
        match other.ask(&other.claim(key))? {
            Claimed::Running { attempt, remaining } => {
                same("attempt", attempt, held.grant.attempt)?;
                let all = if gone == MINUTE * 2 { MINUTE * 3 } else { gone };
                left(stage, remaining, LEASE, all)?;
            }
            answer => same("the other's claim", Some(answer), None)?,
        }
    }
    Ok(())
}

/// Nobody has had it: attempt 1, created, with a token of this time.
fn the_first_grant_is_created(stage: &Stage<'_>) -> Verdict {
    let held = stage.node()?.take(stage.key())?;
    same("attempt", held.grant.attempt, 1)?;
    same("status", held.grant.status, Status::Created)?;
    ensure(held.grant.fence < 1 << 63, || format!("the token {} is too high", held.grant.fence))
}

/// The same grant again, however often, and by whichever tier.
fn a_claim_repeated_by_its_holder_is_granted_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    one.end(&one.take(key)?, retry(Duration::ZERO))?;
    let held = one.take(key)?;
    for node in [&one, &other, &one] {
        let again = node.grant(held.claim)?;
        same("fence", again.grant.fence, held.grant.fence)?;
        same("attempt", again.grant.attempt, 2)?;
    }
    // Lapsed, but nobody has come.
    stage.advance(LEASE + MINUTE);
    same("fence after the lapse", one.grant(held.claim)?.grant.fence, held.grant.fence)
}

/// Whoever counts from before it asked last may count on the whole lease.
fn a_repeated_claim_has_its_lease_from_then_on(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    stage.advance(LEASE - MINUTE);
    one.grant(held.claim)?;
    stage.advance(LEASE - MINUTE * 2);
    let answer = other.ask(&other.claim(held.claim.key))?;
    ensure(matches!(answer, Claimed::Running { .. }), || format!("it lapsed: {answer:?}"))
}

/// A message that was delayed changes nothing, running or waiting.
fn an_older_counter_of_the_table_is_stale(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let key = stage.key();
    let held = node.grant(node.claim_as(key, 7))?;
    same("an older claim", node.ask(&node.claim_as(key, 6))?, Claimed::Stale)?;
    same("its holder's end", node.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
    let before = node.read(key)?;
    same("an older claim of what waits", node.ask(&node.claim_as(key, 3))?, Claimed::Stale)?;
    stage.advance(MINUTE);
    same("what waits", kind(&node.read(key)?), kind(&before))
}

/// A claim that arrives after its own attempt has ended starts nothing.
fn the_counter_of_an_attempt_that_has_ended_is_stale(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    same("its end", one.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
    same("the claim again", one.ask(&held.claim)?, Claimed::Stale)?;
    same("the next attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// Its table vouches that the attempt before is over, lapsed or not.
fn a_newer_counter_takes_over_what_runs(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    let mut before = one.take(key)?;
    for (attempt, gone) in [(2, Duration::ZERO), (3, LEASE + MINUTE)] {
        stage.advance(gone);
        let held = one.take(key)?;
        same("attempt", held.grant.attempt, attempt)?;
        ensure(held.grant.fence > before.grant.fence, || format!("the token of {attempt} fell"))?;
        same("the end of the one before", one.end(&before, unknown())?, Ended::Fenced)?;
        before = held;
    }
    let answer = other.ask(&other.claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 3, .. }), || format!("{answer:?}"))
}

/// So it does when the next attempt is not due, and when it is; others wait until then.
fn a_newer_counter_takes_over_what_waits(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    same("end", one.end(&one.take(key)?, retry(LEASE))?, Ended::Done)?;
    match other.ask(&other.claim(key))? {
        Claimed::Waiting { next_attempt, due_in } => {
            same("next attempt", next_attempt, 2)?;
            left(stage, due_in, LEASE, Duration::ZERO)?;
        }
        answer => same("the other's claim", Some(answer), None)?,
    }
    let held = one.take(key)?;
    same("attempt before it is due", held.grant.attempt, 2)?;
    same("status before it is due", held.grant.status, Status::Retried)?;
    same("end", one.end(&held, retry(LEASE))?, Ended::Done)?;
    stage.advance(LEASE);
    let held = one.take(key)?;
    same("attempt when it is due", held.grant.attempt, 3)?;
    same("status when it is due", held.grant.status, Status::Retried)
}

/// Whatever the record is, and whoever asks.
fn another_payload_wins_over_every_answer(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"done");
    let mismatched = |node: &Node, key: TierKey, counter: u64| {
        let claim = Claim { digest: 0xd2, creates: false, ..node.claim_as(key, counter) };
        let before = node.read(key)?;
        same("the claim", node.ask(&claim)?, Claimed::Mismatched { digest: 0xd1 })?;
        let after = node.read(key)?;
        same("the record", kind(&after), kind(&before))
    };
    let everybody = |key: TierKey| {
        // Older, its own and newer of the table; another table.
        for counter in [1, 5, 9] {
            mismatched(&one, key, counter)?;
        }
        mismatched(&other, key, 1)
    };
    let running = one.grant(one.claim_as(stage.key(), 5))?;
    everybody(running.claim.key)?;
    for end in [retry(Duration::ZERO), retry(LEASE), unknown(), succeeded(&outcome)] {
        let held = one.grant(one.claim_as(stage.key(), 5))?;
        same("end", one.end(&held, end)?, Ended::Done)?;
        everybody(held.claim.key)?;
    }
    stage.advance(LEASE + MINUTE);
    everybody(running.claim.key)
}

/// A look for a record that is not there leaves none.
fn nothing_is_made_that_may_not_be(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let key = stage.key();
    let claim = Claim { creates: false, ..node.claim(key) };
    same("the claim", node.ask(&claim)?, Claimed::Vacant)?;
    same("the record", node.read(key)?, None)?;
    same("attempt", node.take(key)?.grant.attempt, 1)
}

/// A record that is there is claimed by the same rules, whether one may be made or not; one whose
/// window is over is not there.
fn what_may_not_be_made_is_taken_where_it_is(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    one.end(&one.take(key)?, retry(Duration::ZERO))?;
    let held = other.grant(Claim { creates: false, ..other.claim(key) })?;
    same("attempt", held.grant.attempt, 2)?;
    let held = other.grant(Claim { creates: false, ..other.claim(key) })?;
    same("attempt", held.grant.attempt, 3)?;
    stage.advance(LEASE);
    let held = one.grant(Claim { creates: false, ..one.claim(key) })?;
    same("attempt", held.grant.attempt, 4)?;
    same("end", one.end(&held, succeeded(&Outcome::new(200, b"")))?, Ended::Done)?;
    stage.advance(WINDOW);
    let claim = Claim { creates: false, ..one.claim(key) };
    same("after the window", one.ask(&claim)?, Claimed::Vacant)
}

/// Its holder, its table before and after, and every other one.
fn a_finished_record_answers_everybody(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for is_failed in [false, true] {
        let key = stage.key();
        let outcome = Outcome::new(201, b"made");
        let held = one.grant(one.claim_as(key, 5))?;
        let end = if is_failed { failed(&outcome) } else { succeeded(&outcome) };
        same("end", one.end(&held, end)?, Ended::Done)?;
        for claim in [1, 5, 9].map(|counter| one.claim_as(key, counter)) {
            let found = finished(one.ask(&claim)?)?;
            same("failed", found.failed, is_failed)?;
            same("outcome", found.outcome, Some(outcome.clone()))?;
        }
        let found = finished(other.ask(&other.claim(key))?)?;
        same("outcome", found.outcome, Some(outcome))?;
        left(stage, found.remaining, WINDOW, Duration::ZERO)?;
    }
    Ok(())
}

/// What happens to one key says nothing about another, even if they differ in one bit.
fn keys_do_not_meet(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    one.take(key)?;
    for at in 0..TierKey::BYTES {
        for bit in [0, 7] {
            let mut bytes = key.to_bytes();
            bytes[at] ^= 1 << bit;
            let held = other.take(TierKey::from_bytes(bytes))?;
            same("status", held.grant.status, Status::Created)?;
        }
    }
    Ok(())
}
