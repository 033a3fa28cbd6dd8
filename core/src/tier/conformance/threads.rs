//! Many at the same moment.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::stage::{
    Case, Held, LEASE, Node, Stage, Stop, Verdict, WITHIN, cases, ensure, fail, must, retry, same,
    succeeded, unknown,
};
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, Ended, Grant, Tier, TierError, TierKey};

pub(super) const CASES: &[Case] = cases![
    of_many_claims_at_once_one_is_granted,
    of_an_end_and_a_takeover_one_counts,
    of_many_settlements_one_counts,
    keys_do_not_wait_for_each_other,
];

/// Of a key that nobody had, of one that waits, of one that has lapsed.
fn of_many_claims_at_once_one_is_granted(stage: &Stage<'_>) -> Verdict {
    let nodes: [Node; 4] = stage.nodes()?;
    for round in 0..ROUNDS {
        let key = stage.key();
        let mut wanted = 1;
        if round % 3 > 0 {
            let held = nodes[0].take(key)?;
            wanted = 2;
            if round % 3 == 1 {
                same("a retry", nodes[0].end(&held, retry(LEASE))?, Ended::Done)?;
            }
            stage.advance(LEASE);
        }
        // Of the table that had it before, only another process comes: it has no newer claim.
        let others = if wanted == 1 { &nodes[..] } else { &nodes[1..] };
        let granted = at_once(others, key)?;
        same("granted", granted.len(), 1)?;
        same("attempt", granted[0].1.attempt, wanted)?;
        let (claim, grant) = granted[0];
        let held = Held { claim, grant };
        let outcome = Outcome::new(200, b"");
        same("its end", nodes[0].end(&held, succeeded(&outcome))?, Ended::Done)?;
    }
    Ok(())
}

/// All of `nodes` claim `key` at the same moment; who was granted it.
fn at_once(nodes: &[Node], key: TierKey) -> Result<Vec<(Claim, Grant)>, Stop> {
    let asks: Vec<_> = nodes
        .iter()
        .map(|node| {
            let (tier, claim) = (Arc::clone(&node.tier), node.claim(key));
            move || (claim, tier.claim(&claim, WITHIN))
        })
        .collect();
    let mut granted = Vec::new();
    for (claim, answer) in together(asks) {
        match must(answer, "claim")? {
            Claimed::Granted(grant) => granted.push((claim, grant)),
            Claimed::Running { .. } => {}
            answer => return fail(format!("a claim among others: {answer:?}")),
        }
    }
    Ok(granted)
}

/// Either it has ended, and its duplicate gets that; or the next one runs, and the end is fenced.
fn of_an_end_and_a_takeover_one_counts(stage: &Stage<'_>) -> Verdict {
    type Both = (Option<Result<Ended, TierError>>, Option<Result<Claimed, TierError>>);
    let [one, other] = stage.nodes()?;
    for _ in 0..ROUNDS {
        let held = one.take(stage.key())?;
        stage.advance(LEASE);
        let (its, theirs) = (Arc::clone(&one.tier), Arc::clone(&other.tier));
        let claim = other.claim(held.claim.key);
        let both: Vec<Box<dyn FnOnce() -> Both + Send>> = vec![
            Box::new(move || {
                let outcome = Outcome::new(200, b"late");
                (Some(its.end(&held.ending(succeeded(&outcome)), WITHIN)), None)
            }),
            Box::new(move || (None, Some(theirs.claim(&claim, WITHIN)))),
        ];
        let mut answers = (None, None);
        for (ended, claimed) in together(both) {
            answers.0 = answers.0.or(ended);
            answers.1 = answers.1.or(claimed);
        }
        match answers {
            (Some(Ok(Ended::Done)), Some(Ok(Claimed::Finished(_)))) => {}
            (Some(Ok(Ended::Fenced)), Some(Ok(Claimed::Granted(grant)))) => {
                same("attempt", grant.attempt, 2)?;
            }
            other => return fail(format!("both count, or none: {other:?}")),
        }
    }
    Ok(())
}

/// The others find it settled.
fn of_many_settlements_one_counts(stage: &Stage<'_>) -> Verdict {
    let nodes: [Node; 3] = stage.nodes()?;
    for _ in 0..ROUNDS {
        let held = nodes[0].take(stage.key())?;
        same("the end", nodes[0].end(&held, unknown())?, Ended::Done)?;
        let asks: Vec<_> = nodes
            .iter()
            .map(|node| {
                let (tier, key): (Arc<dyn Tier>, _) = (Arc::clone(&node.tier), held.claim.key);
                move || tier.settle(key, &retry(Duration::ZERO), WITHIN)
            })
            .collect();
        let answers = together(asks).into_iter().collect::<Result<Vec<_>, _>>();
        let answers = must(answers, "settle")?;
        let done = answers.iter().filter(|answer| **answer == Ended::Done).count();
        same("settled", done, 1)?;
    }
    Ok(())
}

/// Each thread its own keys, all of them at once.
fn keys_do_not_wait_for_each_other(stage: &Stage<'_>) -> Verdict {
    let nodes: [Node; 4] = stage.nodes()?;
    let asks: Vec<_> = nodes
        .iter()
        .map(|node| {
            let claims: Vec<Claim> = (0..100).map(|_| node.claim(stage.key())).collect();
            let tier = Arc::clone(&node.tier);
            move || run_all(&*tier, &claims)
        })
        .collect();
    for (at, ran) in together(asks).into_iter().enumerate() {
        ensure(ran == Ok(100), || format!("thread {at} ran {ran:?} of 100"))?;
    }
    Ok(())
}

/// How many of `claims` were granted, and ended.
fn run_all(tier: &dyn Tier, claims: &[Claim]) -> Result<usize, TierError> {
    let outcome = Outcome::new(200, b"");
    let mut ran = 0;
    for claim in claims {
        if let Claimed::Granted(grant) = tier.claim(claim, WITHIN)? {
            let ending = Held { claim: *claim, grant }.ending(succeeded(&outcome));
            ran += usize::from(tier.end(&ending, WITHIN)? == Ended::Done);
        }
    }
    Ok(ran)
}

/// Runs all of them, each on a thread of its own, from the same moment on. Answers in their order.
fn together<T: Send>(asks: Vec<impl FnOnce() -> T + Send>) -> Vec<T> {
    let start = Barrier::new(asks.len());
    thread::scope(|scope| {
        let threads: Vec<_> = asks
            .into_iter()
            .map(|ask| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    ask()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

/// How often a race is run.
const ROUNDS: usize = 30;
