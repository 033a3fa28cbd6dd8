//! Who takes the next attempt, and when.

use std::time::Duration;

use super::stage::{
    Case, Held, LEASE, MINUTE, Node, RETENTION, Stage, Stop, Verdict, cases, ensure, left, retry,
    same,
};
use crate::engine::Status;
use crate::tier::{Claim, Claimed, End, Ended, Sighting};

pub(super) const CASES: &[Case] = cases![
    a_retry_waits_until_it_is_due,
    a_retry_is_due_at_its_time,
    what_is_scheduled_is_its_tables,
    what_is_scheduled_is_taken_when_due_by_who_says_so,
    a_plain_retry_is_no_schedulers,
    attempts_are_counted,
];

/// Then it is anybody's, once.
fn a_retry_waits_until_it_is_due(stage: &Stage<'_>) -> Verdict {
    let [one, other, third] = stage.nodes()?;
    let held = one.take(stage.key())?;
    let key = held.claim.key;
    same("the end", one.end(&held, retry(LEASE))?, Ended::Done)?;
    stage.advance(LEASE - MINUTE * 2);
    for node in [&other, &third] {
        for takes_scheduled in [false, true] {
            let claim = Claim { takes_scheduled, ..node.claim(key) };
            waits(stage, node.ask(&claim)?, LEASE, LEASE - MINUTE * 2)?;
        }
    }
    match other.read(key)? {
        Some(Sighting::Waiting { holder, next_attempt, due_in }) => {
            same("who was last", holder, held.claim.holder)?;
            same("next attempt", next_attempt, 2)?;
            left(stage, due_in, LEASE, LEASE - MINUTE * 2)?;
        }
        seen => same("the record", seen, None)?,
    }
    stage.advance(MINUTE * 2);
    let next = other.take(key)?;
    same("attempt", next.grant.attempt, 2)?;
    same("status", next.grant.status, Status::Retried)?;
    let answer = third.ask(&third.claim(key))?;
    ensure(matches!(answer, Claimed::Running { attempt: 2, .. }), || format!("{answer:?}"))
}

/// To the millisecond, where time stands still.
fn a_retry_is_due_at_its_time(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    same("the end", one.end(&held, retry(LEASE))?, Ended::Done)?;
    if stage.rig().is_exact() {
        let millisecond = Duration::from_millis(1);
        stage.advance(LEASE - millisecond);
        let waiting = Claimed::Waiting { next_attempt: 2, due_in: millisecond };
        let answer = other.ask(&other.claim(held.claim.key))?;
        same("a millisecond before", answer, waiting)?;
        stage.advance(millisecond);
    } else {
        stage.advance(LEASE);
    }
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// Due or not, others only see it; their table's scheduler takes it when it likes.
fn what_is_scheduled_is_its_tables(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = scheduled(stage, &one, b"how to run it")?;
    let key = held.claim.key;
    let answer = other.ask(&other.claim(key))?;
    ensure(matches!(answer, Claimed::Waiting { next_attempt: 2, .. }), || format!("{answer:?}"))?;
    stage.advance(LEASE);
    let due = Claimed::Waiting { next_attempt: 2, due_in: Duration::ZERO };
    same("when it is due", other.ask(&other.claim(key))?, due.clone())?;
    stage.advance(RETENTION - MINUTE);
    same("long after", other.ask(&other.claim(key))?, due)?;
    let next = one.take(key)?;
    same("attempt", next.grant.attempt, 2)?;
    same("status", next.grant.status, Status::Retried)
}

/// Not before, and by one of them.
fn what_is_scheduled_is_taken_when_due_by_who_says_so(stage: &Stage<'_>) -> Verdict {
    let [one, other, third] = stage.nodes()?;
    let held = scheduled(stage, &one, b"how to run it")?;
    let key = held.claim.key;
    let taking = |node: &Node| Claim { takes_scheduled: true, ..node.claim(key) };
    stage.advance(LEASE - MINUTE);
    let answer = other.ask(&taking(&other))?;
    ensure(matches!(answer, Claimed::Waiting { next_attempt: 2, .. }), || format!("{answer:?}"))?;
    stage.advance(MINUTE);
    let next = other.grant(taking(&other))?;
    same("attempt", next.grant.attempt, 2)?;
    same("status", next.grant.status, Status::Retried)?;
    let answer = third.ask(&taking(&third))?;
    ensure(matches!(answer, Claimed::Running { attempt: 2, .. }), || format!("{answer:?}"))?;
    let is_stale = one.end(&held, retry(Duration::ZERO))?;
    same("the end of the one before", is_stale, Ended::Fenced)
}

/// Each retry says anew whose the next attempt is.
fn a_plain_retry_is_no_schedulers(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = scheduled(stage, &one, b"how to run it")?;
    stage.advance(LEASE);
    let held = one.take(held.claim.key)?;
    same("the end", one.end(&held, retry(LEASE))?, Ended::Done)?;
    stage.advance(LEASE);
    same("orphans", super::orphans::found(&other, 10)?.len(), 0)?;
    same("attempt", other.take(held.claim.key)?.grant.attempt, 3)
}

/// More of them than fit into a byte.
fn attempts_are_counted(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = stage.key();
    for attempt in 1..=300 {
        let node = if attempt % 2 == 0 { &one } else { &other };
        let held = node.take(key)?;
        same("attempt", held.grant.attempt, attempt)?;
        same("the end", node.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
    }
    Ok(())
}

/// Its first attempt has ended, and the second is left to `node`, with `context`.
pub(super) fn scheduled(stage: &Stage<'_>, node: &Node, context: &[u8]) -> Result<Held, Stop> {
    let held = node.take(stage.key())?;
    same("the end", node.end(&held, later(LEASE, context))?, Ended::Done)?;
    Ok(held)
}

/// The next attempt is due after `due_in`, for the table that had this one.
pub(super) fn later(due_in: Duration, context: &[u8]) -> End<'_> {
    End::Retry { due_in, retention: RETENTION, scheduled: Some(context) }
}

fn waits(stage: &Stage<'_>, answer: Claimed, whole: Duration, gone: Duration) -> Verdict {
    match answer {
        Claimed::Waiting { next_attempt, due_in } => {
            same("next attempt", next_attempt, 2)?;
            left(stage, due_in, whole, gone)
        }
        answer => same("the claim", Some(answer), None),
    }
}
