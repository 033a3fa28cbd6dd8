//! What tables leave that are there no more.

use std::time::Duration;

use super::retries::{later, scheduled};
use super::stage::{
    Case, LEASE, MINUTE, Node, RETENTION, Stage, Stop, Verdict, WITHIN, cases, ensure, must, retry,
    same, succeeded, unknown,
};
use crate::outcome::Outcome;
use crate::tier::{Claim, End, Ended, Orphan, TierKey};

pub(super) const CASES: &[Case] = cases![
    what_is_due_and_whose_table_is_gone_is_an_orphan,
    a_table_that_beats_keeps_what_is_its_own,
    only_what_is_scheduled_is_an_orphan,
    there_are_no_more_orphans_than_asked_for,
    who_takes_an_orphan_has_it,
    an_orphan_that_never_ran_is_still_one,
    an_orphan_is_told_whole,
    what_is_forgotten_leaves_nothing_for_a_scheduler,
];

/// Not before it is due; by whoever asks; until it is forgotten.
fn what_is_due_and_whose_table_is_gone_is_an_orphan(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = scheduled(stage, &one, b"how to run it")?;
    stage.advance(LEASE - MINUTE);
    same("before it is due", found(&other, 10)?, vec![])?;
    stage.advance(MINUTE);
    let orphan = Orphan {
        key: held.claim.key,
        holder: held.claim.holder,
        next_attempt: 2,
        digest: held.claim.digest,
        context: stage.kept(b"how to run it"),
    };
    same("when it is due", found(&other, 10)?, vec![orphan.clone()])?;
    stage.advance(RETENTION - MINUTE);
    same("as long as it is kept", found(&one, 10)?, vec![orphan])?;
    stage.advance(MINUTE);
    same("when it is forgotten", found(&one, 10)?, vec![])
}

/// As long as it said that it would be there, from its last beat on.
fn a_table_that_beats_keeps_what_is_its_own(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let its = scheduled(stage, &one, b"its own")?.claim.key;
    beat(&other, LEASE * 9)?;
    beat(&one, LEASE + MINUTE * 2)?;
    stage.advance(LEASE);
    same("while it beats", found(&other, 10)?, vec![])?;
    beat(&one, MINUTE * 5)?;
    stage.advance(MINUTE * 4);
    same("while it beats on", found(&other, 10)?, vec![])?;
    stage.advance(MINUTE);
    same("when it is gone", keys(&found(&other, 10)?), vec![its])?;
    beat(&one, MINUTE * 5)?;
    same("when it is back", found(&other, 10)?, vec![])?;
    stage.advance(MINUTE * 5);
    same("when it is gone again", keys(&found(&other, 10)?), vec![its])?;
    // A shorter beat is what counts, too.
    beat(&one, LEASE)?;
    beat(&one, MINUTE)?;
    stage.advance(MINUTE);
    same("after its last beat", keys(&found(&other, 10)?), vec![its])
}

/// Plain retries, what runs, is unresolved, or has finished is nobody's orphan.
fn only_what_is_scheduled_is_an_orphan(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"");
    one.take(stage.key())?;
    for end in [retry(Duration::ZERO), unknown(), succeeded(&outcome), End::NeverRan] {
        // It was scheduled once, and is not any more.
        let plain = one.take(stage.key())?;
        same("the end", one.end(&plain, end)?, Ended::Done)?;
        if !matches!(end, End::NeverRan) {
            let held = scheduled(stage, &one, b"before")?;
            let held = one.take(held.claim.key)?;
            same("the end", one.end(&held, end)?, Ended::Done)?;
        }
    }
    // It was scheduled, and runs.
    let held = scheduled(stage, &one, b"before")?;
    one.take(held.claim.key)?;
    stage.advance(LEASE * 2);
    same("orphans", found(&other, 10)?, vec![])
}

/// And all of them are found, if that many are asked for.
fn there_are_no_more_orphans_than_asked_for(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let mut left = Vec::new();
    for _ in 0..40 {
        left.push(scheduled(stage, &one, b"")?.claim.key);
    }
    stage.advance(LEASE);
    same("of none", found(&other, 0)?.len(), 0)?;
    for limit in [1, 5, 39] {
        let some = found(&other, limit)?.len();
        ensure(some >= limit, || format!("{some} were found, of {limit} at a time"))?;
    }
    let mut all = keys(&found(&other, 1_000)?);
    all.sort();
    left.sort();
    same("all of them", all, left)
}

