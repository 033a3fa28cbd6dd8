//! How an attempt ends, and who may end it.

use std::time::Duration;

use super::stage::{
    Case, Held, LEASE, MINUTE, Node, RETENTION, Stage, Stop, Verdict, WINDOW, cases, failed,
    finished, kind, left, retry, same, succeeded, unchanged, unknown,
};
use crate::engine::Status;
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, End, Ended, Ending, Holder, Sighting, TableId};

pub(super) const CASES: &[Case] = cases![
    only_its_holder_ends_an_attempt,
    a_repeated_end_is_done,
    an_end_in_another_way_is_fenced,
    a_repeated_end_leaves_what_it_had_left,
    a_repeated_retry_does_not_wait_longer,
    the_end_of_an_earlier_attempt_is_fenced,
    what_is_not_there_does_not_end,
    what_never_ran_first_leaves_nothing,
    what_never_ran_later_is_due_at_once,
    what_never_ran_gives_its_number_back,
    the_unresolved_is_settled,
    nothing_else_is_settled,
    a_failure_runs_again,
    what_was_settled_is_not_its_holders,
];

/// Every way to end an attempt, in one order.
fn ways(outcome: &Outcome) -> [End<'_>; 5] {
    [succeeded(outcome), failed(outcome), retry(LEASE), unknown(), End::NeverRan]
}

/// The same counter of another table, and another counter of the same table, are somebody else.
fn only_its_holder_ends_an_attempt(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.grant(one.claim_as(stage.key(), 5))?;
    let outcome = Outcome::new(200, b"");
    let its = held.claim.holder;
    let flipped = |bit: u32| Holder { table: TableId(its.table.0 ^ 1 << bit), counter: 5 };
    let strangers = [
        Holder { table: other.table, counter: 5 },
        Holder { table: its.table, counter: 4 },
        Holder { table: its.table, counter: 6 },
        flipped(0),
        flipped(64),
        flipped(127),
    ];
    for holder in strangers {
        for end in ways(&outcome) {
            unchanged(&one, held.claim.key, || {
                let ending = Ending { holder, ..held.ending(end) };
                same("a stranger's end", other.end_as(&ending)?, Ended::Fenced)
            })?;
        }
    }
    same("its holder's", other.end(&held, succeeded(&outcome))?, Ended::Done)
}

/// Who lost the reply asks again, by whichever tier.
fn a_repeated_end_is_done(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"done");
    for end in ways(&outcome) {
        for attempts in [1, 2] {
            let held = after(stage, &one, attempts)?;
            same("the end", one.end(&held, end)?, Ended::Done)?;
            for node in [&one, &other] {
                unchanged(&one, held.claim.key, || {
                    same("the end again", node.end(&held, end)?, Ended::Done)
                })?;
            }
        }
    }
    Ok(())
}

/// It has ended, and stays as it ended first.
fn an_end_in_another_way_is_fenced(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let outcome = Outcome::new(200, b"done");
    for (first, end) in ways(&outcome).into_iter().enumerate() {
        for (second, another) in ways(&outcome).into_iter().enumerate() {
            // Who did not know may still say how it ended.
            if first == second || matches!(end, End::Unknown { .. }) {
                continue;
            }
            let held = after(stage, &node, 2)?;
            same("the end", node.end(&held, end)?, Ended::Done)?;
            unchanged(&node, held.claim.key, || {
                let answer = node.end(&held, another)?;
                same(&format!("way {second} after {first}"), answer, Ended::Fenced)
            })?;
        }
    }
    Ok(())
}

/// Of two outcomes the first one counts.
fn a_repeated_end_leaves_what_it_had_left(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let held = node.take(stage.key())?;
    let first = Outcome::new(200, b"first");
    same("the end", node.end(&held, succeeded(&first))?, Ended::Done)?;
    stage.advance(WINDOW - LEASE);
    node.end(&held, succeeded(&Outcome::new(202, b"second")))?;
    let found = finished(node.ask(&node.claim(held.claim.key))?)?;
    same("outcome", found.outcome, Some(first))?;
    left(stage, found.remaining, WINDOW, WINDOW - LEASE)
}

