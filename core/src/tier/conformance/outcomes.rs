//! What duplicates get.

use std::time::Duration;

use super::stage::{
    Case, Held, MINUTE, Node, Stage, Stop, Verdict, WINDOW, cases, ensure, failed, finished, left,
    must, same, succeeded,
};
use crate::outcome::Outcome;
use crate::tier::{Claimed, End, Ended, Sighting};

pub(super) const CASES: &[Case] = cases![
    an_outcome_comes_back_byte_for_byte,
    an_empty_outcome_is_an_outcome,
    an_outcome_may_be_as_large_as_the_limit,
    an_outcome_that_is_too_large_is_let_go,
    a_withheld_outcome_is_kept_back,
    a_failure_is_told_from_a_success,
    a_window_is_as_long_as_it_says,
    a_window_of_nothing_is_over,
];

/// Status, metadata in its order, and a body of every byte.
fn an_outcome_comes_back_byte_for_byte(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let every_byte: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let plain = |status: u16, body: &[u8]| Outcome::new(status, body);
    let with = |outcome: Outcome, name: &str, value: &str| {
        must(outcome.with_metadata(name, value), "metadata")
    };
    let long = "v".repeat(8_192);
    let named = with(plain(422, &every_byte), "b", "2")?;
    let named = with(with(named, "a", "1\r\n\0\u{fc}{}")?, "b", "")?;
    let outcomes = [
        plain(200, &every_byte),
        plain(200, b"\r\n$-1\r\n"),
        plain(0, b"0"),
        plain(u16::MAX, b"\0"),
        named,
        with(plain(204, b""), &"n".repeat(255), &long)?,
    ];
    for outcome in outcomes {
        let held = one.take(stage.key())?;
        same("the end", one.end(&held, succeeded(&outcome))?, Ended::Done)?;
        for node in [&one, &other] {
            same("claimed", &kept(node, &held)?, &Some(outcome.clone()))?;
        }
        let Some(Sighting::Finished(seen)) = other.read(held.claim.key)? else {
            return same("what is read", other.read(held.claim.key)?, None);
        };
        same("failed", seen.failed, false)?;
        left(stage, seen.remaining, WINDOW, Duration::ZERO)?;
        let found = seen.outcome.unwrap_or_default();
        same("status", found.status(), outcome.status())?;
        let (metadata, wanted) = (found.metadata().collect(), outcome.metadata().collect());
        same::<Vec<_>>("metadata", metadata, wanted)?;
        same("body", found.body(), outcome.body())?;
    }
    Ok(())
}

/// It is not the same as none.
fn an_empty_outcome_is_an_outcome(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for end in [succeeded, failed] {
        let held = node.take(stage.key())?;
        let empty = Outcome::default();
        same("the end", node.end(&held, end(&empty))?, Ended::Done)?;
        same("outcome", kept(&node, &held)?, Some(empty))?;
    }
    Ok(())
}

/// All of it comes back.
fn an_outcome_may_be_as_large_as_the_limit(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let mut body: Vec<u8> = Vec::new();
    while Outcome::new(200, &body).stored_bytes() < stage.rig().outcome_bytes() {
        body.extend(stage.draw().to_le_bytes());
    }
    let largest = Outcome::new(200, &body);
    let fits = largest.stored_bytes() == stage.rig().outcome_bytes();
    ensure(fits, || "the rig's limit is no multiple of eight bytes".to_owned())?;
    let held = node.take(stage.key())?;
    same("the end", node.end(&held, succeeded(&largest))?, Ended::Done)?;
    same("the bytes", kept(&node, &held)? == Some(largest), true)
}