/// Nobody else finds it then, nor when it ends.
fn who_takes_an_orphan_has_it(stage: &Stage<'_>) -> Verdict {
    let [gone, one, other] = stage.nodes()?;
    let key = scheduled(stage, &gone, b"how to run it")?.claim.key;
    stage.advance(LEASE);
    let orphan = found(&one, 10)?.pop();
    same("its key", orphan.as_ref().map(|orphan| orphan.key), Some(key))?;
    let held = take(&one, key)?;
    same("attempt", Some(held.grant.attempt), orphan.map(|orphan| orphan.next_attempt))?;
    same("while it runs", found(&other, 10)?, vec![])?;
    // It is left to the table that took it.
    beat(&one, LEASE * 2)?;
    same("the end", one.end(&held, later(LEASE, b"how to go on"))?, Ended::Done)?;
    stage.advance(LEASE);
    same("while that one beats", found(&other, 10)?, vec![])?;
    stage.advance(LEASE);
    let orphans = found(&other, 10)?;
    same("its holder", orphans.first().map(|orphan| orphan.holder), Some(held.claim.holder))?;
    let context = orphans.first().map(|orphan| orphan.context.clone());
    same("its context", context, Some(stage.kept(b"how to go on")))
}

/// With all that was left to run it with.
fn an_orphan_that_never_ran_is_still_one(stage: &Stage<'_>) -> Verdict {
    let [gone, one, other] = stage.nodes()?;
    let key = scheduled(stage, &gone, b"how to run it")?.claim.key;
    stage.advance(LEASE);
    for _ in 0..2 {
        let held = take(&one, key)?;
        same("the end", one.end(&held, End::NeverRan)?, Ended::Done)?;
        let orphans = found(&other, 10)?;
        same("orphans", keys(&orphans), vec![key])?;
        same("next attempt", orphans[0].next_attempt, 2)?;
        same("context", &orphans[0].context, &stage.kept(b"how to run it"))?;
    }
    Ok(())
}

/// Whatever bytes it has, and if it has none.
fn an_orphan_is_told_whole(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let long = [7; 4_096];
    for context in [b"".as_slice(), &every_byte, &long, b"\r\n"] {
        let node = stage.node()?;
        let held = node.grant(Claim { digest: u64::MAX, ..node.claim(stage.key()) })?;
        same("the end", node.end(&held, later(LEASE, context))?, Ended::Done)?;
        stage.advance(LEASE);
        let orphans = found(&other, 10)?;
        same("how many", orphans.len(), 1)?;
        same("its context", &orphans[0].context, &stage.kept(context))?;
        same("its payload", orphans[0].digest, u64::MAX)?;
        same("its holder", orphans[0].holder, held.claim.holder)?;
        let claim = Claim { digest: u64::MAX, takes_scheduled: true, ..one.claim(held.claim.key) };
        one.grant(claim)?;
    }
    Ok(())
}

/// A record that begins anew has nothing of the one before it.
fn what_is_forgotten_leaves_nothing_for_a_scheduler(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let key = scheduled(stage, &one, b"before")?.claim.key;
    stage.advance(LEASE + RETENTION);
    same("attempt", other.take(key)?.grant.attempt, 1)?;
    stage.advance(LEASE);
    let held = other.take(key)?;
    same("the end", other.end(&held, End::NeverRan)?, Ended::Done)?;
    same("orphans", found(&one, 10)?, vec![])?;
    same("attempt", one.take(key)?.grant.attempt, 2)
}

/// The orphans that `node` finds in as many looks as a store may take, each of them once.
pub(super) fn found(node: &Node, limit: usize) -> Result<Vec<Orphan>, Stop> {
    let mut all: Vec<Orphan> = Vec::new();
    for _ in 0..LOOKS {
        let found = must(node.tier.orphans(limit, WITHIN), "orphans")?;
        ensure(found.len() <= limit, || format!("{} orphans, of {limit}", found.len()))?;
        for (at, orphan) in found.iter().enumerate() {
            let is_new = found[..at].iter().all(|other| other.key != orphan.key);
            ensure(is_new, || format!("{:?} came twice", orphan.key))?;
        }
        all.extend(found.into_iter().filter(|orphan| !all.contains(orphan)).collect::<Vec<_>>());
    }
    Ok(all)
}

fn take(node: &Node, key: TierKey) -> Result<super::stage::Held, Stop> {
    node.grant(Claim { takes_scheduled: true, ..node.claim(key) })
}

fn beat(node: &Node, lasts: Duration) -> Verdict {
    must(node.tier.beat(node.table, lasts, WITHIN), "beat").map(drop)
}

fn keys(orphans: &[Orphan]) -> Vec<TierKey> {
    orphans.iter().map(|orphan| orphan.key).collect()
}

/// After so many looks a store has looked everywhere.
const LOOKS: usize = 8;