/// Its delay counts from when it ended first.
fn a_repeated_retry_does_not_wait_longer(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    same("the end", one.end(&held, retry(LEASE))?, Ended::Done)?;
    stage.advance(LEASE - MINUTE);
    same("the end again", one.end(&held, retry(LEASE))?, Ended::Done)?;
    stage.advance(MINUTE);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// In every way, also in the one in which it ended, once the next one has begun.
fn the_end_of_an_earlier_attempt_is_fenced(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"");
    let first = one.take(stage.key())?;
    same("the end", one.end(&first, retry(Duration::ZERO))?, Ended::Done)?;
    let second = other.take(first.claim.key)?;
    for end in ways(&outcome) {
        unchanged(&other, first.claim.key, || {
            same("of the first", one.end(&first, end)?, Ended::Fenced)
        })?;
    }
    same("of the second", other.end(&second, failed(&outcome))?, Ended::Done)?;
    for end in ways(&outcome) {
        unchanged(&other, first.claim.key, || {
            same("of the first", one.end(&first, end)?, Ended::Fenced)
        })?;
    }
    Ok(())
}

/// Nothing is made of an end that restores nothing.
fn what_is_not_there_does_not_end(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let outcome = Outcome::new(200, b"");
    let mut held = node.take(stage.key())?;
    held.claim.key = stage.key();
    for end in [succeeded(&outcome), failed(&outcome), retry(LEASE), unknown()] {
        same("the end", node.end(&held, end)?, Ended::Fenced)?;
        same("the record", node.read(held.claim.key)?, None)?;
    }
    Ok(())
}

/// As if nobody had come.
fn what_never_ran_first_leaves_nothing(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    same("the end", one.end(&held, End::NeverRan)?, Ended::Done)?;
    same("the record", one.read(held.claim.key)?, None)?;
    let look = Claim { creates: false, ..other.claim(held.claim.key) };
    same("a claim that makes none", other.ask(&look)?, Claimed::Vacant)?;
    // Even of another payload.
    let next = other.grant(Claim { digest: 7, ..other.claim(held.claim.key) })?;
    same("attempt", next.grant.attempt, 1)?;
    let status = next.grant.status;
    same("it is the first", status != Status::Retried, true)
}

/// The attempt before it is not forgotten, nor is its payload.
fn what_never_ran_later_is_due_at_once(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = after(stage, &one, 2)?;
    same("the end", one.end(&held, End::NeverRan)?, Ended::Done)?;
    let holder = held.claim.holder;
    let waiting = Sighting::Waiting { holder, next_attempt: 2, due_in: Duration::ZERO };
    same("the record", one.read(held.claim.key)?, Some(waiting))?;
    let claim = Claim { digest: 7, ..other.claim(held.claim.key) };
    let mismatched = Claimed::Mismatched { digest: held.claim.digest };
    same("another payload", other.ask(&claim)?, mismatched)?;
    // It is remembered for as long as its claim said.
    stage.advance(RETENTION - MINUTE);
    let next = other.take(held.claim.key)?;
    same("status", next.grant.status, Status::Retried)?;
    // And after a takeover, whose attempt before it lapsed.
    stage.advance(LEASE);
    let held = one.take(held.claim.key)?;
    let attempt = held.grant.attempt;
    same("the end", one.end(&held, End::NeverRan)?, Ended::Done)?;
    same("attempt", other.take(held.claim.key)?.grant.attempt, attempt)
}

/// However often: the attempts that ran are counted, and no others.
fn what_never_ran_gives_its_number_back(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = after(stage, &one, 3)?.claim.key;
    let mut fence = 0;
    for node in [&one, &other, &one] {
        stage.advance(LEASE);
        let held = node.take(key)?;
        same("attempt", held.grant.attempt, 4)?;
        same("a higher token", held.grant.fence > fence, true)?;
        fence = held.grant.fence;
        same("the end", node.end(&held, End::NeverRan)?, Ended::Done)?;
    }
    Ok(())
}