/// Its record is kept: nothing runs again.
fn an_outcome_that_is_too_large_is_let_go(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let Some(bytes) = stage.rig().too_large() else {
        return Err(Stop::Cannot("a limit of outcomes".to_owned()));
    };
    // Nothing that could be made smaller.
    let large = Outcome::new(200, (0..bytes).map(|_| stage.draw() as u8).collect::<Vec<_>>());
    for is_failed in [false, true] {
        let held = one.take(stage.key())?;
        let end = if is_failed { failed(&large) } else { succeeded(&large) };
        same("the end", one.end(&held, end)?, Ended::WithoutBytes)?;
        let again = one.end(&held, end)?;
        ensure(again != Ended::Fenced, || "the end again is fenced".to_owned())?;
        let found = finished(other.ask(&other.claim(held.claim.key))?)?;
        same("outcome", found.outcome, None)?;
        same("failed", found.failed, is_failed)?;
        left(stage, found.remaining, WINDOW, Duration::ZERO)?;
    }
    Ok(())
}

/// It ends as any other, and nobody gets it.
fn a_withheld_outcome_is_kept_back(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for is_failed in [false, true] {
        let held = node.take(stage.key())?;
        let withheld = Outcome::withheld(200);
        let end = if is_failed { failed(&withheld) } else { succeeded(&withheld) };
        same("the end", node.end(&held, end)?, Ended::Done)?;
        same("the end again", node.end(&held, end)?, Ended::Done)?;
        let found = finished(node.ask(&node.claim(held.claim.key))?)?;
        same("outcome", found.outcome, None)?;
        same("failed", found.failed, is_failed)?;
    }
    Ok(())
}

/// In a claim's answer as in what is read.
fn a_failure_is_told_from_a_success(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for is_failed in [true, false] {
        let outcome = Outcome::new(503, b"no");
        let held = node.take(stage.key())?;
        let end = if is_failed { failed(&outcome) } else { succeeded(&outcome) };
        same("the end", node.end(&held, end)?, Ended::Done)?;
        let found = finished(node.ask(&node.claim(held.claim.key))?)?;
        same("claimed", found.failed, is_failed)?;
        match node.read(held.claim.key)? {
            Some(Sighting::Finished(seen)) => same("read", seen.failed, is_failed)?,
            seen => same("read", seen, None)?,
        }
    }
    Ok(())
}

/// Each outcome for its own.
fn a_window_is_as_long_as_it_says(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let outcome = Outcome::new(200, b"");
    let short = node.take(stage.key())?;
    let end = End::Failed { outcome: &outcome, window: MINUTE * 30 };
    same("the end", node.end(&short, end)?, Ended::Done)?;
    let long = node.take(stage.key())?;
    let end = End::Succeeded { outcome: &outcome, window: MINUTE * 60 };
    same("the end", node.end(&long, end)?, Ended::Done)?;
    stage.advance(MINUTE * 28);
    for (held, window) in [(&short, MINUTE * 30), (&long, MINUTE * 60)] {
        let found = finished(node.ask(&node.claim(held.claim.key))?)?;
        left(stage, found.remaining, window, MINUTE * 28)?;
    }
    stage.advance(MINUTE * 2);
    same("after the short window", node.read(short.claim.key)?, None)?;
    finished(node.ask(&node.claim(long.claim.key))?)?;
    stage.advance(MINUTE * 30);
    same("after the long one", node.read(long.claim.key)?, None)?;
    same("attempt", node.take(long.claim.key)?.grant.attempt, 1)
}

/// Duplicates of it run: that is what was asked for.
fn a_window_of_nothing_is_over(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let held = node.take(stage.key())?;
    let outcome = Outcome::new(200, b"");
    let end = End::Succeeded { outcome: &outcome, window: Duration::ZERO };
    same("the end", node.end(&held, end)?, Ended::Done)?;
    same("the record", node.read(held.claim.key)?, None)?;
    same("attempt", node.take(held.claim.key)?.grant.attempt, 1)
}

/// What a duplicate of it gets.
fn kept(node: &Node, held: &Held) -> Result<Option<Outcome>, Stop> {
    match node.ask(&node.claim(held.claim.key))? {
        Claimed::Finished(found) => Ok(found.outcome),
        answer => same("the duplicate's claim", Some(answer), None).map(|()| None),
    }
}