/// By anybody, in three ways.
fn the_unresolved_is_settled(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"it had worked");
    for end in [succeeded(&outcome), failed(&outcome)] {
        let held = unresolved(stage, &one)?;
        same("settled", other.settle(held.claim.key, end)?, Ended::Done)?;
        let found = finished(one.ask(&one.claim(held.claim.key))?)?;
        same("failed", found.failed, matches!(end, End::Failed { .. }))?;
        same("outcome", found.outcome, Some(outcome.clone()))?;
        left(stage, found.remaining, WINDOW, Duration::ZERO)?;
    }
    let held = unresolved(stage, &one)?;
    same("settled", other.settle(held.claim.key, retry(LEASE))?, Ended::Done)?;
    let answer = other.ask(&other.claim(held.claim.key))?;
    let Claimed::Waiting { next_attempt, due_in } = answer else {
        return same("the claim", Some(answer), None);
    };
    same("next attempt", next_attempt, 2)?;
    left(stage, due_in, LEASE, Duration::ZERO)?;
    stage.advance(LEASE);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// What runs, waits, has finished, or is not there stays so.
fn nothing_else_is_settled(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"");
    let running = one.take(stage.key())?;
    let waiting = one.take(stage.key())?;
    same("the end", one.end(&waiting, retry(LEASE))?, Ended::Done)?;
    let done = one.take(stage.key())?;
    same("the end", one.end(&done, succeeded(&outcome))?, Ended::Done)?;
    let lost = one.take(stage.key())?;
    same("the end", one.end(&lost, failed(&outcome))?, Ended::Done)?;
    let nothing = stage.key();
    let all = |when: &str| {
        for key in [running.claim.key, waiting.claim.key, done.claim.key, nothing] {
            for end in [succeeded(&outcome), failed(&outcome), retry(Duration::ZERO)] {
                unchanged(&one, key, || same(when, other.settle(key, end)?, Ended::Fenced))?;
            }
        }
        for end in [succeeded(&outcome), failed(&outcome)] {
            let key = lost.claim.key;
            unchanged(&one, key, || same(when, other.settle(key, end)?, Ended::Fenced))?;
        }
        Ok(())
    };
    all("at once")?;
    // A lease that has lapsed, an attempt that is due.
    stage.advance(LEASE);
    all("when the time is up")?;
    same("its end", one.end(&running, succeeded(&outcome))?, Ended::Done)
}

/// By anybody: what failed for good, and no success.
fn a_failure_runs_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = after(stage, &one, 2)?;
    same("the end", one.end(&held, failed(&Outcome::new(500, b"")))?, Ended::Done)?;
    same("reopened", other.settle(held.claim.key, retry(LEASE))?, Ended::Done)?;
    same("again", other.settle(held.claim.key, retry(LEASE))?, Ended::Fenced)?;
    let answer = other.ask(&other.claim(held.claim.key))?;
    let Claimed::Waiting { next_attempt, due_in } = answer else {
        return same("the claim", Some(answer), None);
    };
    same("next attempt", next_attempt, 3)?;
    left(stage, due_in, LEASE, Duration::ZERO)?;
    stage.advance(LEASE);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 3)
}

/// It does not end as its holder asks, not even in the way in which it was settled.
fn what_was_settled_is_not_its_holders(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"settled");
    for settled in [succeeded(&outcome), failed(&outcome), retry(LEASE)] {
        let held = unresolved(stage, &one)?;
        same("settled", other.settle(held.claim.key, settled)?, Ended::Done)?;
        let before = one.read(held.claim.key)?;
        for end in [succeeded(&outcome), failed(&outcome), retry(Duration::ZERO), End::NeverRan] {
            same("its end", one.end(&held, end)?, Ended::Fenced)?;
        }
        let after = one.read(held.claim.key)?;
        same("the record", kind(&after), kind(&before))?;
    }
    Ok(())
}

fn unresolved(stage: &Stage<'_>, node: &Node) -> Result<Held, Stop> {
    let held = node.take(stage.key())?;
    same("the end", node.end(&held, unknown())?, Ended::Done)?;
    Ok(held)
}

/// Attempt number `attempts` of a key of its own, which runs.
fn after(stage: &Stage<'_>, node: &Node, attempts: u32) -> Result<Held, Stop> {
    let mut held = node.take(stage.key())?;
    for _ in 1..attempts {
        same("a retry", node.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
        held = node.take(held.claim.key)?;
    }
    same("attempt", held.grant.attempt, attempts)?;
    Ok(held)
}
